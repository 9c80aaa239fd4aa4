"""Sums the energy of many devices in PostgreSQL, by the rules of `intervals.build_buckets`.

A day of 10,000 meters in quarter hours is a million readings: only sums leave the database. One
statement takes each second's newest reading (`snapshots`), the difference of the two exactly at a
bucket's boundaries, and nothing where one is missing or the register went back in between. That it
says what Python says of the same rows is a property test. Neighbours: `totals`, `windows`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from meter_wire.tables import STATUS, number_of

from meter_archive.database import Connected
from meter_archive.entries_table import READINGS, find_incarnations, moment_of
from meter_archive.readings_table import find_places

_CLOCK_INVALID = number_of(STATUS, "clock_invalid")
_ESTIMATED = number_of(STATUS, "estimated")

# `<>` and not `= 0`: PostgreSQL takes an equality for rare and would plan for a few readings.
_SUMS = f"""
WITH listed AS (
 SELECT * FROM unnest($1::integer[], $2::integer[]) AS one (incarnation, device)),
placed AS (SELECT * FROM unnest($3::integer[], $4::integer[]) AS one (layout, place)),
reading AS (
 SELECT DISTINCT ON (l.device, e.time) l.device, e.time, e.values[p.place] AS value, e.status
 FROM entry e JOIN listed l ON l.incarnation = e.incarnation JOIN placed p ON p.layout = e.layout
 WHERE e.time BETWEEN $5 AND $6 AND {READINGS}
  AND e.status & {_CLOCK_INVALID} <> {_CLOCK_INVALID} AND e.values[p.place] IS NOT NULL
 ORDER BY l.device, e.time, e.incarnation DESC, e.seq DESC),
moved AS (
 SELECT device, time, value, status, width_bucket(time, $7::timestamptz[]) AS boundary,
  value < lag(value) OVER (PARTITION BY device ORDER BY time) AS fell
 FROM reading),
counted AS (
 SELECT device, time, value, status, boundary, count(*) FILTER (WHERE fell) OVER
  (PARTITION BY device ORDER BY time ROWS UNBOUNDED PRECEDING) AS falls
 FROM moved),
bounded AS (
 SELECT boundary, boundary - lag(boundary) OVER own AS step, value - lag(value) OVER own AS energy,
  falls - lag(falls) OVER own AS falls, status | lag(status) OVER own AS status
 FROM counted WHERE time = ($7::timestamptz[])[boundary]
 WINDOW own AS (PARTITION BY device ORDER BY time))
SELECT boundary - 2 AS place, sum(energy) AS energy, count(*) AS meters,
 count(*) FILTER (WHERE status & {_ESTIMATED} <> 0) AS estimated
FROM bounded WHERE step = 1 AND falls = 0 GROUP BY boundary
"""  # noqa: S608 - all of it is of this module


class Summed(NamedTuple):
    """What is known of a bucket: its energy, of how many devices, and how many of them estimated.

    `energy`: in the register's own integer unit.
    """

    energy: int
    meters: int
    estimated: int


async def sum_energy(
    connection: Connected, devices: Sequence[str], code: bytes, boundaries: Sequence[int]
) -> dict[int, Summed]:
    """Return the sums of a cumulative register by the place of the bucket.

    A bucket of which nothing is known is left out.

    Args:
        connection: to ask.
        devices: each once, each there for the whole time.
        code: six bytes of a register.
        boundaries: rising UTC seconds, one more than there are buckets.
    """
    known = await find_incarnations(connection, devices)
    places = [
        (number, place)
        for place, device in enumerate(devices)
        for number, _ in known.get(device, ())
    ]
    layouts = await find_places(connection, code)
    if not places or not layouts:
        return {}
    rows = await connection.fetch(
        _SUMS,
        [number for number, _ in places], [place for _, place in places],
        [layout for layout, _ in layouts], [place for _, place in layouts],
        moment_of(boundaries[0]), moment_of(boundaries[-1]),
        [moment_of(one) for one in boundaries],
    )  # fmt: skip
    return {
        row["place"]: Summed(int(row["energy"]), row["meters"], row["estimated"]) for row in rows
    }
