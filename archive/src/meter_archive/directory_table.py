"""Keeps the directory in PostgreSQL; two replicas that see the same write it once.

Neighbours: `directory` (decides), `directory_watch` (sees).
"""

import json
from collections.abc import Iterable
from datetime import datetime

import asyncpg

from meter_archive.database import Connected, Pool
from meter_archive.directory import Changes, Installation, Place, compare

_LOCK = 0x4D545744
"""The number of the advisory lock, the letters MTWD."""


async def save_directory(
    pool: Pool, namespaces: Iterable[str], seen: Iterable[Installation], now: datetime
) -> Changes:
    """Write what has changed in these namespaces; return it.

    Raises:
        asyncpg.PostgresError, OSError: nothing was written.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        known = await _read(connection, list(namespaces))
        changes = compare(known, seen, now)
        await connection.executemany(
            "UPDATE installation SET until = greatest($2, since)"
            " WHERE device = $1 AND until IS NULL",
            changes.ended,
        )
        for one in changes.begun:
            await _begin(connection, one)
        for one in changes.moved:
            await connection.execute(
                "UPDATE installation SET namespace = $2, meter = $3, zone = $4, feeder = $5,"
                " labels = $6, capture_s = $7, keep_days = $8 WHERE device = $1 AND until IS NULL",
                one.device, *_columns(one.place),
            )  # fmt: skip
    return changes


async def _begin(connection: Connected, one: Installation) -> None:
    """Begin an installation; one that another namespace has for the device ends."""
    await connection.execute(
        "UPDATE installation SET until = greatest($2, since) WHERE device = $1 AND until IS NULL",
        one.device, one.since,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO installation (device, point, since, namespace, meter, zone, feeder, labels,"
        " capture_s, keep_days) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        one.device, one.point, one.since, *_columns(one.place),
    )  # fmt: skip


def _columns(place: Place) -> tuple[str, str, str, str, str, int, int | None]:
    labels = json.dumps(dict(place.labels))
    return (
        place.namespace, place.meter, place.zone, place.feeder, labels, place.capture_s,
        place.keep_days,
    )  # fmt: skip


async def _read(connection: Connected, namespaces: list[str]) -> dict[str, Installation]:
    rows = await connection.fetch(
        "SELECT * FROM installation WHERE until IS NULL AND namespace = ANY($1::text[])", namespaces
    )
    return {row["device"]: build_installation(row) for row in rows}


def build_installation(row: asyncpg.Record) -> Installation:
    """Return the installation of a row."""
    place = Place(
        row["namespace"], row["meter"], row["zone"], row["feeder"],
        tuple(sorted(json.loads(row["labels"]).items())), row["capture_s"], row["keep_days"],
    )  # fmt: skip
    return Installation(row["device"], row["point"], row["since"], place)
