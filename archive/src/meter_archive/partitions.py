"""Makes the months of the entries' table ahead and drops those whose time is over.

Every change holds one advisory lock, so that two replicas do the same once. Neighbours: `months`
(which), `upkeep` (when), `writer` (asks for a month that a late entry needs).
"""

import logging
from collections.abc import Iterable
from datetime import datetime

from meter_archive.database import Connected, Pool
from meter_archive.months import Month, month_of, months_ahead, oldest_kept, parse_partition

log = logging.getLogger("meter_archive.partitions")
_LOCK = 0x4D545750
"""The number of the advisory lock, the letters MTWP."""


class Partitions:
    """Those that this process knows to exist."""

    def __init__(self, pool: Pool) -> None:
        """Know none yet."""
        self._pool = pool
        self._known: set[Month] = set()

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

    async def _read(self, connection: Connected) -> set[Month]:
        names = await connection.fetch(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'entry'::regclass"
        )
        found = {parse_partition(row["relname"]) for row in names}
        return {month for month in found if month is not None}

    async def tend(self, now: datetime, retention_days: int) -> list[Month]:
        """Make the next months, drop those that are over; return the dropped ones.

        Raises:
            asyncpg.PostgresError, OSError: the database is away or busy; try again.
        """
        await self.ensure(months_ahead(now))
        oldest = oldest_kept(now, retention_days)
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
    """Detach and drop: the lock on the whole table lasts for the detaching only."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(f"ALTER TABLE entry DETACH PARTITION {month.partition}")
    await connection.execute(f"DROP TABLE IF EXISTS {month.partition}")
    log.info("partition %s dropped: its time is over", month.partition)
