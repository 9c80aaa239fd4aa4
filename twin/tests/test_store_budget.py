"""The store's budget: the oldest readings go early, counted; nothing else is lost, kill -9 or not."""

import asyncio
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
from meter_twin import store_keeper
from meter_twin.store import Batch, Store
from meter_twin.store_budget import limit_file, prune_oldest, used_bytes
from meter_twin.store_keeper import LOOK_EVERY_S, StoreKeeper
from meter_twin.store_queries import START, Filter, load_page
from meter_twin.store_schema import StoreFullError

pytestmark = pytest.mark.timeout(300)
A, B = b"A" * 8, b"B" * 8
LIMIT = 1 << 20


@pytest.fixture
def store(tmp_path):
    made = Store(str(tmp_path / "twin.db"))
    yield made
    made.close()


def fill(store, first, last, incarnation=A, gap=0):
    """Store readings of the size of a household's, one a second; after `gap` numbers not stored."""
    entries = [
        (seq, b"\x01\0\0" + (1_800_000_000 + seq).to_bytes(4, "big") + bytes(300))
        for seq in range(first + gap, last + 1)
    ]
    store.ingest([Batch(incarnation, entries, (), 0 if gap else last, bytes(16))], 0)


def keeper(store, limit=LIMIT, archive=False):
    return StoreKeeper(store, retention_days=60, limit_bytes=limit, keep_unarchived=archive)


def size_of(path):
    return pathlib.Path(path).stat().st_size


def seqs(store, incarnation=A):
    rows = load_page(store, Filter(), START, 10**6)
    return [row.position.seq for row in rows if row.incarnation == incarnation]


async def test_the_file_stays_below_its_limit_and_what_went_early_is_counted(store, capsys):
    kept = keeper(store)
    sizes = []
    for round_number in range(60):
        fill(store, round_number * 200 + 1, round_number * 200 + 200)
        await kept.keep_within_budget()
        sizes.append(size_of(store.path))
    left = seqs(store)
    assert left == list(range(12_001 - len(left), 12_001))
    assert len(left) * 300 > LIMIT // 2
    assert max(sizes) <= LIMIT
    assert store.marks()[A].stored == 12_000
    described = kept.describe()
    assert described["prunedEarly"] == 12_000 - len(left)
    assert described["prunedEarlyAt"]
    assert described["storeBytes"] <= LIMIT * 9 // 10
    assert "oldest entries deleted early" in capsys.readouterr().err


@pytest.mark.parametrize(("handed", "left"), [(START, 1000), (None, 1)])
async def test_what_is_past_its_time_waits_for_applications_that_have_not_begun(
    store, handed, left
):
    kept = StoreKeeper(
        store, retention_days=1, limit_bytes=LIMIT, keep_unarchived=False, handed=lambda: handed
    )
    entries = [(seq, b"\x01\0\0" + seq.to_bytes(4, "big") + bytes(300)) for seq in range(1, 1001)]
    store.ingest([Batch(A, entries, (), 1000, bytes(16))], 0)
    looking = asyncio.create_task(kept.run())
    await asyncio.sleep(LOOK_EVERY_S + 1)
    looking.cancel()
    assert len(seqs(store)) == left


async def test_within_the_budget_nothing_goes(store, capsys):
    kept = keeper(store)
    fill(store, 1, 1000)
    assert await kept.keep_within_budget() == 0
    assert kept.describe()["prunedEarly"] == 0
    assert kept.describe()["prunedEarlyAt"] is None
    assert capsys.readouterr().err == ""


async def test_an_entry_beyond_the_stored_mark_is_never_deleted(store):
    fill(store, 1, 10)
    fill(store, 11, 3000, gap=1)
    await keeper(store).keep_within_budget()
    assert seqs(store) == [10, *range(12, 3001)]


async def test_with_an_archive_only_what_it_holds_goes(store):
    fill(store, 1, 3000)
    store.save_archived(A, 700)
    await keeper(store, archive=True).keep_within_budget()
    assert seqs(store)[0] == 701


def test_an_older_incarnation_goes_first_but_for_its_last_entry(store):
    fill(store, 1, 600)
    fill(store, 1, 600, B)
    assert [prune_oldest(store, 0, keep_unarchived=False) for _ in range(5)] == [
        500, 99, 500, 99, 0,
    ]  # fmt: skip
    assert (seqs(store), seqs(store, B)) == ([600], [600])


def fill_records(store, percent, limit=LIMIT):
    """Let what an application derived take this part of the limit."""
    time_s = 0
    while used_bytes(store) < limit * percent // 100:
        with store.transaction() as connection:
            for _ in range(10):
                time_s += 900
                connection.execute(
                    "INSERT INTO record VALUES ('metering-data', 'profile', ?, ?)",
                    (time_s, bytes(1000)),
                )


async def test_records_that_fill_the_store_cost_no_reading(store, capsys):
    kept = keeper(store)
    fill_records(store, 94)
    fill(store, 1, 60)
    for _ in range(3):
        assert await kept.keep_within_budget() == 0
    assert seqs(store) == list(range(1, 61))
    assert kept.describe()["storeShort"] is True
    assert capsys.readouterr().err.count("readings do not make space in the store") == 1


async def test_readings_have_the_space_that_records_leave(store):
    limit = 4 * LIMIT
    fill_records(store, 60, limit)
    kept = keeper(store, limit)
    for round_number in range(40):
        fill(store, round_number * 200 + 1, round_number * 200 + 200)
        await kept.keep_within_budget()
        assert size_of(store.path) <= limit
    left = seqs(store)
    assert left == list(range(8001 - len(left), 8001))
    assert len(left) * 300 > limit * 20 // 100
    assert kept.describe()["storeShort"] is False


async def test_the_newest_readings_stay_whatever_fills_the_store(store, capsys):
    limit = 4 * LIMIT
    with store.transaction() as connection:
        for seq in range(limit * 88 // 100 // 1000):
            connection.execute("INSERT INTO conflict VALUES (1, ?, ?)", (seq, bytes(950)))
    fill(store, 1, 1200)
    kept = keeper(store, limit)
    for _ in range(3):
        await kept.keep_within_budget()
    assert seqs(store) == list(range(501, 1201))
    assert kept.describe()["storeShort"] is True
    assert capsys.readouterr().err.count("do not make space") == 1


def test_a_store_in_which_nothing_may_go_refuses_instead_of_growing(store):
    limit_file(store, LIMIT)
    fill(store, 1, 10)
    with pytest.raises(StoreFullError):
        fill(store, 11, 6000, gap=1)
    assert store.marks()[A].stored == 10
    assert used_bytes(store) < LIMIT


_CHILD = """
import asyncio, os, sys
from meter_twin import store_keeper
from meter_twin.store import Batch, Store
from meter_twin.store_keeper import StoreKeeper
store = Store(sys.argv[1])
keeper = StoreKeeper(store, retention_days=3650, limit_bytes=1 << 20, keep_unarchived=False)
marks = store.marks().get(b"A" * 8)
seq = marks.stored if marks else 0
while True:
    entries = [(n, b"\\x01\\0\\0" + n.to_bytes(4, "big") + bytes(300))
               for n in range(seq + 1, seq + 201)]
    seq += 200
    store.ingest([Batch(b"A" * 8, entries, (), seq, bytes(16))], 0)
    os.write(1, b"%d\\n" % seq)
    asyncio.run(keeper.keep_within_budget())
"""


def test_kill_9_while_old_entries_go_loses_no_other_and_the_count_is_exact(tmp_path):
    path = str(tmp_path / "twin.db")
    chance = random.Random(11)
    acknowledged = 0
    for _ in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, path],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
        first = child.stdout.readline()
        time.sleep(0.2 + chance.random() * 0.4)
        child.send_signal(signal.SIGKILL)
        lines = (first + child.stdout.read()).split(b"\n")
        child.stdout.close()
        child.wait()
        acknowledged = max([acknowledged, *(int(line) for line in lines if line)])
        store = Store(path)
        left, stored = seqs(store), store.marks()[A].stored
        gone = store.find_property("pruned_early") or 0
        store.close()
        assert stored >= acknowledged
        assert left == list(range(gone + 1, stored + 1))
        assert size_of(path) <= 1 << 20
    assert gone > 0


@pytest.mark.parametrize("is_told", [True, False])
async def test_the_keeper_looks_soon_after_writing_and_now_and_then_by_itself(
    store, monkeypatch, is_told
):
    monkeypatch.setattr(store_keeper, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(store_keeper, "LOOK_AT_REST_S", 3600 if is_told else 0.01)
    kept = keeper(store)
    looks = asyncio.Queue()

    async def look():
        looks.put_nowait(1)
        return 0

    monkeypatch.setattr(kept, "keep_within_budget", look)
    task = asyncio.create_task(kept.run())
    try:
        await asyncio.wait_for(looks.get(), 60)  # the first is of what a twin before left
        if is_told:
            await asyncio.sleep(0.1)
            assert looks.empty()
            kept.written()
        await asyncio.wait_for(looks.get(), 60)
    finally:
        task.cancel()
