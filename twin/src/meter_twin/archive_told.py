"""Holes of which an archive was told, so that what comes into one later is given to it.

A hole may be filled after the archive has passed it: by a donor that is named late, with entries
that the meter has overwritten. So what is told is kept in the store before it is sent, and what
donors of this store may have told is noted with what they bring. Reserved numbers never come.
Neighbours: `archive_shelf`, `store_coverage` (donors).
"""

import json
import sqlite3
from collections.abc import Iterable

from meter_wire.effects import Hole
from meter_wire.names import MAX_SEQ
from meter_wire.tables import HOLES, number_of

MOST_TOLD = 256
"""Beyond it the oldest are forgotten: what comes into one of them later is not given any more."""
_RESERVED = number_of(HOLES, "reserved")
_NAME = "archive_told"
Row = list[int]
"""Number of the incarnation, first, last, reason."""


def load_told(connection: sqlite3.Connection) -> list[Row]:
    """Return the holes that an archive may have been told of."""
    row = connection.execute("SELECT value FROM property WHERE name = ?", (_NAME,)).fetchone()
    rows: list[Row] = json.loads(row[0]) if row else []
    return rows


def note_told(connection: sqlite3.Connection, number: int, holes: Iterable[Hole]) -> None:
    """Keep holes of an incarnation inside the caller's transaction."""
    before = load_told(connection)
    after = _join(connection, before, number, holes)
    if after != before:
        _save(connection, after)


def replace_told(
    connection: sqlite3.Connection, number: int, hole: Hole, holes: Iterable[Hole]
) -> None:
    """Keep other holes in the place of one, inside the caller's transaction."""
    rows = [row for row in load_told(connection) if row != [number, *hole]]
    _save(connection, _join(connection, rows, number, holes))


def _join(
    connection: sqlite3.Connection, rows: list[Row], number: int, holes: Iterable[Hole]
) -> list[Row]:
    more = [[number, *hole] for hole in holes if hole.reason != _RESERVED]
    pruned = dict(connection.execute("SELECT number, pruned FROM incarnation").fetchall())
    kept = [row for row in rows if row[2] > pruned.get(row[0], 0)]
    return sorted(kept + [row for row in more if row not in kept])[-MOST_TOLD:]


def _save(connection: sqlite3.Connection, rows: list[Row]) -> None:
    connection.execute(
        "INSERT INTO property VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        (_NAME, json.dumps(rows, separators=(",", ":"))),
    )


def is_filled(
    connection: sqlite3.Connection, number: int, first: int, last: int, reason: int
) -> bool:
    """Whether there is something else than this hole between two numbers, as far as is stored."""
    found = connection.execute(
        "SELECT 1 FROM incarnation i JOIN entry e ON e.incarnation = i.number"
        " AND e.seq BETWEEN max(:a, i.pruned + 1) AND min(:b, i.stored) WHERE i.number = :n"
        " UNION ALL SELECT 1 FROM incarnation i JOIN hole h ON h.incarnation = i.number"
        " AND h.first <= min(:b, i.stored) AND h.last >= max(:a, i.pruned + 1)"
        " AND h.reason <> :r WHERE i.number = :n LIMIT 1",
        {"n": number, "a": first, "b": last, "r": reason},
    ).fetchone()
    return found is not None


def has_entries(connection: sqlite3.Connection, number: int, first: int, last: int) -> bool:
    """Whether there are entries between two numbers, as far as is stored."""
    found = connection.execute(
        "SELECT 1 FROM incarnation i JOIN entry e ON e.incarnation = i.number"
        " AND e.seq BETWEEN max(:a, i.pruned + 1) AND min(:b, i.stored) WHERE i.number = :n"
        " LIMIT 1", {"n": number, "a": first, "b": last},
    ).fetchone()  # fmt: skip
    return found is not None


def find_owed(connection: sqlite3.Connection, number: int) -> int:
    """Return where the first told hole begins that has entries now, beyond all numbers if none.

    The archived mark is past them, though the archive has them not yet.
    """
    owed = (
        first
        for told, first, last, _ in load_told(connection)
        if told == number and has_entries(connection, number, first, last)
    )
    return min(owed, default=MAX_SEQ + 1)
