"""Answers `/v1/performance`: which intervals of a local day were there by 08:00 of the next one.

Days are those of each metering point's own zone. Counting is PostgreSQL's; what was expected, and
what the rates mean, is `performance`. Neighbours: `windows`, `arrivals_table`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from meter_archive.arrivals_table import Arrived, Due, count_arrivals
from meter_archive.asking import ALL, ONE, find_days, parse_asking
from meter_archive.database import Pool
from meter_archive.intervals import count_expected
from meter_archive.local_time import get_zone, local_to_utc, start_of_day
from meter_archive.performance import DEADLINE, DayOfFleet, DayOfMeter, rate_fleet
from meter_archive.queries import Asked, Json
from meter_archive.readings_table import find_zone
from meter_archive.windows import Window, find_windows

TARGET = 0.99
"""Of all intervals of a day, by its deadline."""
_MOST_DAYS_OF_ONE, _MOST_DAYS_OF_MANY = 93, 7
_MOST_ROWS = 10_000
_DAY_S = 86400
_NOTHING = Arrived(0, 0)


class Rated(NamedTuple):
    """A device's local day; `is_final` once the deadline is over."""

    window: Window
    day: date
    is_final: bool
    rate: DayOfMeter

    @property
    def order(self) -> tuple[float, date, str]:
        """Sort key: the worst first."""
        return self.rate.success, self.day, self.window.device


async def answer_performance(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/performance`.

    Raises:
        QueryError: a parameter is wrong.
        LookupError: no such meter, device or metering point is known for that time, or allowed.
        asyncpg.PostgresError, OSError: the database is away.
    """
    asking = parse_asking(asked.parameters, ("limit",), ALL)
    limit = asking.number("limit", 100, _MOST_ROWS)
    most = _MOST_DAYS_OF_ONE if asking.subject.kind in ONE else _MOST_DAYS_OF_MANY
    async with pool.acquire() as connection:
        zone = await find_zone(connection, asking.subject, asked.scope)
        days = find_days(asking, get_zone(zone, "zone"), asked.now_s, most)
        # local days of all zones there are lie within these
        first_s = start_of_day(days[0], get_zone("UTC", "zone")) - _DAY_S
        last_s = first_s + (len(days) + 2) * _DAY_S
        windows = await find_windows(
            connection, asking.subject, max(first_s, 0), last_s, asked.scope, zone
        )
        due = list_due(windows, days, asked.now_s)
        arrived = await count_arrivals(connection, [one for _, _, one in due])
    rows = rate(due, arrived, asked.now_s)
    worst = sorted(rows, key=lambda one: one.order)
    return {
        "target": TARGET,
        "deadline": DEADLINE.isoformat("minutes"),
        "days": [_fleet(day, [one for one in rows if one.day == day]) for day in days],
        "meters": [_meter(one) for one in worst[:limit]],
        "leftOut": max(0, len(worst) - limit),
    }


def list_due(
    windows: Iterable[Window], days: Sequence[date], now_s: int
) -> list[tuple[Window, date, Due]]:
    """Return what each device had to give on each day, as far as it was there and it is over."""

    @cache
    def bounds(day: date, zone: ZoneInfo) -> tuple[int, int, int]:
        following = day + timedelta(days=1)
        deadline_s = local_to_utc(datetime.combine(following, DEADLINE), zone)
        return start_of_day(day, zone), start_of_day(following, zone), deadline_s

    due = []
    for window in windows:
        for day in days:
            start_s, end_s, deadline_s = bounds(day, window.local())
            # an interval that ends as the tenure begins is of the time before it
            start_s = max(start_s, window.since_s)
            end_s = min(end_s, window.closing(window.until_s), now_s)
            if start_s < end_s:
                row = Due(window.device, window.capture_s, start_s, end_s, deadline_s)
                due.append((window, day, row))
    return due


def rate(
    due: Sequence[tuple[Window, date, Due]], arrived: Mapping[int, Arrived], now_s: int
) -> list[Rated]:
    """Return how each day of each device went; one of which nothing came is there too."""
    rows = []
    for place, (window, day, one) in enumerate(due):
        expected = count_expected(one.start_s, one.end_s, one.capture_s)
        came = arrived.get(place, _NOTHING)
        if expected:
            rated = DayOfMeter(expected, came.in_time, came.all - came.in_time)
            rows.append(Rated(window, day, now_s >= one.deadline_s, rated))
    return rows


def _fleet(day: date, rows: Sequence[Rated]) -> Json:
    fleet = rate_fleet({f"{one.window.device} {one.window.since_s}": one.rate for one in rows})
    return {
        "day": day.isoformat(),
        "final": all(one.is_final for one in rows),
        "meters": fleet.meters,
        "complete": fleet.complete,
        "silent": fleet.silent,
        **_counts(fleet),
    }


def _meter(one: Rated) -> Json:
    return one.window.named() | {
        "day": one.day.isoformat(),
        "final": one.is_final,
        **_counts(one.rate),
    }


def _counts(rated: DayOfMeter | DayOfFleet) -> Json:
    return {
        "expected": rated.expected,
        "inTime": rated.in_time,
        "late": rated.late,
        "missing": rated.expected - rated.in_time - rated.late,
        "success": round(rated.success, 6),
        "met": rated.in_time >= TARGET * rated.expected,
    }
