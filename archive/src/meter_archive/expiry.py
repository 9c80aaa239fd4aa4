"""Deletes what a meter's dataPolicy lets the archive keep for a shorter time than other meters'.

An installation is what a policy is of, until the device has another one: an earlier tenant's
readings go by that tenant's policy, also when the SmartMeter is gone. Rows are deleted a few
thousand at a time; the numbers stay in `incarnation.held`, so that a repeated batch is a duplicate
and nothing comes back. An entry in the default partition has no plausible time and goes by when it
was received.
Neighbours: `partitions` (months, of all meters), `directory` (reads the policy), `service` (when).
"""

from datetime import datetime
from typing import NamedTuple

from meter_archive.database import Connected, Pool
from meter_archive.rows import UNDATED

MOST_ROWS = 5000
"""Deleted by one transaction."""
_PAGE = 500
_LOCK = 0x4D545745
"""The number of the advisory lock, the letters MTWE."""
_DATED = (
    "time >= w.start AND time < w.stop AND tableoid <> 'metertwin.entry_default'::regclass",
    "entry",
)
_UNDATED = "received >= w.start AND received < w.stop", "entry_default"


class _Page(NamedTuple):
    """Incarnations, and from when until when (not included) each loses its entries."""

    incarnations: list[int]
    starts: list[datetime]
    stops: list[datetime]
    last: int


async def expire(pool: Pool, now: datetime) -> int:
    """Delete what is over; return how many entries. Another replica that does it leaves none.

    Raises:
        asyncpg.PostgresError, OSError: the database is away or busy; try again.
    """
    deleted, after = 0, 0
    async with pool.acquire() as connection:
        while (page := await _read_page(connection, after, now)) is not None:
            for condition, table in (_DATED, _UNDATED):
                while (count := await _delete(connection, page, condition, table)) is not None:
                    deleted += count
                    if count < MOST_ROWS:
                        break
                else:
                    return deleted
            await _forget_conflicts(connection, page)
            after = page.last
    return deleted


async def _read_page(connection: Connected, after: int, now: datetime) -> _Page | None:
    """Return the installations with a policy that follow one, with all incarnations of each."""
    rows = await connection.fetch(
        "SELECT n.id, i.id AS incarnation,"
        " least($3::timestamptz - n.keep_days * interval '1 day',"
        "  (SELECT min(b.since) FROM installation b WHERE b.device = n.device AND b.id > n.id)"
        " ) AS stop,"
        " CASE WHEN EXISTS (SELECT FROM installation b WHERE b.device = n.device AND b.id < n.id)"
        "  THEN n.since ELSE $4 END AS start"
        " FROM (SELECT * FROM installation WHERE keep_days IS NOT NULL AND id > $1"
        "  ORDER BY id LIMIT $2) AS n"
        " LEFT JOIN device d ON d.name = n.device LEFT JOIN incarnation i ON i.device = d.id"
        " ORDER BY n.id, i.id",
        after, _PAGE, now, UNDATED,
    )  # fmt: skip
    if not rows:
        return None
    known = [row for row in rows if row["incarnation"] is not None]
    return _Page(
        [row["incarnation"] for row in known],
        [row["start"] for row in known],
        [row["stop"] for row in known],
        rows[-1]["id"],
    )


async def _delete(connection: Connected, page: _Page, condition: str, table: str) -> int | None:
    """Delete at most `MOST_ROWS`; return how many, None if another replica is at it."""
    async with connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            return None
        status = await connection.execute(
            "WITH due AS (SELECT e.* FROM"  # noqa: S608 - both are of this module
            "  unnest($1::integer[], $2::timestamptz[], $3::timestamptz[])"
            "   AS w (incarnation, start, stop)"
            "  CROSS JOIN LATERAL (SELECT incarnation, time, seq"
            f"   FROM {table} WHERE incarnation = w.incarnation AND {condition} LIMIT $4) AS e"
            "  LIMIT $4)"
            f" DELETE FROM {table} AS e USING due WHERE e.incarnation = due.incarnation"
            "  AND e.time = due.time AND e.seq = due.seq",
            page.incarnations, page.starts, page.stops, MOST_ROWS,
        )  # fmt: skip
    return int(status.split()[-1])


async def _forget_conflicts(connection: Connected, page: _Page) -> None:
    """Delete quarantined bytes too: they are readings of the same household."""
    await connection.execute(
        "DELETE FROM conflict AS c"
        " USING unnest($1::integer[], $2::timestamptz[], $3::timestamptz[])"
        "  AS w (incarnation, start, stop)"
        " WHERE c.incarnation = w.incarnation AND c.seen >= w.start AND c.seen < w.stop",
        page.incarnations, page.starts, page.stops,
    )  # fmt: skip
