"""What is planned for a day, at its boundaries and on days of a clock change."""

import itertools
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest
from city_grid.programme import (
    DAY_AHEAD,
    HOUR_S,
    Peak,
    Programme,
    build_peak,
    format_moment,
    plan,
    plan_peaks,
    plan_price,
)

BRUSSELS = Programme()
DAY = date(2026, 11, 23)
"""A Monday, in winter time (UTC+1)."""


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        pytest.param(DAY, "Europe/Brussels", 24, id="a day"),
        pytest.param(date(2026, 3, 29), "Europe/Brussels", 23, id="clocks go forward"),
        pytest.param(date(2026, 10, 25), "Europe/Brussels", 25, id="clocks go back"),
        pytest.param(date(2026, 4, 5), "Australia/Lord_Howe", 25, id="back by half an hour"),
        pytest.param(date(2026, 10, 25), "UTC", 24, id="no clock change"),
    ],
)
def test_a_price_for_each_hour_of_the_day_without_a_gap(day, zone, hours):
    event = plan_price(Programme(zone=ZoneInfo(zone)), day)
    assert len(event.intervals) == hours
    for one, after in itertools.pairwise(event.intervals):
        assert one.start_s + one.duration_s == after.start_s
    for moment_s in (event.start_s, event.end_s):
        assert datetime.fromtimestamp(moment_s, ZoneInfo(zone)).time() == time()
    assert 0 < event.intervals[-1].duration_s <= HOUR_S


def test_the_price_is_that_of_the_local_hour():
    event = plan_price(BRUSSELS, DAY)
    assert [one.value_micro for one in event.intervals] == list(DAY_AHEAD)
    assert (event.event_id, event.signal, event.currency) == ("price-2026-11-23", "ELECTRICITY_PRICE", "EUR")  # fmt: skip
    assert format_moment(event.start_s) == "2026-11-22T23:00:00Z"
    assert event.level == 0


def test_the_hour_that_comes_twice_has_its_price_twice():
    event = plan_price(BRUSSELS, date(2026, 10, 25))  # a Sunday
    weekend = [price * 85 // 100 for price in DAY_AHEAD]
    assert [one.value_micro for one in event.intervals] == weekend[:3] + weekend[2:]


@pytest.mark.parametrize(("day", "percent"), [(20, 100), (21, 85), (22, 85), (23, 100)])
def test_weekends_are_cheaper(day, percent):
    event = plan_price(BRUSSELS, date(2026, 11, day))
    assert event.intervals[0].value_micro == DAY_AHEAD[0] * percent // 100


def test_two_peaks_a_day_in_local_time():
    morning, evening = plan_peaks(BRUSSELS, DAY)
    assert (morning.event_id, evening.event_id) == ("peak-2026-11-23-0730", "peak-2026-11-23-1800")
    assert (morning.start_s, morning.end_s) == (at("2026-11-23T06:30"), at("2026-11-23T07:00"))
    assert (evening.start_s, evening.end_s) == (at("2026-11-23T17:00"), at("2026-11-23T18:00"))
    assert (evening.level, evening.signal) == (2, "SIMPLE")
    in_summer = list(plan_peaks(BRUSSELS, date(2026, 7, 1)))
    assert in_summer[1].start_s == at("2026-07-01T16:00")


def test_a_peak_that_a_clock_change_swallows_is_left_out():
    night = BRUSSELS._replace(peaks=(Peak(time(2, 15), time(3, 15)), Peak(time(4), time(5))))
    assert [one.event_id for one in plan_peaks(night, date(2026, 3, 29))] == [
        "peak-2026-03-29-0400"
    ]
    assert len(list(plan_peaks(night, date(2026, 3, 30)))) == 2


@pytest.mark.parametrize(
    ("now", "first"),
    [
        pytest.param("2026-11-22T23:00:00", "price-2026-11-23", id="the day begins"),
        pytest.param("2026-11-23T06:59:59", "peak-2026-11-23-0730", id="the last second of a peak"),
        pytest.param("2026-11-23T07:00:00", "peak-2026-11-23-1800", id="it is over"),
        pytest.param("2026-11-23T22:59:59", "price-2026-11-24", id="the day's last second"),
    ],
)
def test_today_and_tomorrow_are_planned_but_what_is_over(now, first):
    planned = [one.event_id for one in plan(BRUSSELS, at(now))]
    assert first in planned[:2]
    assert planned[-3:] == [one.replace("23", "24") for one in ("price-2026-11-23", "peak-2026-11-23-0730", "peak-2026-11-23-1800")]  # fmt: skip
    assert all(one.end_s > at(now) for one in plan(BRUSSELS, at(now)))


def test_the_same_is_planned_whenever_it_is_asked():
    noon, night = plan(BRUSSELS, at("2026-11-23T11:00")), plan(BRUSSELS, at("2026-11-23T21:00"))
    assert set(night) < set(noon)
    tomorrow = plan(BRUSSELS, at("2026-11-23T23:30"))
    assert set(noon[-3:]) < set(tomorrow)


def test_a_peak_at_short_notice():
    event = build_peak(BRUSSELS, "peak-x", 3, 1000, 300, ["house-1"])
    assert (event.start_s, event.end_s, event.level) == (1000, 1300, 3)
    assert event.market_context == "http://city-grid.example/peak"
    assert (event.is_for("house-1"), event.is_for("house-2")) == (True, False)
    assert build_peak(BRUSSELS, "peak-x", 1, 1000, 1).is_for("house-2")


@pytest.mark.parametrize(("level", "seconds", "words"), [(0, 1, "level"), (4, 1, "level"), (1, 0, "seconds")])  # fmt: skip
def test_a_peak_that_asks_for_nothing_is_refused(level, seconds, words):
    with pytest.raises(ValueError, match=words):
        build_peak(BRUSSELS, "peak-x", level, 1000, seconds)
