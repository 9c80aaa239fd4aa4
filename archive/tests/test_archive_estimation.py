"""Estimates of gaps: which method, exact sums, and that a reading always wins."""

from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_archive.estimation import (
    estimate_gap,
    estimated_registers,
    round_carrying,
    share_by_weight,
    share_equally,
)
from meter_archive.gaps import Gap, find_gaps
from meter_archive.intervals import Bucket, build_buckets
from meter_archive.like_days import History
from meter_archive.local_time import local_date, start_of_day
from meter_archive.snapshots import build_series
from metering_days import BEGIN_S, CAPTURE_S, plain

BRUSSELS = ZoneInfo("Europe/Brussels")
NOTHING = History((), BRUSSELS)
WEIGHTS = st.lists(st.fractions(0, 100, max_denominator=12), min_size=1, max_size=60)


def day_of(day, energy_of, zone=BRUSSELS):
    """Return the metered quarter hours of a local day; `energy_of` takes the local hour."""
    start_s, end_s = (start_of_day(one, zone) for one in (day, day + timedelta(days=1)))
    return [
        Bucket(
            at_s,
            at_s + CAPTURE_S,
            energy_of(datetime.fromtimestamp(at_s, zone).hour),
            "metered",
            0,
            1,
            1,
        )
        for at_s in range(start_s, end_s, CAPTURE_S)
    ]


@cache
def history_of(first, count, energy_of=lambda hour: hour * 10):
    days = [first + timedelta(days=place) for place in range(count)]
    return History([one for day in days for one in day_of(day, energy_of)], BRUSSELS)


def gap_of(day, first_hour, hours, advance, zone=BRUSSELS):
    start_s = start_of_day(day, zone) + first_hour * 3600
    end_s = start_s + hours * 3600
    count = hours * 4 - 1
    return Gap(start_s + CAPTURE_S, end_s - CAPTURE_S, start_s, end_s, count, advance, "")


@given(st.integers(0, 10**7), st.integers(1, 3000))
def test_equal_shares_are_integers_that_sum_exactly_and_differ_by_one(advance, count):
    shares = share_equally(advance, count)
    assert (len(shares), sum(shares)) == (count, advance)
    assert max(shares) - min(shares) <= 1
    assert np.array_equal(np.diff(np.arange(count + 1) * advance // count), shares)


@given(st.integers(0, 10**7), WEIGHTS.filter(any))
def test_shares_by_weight_sum_exactly_and_are_within_one_of_the_exact_share(advance, weights):
    shares = share_by_weight(advance, weights)
    assert sum(shares) == advance
    exact = [advance * weight / sum(weights) for weight in weights]
    assert all(-1 < share - one < 1 for share, one in zip(shares, exact, strict=True))
    rounded_up = {one - int(one) for share, one in zip(shares, exact, strict=True) if share > one}
    rounded_down = {
        one - int(one) for share, one in zip(shares, exact, strict=True) if share <= one
    }
    assert not rounded_up or min(rounded_up) >= max(rounded_down - {0}, default=0)


def test_of_equal_remainders_the_earliest_is_rounded_up():
    assert share_by_weight(5, [Fraction(1)] * 3) == [2, 2, 1]


@given(WEIGHTS)
def test_rounding_carries_what_is_left(values):
    sums = np.cumsum(round_carrying(values)).tolist()
    assert sums == [int(sum(values[: place + 1])) for place in range(len(values))]


@pytest.mark.parametrize(
    ("hours", "before", "after", "method"),
    [
        (1, 28, 0, "linear-between-registers"),
        (2, 28, 0, "linear-between-registers"),
        (3, 28, 0, "like-days"),
        (3, 2, 1, "like-days"),
        (3, 4, 0, "linear-between-registers"),
        (3, 0, 0, "linear-between-registers"),
    ],
)
def test_gaps_up_to_two_hours_are_linear_longer_ones_by_like_days_if_there_are_three(
    hours, before, after, method
):
    day = date(2026, 2, 11)  # a Wednesday
    history = history_of(day - timedelta(days=before), before + 1 + after)
    estimates = estimate_gap(gap_of(day, 8, hours, 1001), CAPTURE_S, history)
    assert {(one.method, one.version, one.quality) for one in estimates} == {
        (method, 1, "estimated")
    }
    assert sum(one.energy for one in estimates) == 1001
    assert len(estimates) == hours * 4


def test_a_gap_of_two_hours_and_a_quarter_is_a_long_one():
    day = date(2026, 2, 11)
    gap = gap_of(day, 8, 2, 900)
    gap = gap._replace(end_s=gap.end_s + CAPTURE_S)
    estimates = estimate_gap(gap, CAPTURE_S, history_of(day - timedelta(days=28), 28))
    assert estimates[0].method == "like-days"


def test_like_days_give_the_shape_and_the_registers_give_the_sum():
    day = date(2026, 2, 11)
    gap = gap_of(day, 8, 3, 540)
    estimates = estimate_gap(gap, CAPTURE_S, history_of(day - timedelta(days=28), 28))
    # hours 8, 9, 10 have weights 80, 90, 100 a quarter hour: half of them each
    assert [one.energy for one in estimates] == [40] * 4 + [45] * 4 + [50] * 4


def test_workdays_saturdays_and_sundays_are_not_alike_and_a_holiday_is_a_sunday():
    holiday = date(2026, 2, 11)

    def buckets():
        for place in range(-28, 28):
            day = holiday + timedelta(days=place)
            weight = {5: 1000, 6: 7}.get(day.weekday(), 100)
            yield from day_of(day, lambda _hour, weight=weight: weight)

    rows = list(buckets())
    gap = gap_of(holiday, 8, 3, None)
    for holidays, energy in (((), 100), ((holiday,), 7)):
        estimates = estimate_gap(gap, CAPTURE_S, History(rows, BRUSSELS, holidays))
        assert {one.energy for one in estimates} == {energy}
    saturday = gap_of(date(2026, 2, 14), 8, 3, None)
    estimates = estimate_gap(saturday, CAPTURE_S, History(rows, BRUSSELS))
    assert {one.energy for one in estimates} == {1000}


def test_days_more_than_four_weeks_away_are_not_alike():
    day = date(2026, 2, 11)
    gap = gap_of(day, 8, 3, None)
    assert estimate_gap(gap, CAPTURE_S, history_of(day - timedelta(days=60), 31)) == ()
    assert estimate_gap(gap, CAPTURE_S, history_of(day - timedelta(days=60), 35)) != ()


def test_a_day_that_lacks_an_hour_of_the_gap_is_no_like_day():
    day = date(2026, 2, 11)
    gap = gap_of(day, 8, 3, 600)
    days = [day_of(day - timedelta(weeks=place), lambda _hour: 10) for place in range(1, 4)]
    for lacking, method in ((7, "like-days"), (9, "linear-between-registers")):
        others = [one for one in days[0] if not lacking * 4 <= days[0].index(one) < lacking * 4 + 4]
        history = History([*others, *days[1], *days[2]], BRUSSELS)
        assert estimate_gap(gap, CAPTURE_S, history)[0].method == method


def test_estimated_days_are_no_like_days():
    day = date(2026, 2, 11)
    rows = [
        bucket._replace(quality="estimated")
        for place in range(1, 20)
        for bucket in day_of(day - timedelta(days=place), lambda _hour: 10)
    ]
    assert History(rows, BRUSSELS).like(day) == []


def test_without_a_later_snapshot_the_mean_of_like_days_is_taken():
    day = date(2026, 2, 11)
    rows = [
        bucket
        for place, energy in enumerate((10, 10, 11), 1)
        for bucket in day_of(day - timedelta(weeks=place), lambda _hour, energy=energy: energy)
    ]
    estimates = estimate_gap(gap_of(day, 8, 1, None), CAPTURE_S, History(rows, BRUSSELS))
    assert [one.energy for one in estimates] == [10, 10, 11, 10]
    assert {(one.method, one.version) for one in estimates} == {("like-days-unanchored", 1)}
    assert estimate_gap(gap_of(day, 8, 1, None), CAPTURE_S, NOTHING) == ()


@pytest.mark.parametrize(("day", "quarters"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100)])
def test_a_day_of_a_clock_change_is_estimated_whole(day, quarters):
    start_s, end_s = (start_of_day(one, BRUSSELS) for one in (day, day + timedelta(days=1)))
    gap = Gap(start_s + CAPTURE_S, end_s - CAPTURE_S, start_s, end_s, quarters - 1, 9999, "")
    estimates = estimate_gap(gap, CAPTURE_S, history_of(day - timedelta(days=28), 28))
    assert len(estimates) == quarters
    assert sum(one.energy for one in estimates) == 9999
    assert estimates[0].method == "like-days"


def test_a_day_whose_clocks_go_back_serves_for_no_hour_that_came_twice():
    day = date(2026, 10, 25)
    values = History(day_of(day, lambda _hour: 5), BRUSSELS).like(day + timedelta(days=7))[0]
    assert len(values) == 92
    assert not {120, 135, 150, 165} & values.keys()


@given(
    st.lists(st.none() | st.integers(0, 500), min_size=4, max_size=300),
    st.sampled_from([0, 28]),
)
def test_estimates_sum_to_the_advance_and_complete_every_bucket_between_readings(steps, days):
    values, total = [0], 0
    for step in steps:
        total += step or 0
        values.append(None if step is None else total)
    values.append(total + 77)
    series = build_series(plain(values))
    end_s = BEGIN_S + (len(values) - 1) * CAPTURE_S
    history = history_of(local_date(BEGIN_S, BRUSSELS) - timedelta(days=days), days)
    registers = {}
    for gap in find_gaps(series, BEGIN_S, end_s, CAPTURE_S):
        estimates = estimate_gap(gap, CAPTURE_S, history)
        assert sum(one.energy for one in estimates) == gap.advance
        assert all(one.energy >= 0 for one in estimates)
        assert [one.start_s for one in estimates] == list(range(gap.start_s, gap.end_s, CAPTURE_S))
        registers |= estimated_registers(series.find(gap.start_s).value, estimates)
    quarters = list(range(BEGIN_S, end_s + 1, CAPTURE_S))
    buckets = build_buckets(series, quarters, CAPTURE_S, registers)
    assert sum(one.energy for one in buckets) == total + 77
    known = pd.Series(values, dtype="Float64").diff()
    for bucket, metered in zip(buckets, known[1:], strict=True):
        assert (bucket.quality == "metered") == (metered is not pd.NA)
        assert metered is pd.NA or bucket.energy == metered


def test_a_late_reading_takes_the_place_of_an_estimate():
    bounds = [BEGIN_S + place * CAPTURE_S for place in range(4)]

    def answer(values):
        series = build_series(plain(values))
        registers = {}
        for gap in find_gaps(series, bounds[0], bounds[-1], CAPTURE_S):
            estimates = estimate_gap(gap, CAPTURE_S, NOTHING)
            registers |= estimated_registers(series.find(gap.start_s).value, estimates)
        return [one[2:4] for one in build_buckets(series, bounds, CAPTURE_S, registers)]

    assert answer([0, None, None, 10]) == [(3, "estimated"), (3, "estimated"), (4, "estimated")]
    assert answer([0, 9, None, 10]) == [(9, "metered"), (0, "estimated"), (1, "estimated")]
    assert answer([0, 9, 9, 10]) == [(9, "metered"), (0, "metered"), (1, "metered")]


def test_what_cannot_be_shared_out_is_an_error():
    day = date(2026, 2, 11)
    with pytest.raises(ValueError, match="advance of -1"):
        estimate_gap(gap_of(day, 8, 1, -1), CAPTURE_S, NOTHING)
    with pytest.raises(ValueError, match="multiple of 900 s"):
        estimate_gap(gap_of(day, 8, 1, 5)._replace(start_s=1), CAPTURE_S, NOTHING)


def test_an_advance_of_nothing_is_estimated_as_nothing():
    day = date(2026, 2, 11)
    for history in (NOTHING, history_of(day - timedelta(days=28), 28)):
        estimates = estimate_gap(gap_of(day, 8, 3, 0), CAPTURE_S, history)
        assert [one.energy for one in estimates] == [0] * 12
    history = history_of(day - timedelta(days=28), 28, lambda _hour: 0)
    estimates = estimate_gap(gap_of(day, 8, 3, 12), CAPTURE_S, history)
    assert [(one.energy, one.method) for one in estimates] == [(1, "linear-between-registers")] * 12
