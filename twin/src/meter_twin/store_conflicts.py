"""Quarantine: entries whose identity belongs to other bytes, kept beside the stored ones.

The first `CONFLICT_ROWS` distinct ones of an incarnation are kept whole: they show how it began.
Only what is kept can be told from its own repetition, so the count is of those, and of one that
finds no place it is known only that it came. Neighbour: `store`.
"""

import sqlite3

from meter_wire.names import MAX_SEQ

CONFLICT_ROWS = 100
MOST_TOLD = 10_000
INCARNATION_DIGITS = 16
KEPT = "kept"
REPEATED = "repeated"
UNKEPT = "unkept"


def keep_conflict(connection: sqlite3.Connection, number: int, seq: int, raw: bytes) -> str:
    """Keep and count an entry inside the caller's transaction.

    Returns:
        KEPT; REPEATED: it is kept already; UNKEPT: no place is left, nothing was written.
    """
    key = (number, seq, raw)
    if connection.execute(
        "SELECT 1 FROM conflict WHERE incarnation = ? AND seq = ? AND raw = ?", key
    ).fetchone():
        return REPEATED
    (rows,) = connection.execute(
        "SELECT count(*) FROM conflict WHERE incarnation = ?", (number,)
    ).fetchone()
    if rows >= CONFLICT_ROWS:
        return UNKEPT
    connection.execute(
        "INSERT INTO property VALUES ('conflicts', 1) ON CONFLICT DO UPDATE SET value = value + 1"
    )
    connection.execute("INSERT INTO conflict VALUES (?, ?, ?)", key)
    return KEPT


def load_conflicts(connection: sqlite3.Connection) -> list[tuple[str, int, str]]:
    """Return what is kept: incarnation and bytes in hex, as a twin that follows takes it over."""
    rows = connection.execute(
        "SELECT i.id, c.seq, c.raw FROM conflict c JOIN incarnation i ON i.number = c.incarnation"
        " ORDER BY 1, 2, 3 LIMIT ?", (MOST_TOLD,)
    )  # fmt: skip
    return [(incarnation.hex(), seq, raw.hex()) for incarnation, seq, raw in rows]


def parse_conflicts(rows: object) -> list[tuple[bytes, int, bytes]]:
    """Return what another twin has kept.

    Raises:
        ValueError: it is malformed.
    """
    if not isinstance(rows, list) or len(rows) > MOST_TOLD:
        raise ValueError("conflicts: no list, or a longer one than a twin keeps")
    found = []
    for row in rows:
        match row:
            case [str(incarnation), int(seq), str(raw)] if (
                len(incarnation) == INCARNATION_DIGITS and 0 <= seq <= MAX_SEQ
            ):
                found.append((bytes.fromhex(incarnation), seq, bytes.fromhex(raw)))
            case _:
                raise ValueError("conflicts: a row is no [incarnation, seq, bytes]")
    return found
