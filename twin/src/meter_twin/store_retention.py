"""Retention: old entries leave the store in the order of their numbers, a few at a time.

Only a prefix below the stored mark goes, so marks and chain stay what they were; with an archive
only what it already holds. An entry without a time goes with the next one that has one.
Neighbour: `store`, whose transactions it uses.
"""

import sqlite3

from .store import Store

ROWS = 500


def prune(store: Store, before_s: int, *, keep_unarchived: bool) -> int:
    """Delete at most `ROWS` of the oldest entries of each incarnation; return how many went.

    Args:
        store: to prune.
        before_s: UTC second; the first entry from it on stays, and everything after it.
        keep_unarchived: whether an archive is configured.

    Raises:
        StoreError: nothing was deleted.
    """
    rows = store.connection.execute(
        "SELECT number, stored, archived FROM incarnation ORDER BY number"
    ).fetchall()
    removed = 0
    for number, stored, archived in rows:
        last = _last_expired(store, number, archived + 1 if keep_unarchived else stored, before_s)
        if last:
            with store.transaction() as connection:
                removed += delete_until(connection, number, last)
    return removed


def _last_expired(store: Store, number: int, end: int, before_s: int) -> int:
    """Return the last number of the expired prefix below `end`, 0 if there is none."""
    last = 0
    for seq, time_s in store.connection.execute(
        "SELECT seq, time_s FROM entry WHERE incarnation = ? AND seq < ? AND time_s > 0"
        " ORDER BY seq LIMIT ?",
        (number, end, ROWS),
    ):
        if time_s >= before_s:
            break
        last = seq
    return last


def delete_until(connection: sqlite3.Connection, number: int, last: int) -> int:
    """Delete the entries of an incarnation until `last`, inside the caller's transaction."""
    removed = connection.execute(
        "DELETE FROM entry WHERE incarnation = ? AND seq <= ?", (number, last)
    ).rowcount
    connection.execute("DELETE FROM hole WHERE incarnation = ? AND last <= ?", (number, last))
    connection.execute("UPDATE incarnation SET pruned = ? WHERE number = ?", (last, number))
    return removed
