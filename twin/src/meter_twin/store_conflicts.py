"""Quarantine: entries whose identity belongs to other bytes, kept beside the stored ones.

The first `CONFLICT_ROWS` of an incarnation are kept whole: they show how it began. Each distinct
one is counted; one that is kept is not counted again when it is repeated. Neighbour: `store`.
"""

import sqlite3

CONFLICT_ROWS = 100


def keep_conflict(connection: sqlite3.Connection, number: int, seq: int, raw: bytes) -> bool:
    """Count and keep an entry inside the caller's transaction; False if it is kept already."""
    key = (number, seq, raw)
    if connection.execute(
        "SELECT 1 FROM conflict WHERE incarnation = ? AND seq = ? AND raw = ?", key
    ).fetchone():
        return False
    connection.execute(
        "INSERT INTO property VALUES ('conflicts', 1) ON CONFLICT DO UPDATE SET value = value + 1"
    )
    connection.execute(
        "INSERT INTO conflict SELECT ?, ?, ? WHERE"
        " (SELECT count(*) FROM conflict WHERE incarnation = ?) < ?",
        (*key, number, CONFLICT_ROWS),
    )
    return True
