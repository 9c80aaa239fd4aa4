"""Reads registers and installations out of PostgreSQL. Neighbours: `history`, `snapshots`."""

from collections.abc import Sequence
from datetime import UTC, datetime

from meter_archive.database import Connected
from meter_archive.directory_table import build_installation
from meter_archive.question import Subject
from meter_archive.scope import Scope, Tenure, cut_tenures
from meter_archive.snapshots import Snapshot

_READING = 1
_CODE = 6
_WHERE = {
    "device": "device = $1",
    "meter": "meter = $1 AND ($2 = '' OR namespace = $2)",
    "point": "point = $1",
    "feeder": "feeder = $1 AND ($2 = '' OR namespace = $2)",
    "label": "labels ->> split_part($1, '=', 1) = substr($1, strpos($1, '=') + 1)"
    " AND ($2 = '' OR namespace = $2)",
    "fleet": "$1 <> '' AND ($2 = '' OR namespace = $2)",
}


async def find_tenures(
    connection: Connected, subject: Subject, start_s: int, end_s: int, scope: Scope
) -> list[Tenure]:
    """Return the installations of a subject in a time that a scope allows, oldest first."""
    arguments = [subject.value]
    if subject.kind not in ("device", "point"):
        arguments.append(subject.namespace)
    place = len(arguments)
    rows = await connection.fetch(
        f"SELECT * FROM installation WHERE {_WHERE[subject.kind]}"  # noqa: S608 - of this module
        f" AND since < ${place + 2} AND (until IS NULL OR until > ${place + 1}) ORDER BY since, id",
        *arguments, _moment(start_s), _moment(end_s),
    )  # fmt: skip
    found = cut_tenures((Tenure(build_installation(row), row["until"]) for row in rows), scope)
    start, end = _moment(start_s), _moment(end_s)
    return [
        one
        for one in found
        if one.installation.since < end and (one.until is None or one.until > start)
    ]


async def find_zone(connection: Connected, subject: Subject, scope: Scope) -> str:
    """Return the zone of the newest installation that a scope allows, UTC if there is none.

    A foreign one's would be told by which local times are refused.
    """
    arguments = [subject.value]
    if subject.kind not in ("device", "point"):
        arguments.append(subject.namespace)
    rows = await connection.fetch(
        f"SELECT * FROM installation WHERE {_WHERE[subject.kind]}"  # noqa: S608 - of this module
        " ORDER BY since DESC, id DESC",
        *arguments,
    )
    seen = cut_tenures((Tenure(build_installation(row), row["until"]) for row in rows), scope)
    return seen[0].installation.place.zone if seen else "UTC"


async def fetch_register(
    connection: Connected, device: str, code: bytes, first_s: int, last_s: int
) -> list[Snapshot]:
    """Return the readings of one register of a device from a second to another, both included."""
    layouts = await find_places(connection, code)
    rows = await connection.fetch(
        "SELECT extract(epoch FROM e.time)::bigint AS time_s, e.values[w.place] AS value,"
        " e.status, e.seq, e.incarnation, e.epoch"
        " FROM entry e JOIN unnest($1::integer[], $2::integer[]) AS w (layout, place)"
        " ON w.layout = e.layout"
        " WHERE e.incarnation IN (SELECT i.id FROM incarnation i JOIN device d ON d.id = i.device"
        "  WHERE d.name = $3) AND e.time BETWEEN $4 AND $5 AND e.kind = $6",
        [layout for layout, _ in layouts], [place for _, place in layouts],
        device, _moment(first_s), _moment(last_s), _READING,
    )  # fmt: skip
    return [Snapshot(*row) for row in rows if row["value"] is not None]


async def find_places(connection: Connected, code: bytes) -> Sequence[tuple[int, int]]:
    """Return (layout, place of the register in it, from 1 on) of each layout that has it."""
    rows = await connection.fetch(
        "SELECT id, codes FROM layout WHERE position($1 IN codes) > 0", code
    )
    found = []
    for row in rows:
        codes = row["codes"]
        split = [codes[at : at + _CODE] for at in range(0, len(codes), _CODE)]
        if code in split:
            found.append((row["id"], split.index(code) + 1))
    return found


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
