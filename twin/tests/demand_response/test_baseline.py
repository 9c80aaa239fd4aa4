"""Baselines against pandas, and each rule of which days count."""

import datetime as dt
import math
import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin.demand_response.baseline import (
    METHODS,
    Baseline,
    Day,
    Insufficient,
    compute_baseline,
)

EVENT = dt.date(2026, 6, 18)  # a Thursday
FIRST = dt.date(2026, 4, 1)
SIX_PM = range(18 * 3600, 20 * 3600, 900)


def number(day):
    return day.toordinal()


def make_days(chance, **changes):
    days = {}
    for ordinal in range(number(FIRST), number(EVENT) + 1):
        kind = "weekend" if dt.date.fromordinal(ordinal).weekday() >= 5 else "weekday"
        energies = {second: chance.randrange(50, 900) for second in range(0, 86_400, 900)}
        days[ordinal] = Day(kind, energies)
    for ordinal, change in changes.get("changed", {}).items():
        days[ordinal] = days[ordinal]._replace(**change)
    return days


def by_pandas(method, days, seconds, cap=0.2):
    """The same from the definitions, with a table of all quarter hours."""
    rows = [
        (ordinal, second, wh, day.kind, day.is_excluded)
        for ordinal, day in days.items()
        for second, wh in day.energies.items()
    ]
    table = pd.DataFrame(rows, columns=["day", "second", "wh", "kind", "excluded"])
    before = table[(table.day < number(EVENT)) & (table.day >= number(EVENT) - 45)]
    like = before[(before.kind == "weekday") & ~before.excluded]
    window = like[like.second.isin(seconds)].pivot_table(index="day", columns="second", values="wh")
    window = window.dropna().sort_index(ascending=False).head(METHODS[method].days)
    if len(window) < METHODS[method].days:
        return None
    used = window.loc[window.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    used = used.head(METHODS[method].highest)
    own = list(range(seconds[0] - 4 * 3600, seconds[0] - 3600, 900))
    hours = table[table.second.isin(own)].groupby("day").wh
    factor = 1.0
    if hours.count().get(number(EVENT), 0) == 12:
        factor = hours.sum()[number(EVENT)] / hours.sum()[used.index].mean()
        factor = min(max(factor, 1 - cap), 1 + cap)
    return [math.floor(value * factor + 0.5) for value in used.mean()], sorted(used.index)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(8))
def test_a_baseline_is_what_pandas_computes(method, seed):
    days = make_days(random.Random(seed))
    found = compute_baseline(method, days, number(EVENT), SIX_PM)
    energies, used = by_pandas(method, days, list(SIX_PM))
    assert list(found.days) == used
    assert all(
        abs(ours - theirs) <= 1 for ours, theirs in zip(found.energies, energies, strict=True)
    )
    exact = compute_baseline(method, days, number(EVENT), SIX_PM, cap_percent=0)
    assert list(exact.energies) == by_pandas(method, days, list(SIX_PM), cap=0)[0]


def before(count):
    """Return the number of the like day that is `count` weekdays before the event."""
    day = EVENT
    while count:
        day -= dt.timedelta(days=1)
        count -= day.weekday() < 5
    return number(day)


@pytest.mark.parametrize(
    "change",
    [
        {"is_excluded": True},
        {"kind": "holiday"},
        {"energies": {second: 1 for second in range(0, 86_400, 900) if second != SIX_PM[3]}},
        {"energies": {}},
    ],
    ids=["an event", "a holiday", "one bad quarter hour", "no data"],
)
def test_days_with_an_event_of_another_kind_or_with_bad_data_are_left_out(change):
    days = make_days(random.Random(1), changed={before(2): change})
    found = compute_baseline("10-of-10", days, number(EVENT), SIX_PM)
    assert before(2) not in found.days
    assert found.days == tuple(sorted(before(count) for count in (1, *range(3, 12))))


def test_a_quarter_hour_outside_of_the_event_may_be_missing():
    energies = {second: 100 for second in range(0, 86_400, 900) if second != SIX_PM[-1] + 900}
    days = make_days(random.Random(1), changed={before(2): {"energies": energies}})
    assert before(2) in compute_baseline("10-of-10", days, number(EVENT), SIX_PM).days


def test_too_few_days_are_insufficient_and_never_a_guess():
    days = make_days(random.Random(1))
    nine = {ordinal: day for ordinal, day in days.items() if ordinal >= before(9)}
    assert compute_baseline("10-of-10", nine, number(EVENT), SIX_PM) == Insufficient(9, 10)
    ten = {ordinal: day for ordinal, day in days.items() if ordinal >= before(10)}
    assert isinstance(compute_baseline("10-of-10", ten, number(EVENT), SIX_PM), Baseline)


def test_a_like_day_is_at_most_45_days_old():
    days = make_days(random.Random(1))
    recent = {
        one: day for one, day in days.items() if one < number(EVENT) - 45 or one == number(EVENT)
    }
    assert compute_baseline("high-4-of-5", recent, number(EVENT), SIX_PM) == Insufficient(0, 5)


def flat(wh):
    return dict.fromkeys(range(0, 86400, 900), wh)


@pytest.mark.parametrize(
    ("own_wh", "expected"),
    [(100, 100), (110, 110), (119, 119), (150, 120), (90, 90), (10, 80), (0, 80)],
)
def test_the_adjustment_is_capped(own_wh, expected):
    days = {one: Day("weekday", flat(100)) for one in range(100, 120)}
    days[120] = Day("weekday", flat(own_wh))
    found = compute_baseline("10-of-10", days, 120, SIX_PM)
    assert set(found.energies) == {expected}


def test_an_adjustment_needs_all_hours_before_the_event():
    days = {one: Day("weekday", flat(100)) for one in range(100, 121)}
    days[120].energies.pop(14 * 3600)
    assert compute_baseline("10-of-10", days, 120, SIX_PM).adjustment is None


def test_four_of_five_leaves_out_the_day_with_the_least():
    days = {one: Day("weekday", flat(100 + one)) for one in range(11)}
    assert compute_baseline("high-4-of-5", days, 10, SIX_PM, 0).days == (6, 7, 8, 9)


def test_an_event_over_midnight_uses_both_days():
    days = {one: Day("weekday", flat(100 + one)) for one in range(21)}
    late = range(23 * 3600, 25 * 3600, 900)
    found = compute_baseline("high-4-of-5", days, 20, late, 0)
    assert found.days == (15, 16, 17, 18)  # 19 ends in the event's own day
    assert found.energies[0] + 1 == found.energies[-1]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(list(METHODS)), st.integers(0, 100))
def test_a_baseline_stays_within_its_cap_of_the_days_it_is_of(seed, method, cap):
    days = make_days(random.Random(seed))
    plain = compute_baseline(method, days, number(EVENT), SIX_PM, 0)
    found = compute_baseline(method, days, number(EVENT), SIX_PM, cap)
    for own, other in zip(found.energies, plain.energies, strict=True):
        assert abs(own - other) <= other * cap / 100 + 1
