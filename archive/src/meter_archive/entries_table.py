"""Reads whole entries out of PostgreSQL, page by page. Neighbours: `windows`, `entry_pages`."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from meter_archive.cursor import Cursor
from meter_archive.database import Connected
from meter_archive.windows import Window

_READING, _EVENT = 1, 2
FREQUENT_EVENT = 13
"""`voltage_10min`, of which a meter may give 144 a day: the index of events leaves it out."""
READINGS = f"e.kind = {_READING}"


class Stored(NamedTuple):
    """An entry as it is stored, and the window that it is in."""

    window: Window
    identity: bytes
    time_s: int
    received: datetime
    seq: int
    epoch: int
    signed: bool
    raw: bytes
    cursor: Cursor


def events_of(codes: Iterable[int] | None) -> str:
    """Return the condition of events with these codes, of all events for None."""
    if codes is None:
        return f"e.kind = {_EVENT}"
    listed = sorted({int(code) for code in codes})
    rare = "" if FREQUENT_EVENT in listed else f" AND e.event <> {FREQUENT_EVENT}"
    return f"e.event IN ({', '.join(map(str, listed))}){rare}"


async def find_incarnations(
    connection: Connected, devices: Iterable[str]
) -> dict[str, list[tuple[int, bytes]]]:
    """Return (number of the row, identity) of each device's incarnations, oldest first."""
    rows = await connection.fetch(
        "SELECT d.name, i.id, i.identity FROM device d JOIN incarnation i ON i.device = d.id"
        " WHERE d.name = ANY($1::text[]) ORDER BY i.id",
        sorted(set(devices)),
    )
    found: dict[str, list[tuple[int, bytes]]] = {}
    for row in rows:
        found.setdefault(row["name"], []).append((row["id"], row["identity"]))
    return found


async def fetch_entries(
    connection: Connected,
    windows: Sequence[Window],
    condition: str,
    after: Cursor | None,
    limit: int,
) -> list[Stored]:
    """Return entries by time, incarnation and number, at most `limit`, those after a cursor.

    Args:
        connection: to ask.
        windows: where entries may lie.
        condition: `READINGS`, or one of `events_of`.
        after: the last entry of the page before.
        limit: how many at most.
    """
    known = await find_incarnations(connection, (one.device for one in windows))
    places = [
        (place, number)
        for place, one in enumerate(windows)
        for number, _ in known.get(one.device, ())
    ]
    if not places:
        return []
    identities = {number: identity for rows in known.values() for number, identity in rows}
    cursor = after or Cursor(0, 0, 0)
    first_s = max(cursor.time_s, min(one.first_s for one in windows))
    rows = await connection.fetch(
        "SELECT w.place, extract(epoch FROM e.time)::bigint AS time_s, e.received, e.seq,"  # noqa: S608 - the condition is ours
        " e.incarnation, e.epoch, e.signed, e.raw"
        " FROM unnest($1::integer[], $2::integer[], $3::timestamptz[], $4::timestamptz[])"
        " AS w (place, incarnation, first, last)"
        " JOIN entry e ON e.incarnation = w.incarnation AND e.time BETWEEN w.first AND w.last"
        f" WHERE {condition} AND e.time BETWEEN $5 AND $6"
        " AND (e.time, e.incarnation, e.seq) > ($7, $8, $9)"
        " ORDER BY e.time, e.incarnation, e.seq LIMIT $10",
        [place for place, _ in places], [number for _, number in places],
        [moment_of(windows[place].first_s) for place, _ in places],
        [moment_of(windows[place].last_s) for place, _ in places],
        moment_of(first_s), moment_of(max(one.last_s for one in windows)), *_key(cursor), limit,
    )  # fmt: skip
    return [
        Stored(
            windows[row["place"]], identities[row["incarnation"]], row["time_s"], row["received"],
            row["seq"], row["epoch"], row["signed"], row["raw"],
            Cursor(row["time_s"], row["incarnation"], row["seq"]),
        )
        for row in rows
    ]  # fmt: skip


def _key(cursor: Cursor) -> tuple[datetime, int, int]:
    return cursor.moment, cursor.incarnation, cursor.seq


def moment_of(second: int) -> datetime:
    """Return the instant of a UTC second."""
    return datetime.fromtimestamp(second, UTC)
