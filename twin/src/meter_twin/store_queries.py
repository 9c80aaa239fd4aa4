"""Reading the store: pages of entries in the order (incarnation, seq), holes, figures of status.

Neighbour: `store` writes. Every query touches a bounded number of rows, so the loop never waits
long; a large answer is a sequence of pages.
"""

from typing import NamedTuple

from meter_wire.effects import Hole

from .store import Store

PAGE_ROWS = 64


class Position(NamedTuple):
    """A place in the store: number of the incarnation in order of first sight, and seq."""

    incarnation: int
    seq: int


class Row(NamedTuple):
    """A stored entry with its identity."""

    position: Position
    incarnation: bytes
    raw: bytes


class Filter(NamedTuple):
    """Which entries: a kind (None for all) and UTC bounds (None: open, entries without time too).

    `since_s` inclusive, `until_s` exclusive; `step_s` above 1: only multiples of it.
    """

    kind: int | None = None
    since_s: int | None = None
    until_s: int | None = None
    step_s: int = 1


START = Position(0, 0)


def load_page(store: Store, wanted: Filter, after: Position, limit: int = PAGE_ROWS) -> list[Row]:
    """Return at most `limit` entries after a position, in order; stored prefix or not."""
    conditions = ["(e.incarnation, e.seq) > (:incarnation, :seq)"]
    if wanted.kind is not None:
        conditions.append("+e.kind = :kind")
    if wanted.since_s is not None:
        conditions.append("+e.time_s >= :since_s")
    if wanted.until_s is not None:
        conditions.append("+e.time_s < :until_s AND +e.time_s > 0")
    if wanted.step_s > 1:
        conditions.append("+e.time_s % :step_s = 0 AND +e.time_s > 0")
    query = (
        "SELECT e.incarnation, e.seq, i.id, e.raw FROM entry e"  # noqa: S608 - fixed parts only
        " CROSS JOIN incarnation i ON i.number = e.incarnation"
        f" WHERE {' AND '.join(conditions)} ORDER BY e.incarnation, e.seq LIMIT :limit"
    )
    rows = store.connection.execute(
        query, {**wanted._asdict(), **after._asdict(), "limit": limit}
    ).fetchall()
    return [Row(Position(row[0], row[1]), row[2], row[3]) for row in rows]


def find_start(store: Store, wanted: Filter) -> Position:
    """Return the position before the first entry of the time window, by the index of times.

    So that an hour of a store of months is found without walking the months.
    """
    if wanted.since_s is None:
        return START
    kinds = (wanted.kind,) if wanted.kind is not None else (1, 2)
    found = [
        store.connection.execute(
            "SELECT incarnation, min(seq) FROM entry INDEXED BY entry_of_time"
            " WHERE kind = ? AND time_s >= ? GROUP BY incarnation ORDER BY incarnation LIMIT 1",
            (kind, wanted.since_s),
        ).fetchone()
        for kind in kinds
    ]
    rows = [row for row in found if row is not None]
    if not rows:
        return Position(2**31, 0)
    incarnation, seq = min(rows)
    return Position(incarnation, seq - 1)


def find_newest(store: Store, step_s: int, until_s: int) -> Row | None:
    """Return the newest reading whose time is a multiple of `step_s` and not after `until_s`.

    By the index of times, from its end: as many rows as lie between two multiples.
    """
    row = store.connection.execute(
        "SELECT e.incarnation, e.seq, i.id, e.raw FROM entry e INDEXED BY entry_of_time"
        " CROSS JOIN incarnation i ON i.number = e.incarnation"
        " WHERE e.kind = 1 AND e.time_s BETWEEN 1 AND ? AND e.time_s % ? = 0"
        " ORDER BY e.time_s DESC LIMIT 1",
        (until_s, step_s),
    ).fetchone()
    return None if row is None else Row(Position(row[0], row[1]), row[2], row[3])


def load_feed(store: Store, after: Position, limit: int) -> list[Row]:
    """Return the next entries below the stored marks, for the applications."""
    rows = store.connection.execute(
        "SELECT e.incarnation, e.seq, i.id, e.raw FROM incarnation i"
        " CROSS JOIN entry e ON e.incarnation = i.number AND e.seq <= i.stored"
        " WHERE (e.incarnation, e.seq) > (?, ?) ORDER BY e.incarnation, e.seq LIMIT ?",
        (*after, limit),
    ).fetchall()
    return [Row(Position(row[0], row[1]), row[2], row[3]) for row in rows]


def load_holes(store: Store, limit: int = 1000) -> list[tuple[bytes, Hole]]:
    """Return the holes of all incarnations, oldest first."""
    rows = store.connection.execute(
        "SELECT id, first, last, reason FROM hole JOIN incarnation ON number = incarnation"
        " ORDER BY incarnation, first LIMIT ?",
        (limit,),
    ).fetchall()
    return [(row[0], Hole(*row[1:])) for row in rows]


def count_entries(store: Store) -> int:
    """Return how many entries are held, from the marks: stored minus pruned minus holes."""
    prefix = store.connection.execute("SELECT total(stored - pruned) FROM incarnation").fetchone()
    holes = store.connection.execute(
        "SELECT total(last - first + 1) FROM hole JOIN incarnation ON number = incarnation"
        " WHERE last <= stored"
    ).fetchone()
    return int(prefix[0]) - int(holes[0])
