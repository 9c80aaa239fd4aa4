"""Read-success rates and drift, against pandas and against clocks whose drift is known."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from meter_archive.performance import (
    Arrival,
    ClockSetting,
    DayOfMeter,
    rate_day,
    rate_fleet,
    report_drift,
)

BRUSSELS = ZoneInfo("Europe/Brussels")
CAPTURE_S = 900


def at(text):
    return int(datetime.fromisoformat(text).timestamp())


DEADLINE_S = at("2026-03-03T08:00:00+01:00")


def day_of_arrivals(arrived_s):
    start_s = at("2026-03-02T00:00:00+01:00")
    return [Arrival(start_s + place * CAPTURE_S, arrived_s) for place in range(1, 97)]


@pytest.mark.parametrize(
    ("arrived_s", "rated"),
    [
        (DEADLINE_S, (96, 96, 0)),
        (DEADLINE_S + 1, (96, 0, 96)),
    ],
)
def test_a_reading_is_in_time_until_the_deadline_of_the_next_local_day(arrived_s, rated):
    assert rate_day(date(2026, 3, 2), BRUSSELS, day_of_arrivals(arrived_s), CAPTURE_S) == rated


def test_of_a_reading_that_came_twice_the_first_arrival_counts():
    arrivals = [*day_of_arrivals(DEADLINE_S + 5), *day_of_arrivals(DEADLINE_S)[:10]]
    for rows in (arrivals, arrivals[::-1]):
        assert rate_day(date(2026, 3, 2), BRUSSELS, rows, CAPTURE_S) == (96, 10, 86)


def test_another_deadline_is_local_time_too():
    arrivals = day_of_arrivals(at("2026-03-03T05:30:00Z"))
    for deadline, in_time in ((time(6, 30), 96), (time(6, 29), 0)):
        got = rate_day(date(2026, 3, 2), BRUSSELS, arrivals, CAPTURE_S, deadline)
        assert got.in_time == in_time


@example("2026-10-24", [(60, 61201, 0)])  # in time: 08:00 is nine hours after that midnight
@given(
    st.sampled_from(["2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25", "2026-06-01"]),
    st.lists(
        st.tuples(st.integers(-20, 130), st.integers(-10, 250_000), st.integers(0, 3)), max_size=150
    ),
)
def test_rates_are_what_pandas_counts(text, rows):
    day = pd.Timestamp(text, tz="Europe/Brussels")
    following = day + pd.DateOffset(days=1)
    start_s, end_s = int(day.timestamp()), int(following.timestamp())
    arrivals = [
        Arrival(
            start_s + place * CAPTURE_S + (7 if odd == 3 else 0),
            start_s + place * CAPTURE_S + later,
        )
        for place, later, odd in rows
    ]
    got = rate_day(day.date(), BRUSSELS, arrivals, CAPTURE_S)
    frame = pd.DataFrame(arrivals, columns=["time", "arrived"])
    frame = frame[(frame.time > start_s) & (frame.time <= end_s) & (frame.time % CAPTURE_S == 0)]
    first = frame.groupby("time").arrived.min()
    deadline_s = following.replace(hour=8).timestamp()  # on the clock: days of 23 and 25 hours
    in_time = int((first <= deadline_s).sum())
    assert got == ((end_s - start_s) // CAPTURE_S, in_time, len(first) - in_time)
    assert 0 <= got.success <= 1


def test_a_fleet_is_the_sum_of_its_meters():
    days = {"a": DayOfMeter(96, 96, 0), "b": DayOfMeter(96, 24, 10), "c": DayOfMeter(96, 0, 0)}
    fleet = rate_fleet(days)
    assert fleet == (3, 1, 1, 288, 120, 10)
    assert fleet.success == 120 / 288
    assert days["b"].success == 0.25
    assert (rate_fleet({}).success, DayOfMeter(0, 0, 0).success) == (1.0, 1.0)


@given(st.floats(-200, 200), st.lists(st.integers(1, 40), min_size=1, max_size=12), st.randoms())
def test_a_constant_drift_is_found_from_the_steps_of_a_clock(ppm, days, chance):
    settings = [ClockSetting(1_770_000_000, None)]
    for length in days:
        elapsed_s = length * 86400
        offset_ms = round(ppm * elapsed_s / 1000)
        settings.append(ClockSetting(settings[-1].time_s + elapsed_s, offset_ms))
    chance.shuffle(settings)
    report = report_drift(settings)
    assert len(report.drifts) == len(days)
    # offsets are whole milliseconds: half of one in a day is 0.006 ppm
    assert all(abs(one.ppm - ppm) < 0.006 for one in report.drifts)
    assert abs(report.ppm - ppm) < 0.006


def test_a_slow_clock_has_a_positive_drift_and_a_first_step_has_none():
    before, after = ClockSetting(1_000_000, 5000), ClockSetting(1_086_400, 8640)
    assert report_drift([before]) == ((), None)
    report = report_drift([before, after])
    assert report.drifts == ((1_000_000, 1_086_400, 8640, 100.0),)
    assert report.ppm == 100.0


def test_a_clock_that_was_set_without_a_time_begins_anew():
    settings = [ClockSetting(0, 4000), ClockSetting(86400, None), ClockSetting(172_800, 8640)]
    report = report_drift(settings)
    assert [(one.start_s, one.ppm) for one in report.drifts] == [(86400, 100.0)]
    assert report.ppm == 100.0


def test_two_settings_of_one_second_make_no_drift_of_their_own():
    settings = [ClockSetting(0, 0), ClockSetting(86400, -8640), ClockSetting(86400, 9999)]
    assert [one.ppm for one in report_drift(settings).drifts] == [-100.0]
