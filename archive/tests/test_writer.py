"""What the writer stores, each entry once, in a real PostgreSQL."""

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from fleet_of_batches import START_S, A, B, batch, entries, read_archive, reading
from meter_archive import group
from meter_archive.database import open_pool
from meter_archive.group import Given, RetiredEpochError
from meter_archive.migrate import migrate
from meter_archive.writer import BusyError, PoisonError, Writer
from meter_wire.archive_batch import MOST_HOLES, ArchiveAnswer, ArchiveBatch
from meter_wire.effects import Hole


@asynccontextmanager
async def writing(url, count=1):
    pool = await open_pool(url, size=8, statement_limit=timedelta(seconds=10))
    writer = Writer(pool, 36500)
    tasks = [asyncio.create_task(writer.run()) for _ in range(count)]
    try:
        yield writer
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        pool.terminate()


async def give(writer, one, *, device="house-1", epoch=1, identity=A):
    return await writer.submit(Given(device, epoch, identity, one), 100)


@pytest.fixture
async def archive(url):
    await migrate(url)
    return url


async def test_a_batch_is_stored_with_its_bytes_and_values(archive):
    async with writing(archive) as writer:
        assert await give(writer, batch(1, 5)) == ArchiveAnswer(5, 5, 0, 0)
    assert await read_archive(archive) == {("house-1", A): dict(entries(1, 5))}
    connection = await asyncpg.connect(archive)
    row = await connection.fetchrow(
        "SELECT e.*, l.codes FROM metertwin.entry e JOIN metertwin.layout l ON l.id = e.layout WHERE seq = 3"
    )
    await connection.close()
    assert row["values"] == [3000, 3001]
    assert row["codes"] == bytes([1, 0, 1, 8, 0, 255, 1, 0, 2, 8, 0, 255])
    assert row["time"] == datetime.fromtimestamp(START_S + 3 * 900, UTC)
    assert (row["epoch"], row["kind"], row["signed"]) == (1, 1, False)


async def test_the_same_batch_a_hundred_times_is_stored_once(archive):
    async with writing(archive, 2) as writer:
        answers = [await give(writer, batch(1, 20)) for _ in range(50)]
        answers += await asyncio.gather(*(give(writer, batch(1, 20)) for _ in range(50)))
    assert answers == [ArchiveAnswer(20, 20, 0, 0)] + [ArchiveAnswer(20, 0, 20, 0)] * 99
    assert await read_archive(archive) == {("house-1", A): dict(entries(1, 20))}


async def test_batches_that_overlap_and_come_in_any_order_are_stored_once(archive):
    async with writing(archive) as writer:
        assert (await give(writer, batch(11, 20))).archived == 0
        assert (await give(writer, batch(5, 12))) == ArchiveAnswer(0, 6, 2, 0)
        assert (await give(writer, batch(1, 4))) == ArchiveAnswer(20, 4, 0, 0)
    assert await read_archive(archive) == {("house-1", A): dict(entries(1, 20))}


async def test_a_hole_moves_the_mark_and_is_filled_by_what_comes_after_all(archive):
    async with writing(archive) as writer:
        await give(writer, batch(1, 3))
        assert (await give(writer, batch(8, 9, holes=[(4, 7, 3)]))).archived == 9
        assert (await give(writer, batch(5, 6))) == ArchiveAnswer(9, 2, 0, 0)
    connection = await asyncpg.connect(archive)
    ((reason, numbers),) = await connection.fetch("SELECT reason, numbers FROM metertwin.hole")
    await connection.close()
    assert (reason, [(one.lower, one.upper) for one in numbers]) == (3, [(4, 5), (7, 8)])


async def test_other_bytes_under_a_known_number_are_quarantined_and_change_nothing(archive):
    async with writing(archive) as writer:
        await give(writer, batch(1, 5))
        assert await give(writer, batch(4, 6, salt=7)) == ArchiveAnswer(6, 1, 0, 2)
        moved = ArchiveBatch(6, (), ((2, reading(2, time_s=START_S + 90 * 86400)),))
        assert await give(writer, moved) == ArchiveAnswer(6, 0, 0, 1), (
            "another time is no way around"
        )
        assert await give(writer, moved) == ArchiveAnswer(6, 0, 0, 1)
    stored = await read_archive(archive)
    assert stored == {("house-1", A): dict(entries(1, 5)) | {6: reading(6, salt=7)}}
    connection = await asyncpg.connect(archive)
    kept = await connection.fetch("SELECT seq FROM metertwin.conflict ORDER BY seq")
    await connection.close()
    assert [row["seq"] for row in kept] == [2, 4, 5]


async def test_an_epoch_below_the_highest_is_refused_and_stores_nothing(archive):
    async with writing(archive) as writer:
        await give(writer, batch(1, 3), epoch=2)
        with pytest.raises(RetiredEpochError) as caught:
            await give(writer, batch(4, 5), epoch=1)
        with pytest.raises(RetiredEpochError):
            await give(writer, batch(1, 5), epoch=1, identity=B)
    assert caught.value.highest == 2
    assert set((await read_archive(archive))[("house-1", A)]) == {1, 2, 3}


async def test_two_replicas_and_two_epochs_at_the_same_time_store_each_entry_once(archive):
    async with writing(archive, 2) as one, writing(archive, 2) as other:
        jobs = []
        for device in ("house-1", "house-2", "house-3"):
            for first in range(1, 200, 10):
                for writer, epoch in ((one, 1), (other, 2)):
                    jobs.append(give(writer, batch(first, first + 14), device=device, epoch=epoch))
        answers = await asyncio.gather(*jobs, return_exceptions=True)
        for device in ("house-1", "house-2", "house-3"):
            await give(other, batch(1, 205), device=device, epoch=2)
    wrong = [one for one in answers if not isinstance(one, ArchiveAnswer | RetiredEpochError)]
    assert wrong == []
    wanted = {(device, A): dict(entries(1, 205)) for device in ("house-1", "house-2", "house-3")}
    assert await read_archive(archive) == wanted


async def test_entries_that_are_not_understood_or_have_no_time_are_kept(archive):
    odd = (
        (1, b"\x01"),
        (2, b"\x07" + bytes(12)),
        (3, reading(3, time_s=0)),
        (4, reading(4, time_s=2**32 - 1)),
    )
    async with writing(archive) as writer:
        assert await give(writer, ArchiveBatch(4, (), odd)) == ArchiveAnswer(4, 4, 0, 0)
        assert await give(writer, ArchiveBatch(4, (), odd)) == ArchiveAnswer(4, 0, 4, 0)
    assert await read_archive(archive) == {("house-1", A): dict(odd)}


async def test_what_waits_is_bounded(archive):
    async with writing(archive) as writer:
        with pytest.raises(BusyError):
            await writer.submit(Given("house-1", 1, A, batch(1, 2)), 64 << 20)
        assert (await give(writer, batch(1, 2))).archived == 2
        assert writer.waiting_octets == 0


async def test_a_hole_of_an_empty_batch_is_kept_and_the_mark_is_told(archive):
    async with writing(archive) as writer:
        assert await give(writer, ArchiveBatch(0, (), ())) == ArchiveAnswer(0, 0, 0, 0)
        assert (await give(writer, ArchiveBatch(9, (Hole(1, 9, 3),), ()))).archived == 9


async def test_who_gives_nothing_is_told_the_newest_holes_that_may_be_filled(archive):
    empty = ArchiveBatch(99, (), ())
    holes = (Hole(1, 4, 1), Hole(6, 7, 2), Hole(9, 9, 3))
    async with writing(archive) as writer:
        one = ArchiveBatch(99, holes, entries(5, 5) + entries(8, 8))
        assert await give(writer, one) == ArchiveAnswer(9, 2, 0, 0)
        assert (await give(writer, empty)).holes == (Hole(1, 4, 1), Hole(9, 9, 3))
        await give(writer, batch(2, 3))
        assert (await give(writer, empty)).holes == (Hole(1, 1, 1), Hole(4, 4, 1), Hole(9, 9, 3))
        for first in range(10, 610, 200):
            many = tuple(Hole(seq, seq, 1) for seq in range(first, first + 200, 2))
            odd = tuple((seq, reading(seq)) for seq in range(first + 1, first + 200, 2))
            await give(writer, ArchiveBatch(999, many, odd))
        told = (await give(writer, empty)).holes
    assert len(told) == MOST_HOLES
    assert told[-1] == Hole(608, 608, 1)


@pytest.mark.parametrize("days", [-400, 0])
async def test_received_is_by_the_later_clock(url, monkeypatch, days):
    """What has no time of its own is deleted by it, and must not go too early."""

    class Clock(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) + timedelta(days=days)

    monkeypatch.setattr("meter_archive.group.datetime", Clock)
    await migrate(url)
    async with writing(url) as writer:
        await give(writer, batch(1, 1))
    connection = await asyncpg.connect(url)
    received = await connection.fetchval("SELECT received FROM metertwin.entry")
    await connection.close()
    assert abs(received - datetime.now(UTC)) < timedelta(minutes=1)
    assert received.microsecond == 0


async def test_two_migrations_at_once_and_one_more_are_one(url):
    await asyncio.gather(migrate(url), migrate(url))
    await migrate(url)
    async with writing(url) as writer:
        assert (await give(writer, batch(1, 1))).archived == 1


async def test_a_batch_that_cannot_be_written_keeps_no_other_out(archive, monkeypatch):
    sort = group.sort_entries

    def stumble(listed):
        if len(listed) == 7:
            raise IndexError
        return sort(listed)

    monkeypatch.setattr(group, "sort_entries", stumble)
    async with writing(archive) as writer:
        found = await asyncio.gather(
            *(give(writer, batch(1, 5 + at), device=f"house-{at}") for at in range(4)),
            return_exceptions=True,
        )
        assert [type(one) for one in found] == [
            ArchiveAnswer,
            ArchiveAnswer,
            PoisonError,
            ArchiveAnswer,
        ]
        assert await give(writer, batch(1, 5), device="house-9") == ArchiveAnswer(5, 5, 0, 0)
    assert len(await read_archive(archive)) == 4


STEPS_S = (0, 900, -900, 3600, -3600, 40 * 86400, -40 * 86400, 366 * 86400, -366 * 86400)


@pytest.mark.parametrize("seed", range(4))
async def test_a_clock_that_is_stepped_again_and_again_loses_and_doubles_nothing(archive, seed):
    """Over months and years, in batches that overlap, given by two writers at the same time."""
    chance = random.Random(seed)
    time_s, listed = START_S, []
    for seq in range(1, 121):
        time_s += 900 + (chance.choice(STEPS_S) if chance.random() < 0.3 else 0)
        listed.append((seq, reading(seq, time_s=time_s)))
    batches = []
    for _ in range(60):
        first = chance.randrange(120)
        part = tuple(listed[first : first + chance.randrange(1, 20)])
        batches.append(ArchiveBatch(120, (), part))
    async with writing(archive, 2) as writer:
        found = await asyncio.gather(*(give(writer, one) for one in batches))
        last = await give(writer, ArchiveBatch(120, (), tuple(listed)))
    assert last.archived == 120
    assert sum(one.new for one in found) + last.new == 120
    assert sum(one.conflicts for one in found) == 0
    assert await read_archive(archive) == {("house-1", A): dict(listed)}
