"""Buckets of questions, held against pandas, which knows time zones by its own code."""

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_archive.local_time import get_zone, local_to_utc, parse_time, start_of_day
from meter_archive.periods import build_boundaries, parse_every, quarter_before
from meter_archive.query_error import QueryError

QUARTER_S, DAY_S = 900, 86400
BRUSSELS = ZoneInfo("Europe/Brussels")
ZONES = [
    "Europe/Brussels",
    "Europe/London",
    "Europe/Dublin",
    "Europe/Lisbon",
    "Atlantic/Azores",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Havana",
    "America/Santiago",
    "America/Asuncion",
    "America/Caracas",
    "America/Nuuk",
    "Asia/Beirut",
    "Asia/Amman",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Australia/Eucla",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Pacific/Kiritimati",
    "Antarctica/Troll",
    "UTC",
]
YEARS = (1971, 1993, 2011, 2018, 2024)


def at(text):
    return int(datetime.fromisoformat(text).timestamp())


def year_of(year):
    return at(f"{year}-01-01T00:00:00Z"), at(f"{year + 1}-01-01T00:00:00Z")


def pandas_local(year, zone):
    """Return the UTC quarter hours of a year and their local times, by pandas."""
    start, end = year_of(year)
    quarters = np.arange(start, end, QUARTER_S)
    return quarters, pd.to_datetime(quarters, unit="s", utc=True).tz_convert(zone)


def first_of_each(quarters, labels):
    """Return the quarter hours at which a label is higher than it ever was."""
    highest = np.maximum.accumulate(labels)
    return quarters[1:][highest[1:] > highest[:-1]].tolist()


def quarters_of_days(name, year):
    zone = ZoneInfo(name)
    start, end = year_of(year)
    bounds = build_boundaries(start, end, "1d", zone, 400)
    return [(b - a) // QUARTER_S for a, b in pairwise(bounds[1:-1])]


@pytest.mark.parametrize("name", ZONES)
def test_days_and_months_begin_where_pandas_sees_a_new_local_date(name):
    zone = ZoneInfo(name)
    for year in YEARS:
        quarters, local = pandas_local(year, name)
        days = local.year * 10000 + local.month * 100 + local.day
        months = local.year * 100 + local.month
        start, end = year_of(year)
        got = build_boundaries(start, end, "1d", zone, 400)
        assert list(got[1:-1]) == first_of_each(quarters, days.to_numpy()), year
        got = build_boundaries(start, end, "1mo", zone, 14)
        assert list(got[1:-1]) == first_of_each(quarters, months.to_numpy()), year


@pytest.mark.parametrize("name", ZONES)
def test_hours_begin_with_each_local_hour_and_where_clocks_change(name):
    zone = ZoneInfo(name)
    for year in YEARS:
        quarters, local = pandas_local(year, name)
        wall = local.tz_localize(None).as_unit("s").astype("int64").to_numpy()
        new_hour = wall[1:] // 3600 != wall[:-1] // 3600
        changed = wall[1:] - wall[:-1] != QUARTER_S
        start, end = year_of(year)
        got = build_boundaries(start, end, "1h", zone, 9000)
        assert list(got[1:-1]) == quarters[1:][new_hour | changed].tolist(), year


@pytest.mark.parametrize(
    ("name", "year", "odd"),
    [
        ("Europe/Brussels", 2026, {92: 1, 100: 1}),
        ("America/New_York", 2025, {92: 1, 100: 1}),
        ("Africa/Cairo", 2024, {92: 1, 100: 1}),
        ("Asia/Beirut", 2024, {92: 1, 100: 1}),
        ("America/Sao_Paulo", 2018, {92: 1, 100: 1}),
        ("Australia/Lord_Howe", 2024, {94: 1, 98: 1}),
        ("Antarctica/Troll", 2024, {88: 1, 104: 1}),
        ("Asia/Kathmandu", 2024, {}),
        ("Pacific/Apia", 2011, {92: 1, 100: 1}),
    ],
)
def test_a_year_has_one_short_and_one_long_day(name, year, odd):
    lengths = quarters_of_days(name, year)
    assert {n: lengths.count(n) for n in set(lengths) - {96}} == odd


def test_a_day_that_a_zone_skipped_has_no_bucket():
    zone = ZoneInfo("Pacific/Apia")
    start, end = (start_of_day(date(2011, *md), zone) for md in ((12, 29), (12, 31)))
    assert build_boundaries(start, end, "1d", zone, 9) == (start, end)
    assert end - start == DAY_S


def test_where_midnight_does_not_exist_the_day_begins_when_clocks_go_forward():
    sao_paulo, beirut = ZoneInfo("America/Sao_Paulo"), ZoneInfo("Asia/Beirut")
    assert start_of_day(date(2018, 11, 4), sao_paulo) == at("2018-11-04T03:00:00Z")
    assert start_of_day(date(2022, 3, 27), beirut) == at("2022-03-26T22:00:00Z")
    # forward from 23:30: neither of PEP 495's answers is the transition
    toronto = ZoneInfo("America/Toronto")
    assert local_to_utc(datetime.fromisoformat("1919-03-31"), toronto) == at("1919-03-31T04:30:00Z")


def test_the_first_and_last_bucket_are_cut():
    start, end = at("2026-03-29T08:15:00Z"), at("2026-03-30T08:45:00Z")
    got = build_boundaries(start, end, "1d", BRUSSELS, 2)
    assert got == (start, at("2026-03-29T22:00:00Z"), end)


@given(
    st.sampled_from(ZONES),
    st.integers(0, 2**31 // QUARTER_S),
    st.integers(1, 5000),
    st.sampled_from(["15m", "1h", "1d", "1mo"]),
)
def test_boundaries_rise_on_quarter_hours_and_do_not_depend_on_where_a_question_begins(
    name, start, length, every
):
    zone = ZoneInfo(name)
    start_s, end_s = start * QUARTER_S, (start + length) * QUARTER_S
    got = build_boundaries(start_s, end_s, every, zone, 5000)
    assert (got[0], got[-1]) == (start_s, end_s)
    assert all(a < b for a, b in pairwise(got))
    assert not any(one % QUARTER_S for one in got)
    middle_s = start_s + length // 2 * QUARTER_S
    if start_s < middle_s:
        left = build_boundaries(start_s, middle_s, every, zone, 5000)
        right = build_boundaries(middle_s, end_s, every, zone, 5000)
        assert {*left, *right} - {middle_s} == set(got) - {middle_s}


@given(st.sampled_from(ZONES), st.integers(0, 2**31))
def test_every_local_time_of_an_instant_leads_back_to_it_or_is_refused(name, time_s):
    zone = ZoneInfo(name)
    local = datetime.fromtimestamp(time_s, zone)
    text = local.replace(tzinfo=None).isoformat()
    with_offset = local.astimezone(UTC).isoformat()
    assert parse_time(with_offset, zone, "from") == time_s
    twice = pd.Timestamp(text).tz_localize(name, ambiguous=True) != pd.Timestamp(text).tz_localize(
        name, ambiguous=False
    )
    if twice:
        with pytest.raises(QueryError, match="came twice"):
            parse_time(text, zone, "from")
    else:
        assert parse_time(text, zone, "from") == time_s


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-31", "2026-01-30T23:00:00Z"),
        ("2026-07-01", "2026-06-30T22:00:00Z"),
        ("2026-07-01T06:15", "2026-07-01T04:15:00Z"),
        ("2026-07-01T06:15:30", "2026-07-01T04:15:30Z"),
        ("2026-07-01T06:15:00.000Z", "2026-07-01T06:15:00Z"),
        ("2026-07-01T06:15:00 02:00", "2026-07-01T04:15:00Z"),
        ("2026-07-01T06:15-03:30", "2026-07-01T09:45:00Z"),
        ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"),
    ],
)
def test_times_are_iso_8601_with_an_offset_or_local(text, utc):
    assert parse_time(text, BRUSSELS, "from") == at(utc)


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ("2026-10-25T02:30", "came twice", "02:30:00+02:00 or 2026-10-25T02:30:00+01:00"),
        ("2026-03-29T02:30", "never came", "write 2026-03-29T03:00:00+02:00"),
        ("2026-02-30", "no calendar has", "2026-01-31"),
        ("2026-01-31T25:00", "no calendar has", "2026-01-31"),
        ("2026-01-31T06:00:00.5Z", "is not a time", "2026-01-31"),
        ("yesterday", "is not a time", "2026-01-31"),
        ("", "is not a time", "2026-01-31"),
        ("1969-12-31T23:00:00Z", "out of bounds", "1970"),
        ("1970-01-01", "out of bounds", "1970"),
        ("2105-01-02", "out of bounds", "2104"),
    ],
)
def test_a_wrong_time_is_refused_with_its_field_and_a_remedy(text, what, remedy):
    with pytest.raises(QueryError, match=what) as error:
        parse_time(text, BRUSSELS, "to")
    assert error.value.field == "to"
    assert remedy in error.value.remedy


def test_a_date_that_a_zone_skipped_is_refused():
    with pytest.raises(QueryError, match="skipped this day") as error:
        parse_time("2011-12-30", ZoneInfo("Pacific/Apia"), "from")
    assert error.value.remedy == "write 2011-12-31"


def test_more_buckets_than_allowed_are_refused_and_as_many_are_not():
    start = at("2026-01-01T00:00:00Z")
    assert len(build_boundaries(start, start + 96 * QUARTER_S, "15m", BRUSSELS, 96)) == 97
    with pytest.raises(QueryError, match="more than 96 buckets") as error:
        build_boundaries(start, start + 97 * QUARTER_S, "15m", BRUSSELS, 96)
    assert (error.value.field, "longer buckets" in error.value.remedy) == ("every", True)
    with pytest.raises(QueryError, match="more than 10 buckets"):
        build_boundaries(0, 4_260_211_200, "15m", BRUSSELS, 10)


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (901, 1800, "from"),
        (900, 1801, "to"),
        (900, 900, "to"),
        (1800, 900, "to"),
        (-900, 0, "from"),
    ],
)
def test_ends_that_cannot_be_are_refused(start, end, field):
    with pytest.raises(QueryError) as error:
        build_boundaries(start, end, "15m", BRUSSELS, 10)
    assert error.value.field == field


def test_lengths_and_zones_are_known_ones():
    assert [parse_every(one) for one in ("15m", "1h", "1d", "1mo")] == ["15m", "1h", "1d", "1mo"]
    with pytest.raises(
        QueryError, match="every: is no known length; write one of 15m, 1h, 1d, 1mo"
    ):
        parse_every("1w")
    assert get_zone("Europe/Brussels", "zone").key == "Europe/Brussels"
    for name in ("Europe/Nowhere", "../etc/passwd", "", "Europe"):
        with pytest.raises(QueryError) as error:
            get_zone(name, "zone")
        assert error.value.field == "zone"


def test_now_is_cut_to_the_quarter_hour_before():
    assert [quarter_before(one) for one in (899, 900, 901)] == [0, 900, 900]
