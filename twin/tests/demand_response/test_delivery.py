"""What is delivered, from readings to `GET /v1/dr`, against pandas; days as the wall's clock has."""

import math
import random

import pandas as pd
import pytest
from performing_house import HOUR, QUARTER_S, ZONE, House, at, make_event, take_part


@pytest.fixture
def build(tmp_path):
    houses = []

    def build(**options):
        houses.append(House(tmp_path / f"{len(houses)}.db", **options))
        return houses[-1]

    yield build
    for house in houses:
        house.store.close()


def by_pandas(used, start_s, end_s, method, cap=0.2, events=(), holidays=()):
    """Return (baseline, metered) of each quarter hour, or None, from a table of all quarter hours.

    `used`: Wh by UTC second at which a quarter hour begins; `events`: other events, (start, end).
    """
    wh = pd.Series(used)
    local = pd.to_datetime(wh.index, unit="s", utc=True).tz_convert(ZONE).tz_localize(None)
    touched = pd.Series(data=False, index=wh.index)
    for first_s, last_s in events:
        touched |= (wh.index > first_s - QUARTER_S) & (wh.index < last_s)
    with_event = set(local[touched].normalize())
    own = (wh.index > start_s - QUARTER_S) & (wh.index < end_s)
    today = local[own][0].normalize()
    is_first = ~local.duplicated()
    wall = pd.Series(wh[is_first].to_numpy(), index=local[is_first])
    wall = wall[~wall.index.normalize().isin(with_event)]

    def is_rest(day):
        return day.day_of_week >= 5 or f"{day:%Y-%m-%d}" in holidays

    spans = local[own] - today
    before = [today - pd.Timedelta(days=number) for number in range(1, 46)]
    like = [day for day in before if is_rest(day) == is_rest(today) and day not in with_event]
    rows = {day: list(wall.reindex(day + spans)) for day in like if day + spans[-1] < today}
    table = pd.DataFrame.from_dict(rows, orient="index").dropna()
    days, best = (10, 10) if method == "10-of-10" else (5, 4)
    if len(table) < days:
        return None
    table = table.head(days)
    chosen = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index[:best]]
    ahead = spans[0] - pd.Timedelta(hours=4) + pd.timedelta_range(0, periods=12, freq="15min")
    usual = pd.Series(wh[is_first & ~touched].to_numpy(), index=local[is_first & ~touched])
    mine = usual.reindex(today + ahead)
    theirs = pd.DataFrame([list(wall.reindex(day + ahead)) for day in chosen.index])
    factor = 1.0
    if not mine.isna().any() and not theirs.isna().any(axis=None):
        factor = min(max(mine.sum() / theirs.sum(axis=1).mean(), 1 - cap), 1 + cap)
    baseline = [math.floor(value * factor + 0.5) for value in chosen.mean()]
    return baseline, list(wh[own]), sorted(f"{day:%Y-%m-%d}" for day in chosen.index)


def replay(house, first, until_s, chance, lost=0.0):
    """Use energy from a local day on; return Wh by quarter hour, without those that are bad."""
    since_s = at(first)
    used = {at_s: chance.randrange(20, 900) for at_s in range(since_s, until_s, QUARTER_S)}
    bad = {at_s for at_s in used if chance.random() < lost}
    house.use(until_s, used.get, since_s, find_status=lambda at_s: 0x08 * (at_s in bad) | 0x04)
    return {at_s: wh for at_s, wh in used.items() if at_s not in bad}


@pytest.mark.parametrize("method", ["10-of-10", "high-4-of-5"])
@pytest.mark.parametrize(
    ("first", "start", "span_s"),
    [
        ("2026-05-25T00:00", "2026-06-18T18:00", 2 * HOUR),
        ("2026-05-25T00:00", "2026-06-18T18:07", 50 * 60),
        ("2026-05-25T00:00", "2026-06-18T23:00", 2 * HOUR),
        ("2026-10-05T00:00", "2026-10-29T18:00", HOUR),  # four days after an hour came twice
        ("2026-03-09T00:00", "2026-04-02T03:15", HOUR),  # after an hour was left out
        ("2026-09-21T00:00", "2026-10-31T01:00", 3 * HOUR),  # an hour of it came twice
    ],
    ids=["evening", "touched quarter hours", "over midnight", "autumn", "spring", "twice"],
)
def test_what_is_delivered_is_what_pandas_computes(build, method, first, start, span_s):
    start_s, end_s = at(start), at(start) + span_s
    house = build(baseline=method)
    used = replay(house, first, end_s + HOUR, random.Random(start), lost=0.003)
    event = take_part(make_event(start_s, span_s), offset_s=60)
    house.look(start_s + 120, event)
    (row,) = house.look(end_s + HOUR, event)
    baseline, metered, days = by_pandas(used, start_s, end_s, method)
    assert row["result"] == "delivered"
    assert row["days"] == days
    found = row["quarter_hours"]
    assert found["metered_wh"] == metered
    assert all(
        abs(ours - theirs) <= 1 for ours, theirs in zip(found["baseline_wh"], baseline, strict=True)
    )
    pairs = zip(found["baseline_wh"], metered, strict=True)
    assert found["delivered_wh"] == [one - other for one, other in pairs]
    for name in ("baseline_wh", "metered_wh", "delivered_wh"):
        assert row[name] == sum(found[name])


@pytest.mark.parametrize("seed", range(4))
def test_days_of_events_are_left_out_as_pandas_leaves_them_out(build, seed):
    chance = random.Random(seed)
    start_s, end_s = at("2026-06-18T18:00"), at("2026-06-18T20:00")
    house = build(holidays="2026-06-03 2026-06-08")
    used = replay(house, "2026-05-04T00:00", end_s, chance)
    others = []
    for number, day in enumerate(sorted(chance.sample(range(8, 17), 3))):
        first_s = at(f"2026-06-{day:02}T12:00") + 60 * chance.randrange(600)
        event = make_event(first_s, HOUR, f"other-{number}", is_test=number == 0)
        house.look(first_s + 1, take_part(event))
        others.append((first_s, first_s + HOUR))
    event = take_part(make_event(start_s))
    house.look(start_s, event)
    row = house.look(end_s, event)[-1]
    baseline, _, days = by_pandas(
        used, start_s, end_s, "10-of-10", events=others, holidays=["2026-06-03", "2026-06-08"]
    )
    assert (row["event"], row["days"]) == ("peak", days)
    found = row["quarter_hours"]["baseline_wh"]
    assert all(abs(ours - theirs) <= 1 for ours, theirs in zip(found, baseline, strict=True))


def flat(_):
    return 100


def test_an_event_in_an_hour_that_comes_twice_has_both_of_them(build):
    house = build(baseline="high-4-of-5")
    start_s = at("2026-10-25T02:30")
    end_s = start_s + HOUR  # 02:30 of winter time
    house.use(end_s, lambda at_s: 40 if at_s >= start_s else 100, since_s=at("2026-09-20T00:00"))
    event = take_part(make_event(start_s, HOUR))
    house.look(start_s, event)
    (row,) = house.look(end_s, event)
    assert row["quarter_hours"]["delivered_wh"] == [60] * 4
    assert (row["result"], row["delivered_wh"]) == ("delivered", 240)
    assert row["days"] == ["2026-10-11", "2026-10-17", "2026-10-18", "2026-10-24"]


def test_a_day_without_the_hour_of_an_event_is_no_like_day(build):
    house = build(baseline="high-4-of-5")
    start_s = at("2026-04-04T02:30")  # a Saturday; there was no 02:30 on 29 March
    house.use(start_s + HOUR, flat, since_s=at("2026-03-01T00:00"))
    event = take_part(make_event(start_s, HOUR))
    house.look(start_s, event)
    (row,) = house.look(start_s + HOUR, event)
    assert row["days"] == ["2026-03-15", "2026-03-21", "2026-03-22", "2026-03-28"]


def test_too_few_days_are_insufficient_and_what_was_metered_is_shown(build):
    house = build()
    start_s = at("2026-06-18T18:00")
    house.use(start_s + 2 * HOUR, flat, since_s=at("2026-06-05T00:00"))  # nine weekdays before
    event = take_part(make_event(start_s))
    house.look(start_s, event)
    (row,) = house.look(start_s + 2 * HOUR, event)
    assert (row["result"], row["days_found"], row["days_needed"]) == ("insufficient", 9, 10)
    assert (row["baseline_wh"], row["metered_wh"], row["delivered_wh"]) == (None, 800, None)


@pytest.mark.parametrize(
    ("cap", "percent", "baseline"), [(20, 120.0, 960), (100, 150.0, 1200), (0, None, 800)]
)
def test_the_adjustment_is_capped_by_the_option(build, cap, percent, baseline):
    house = build(adjustmentCapPercent=cap)
    start_s = at("2026-06-18T18:00")
    house.use(
        start_s + 2 * HOUR,
        lambda at_s: 150 if start_s - 4 * HOUR <= at_s < start_s else 100,
        since_s=at("2026-06-04T00:00"),
    )
    event = take_part(make_event(start_s))
    house.look(start_s, event)
    (row,) = house.look(start_s + 2 * HOUR, event)
    assert (row["adjustment_percent"], row["baseline_wh"]) == (percent, baseline)


def test_hours_of_an_earlier_event_adjust_nothing(build):
    house = build()
    start_s = at("2026-06-18T18:00")
    earlier = take_part(make_event(start_s - 3 * HOUR, HOUR, "earlier"))
    house.use(
        start_s + 2 * HOUR,
        lambda at_s: 10 if start_s - 3 * HOUR <= at_s < start_s - 2 * HOUR else 100,
        since_s=at("2026-06-04T00:00"),
    )
    house.look(start_s - 3 * HOUR, earlier)
    event = take_part(make_event(start_s))
    house.look(start_s, earlier, event)
    row = house.look(start_s + 2 * HOUR, earlier, event)[-1]
    assert (row["event"], row["adjustment_percent"], row["baseline_wh"]) == ("peak", None, 800)


def test_an_event_of_more_than_a_day_has_no_like_days(build):
    house = build()
    start_s = at("2026-06-18T18:00")
    house.use(start_s + 25 * HOUR, flat, since_s=at("2026-06-01T00:00"))
    event = take_part(make_event(start_s, 25 * HOUR))
    house.look(start_s, event)
    (row,) = house.look(start_s + 25 * HOUR, event)
    assert (row["result"], row["delivered_wh"]) == ("too-long", None)
