"""The audit in PostgreSQL: one row a question. Neighbours: `audit`, `audit_query`."""

from datetime import datetime
from typing import NamedTuple

import asyncpg

from meter_archive.audit import Note
from meter_archive.database import Connected, Pool
from meter_archive.token_table import forget_tokens


class Filter(NamedTuple):
    """Which notes are asked for, newest first: below a number, of a time, asker and point."""

    since: datetime
    until: datetime
    who: str | None
    point: str | None
    before: int | None
    most: int


async def insert_note(pool: Pool, note: Note) -> None:
    """Write a note; it is durable afterwards.

    Raises:
        asyncpg.PostgresError, OSError: it is not.
    """
    async with pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO access (time, who, address, route, parameters, status, devices, rows,"
            " points) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            *note[:6], note.shown.devices, note.shown.rows, list(note.shown.points),
        )  # fmt: skip


async def fetch_notes(connection: Connected, wanted: Filter) -> list[asyncpg.Record]:
    """Return rows of the audit, newest first."""
    return await connection.fetch(
        "SELECT * FROM access WHERE time >= $1 AND time < $2 AND ($3::text IS NULL OR who = $3)"
        " AND ($4::text IS NULL OR $4 = ANY(points)) AND ($5::bigint IS NULL OR id < $5)"
        " ORDER BY id DESC LIMIT $6",
        *wanted,
    )  # fmt: skip


async def forget_notes(pool: Pool, before: datetime) -> None:
    """Delete what is older, and tokens that were over by then.

    Raises:
        asyncpg.PostgresError, OSError: the database is away or busy; try again.
    """
    async with pool.acquire() as connection:
        await connection.execute("DELETE FROM access WHERE time < $1", before)
        await forget_tokens(connection, before)
