"""A meter's dataPolicy that is shorter than the archive's own time deletes, and nothing comes back."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from fleet_of_batches import START_S, A, B, batch, read_archive, reading
from meter_archive import expiry
from meter_archive.database import open_pool
from meter_archive.directory import Installation, Place
from meter_archive.directory_table import save_directory
from meter_archive.expiry import expire
from meter_archive.group import Given, write_group
from meter_archive.migrate import migrate
from meter_archive.partitions import Partitions
from meter_wire.archive_batch import ArchiveBatch

DAY = timedelta(days=1)
START = datetime.fromtimestamp(START_S, UTC)
NUMBERS = list(range(1, 41))
"""One a day from START on, in two months."""


@pytest.fixture
async def pool(url):
    await migrate(url)
    made = await open_pool(url, size=6, statement_limit=timedelta(seconds=10))
    yield made
    made.terminate()


def at(day):
    return START + day * DAY


def daily(numbers=NUMBERS, **options):
    rows = [(seq, reading(seq, time_s=int(at(seq).timestamp()), **options)) for seq in numbers]
    return ArchiveBatch(rows[-1][0], (), tuple(rows))


async def give(pool, device, given_batch=None, incarnation=A):
    given = Given(device, 1, incarnation, given_batch or daily())
    (answer,) = await write_group(pool, Partitions(pool), {}, [given], 36500)
    return answer


def installed(device, point="P1", keep_days=None, since=START):
    return Installation(device, point, since, Place("homes", device, "UTC", "", (), 900, keep_days))


async def save(pool, *installations, now=START):
    await save_directory(pool, ["homes"], installations, now)


async def days(url, device="house-1", incarnation=A):
    return sorted((await read_archive(url)).get((device, incarnation), {}))


async def test_only_what_the_policy_is_of_and_what_is_older_goes(pool, url):
    for device in ("house-1", "house-2", "house-3"):
        await give(pool, device)
    await save(pool, installed("house-1", keep_days=10), installed("house-2", "P2"))
    assert await expire(pool, at(40)) == 29
    assert await days(url) == list(range(30, 41))
    assert await days(url, "house-2") == await days(url, "house-3") == NUMBERS
    assert await expire(pool, at(40)) == 0
    assert await expire(pool, at(41)) == 1


async def test_what_was_deleted_is_a_duplicate_and_does_not_come_back(pool, url):
    await give(pool, "house-1")
    await save(pool, installed("house-1", keep_days=10))
    await expire(pool, at(40))
    again = await give(pool, "house-1", daily([*NUMBERS, 41]))
    assert (again.archived, again.new, again.duplicates, again.conflicts) == (41, 1, 40, 0)
    assert await days(url) == list(range(30, 42))


async def test_an_earlier_tenants_readings_go_by_that_tenants_policy(pool, url):
    await give(pool, "house-1")
    await save(pool, installed("house-1", keep_days=5))
    await save(pool, installed("house-1", "P9", since=at(20)), now=at(20))
    await expire(pool, at(40))
    assert await days(url) == list(range(20, 41)), "the second tenant's have no limit"


async def test_a_meter_that_is_gone_keeps_its_policy(pool, url):
    await give(pool, "house-1")
    await save(pool, installed("house-1", keep_days=10))
    await save(pool, now=at(40))
    await expire(pool, at(60))
    assert await days(url) == []


async def test_a_policy_that_is_told_later_counts(pool):
    await give(pool, "house-1")
    await give(pool, "house-1", batch(1, 2), incarnation=B)
    await save(pool, installed("house-1"))
    assert await expire(pool, at(90)) == 0
    await save(pool, installed("house-1", keep_days=1))
    assert await expire(pool, at(90)) == 42


async def test_a_reading_without_a_time_goes_by_when_it_was_received(pool):
    now = datetime.now(UTC)
    far_s = int((now + 900 * DAY).timestamp())
    without = ((1, reading(1, time_s=0)), (2, reading(2, time_s=far_s)))
    await give(pool, "house-1", ArchiveBatch(2, (), without))
    await save(pool, installed("house-1", keep_days=10))
    assert await expire(pool, now + 9 * DAY) == 0
    assert await expire(pool, now + 11 * DAY) == 2


async def test_quarantined_bytes_go_too(pool, url):
    await give(pool, "house-1")
    assert (await give(pool, "house-1", daily(salt=1))).conflicts == 40
    await save(pool, installed("house-1", keep_days=10))
    await expire(pool, datetime.now(UTC) + 9 * DAY)
    assert await count(url, "conflict") == 40
    await expire(pool, datetime.now(UTC) + 11 * DAY)
    assert await count(url, "conflict") == 0


async def test_more_than_one_transaction_takes_and_two_replicas_at_once(pool, url, monkeypatch):
    monkeypatch.setattr(expiry, "MOST_ROWS", 7)
    monkeypatch.setattr(expiry, "_PAGE", 2)
    devices = [f"house-{number}" for number in range(5)]
    for device in devices:
        await give(pool, device)
    await save(pool, *(installed(one, f"P-{one}", 10) for one in devices))
    await asyncio.gather(*(expire(pool, at(40)) for _ in range(3)))
    await expire(pool, at(40))
    for device in devices:
        assert await days(url, device) == list(range(30, 41))


async def count(url, table):
    connection = await asyncpg.connect(url)
    found = await connection.fetchval(f"SELECT count(*) FROM metertwin.{table}")
    await connection.close()
    return found
