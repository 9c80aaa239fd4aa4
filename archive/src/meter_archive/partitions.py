"""Makes the months of the entries' table ahead and drops those whose time is over.

Every change holds one advisory lock, so that two replicas do the same once. Neighbours: `months`
(which), `upkeep` (when), `writer` (asks for a month that a late entry needs).
"""

import logging
import time
from collections.abc import Iterable
from datetime import datetime

import asyncpg

from meter_archive.database import Connected, Pool
from meter_archive.months import Month, month_of, months_ahead, oldest_kept, parse_partition

log = logging.getLogger("meter_archive.partitions")
_LOCK = 0x4D545750
"""The number of the advisory lock, the letters MTWP."""
_PATIENCE = "SET LOCAL lock_timeout = '2s'"
"""Whoever reads or writes entries waits behind who wants a whole table: not long."""
_AGAIN_S = 60.0


class Partitions:
    """Those that this process knows to exist."""

    def __init__(self, pool: Pool) -> None:
        """Know none yet."""
        self._pool = pool
        self._known: set[Month] = set()
        self._again_s = 0.0

    def forget(self) -> None:
        """Know none: the database may be another one."""
        self._known.clear()

    async def ensure(self, months: Iterable[Month]) -> None:
        """Make the partitions that are missing.

        Raises:
            asyncpg.PostgresError, OSError: the database is away or busy; try again.
        """
        missing = sorted(set(months) - self._known)
        if not missing:
            return
        async with self._pool.acquire() as connection:
            for month in missing:
                async with connection.transaction():
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                    if month not in await self._read(connection):
                        await _make(connection, month)
        self._known.update(missing)

    async def offer(self, months: Iterable[Month]) -> None:
        """Make the partitions that are missing, unless somebody reads for long, as a dump does.

        Entries lie in the default partition until then.

        Raises:
            asyncpg.PostgresError, OSError: the database is away; try again.
        """
        if time.monotonic() < self._again_s:
            return
        try:
            await self.ensure(months)
        except asyncpg.LockNotAvailableError:
            self._again_s = time.monotonic() + _AGAIN_S
            log.info("a month is not made now: its table is in use")

    async def _read(self, connection: Connected) -> set[Month]:
        names = await connection.fetch(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'entry'::regclass"
        )
        found = {parse_partition(row["relname"]) for row in names}
        return {month for month in found if month is not None}

    async def tend(self, now: datetime, retention_days: int) -> list[Month]:
        """Make the next months, and those of which entries came; drop those that are over.

        Returns:
            The dropped ones.

        Raises:
            asyncpg.PostgresError, OSError: the database is away or busy; try again.
        """
        ahead = months_ahead(now)
        oldest = oldest_kept(now, retention_days)
        begun = await self._pool.fetch(
            "SELECT DISTINCT date_trunc('month', time) AS start FROM entry_default"
            " WHERE time >= $1 AND time < $2",
            month_of(oldest).start, ahead[-1].next.start,
        )  # fmt: skip
        await self.ensure({*ahead, *(month_of(row["start"]) for row in begun)})
        dropped: list[Month] = []
        async with self._pool.acquire() as connection:
            for month in sorted(await self._read(connection)):
                if month < month_of(oldest):
                    await _drop(connection, month)
                    self._known.discard(month)
                    dropped.append(month)
            await connection.execute(
                "DELETE FROM entry_default WHERE time < $1 AND received < $1", oldest
            )
            await connection.execute("DELETE FROM conflict WHERE seen < $1", oldest)
        return dropped


async def _make(connection: Connected, month: Month) -> None:
    """Make a partition; what the default one has of its month moves there."""
    name, start, end = month.partition, month.start, month.next.start
    await connection.execute(f"CREATE TABLE {name} (LIKE entry INCLUDING ALL)")
    await connection.execute(_PATIENCE)
    await connection.execute("LOCK TABLE entry_default IN SHARE ROW EXCLUSIVE MODE")
    await connection.execute(
        f"WITH moved AS (DELETE FROM entry_default WHERE time >= $1 AND time < $2 RETURNING *)"  # noqa: S608 - the name is ours
        f" INSERT INTO {name} SELECT * FROM moved",
        start, end,
    )  # fmt: skip
    await connection.execute(
        f"ALTER TABLE entry ATTACH PARTITION {name}"
        f" FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
    )
    log.info("partition %s made", name)


async def _drop(connection: Connected, month: Month) -> None:
    """Drop as one step: a detached table would stay for ever, and its month could not be made.

    PostgreSQL releases the lock on the whole table before it removes files.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(_PATIENCE)
        await connection.execute(f"DROP TABLE IF EXISTS {month.partition}")
    log.info("partition %s dropped: its time is over", month.partition)
