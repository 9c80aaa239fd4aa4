"""Retention: old entries leave the store in the order of their numbers, a few at a time.

Only a prefix below the stored mark goes, so marks and chain stay what they were; with an archive
only what it already holds; and only what the applications have been handed: those of a candidate,
and of a new twin that waits for older ones, have not begun, and a meter that was away for long
brings readings that are past their time already. An entry without a time goes with the next one
that has one. Neighbour: `store`, whose transactions it uses.
"""

import sqlite3

from meter_wire.names import MAX_SEQ

from .store import Store
from .store_queries import Position

ROWS = 500


def prune(
    store: Store, before_s: int, *, keep_unarchived: bool, handed: Position | None = None
) -> int:
    """Delete at most `ROWS` of the oldest entries of each incarnation; return how many went.

    Args:
        store: to prune.
        before_s: UTC second; the first entry from it on stays, and everything after it.
        keep_unarchived: whether an archive is configured.
        handed: how far the slowest application is, None if none runs.

    Raises:
        StoreError: nothing was deleted.
    """
    rows = store.connection.execute(
        "SELECT number, stored, archived FROM incarnation ORDER BY number"
    ).fetchall()
    removed = 0
    for number, stored, archived in rows:
        end = find_end(store, number, stored, archived, keep_unarchived=keep_unarchived)
        end = min(end, find_handed(handed, number) + 1)
        last = _last_expired(store, number, end, before_s)
        if last:
            with store.transaction() as connection:
                removed += delete_until(connection, number, last)
    return removed


def find_end(
    store: Store, number: int, stored: int, archived: int, *, keep_unarchived: bool
) -> int:
    """Return the number of an incarnation from which on nothing may be deleted.

    What came into a hole after the archive was told of it stays until it was given, and what
    follows with it: only a prefix goes.
    """
    if not keep_unarchived:
        return stored
    from .archive_told import find_owed  # noqa: PLC0415 - memory of twins without an archive

    return min(archived + 1, find_owed(store.connection, number))


def find_handed(handed: Position | None, number: int) -> int:
    """Return until which number of an incarnation all applications have been handed entries."""
    if handed is None or number < handed.incarnation:
        return MAX_SEQ
    return handed.seq if number == handed.incarnation else 0


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
