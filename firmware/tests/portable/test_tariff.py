# ruff: noqa: PT017 - MicroPython has no others
"""Rules of the calendar: switches in local time, offsets, months, errors that name the field."""

from tariff import Calendar, TariffError, month_of

MONDAY = 1763942400  # 2025-11-24T00:00:00Z
WEEK = [
    ("12345", "06:00", 1),
    ("12345", "22:00", 2),
    ("6", "00:00", 3),
    ("7", "12:30", 4),
]


def test_the_last_switch_before_now_is_active():
    calendar = Calendar(WEEK, [])
    assert calendar.rate(MONDAY + 6 * 3600) == 1
    assert calendar.rate(MONDAY + 6 * 3600 - 1) == 4, "Sunday's rate goes on into Monday"
    assert calendar.rate(MONDAY + 22 * 3600 - 1) == 1
    assert calendar.rate(MONDAY + 22 * 3600) == 2
    assert calendar.rate(MONDAY + 5 * 86400 - 1) == 2
    assert calendar.rate(MONDAY + 5 * 86400) == 3
    assert calendar.rate(MONDAY + 6 * 86400 + 45000 - 1) == 3
    assert calendar.rate(MONDAY + 6 * 86400 + 45000) == 4


def test_an_empty_calendar_means_rate_one():
    assert Calendar([], []).rate(MONDAY) == 1


def test_one_switch_a_week_holds_for_the_week():
    calendar = Calendar([("3", "10:00", 2)], [])
    assert calendar.rate(MONDAY) == 2
    assert calendar.rate(MONDAY + 2 * 86400 + 36000 - 1) == 2


def test_switches_follow_local_time_through_the_change_of_offset():
    change = 1774746000  # 2026-03-29T01:00:00Z
    calendar = Calendar([("1234567", "00:00", 2), ("1234567", "06:00", 1)],
                        [(0, 3600), (change, 7200)])  # fmt: skip
    assert calendar.rate(change - 86400 + 4 * 3600 - 1) == 2
    assert calendar.rate(change - 86400 + 4 * 3600) == 1
    assert calendar.rate(change + 3 * 3600 - 1) == 2
    assert calendar.rate(change + 3 * 3600) == 1
    assert calendar.local(change - 1) == change + 3599
    assert calendar.local(change) == change + 7200


def test_months_begin_on_the_first_at_local_midnight():
    calendar = Calendar([], [(0, 3600)])
    start = 1796083200 - 3600
    assert calendar.month(start - 1) == 2026 * 12 + 10
    assert calendar.month(start) == 2026 * 12 + 11


def test_leap_years_of_the_gregorian_calendar():
    assert month_of(11016) == 2000 * 12 + 1, "2000-02-29"
    assert month_of(11017) == 2000 * 12 + 2
    assert month_of(47540) == 2100 * 12 + 1, "2100-02-28"
    assert month_of(47541) == 2100 * 12 + 2
    assert month_of(0) == 1970 * 12


def test_errors_name_row_and_fault():
    rows = (
        ([("12345", "06:10", 1)], [], "tariff.switches[0]"),
        ([("12345", "24:00", 1)], [], "tariff.switches[0]"),
        ([("1", "06:00", 1), ("8", "06:00", 1)], [], "tariff.switches[1]"),
        ([("", "06:00", 1)], [], "weekdays"),
        ([("1", "06:00", 5)], [], "rate"),
        ([("1", 6, 1)], [], "HH:MM"),
        ([], [(0, 100)], "tariff.offsets[0]"),
        ([], [(5, 0), (5, 0)], "tariff.offsets[1]"),
    )
    for switches, offsets, words in rows:
        try:
            Calendar(switches, offsets)
        except TariffError as fault:
            assert words in str(fault), str(fault)
        else:
            raise AssertionError(words)
