"""A month of a fleet, put into PostgreSQL by SQL: quicker than through the service, same rows.

In the order in which they come, quarter hour by quarter hour, all meters in each; so the readings
of one meter lie as far from each other on disk as they do in life. Indexes are made when a month is
full, so they are a little smaller and better ordered than those that grew. Neighbour:
`measure_questions`.
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
from meter_archive.migrate import migrate
from meter_archive.months import Month, month_of
from pushing_twins import INCARNATION, REGISTERS, build_reading

PERIOD_S = 900
FEEDERS = 100


class Fleet(NamedTuple):
    """How many meters, and the days that they have."""

    meters: int
    days: int

    @property
    def first_s(self) -> int:
        """The first boundary: the first of November 2026, 00:00 in Brussels."""
        return int(datetime(2026, 10, 31, 23, tzinfo=UTC).timestamp())

    @property
    def last(self) -> int:
        """The last quarter hour, counted from 0."""
        return self.days * 86400 // PERIOD_S

    @property
    def rows(self) -> int:
        """Its readings, both ends of the time included."""
        return self.meters * (self.last + 1)


async def fill(url: str, fleet: Fleet) -> None:
    """Make the tables, the meters and their readings."""
    await migrate(url)
    connection = await connect(url)
    try:
        await _make_meters(connection, fleet)
        months = sorted(
            {month_of(_moment(one)) for one in (fleet.first_s, fleet.first_s + fleet.days * 86400)}
        )
        for month in months:
            await _fill_month(connection, fleet, month)
        await connection.execute("VACUUM ANALYZE metertwin.entry")
    finally:
        await connection.close()


async def connect(url: str) -> Any:
    """Return a connection with room for the index."""
    settings = {"search_path": "metertwin", "timezone": "UTC", "maintenance_work_mem": "512MB"}
    return await asyncpg.connect(url, timeout=60, server_settings=settings)


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


async def _make_meters(connection: Any, fleet: Fleet) -> None:
    await connection.execute("INSERT INTO layout (codes) VALUES ($1)", b"".join(REGISTERS))
    await connection.execute(
        "INSERT INTO device (name, epoch)"
        " SELECT 'house-' || n, 1 FROM generate_series(1, $1) n ORDER BY n",
        fleet.meters,
    )
    await connection.execute(
        "INSERT INTO incarnation (device, identity, held)"
        " SELECT id, $1, int8multirange(int8range(1, $2)) FROM device ORDER BY id",
        INCARNATION, fleet.last + 2,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO installation"
        " (device, namespace, meter, point, zone, feeder, labels, capture_s, since)"
        " SELECT name, 'homes', name, (541448860000000000 + n)::text, 'Europe/Brussels', feeder,"
        "  jsonb_build_object('feeder', feeder), $3, $4"
        " FROM (SELECT n, 'house-' || n AS name, 'feeder-' || n % $2 AS feeder"
        "  FROM generate_series(1, $1) n) AS one",
        fleet.meters, FEEDERS, PERIOD_S, _moment(fleet.first_s),
    )  # fmt: skip


async def _fill_month(connection: Any, fleet: Fleet, month: Month) -> None:
    """Fill a partition, then make its index and attach it; in one transaction, so without a log."""
    name = month.partition
    first = max(0, _number(fleet, month))
    last = min(fleet.last, _number(fleet, month.next) - 1)
    async with connection.transaction():
        await connection.execute(f"CREATE TABLE {name} (LIKE entry INCLUDING DEFAULTS)")
        await connection.execute(
            f"INSERT INTO {name} SELECT t.time, t.time + interval '3 s', t.n + 1, i.id, 1, 1, 0, 1,"
            "  NULL, false, ARRAY[t.n * 137 + i.id, t.n * 45 + i.id, t.n * 19, t.n * 12,"
            "   400 + t.n % 3000, t.n % 900, 2300 + t.n % 70, 2290, 2310, 5000]::bigint[], $4"
            " FROM (SELECT n, to_timestamp($1::float8 + n * $5) AS time"
            "  FROM generate_series($2::bigint, $3::bigint) n) AS t"
            " CROSS JOIN incarnation i ORDER BY t.n, i.id",
            float(fleet.first_s), first, last,
            build_reading(1, fleet.first_s, PERIOD_S), PERIOD_S,
        )  # fmt: skip
        await connection.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (incarnation, time, seq)")
        await connection.execute(
            f"ALTER TABLE entry ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{month.start}') TO ('{month.next.start}')"
        )


def _number(fleet: Fleet, month: Month) -> int:
    """Return which quarter hour of the fleet a month begins with."""
    return (int(month.start.timestamp()) - fleet.first_s) // PERIOD_S
