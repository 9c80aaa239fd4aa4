"""Answers `/v1/drift`: clocks by what their meters say of them, the worst first.

A meter says by how much its clock was stepped (`clock_step`) or refused to be (`clock_refused`). A
reading whose time lies after its arrival shows a fast clock too, whatever the meter says; a late
one shows nothing, as it may have waited. Neighbours: `performance` (the rates), `entries_table`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import NamedTuple

from meter_wire.entries import parse_entry
from meter_wire.event_names import get_event_code

from meter_archive.arrivals_table import fetch_ahead
from meter_archive.asking import ALL, ONE, find_span, parse_asking
from meter_archive.database import Pool
from meter_archive.entries_table import events_of, fetch_entries
from meter_archive.local_time import get_zone, local_date
from meter_archive.performance import ClockSetting, report_drift
from meter_archive.queries import Asked, Json
from meter_archive.query_error import QueryError
from meter_archive.readings_table import find_zone
from meter_archive.windows import Window, find_windows

STEP, SET, REFUSED = (get_event_code(name) for name in ("clock_step", "clock_set", "clock_refused"))
_LONGEST_ONE, _LONGEST_MANY = timedelta(days=93), timedelta(days=7)
_BEFORE_S = int(timedelta(days=31).total_seconds())
"""How far back the setting is looked for that the first step of a question is measured from."""
_MOST_EVENTS = 50_000
_MOST_ROWS = 10_000

Told = tuple[int, int, int | None]
"""UTC second, code and offset in ms of a clock's event."""


class Clock(NamedTuple):
    """A device's clock: its events in the question's time and before, and by what it was ahead."""

    window: Window
    told: Sequence[Told]
    ahead_s: int

    def of(self, code: int) -> list[tuple[int, int]]:
        """Return second and offset of the events with a code in the question's time."""
        return [
            (time_s, offset or 0)
            for time_s, one, offset in self.told
            if one == code and time_s >= self.window.first_s
        ]

    def largest_ms(self) -> int:
        """Return the offset that is farthest from 0 of those that it was or should be put by."""
        return max(
            (offset for _, offset in (*self.of(STEP), *self.of(REFUSED))), key=abs, default=0
        )

    @property
    def order(self) -> tuple[int, str]:
        """Sort key: the worst first."""
        return -max(abs(self.largest_ms()), self.ahead_s * 1000), self.window.device


async def answer_drift(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/drift`.

    Raises:
        QueryError: a parameter is wrong, or there are too many events.
        LookupError: no such meter, device or metering point is known for that time, or allowed.
        asyncpg.PostgresError, OSError: the database is away.
    """
    asking = parse_asking(asked.parameters, ("limit",), ALL)
    limit = asking.number("limit", 100, _MOST_ROWS)
    longest = _LONGEST_ONE if asking.subject.kind in ONE else _LONGEST_MANY
    async with pool.acquire() as connection:
        zone = await find_zone(connection, asking.subject, asked.scope)
        start_s, end_s = find_span(asking, get_zone(zone, "zone"), asked.now_s, longest)
        windows = await find_windows(
            connection, asking.subject, start_s, end_s - 1, asked.scope, zone
        )
        earlier = [
            one._replace(first_s=max(one.since_s, one.first_s - _BEFORE_S)) for one in windows
        ]
        rows = await fetch_entries(
            connection, earlier, events_of((STEP, SET, REFUSED)), None, _MOST_EVENTS + 1
        )
        if len(rows) > _MOST_EVENTS:
            what = f"has more than {_MOST_EVENTS} events of clocks"
            raise QueryError("to", what, "ask for a shorter time, or fewer meters")
        ahead = await fetch_ahead(connection, windows)
    places = {one: place for place, one in enumerate(earlier)}
    found = [(places[row.window], _parse(row.raw)) for row in rows]
    clocks = build_clocks(windows, found, ahead)
    return {
        "meters": [_meter(one) for one in clocks[:limit]],
        "leftOut": max(0, len(clocks) - limit),
        "withoutFault": len(windows) - len(clocks),
    }


def _parse(raw: bytes) -> Told:
    entry = parse_entry(raw)
    offset = entry.arguments[0] if entry.arguments else None
    return entry.time_s, entry.event_code or 0, offset if isinstance(offset, int) else None


def build_clocks(
    windows: Sequence[Window],
    found: Iterable[tuple[int, Told]],
    ahead: Mapping[int, int],
) -> list[Clock]:
    """Return the clocks of which something is told, the worst first.

    Args:
        windows: of the question.
        found: place of the window, and what an event tells, by time.
        ahead: seconds by the place of the window.
    """
    told: dict[int, list[Told]] = {}
    for place, event in found:
        told.setdefault(place, []).append(event)
    clocks = [
        Clock(window, told.get(place, ()), ahead.get(place, 0))
        for place, window in enumerate(windows)
    ]
    seen = [one for one in clocks if one.ahead_s or any(map(one.of, (STEP, SET, REFUSED)))]
    return sorted(seen, key=lambda one: one.order)


def _meter(clock: Clock) -> Json:
    settings = [
        ClockSetting(time_s, offset if code == STEP else None)
        for time_s, code, offset in clock.told
        if code != REFUSED
    ]
    report = report_drift(settings)
    inside = [one for one in report.drifts if one.end_s >= clock.window.first_s]
    elapsed_s = sum(one.end_s - one.start_s for one in inside)
    zone = clock.window.local()
    days = groupby(clock.of(STEP), key=lambda one: local_date(one[0], zone))
    return clock.window.named() | {
        "ppm": round(sum(one.offset_ms for one in inside) * 1000 / elapsed_s, 3)
        if elapsed_s
        else None,
        "steps": len(clock.of(STEP)),
        "sets": len(clock.of(SET)),
        "refused": len(clock.of(REFUSED)),
        "largestOffsetMs": clock.largest_ms(),
        "aheadSeconds": clock.ahead_s,
        "days": [_day(day.isoformat(), [offset for _, offset in group]) for day, group in days],
    }


def _day(day: str, offsets: Sequence[int]) -> Json:
    return {
        "day": day,
        "steps": len(offsets),
        "offsetMs": sum(offsets),
        "largestOffsetMs": max(offsets, key=abs),
    }
