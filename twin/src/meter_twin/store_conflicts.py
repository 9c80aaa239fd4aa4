"""Quarantine: entries whose identity belongs to other bytes, kept beside the stored ones.

The first `CONFLICT_ROWS` distinct ones of an incarnation are kept whole: they show how it began.
Only what is kept can be told from its own repetition, so the count is of those, and of one that
finds no place it is known only that it came. Neighbour: `store`.
"""

import sqlite3

CONFLICT_ROWS = 100
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
