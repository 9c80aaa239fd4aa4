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

_SUMS = f"""
WITH listed AS (
 SELECT * FROM unnest($1::integer[], $2::integer[]) AS one (incarnation, device)),
placed AS (SELECT * FROM unnest($3::integer[], $4::integer[]) AS one (layout, place)),
reading AS (
 SELECT DISTINCT ON (l.device, e.time) l.device, e.incarnation,
  extract(epoch FROM e.time)::bigint AS time_s, e.values[p.place] AS value, e.status
 FROM entry e JOIN listed l ON l.incarnation = e.incarnation JOIN placed p ON p.layout = e.layout
 WHERE e.time BETWEEN $5 AND $6 AND {READINGS} AND e.status & {_CLOCK_INVALID} = 0
  AND e.values[p.place] IS NOT NULL
 ORDER BY l.device, e.time, e.incarnation DESC, e.seq DESC),
moved AS (
 SELECT device, time_s, value, status, width_bucket(time_s - 1, $7::bigint[]) AS bucket,
  value < lag(value) OVER (PARTITION BY device ORDER BY time_s) AS fell
 FROM reading),
ended AS (
 SELECT device, bucket, coalesce(bool_or(fell), false) AS fell,
  max(value) FILTER (WHERE time_s = ($7::bigint[])[bucket + 1]) AS value,
  bit_or(status) FILTER (WHERE time_s = ($7::bigint[])[bucket + 1]) AS status
 FROM moved GROUP BY device, bucket),
bounded AS (
 SELECT bucket, fell, value, status,
  lag(bucket) OVER own AS before, lag(value) OVER own AS began, lag(status) OVER own AS at_start
 FROM ended WINDOW own AS (PARTITION BY device ORDER BY bucket))
SELECT bucket - 1 AS place, sum(value - began) AS energy, count(*) AS meters,
 count(*) FILTER (WHERE (status | at_start) & {_ESTIMATED} <> 0) AS estimated
FROM bounded
WHERE bucket > 0 AND before = bucket - 1 AND value IS NOT NULL AND began IS NOT NULL AND NOT fell
GROUP BY bucket
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
        moment_of(boundaries[0]), moment_of(boundaries[-1]), list(boundaries),
    )  # fmt: skip
    return {
        row["place"]: Summed(int(row["energy"]), row["meters"], row["estimated"]) for row in rows
    }
