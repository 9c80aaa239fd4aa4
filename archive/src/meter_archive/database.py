"""Connections to PostgreSQL, all with the same settings. Neighbours: `writer`, `migrate`."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import asyncpg

SCHEMA = "metertwin"
Connected: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
Alone: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
_SESSION = {
    "search_path": f"{SCHEMA}, public",
    "timezone": "UTC",
    "application_name": "metertwin-archive",
    "synchronous_commit": "on",
    "jit": "off",
}
"""`jit` costs more than it brings where most statements take a millisecond."""
UNAVAILABLE = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError)
"""What says that the database is away, not that it refuses something."""


async def connect(
    url: str, *, timeout_s: float = 10, statement_s: float | None = 60, **settings: Any
) -> Alone:
    """Return a connection; `statement_s` is how long a statement may take, None for any time.

    Raises:
        OSError, asyncpg.PostgresError: the database is away or refuses us.
    """
    return await asyncpg.connect(
        url, timeout=timeout_s, server_settings=_SESSION | settings, command_timeout=statement_s
    )


async def read_clock(pool: Pool, own: datetime) -> datetime:
    """Return the earlier one of this process's time and the database's.

    What is deleted for its age must not go because one machine's clock is ahead.

    Raises:
        asyncpg.PostgresError, OSError: the database is away.
    """
    told: datetime = await pool.fetchval("SELECT now()")
    return min(own, told)


async def open_pool(
    url: str,
    *,
    size: int,
    statement_limit: timedelta,
    reading: bool = False,
    connected: Callable[[], None] = lambda: None,
) -> Pool:
    """Return a pool that connects when it is asked, so that a start needs no database.

    One for `reading` can write nothing. `connected` is called for each new connection: behind it
    there may be another database.
    """

    async def init(_: Any) -> None:
        connected()

    limit_ms = str(int(statement_limit.total_seconds() * 1000))
    limits = {"statement_timeout": limit_ms, "lock_timeout": limit_ms}
    if reading:
        limits["default_transaction_read_only"] = "on"
    return await asyncpg.create_pool(
        url,
        init=init,
        min_size=0,
        max_size=size,
        timeout=10,
        command_timeout=statement_limit.total_seconds() + 5,
        server_settings=_SESSION | limits,
    )
