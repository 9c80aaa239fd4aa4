"""Months are made ahead, take what lay in the default partition, and go when their time is over."""

import asyncio
import math
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from fleet_of_batches import A, batch, entries, read_archive, reading
from meter_archive.database import open_pool, read_clock
from meter_archive.group import Given, write_group
from meter_archive.migrate import migrate
from meter_archive.months import Month, find_month, months_ahead, parse_partition
from meter_archive.partitions import Partitions
from meter_archive.partitions import _drop as drop
from meter_archive.partitions import _make as make
from meter_archive.writer import Writer
from meter_wire.archive_batch import ArchiveBatch

NOW = datetime(2026, 11, 20, tzinfo=UTC)
YEAR_S = 366 * 86400


@pytest.fixture
async def pool(url):
    await migrate(url)
    made = await open_pool(url, size=6, statement_limit=timedelta(seconds=10))
    yield made
    made.terminate()


async def give(pool, given_batch, retention_days=36500):
    given = Given("house-1", 1, A, given_batch)
    (answer,) = await write_group(pool, Partitions(pool), {}, [given], retention_days)
    return answer


async def partitions(url):
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT tableoid::regclass::text AS name, count(*) FROM metertwin.entry GROUP BY 1 ORDER BY 1"
    )
    await connection.close()
    return {row["name"].removeprefix("metertwin."): row["count"] for row in rows}


def test_a_month_ends_where_the_next_begins():
    assert Month(2026, 12).next == Month(2027, 1)
    assert months_ahead(NOW) == [Month(2026, 11), Month(2026, 12), Month(2027, 1)]
    assert parse_partition(Month(2026, 3).partition) == Month(2026, 3)
    assert parse_partition("entry_default") is None


@pytest.mark.parametrize(
    ("time", "month"),
    [
        (datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), Month(2026, 11)),
        (datetime(2026, 12, 1, tzinfo=UTC), Month(2026, 12)),
        (datetime(2027, 1, 31, tzinfo=UTC), Month(2027, 1)),
        (datetime(2027, 2, 1, tzinfo=UTC), None),
        (datetime(2025, 11, 20, tzinfo=UTC), Month(2025, 11)),
        (datetime(2025, 10, 31, tzinfo=UTC), None),
        (datetime(1, 1, 1, tzinfo=UTC), None),
    ],
)
def test_only_a_plausible_time_has_a_month(time, month):
    assert find_month(time, NOW, 365) == month


async def test_replicas_that_tend_at_the_same_time_make_each_month_once(pool):
    several = [Partitions(pool) for _ in range(4)]
    await asyncio.gather(*(one.tend(NOW, 365) for one in several))
    assert await several[0].tend(NOW, 365) == []


async def test_what_came_before_its_month_was_made_moves_there_and_is_there_once(pool, url):
    far_s = int(datetime.now(UTC).timestamp()) + YEAR_S
    early = ArchiveBatch(
        2, (), ((1, reading(1, time_s=far_s)), (2, reading(2, time_s=far_s + 900)))
    )
    await give(pool, early)
    assert await partitions(url) == {"entry_default": 2}
    month = datetime.fromtimestamp(far_s, UTC)
    await Partitions(pool).ensure([Month(month.year, month.month)])
    assert await partitions(url) == {Month(month.year, month.month).partition: 2}
    assert (await give(pool, early)).duplicates == 2


async def test_a_month_that_is_over_is_dropped_and_its_entries_stay_known(pool, url):
    await give(pool, batch(1, 4))
    assert await partitions(url) == {"entry_2026_11": 4}
    dropped = await Partitions(pool).tend(datetime(2027, 3, 1, tzinfo=UTC), 60)
    assert dropped == [Month(2026, 11)]
    assert await read_archive(url) == {}
    again = await give(pool, batch(1, 5))
    assert (again.archived, again.new, again.duplicates) == (5, 1, 4), "what was dropped is not new"


async def test_entries_that_come_while_a_month_is_dropped_are_not_lost(pool, url):
    await give(pool, batch(1, 4))
    later = [
        (seq, raw)
        for seq, raw in entries(5, 8, time_s=int(datetime(2027, 2, 1, tzinfo=UTC).timestamp()))
    ]
    await asyncio.gather(
        Partitions(pool).tend(datetime(2027, 3, 1, tzinfo=UTC), 60),
        *(give(pool, ArchiveBatch(8, (), (one,))) for one in later),
    )
    assert set((await read_archive(url))[("house-1", A)]) == {5, 6, 7, 8}


class DyingConnection:
    """A connection that is lost at the first statement that drops a table."""

    def __init__(self, connection):
        self.connection = connection

    def __getattr__(self, name):
        return getattr(self.connection, name)

    async def execute(self, statement, *arguments):
        if statement.startswith("DROP TABLE"):
            raise ConnectionResetError
        return await self.connection.execute(statement, *arguments)


async def test_a_replica_that_dies_while_it_drops_a_month_leaves_it_where_it_was(pool, url):
    await give(pool, batch(1, 4))
    async with pool.acquire() as connection:
        with pytest.raises(ConnectionResetError):
            await drop(DyingConnection(connection), Month(2026, 11))
    assert await partitions(url) == {"entry_2026_11": 4}
    assert (await give(pool, batch(5, 6))).new == 2


async def test_a_month_that_another_replica_has_dropped_is_no_error(pool):
    await give(pool, batch(1, 4))
    async with pool.acquire() as connection:
        await drop(connection, Month(2026, 11))
        await drop(connection, Month(2026, 11))


async def test_while_a_dump_runs_entries_of_a_month_that_is_lacking_are_taken(pool, url):
    made = Partitions(pool)
    dump = await asyncpg.connect(url)
    transaction = dump.transaction()
    await transaction.start()
    await dump.execute("LOCK TABLE metertwin.entry, metertwin.entry_default IN ACCESS SHARE MODE")
    late_s = int(datetime(2026, 8, 20, tzinfo=UTC).timestamp())
    for first in (1, 5):
        given = Given("house-1", 1, A, batch(first, first + 3, time_s=late_s))
        (answer,) = await write_group(pool, made, {}, [given], 36500)
        assert (answer.archived, answer.new) == (first + 3, 4)
    assert await partitions(url) == {"entry_default": 8}
    await transaction.rollback()
    await dump.close()
    await made.tend(NOW, 365)
    assert await partitions(url) == {"entry_2026_08": 8}


async def test_a_clock_that_is_ahead_lets_nothing_be_dropped(pool):
    now = datetime.now(UTC)
    ahead, behind = now + timedelta(days=3700), now - timedelta(days=3)
    assert abs(await read_clock(pool, ahead) - now) < timedelta(minutes=5)
    assert await read_clock(pool, behind) == behind


async def test_an_entry_whose_month_is_made_while_it_is_written_is_taken(pool, url):
    """It waits at the default partition's lock, and fails that one's new bounds: tried again."""
    other = await asyncpg.connect(url, server_settings={"search_path": "metertwin"})
    making = other.transaction()
    await making.start()
    await make(other, Month(2026, 11))
    writer = Writer(pool, 36500)
    writer.partitions._again_s = math.inf  # this replica tried in vain and waits for its turn
    task = asyncio.create_task(writer.run())
    given = asyncio.create_task(writer.submit(Given("house-1", 1, A, batch(1, 4)), 100))
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE relation = 'entry_default'::regclass AND NOT granted"
    )
    async with asyncio.timeout(20):
        while not await other.fetchval(waiting):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await making.commit()
    assert (await given).new == 4
    task.cancel()
    await other.close()
    assert await partitions(url) == {"entry_2026_11": 4}
