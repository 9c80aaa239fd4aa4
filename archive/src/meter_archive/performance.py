"""How well a fleet is read: intervals that came in time, and clocks that drift. Pure.

An interval is in time if its reading had arrived by a local time of the next day, 08:00 unless
asked otherwise: by then settlement wants the day before. Neighbours: `local_time`, `intervals`.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from meter_archive.intervals import count_expected
from meter_archive.local_time import local_to_utc, start_of_day

DEADLINE = time(8)
_PPM = 1_000_000


class Arrival(NamedTuple):
    """A reading's own time and when the archive got it first, UTC seconds."""

    time_s: int
    arrived_s: int


class DayOfMeter(NamedTuple):
    """Intervals of one meter's local day: expected, in time, and later but there."""

    expected: int
    in_time: int
    late: int

    @property
    def success(self) -> float:
        """Share that was in time, 0 to 1; 1 if nothing was expected."""
        return self.in_time / self.expected if self.expected else 1.0


class DayOfFleet(NamedTuple):
    """The same over many meters; `complete` have every interval in time, `silent` have none."""

    meters: int
    complete: int
    silent: int
    expected: int
    in_time: int
    late: int

    @property
    def success(self) -> float:
        """Share of all intervals that was in time, 0 to 1; 1 if nothing was expected."""
        return self.in_time / self.expected if self.expected else 1.0


class ClockSetting(NamedTuple):
    """A `clock_step` event, or None for `offset_ms` where a clock without a time was set.

    `time_s`: UTC of the event, after the step. `offset_ms`: its argument, by which the clock was
    put forward: positive if it was slow.
    """

    time_s: int
    offset_ms: int | None


class Drift(NamedTuple):
    """What a clock lost between two settings: parts per million, positive if it was slow."""

    start_s: int
    end_s: int
    offset_ms: int
    ppm: float


class DriftReport(NamedTuple):
    """The drift of a meter between its steps, and over all of them; None without two settings."""

    drifts: tuple[Drift, ...]
    ppm: float | None


def rate_day(
    day: date,
    zone: ZoneInfo,
    arrivals: Iterable[Arrival],
    capture_s: int,
    deadline: time = DEADLINE,
) -> DayOfMeter:
    """Return how much of a local day had arrived by the deadline.

    Args:
        day: local date; its intervals end after its beginning and up to the next day's.
        zone: of the metering point.
        arrivals: of one meter, in any order; those of other days are passed over, and of readings
            of the same second the first to arrive counts.
        capture_s: the meter's capture period.
        deadline: local time of the next day; what arrives in that very second is in time.
    """
    following = day + timedelta(days=1)
    start_s, end_s = start_of_day(day, zone), start_of_day(following, zone)
    deadline_s = local_to_utc(datetime.combine(following, deadline), zone)
    first: dict[int, int] = {}
    for arrival in arrivals:
        if start_s < arrival.time_s <= end_s and arrival.time_s % capture_s == 0:
            known_s = first.get(arrival.time_s, arrival.arrived_s)
            first[arrival.time_s] = min(known_s, arrival.arrived_s)
    in_time = sum(arrived_s <= deadline_s for arrived_s in first.values())
    expected = count_expected(start_s, end_s, capture_s)
    return DayOfMeter(expected, in_time, len(first) - in_time)


def rate_fleet(days: Mapping[str, DayOfMeter]) -> DayOfFleet:
    """Return the sums over meters, whose zones and capture periods may differ.

    Args:
        days: by device; one that gave nothing has to be there, with what was expected of it.
    """
    rows = days.values()
    return DayOfFleet(
        len(days),
        sum(row.in_time == row.expected for row in rows),
        sum(row.expected > 0 and row.in_time + row.late == 0 for row in rows),
        sum(row.expected for row in rows),
        sum(row.in_time for row in rows),
        sum(row.late for row in rows),
    )


def report_drift(settings: Iterable[ClockSetting]) -> DriftReport:
    """Return the drift between the settings of one meter's clock.

    A step tells what the clock lost since it was set before. Corrections up to 3 s are slewed
    without an event (docs/reference/events.md), so that a clock that is set often shows less
    than it drifts: what is here is a lower bound.

    Args:
        settings: in any order; two of one second are taken in the order of their offsets.
    """
    order = sorted(settings, key=lambda one: (one.time_s, one.offset_ms or 0))
    drifts = tuple(
        Drift(
            before.time_s,
            after.time_s,
            after.offset_ms,
            after.offset_ms * _PPM / ((after.time_s - before.time_s) * 1000),
        )
        for before, after in pairwise(order)
        if after.offset_ms is not None and after.time_s > before.time_s
    )
    elapsed_ms = sum(one.end_s - one.start_s for one in drifts) * 1000
    offset_ms = sum(one.offset_ms for one in drifts)
    return DriftReport(drifts, offset_ms * _PPM / elapsed_ms if drifts else None)
