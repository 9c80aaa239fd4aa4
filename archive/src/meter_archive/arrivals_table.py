"""Counts in PostgreSQL which intervals came, and when. Neighbour: `performance`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from meter_wire.tables import STATUS, number_of

from meter_archive.database import Connected
from meter_archive.entries_table import READINGS, find_incarnations, moment_of
from meter_archive.windows import Window

_CLOCK_INVALID = number_of(STATUS, "clock_invalid")


class Due(NamedTuple):
    """A device's intervals that end after `start_s`, up to `end_s`; due at `deadline_s`, UTC."""

    device: str
    capture_s: int
    start_s: int
    end_s: int
    deadline_s: int


class Arrived(NamedTuple):
    """How many intervals had arrived by their deadline, and by now."""

    in_time: int
    all: int


async def count_arrivals(connection: Connected, due: Sequence[Due]) -> Mapping[int, Arrived]:
    """Return what has arrived by the place of what was due; a place without a reading is left out.

    Of readings of the same second the first to arrive counts, as `performance.rate_day` has it.
    """
    known = await find_incarnations(connection, {one.device for one in due})
    places = [
        (place, number) for place, one in enumerate(due) for number, _ in known.get(one.device, ())
    ]
    if not places:
        return {}
    listed = [due[place] for place, _ in places]
    rows = await connection.fetch(
        "SELECT place, count(*) AS arrived,"  # noqa: S608 - the condition is ours
        " count(*) FILTER (WHERE received <= deadline) AS in_time"
        " FROM (SELECT w.place, w.deadline, min(e.received) AS received"
        "  FROM unnest($1::integer[], $2::integer[], $3::timestamptz[], $4::timestamptz[],"
        "   $5::timestamptz[], $6::integer[])"
        "   AS w (place, incarnation, start, finish, deadline, capture)"
        "  JOIN entry e ON e.incarnation = w.incarnation"
        "   AND e.time > w.start AND e.time <= w.finish"
        f"  WHERE {READINGS} AND e.status & {_CLOCK_INVALID} = 0 AND e.time > $7 AND e.time <= $8"
        "   AND extract(epoch FROM e.time)::bigint % w.capture = 0"
        "  GROUP BY w.place, w.deadline, e.time) AS first GROUP BY place",
        [place for place, _ in places], [number for _, number in places],
        [moment_of(one.start_s) for one in listed], [moment_of(one.end_s) for one in listed],
        [moment_of(one.deadline_s) for one in listed], [one.capture_s for one in listed],
        moment_of(min(one.start_s for one in due)), moment_of(max(one.end_s for one in due)),
    )  # fmt: skip
    return {row["place"]: Arrived(row["in_time"], row["arrived"]) for row in rows}


async def fetch_ahead(connection: Connected, windows: Sequence[Window]) -> Mapping[int, int]:
    """Return by how many seconds a reading's time lay after its arrival, at most, by window.

    Arrivals are whole seconds, rounded down: 1 s is taken off, and what is left is sure. Readings
    whose clock the meter itself doubts do not count.
    """
    known = await find_incarnations(connection, {one.device for one in windows})
    places = [
        (place, number)
        for place, one in enumerate(windows)
        for number, _ in known.get(one.device, ())
    ]
    if not places:
        return {}
    rows = await connection.fetch(
        "SELECT w.place, max(extract(epoch FROM e.time - e.received))::bigint - 1 AS ahead"  # noqa: S608 - the condition is ours
        " FROM unnest($1::integer[], $2::integer[], $3::timestamptz[], $4::timestamptz[])"
        " AS w (place, incarnation, first, last)"
        " JOIN entry e ON e.incarnation = w.incarnation AND e.time BETWEEN w.first AND w.last"
        f" WHERE {READINGS} AND e.status & {_CLOCK_INVALID} = 0 AND e.time BETWEEN $5 AND $6"
        " AND e.time > e.received + interval '1 s' GROUP BY w.place",
        [place for place, _ in places], [number for _, number in places],
        [moment_of(windows[place].first_s) for place, _ in places],
        [moment_of(windows[place].last_s) for place, _ in places],
        moment_of(min(one.first_s for one in windows)),
        moment_of(max(one.last_s for one in windows)),
    )  # fmt: skip
    return {row["place"]: row["ahead"] for row in rows}
