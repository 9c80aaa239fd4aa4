"""What applications derive: records, states, and the place in the entries they have reached.

All three move in one transaction, so after a crash an application goes on where its last commit
was and derives the same again. Neighbour: `application_host`.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from .application import Effect, Forget, Record, RecordRange
from .store import Store
from .store_queries import START, Position


class SavedState(NamedTuple):
    """State of an application as of a position in the entries."""

    version: int
    state: bytes
    position: Position


def find_state(store: Store, application: str) -> SavedState | None:
    """Return what was saved last, None for an application that is new to this store."""
    row = store.connection.execute(
        "SELECT version, state, incarnation, seq FROM application WHERE name = ?", (application,)
    ).fetchone()
    return None if row is None else SavedState(row[0], row[1], Position(row[2], row[3]))


def save_progress(
    store: Store, application: str, saved: SavedState, effects: Iterable[Effect]
) -> None:
    """Write state, position and records of one application in one transaction.

    Raises:
        StoreError: nothing of it was written.
    """
    with store.transaction() as connection:
        for effect in effects:
            if isinstance(effect, Record):
                connection.execute(
                    "INSERT INTO record VALUES (?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET body = excluded.body",
                    (
                        application,
                        effect.series,
                        effect.time_s,
                        json.dumps(effect.body, separators=(",", ":")),
                    ),
                )
            elif isinstance(effect, Forget):
                connection.execute(
                    "DELETE FROM record WHERE application = ? AND series = ? AND time_s < ?",
                    (application, effect.series, effect.before_s),
                )
        connection.execute(
            "INSERT INTO application VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " version = excluded.version, state = excluded.state,"
            " incarnation = excluded.incarnation, seq = excluded.seq",
            (application, saved.version, saved.state, *saved.position),
        )


def forget_application(store: Store, application: str) -> None:
    """Drop what an application derived, so that it derives everything anew."""
    with store.transaction() as connection:
        connection.execute("DELETE FROM record WHERE application = ?", (application,))
        connection.execute("DELETE FROM application WHERE name = ?", (application,))


def load_records(store: Store, application: str, wanted: RecordRange) -> list[dict[str, Any]]:
    """Return the documents of a range in order of time."""
    query = (
        "SELECT body FROM record WHERE application = ? AND series = ? AND time_s >= ?"
        " AND time_s < ? ORDER BY time_s"
    )
    rows = store.connection.execute(
        f"{query}{' DESC' if wanted.newest else ''} LIMIT ?",
        (application, wanted.series, wanted.since_s, wanted.until_s, wanted.limit),
    ).fetchall()
    return [json.loads(row[0]) for row in (reversed(rows) if wanted.newest else rows)]


def load_record_page(
    store: Store, application: str, after: tuple[str, int], limit: int
) -> list[list[Any]]:
    """Return rows of (series, UTC seconds, JSON text) after a key, in the order of keys."""
    rows = store.connection.execute(
        "SELECT series, time_s, body FROM record WHERE application = ?"
        " AND (series, time_s) > (?, ?) ORDER BY series, time_s LIMIT ?",
        (application, *after, limit),
    ).fetchall()
    return [list(row) for row in rows]


def save_record_page(store: Store, application: str, rows: Iterable[Iterable[Any]]) -> None:
    """Keep rows of `load_record_page` in one transaction.

    Raises:
        ValueError: a body is no JSON object. StoreError: nothing of it was written.
    """
    checked: list[tuple[str, str, int, str]] = []
    for series, time_s, body in rows:
        if not isinstance(json.loads(body), dict):
            raise ValueError(f"record of {application}: no object")  # noqa: TRY004 - bad input
        checked.append((application, str(series), int(time_s), body))
    with store.transaction() as connection:
        connection.executemany(
            "INSERT INTO record VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
            checked,
        )


__all__ = [
    "START",
    "SavedState",
    "find_state",
    "forget_application",
    "load_record_page",
    "load_records",
    "save_progress",
    "save_record_page",
]
