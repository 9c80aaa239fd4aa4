"""The budget of the store's file: near its limit the oldest entries go before their time.

A volume that overflows costs the pod and everything beyond the meter's ring, so the twin stops
before: from `HIGH` of the limit it deletes a prefix like retention does, counted durably, down to
`LOW`; freed pages are used again, so the file grows no more. What is neither acknowledged nor (with
an archive) archived never goes: then SQLite itself refuses pages beyond the limit, nothing is
acknowledged and the meter keeps it. It does not wait for applications as retention does. What they
derived does not go, so the marks are those of the space that it leaves. Neighbours:
`store_retention`, `store_keeper` (calls both).
"""

from typing import NamedTuple

from .store import Store
from .store_retention import ROWS, delete_until, find_end

HIGH_PERCENT = 90
LOW_PERCENT = 85
MOST_RECORDS_PERCENT = 90
LEAST_ENTRIES = 500
"""The newest stay, whatever else fills the store."""


class Marks(NamedTuple):
    """Bytes in use from which entries go early, and down to which."""

    high: int
    low: int


def marks_of(limit_bytes: int, records_bytes: int) -> Marks:
    """Return the marks inside what records leave of the limit."""
    kept = min(records_bytes, limit_bytes * MOST_RECORDS_PERCENT // 100)
    left = limit_bytes - kept
    return Marks(kept + left * HIGH_PERCENT // 100, kept + left * LOW_PERCENT // 100)


def estimate_records_bytes(store: Store) -> int:
    """Return about the bytes of pages that records take, rather too many; reads all of them."""
    (octets,) = store.connection.execute(
        "SELECT total(length(body) + length(application) + length(series) + 12) FROM record"
    ).fetchone()
    return int(octets) * 4 // 3  # pages that are three quarters full


def has_entries_to_spare(store: Store) -> bool:
    """Return whether a deletion leaves `LEAST_ENTRIES`."""
    least = LEAST_ENTRIES + ROWS
    (count,) = store.connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM entry LIMIT ?)", (least,)
    ).fetchone()
    return bool(count == least)


def limit_file(store: Store, limit_bytes: int) -> None:
    """Let no page beyond the limit be written; a file that is longer stays as long as it is."""
    (page_bytes,) = store.connection.execute("PRAGMA page_size").fetchone()
    store.connection.execute(f"PRAGMA max_page_count={limit_bytes // page_bytes}")


def used_bytes(store: Store) -> int:
    """Return the bytes of pages in use; free ones inside the file are not counted."""
    page_bytes, pages, free = (
        store.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_size", "page_count", "freelist_count")
    )
    return int(page_bytes * (pages - free))


def prune_oldest(store: Store, now_s: int, *, keep_unarchived: bool) -> int:
    """Delete at most `ROWS` of the oldest entries, whatever their time; return how many went.

    The count and the deletion are one transaction: `pruned_early`, `pruned_early_s`.

    Raises:
        StoreError: nothing was deleted.
    """
    row = _find_oldest(store, keep_unarchived=keep_unarchived)
    if row is None:
        return 0
    with store.transaction() as connection:
        removed = delete_until(connection, *row)
        connection.execute(
            "INSERT INTO property VALUES ('pruned_early', :n)"
            " ON CONFLICT DO UPDATE SET value = value + :n",
            {"n": removed},
        )
        connection.execute(
            "INSERT INTO property VALUES ('pruned_early_s', ?)"
            " ON CONFLICT DO UPDATE SET value = excluded.value",
            (now_s,),
        )
    return removed


def _find_oldest(store: Store, *, keep_unarchived: bool) -> tuple[int, int] | None:
    """Return the first incarnation that can spare entries, and the last of `ROWS` of them."""
    rows = store.connection.execute(
        "SELECT number, stored, archived FROM incarnation ORDER BY number"
    ).fetchall()
    for number, stored, archived in rows:
        end = find_end(store, number, stored, archived, keep_unarchived=keep_unarchived)
        (last,) = store.connection.execute(
            "SELECT max(seq) FROM (SELECT seq FROM entry WHERE incarnation = ? AND seq < ?"
            " ORDER BY seq LIMIT ?)", (number, end, ROWS),
        ).fetchone()  # fmt: skip
        if last is not None:
            return number, last
    return None
