"""No entry is lost or stored twice when PostgreSQL or a replica dies, whenever that is.

Real processes, killed with signal 9; the oracle is what the twins have.
"""

import asyncio
import os
import pathlib
import random
import shutil
import subprocess
import tempfile

import aiohttp
import asyncpg
import pytest
from archive_world import ArchiveWorld, PushingTwin
from fleet_of_batches import A, batch, entries, read_archive
from meter_pki import identities
from meter_wire.archive_batch import MOST_BODY, encode_batch
from postgres_server import PostgresServer

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def world(tmp_path, server):
    made = ArchiveWorld(tmp_path, server)
    yield made
    made.stop()


async def check(world, twins):
    """Everything that was pushed is there, once, and no mark ever promised more than was durable."""
    stored = await read_archive(world.url)
    for twin in twins:
        held = stored[twin.device, A]
        assert held == dict(entries(1, len(held), **twin.entries)), twin.device
        assert max(twin.marks) <= len(held)
        assert twin.marks == sorted(twin.marks), "a mark never moves back"


async def test_replicas_and_the_database_are_killed_while_twins_push(tmp_path_factory):
    chance = random.Random(7)
    with PostgresServer() as postgres:
        world = ArchiveWorld(tmp_path_factory.mktemp("world"), postgres)
        try:
            await world.start()
            twins = [PushingTwin(world, f"house-{number}", 700) for number in range(6)]
            pushing = asyncio.gather(*(twin.push() for twin in twins))
            for victim in ("replica", "database", "replica", "database", "both"):
                await asyncio.sleep(chance.uniform(0.3, 1.2))
                kill(world, victim, chance)
                stored = await asyncio.to_thread(restart, world)
                assert stored
            await pushing
            await check(world, twins)
            assert {twin.marks[-1] for twin in twins} == {700}
        finally:
            world.stop()


def kill(world, victim, chance):
    if victim in {"replica", "both"}:
        chance.choice(world.replicas).kill()
    if victim in {"database", "both"}:
        world.postgres.kill()


def restart(world):
    """Start what was killed."""
    if not world.postgres.runs:
        world.postgres.start()
    for replica in world.replicas:
        if not replica.runs:
            replica.start()
    return True


async def test_a_new_epoch_takes_over_in_the_middle_and_the_old_one_is_refused(world):
    await world.start(1)
    old = PushingTwin(world, "house-1", 400)
    pushing = asyncio.create_task(old.push())
    while old.marks[-1] < 100:  # noqa: ASYNC110 - it is told by nobody
        await asyncio.sleep(0.01)
    new = PushingTwin(world, "house-1", 500, epoch=2)
    await new.push()
    await pushing
    assert old.retired
    await check(world, [new])
    assert len((await read_archive(world.url))[("house-1", A)]) == 500


async def test_a_database_that_answers_nobody_fills_no_memory_and_is_waited_for(world):
    await world.start(1)
    twins = [PushingTwin(world, f"house-{number}", 800, batch=400) for number in range(60)]
    for twin in twins:
        twin.entries = {"registers": 20}
    connection = await asyncpg.connect(world.url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("LOCK TABLE metertwin.device IN ACCESS EXCLUSIVE MODE")
    before = resident(world.replicas[0])
    pushing = asyncio.gather(*(twin.push() for twin in twins))
    await asyncio.sleep(8)
    assert all(twin.marks == [0] for twin in twins)
    assert resident(world.replicas[0]) - before < 80 << 20
    await transaction.rollback()
    await connection.close()
    await pushing
    await check(world, twins)


def resident(process):
    """Return the resident memory of a process in bytes."""
    fields = pathlib.Path(f"/proc/{process.process.pid}/statm").read_text().split()
    return int(fields[1]) * 4096


async def test_who_has_no_certificate_of_a_twin_stores_nothing(world):
    await world.start(1)
    body = encode_batch(3, (), entries(1, 3))
    world.issue("meter", identities.meter_identity("house-1"))
    world.issue("operator", identities.operator_identity())
    for name in ("meter", "operator"):
        status, document = await world.post(world.client_context(name), body)
        assert (status, document["error"]) == (403, "certificate: is not that of a twin")
    with pytest.raises(Exception, match=r"(?i)certificate|disconnected|reset"):
        await world.post(world.client_context(None), body)
    assert await read_archive(world.url) == {}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "batch: has 0 bytes"),
        (b"\x02" + bytes(6), "batch: version 2"),
        (encode_batch(3, (), entries(1, 3))[:-1], "entries: the last one is cut off"),
        (
            encode_batch(3, (), entries(1, 3) + entries(3, 3)),
            "entries: number 3 is none, or not in rising",
        ),
        (b"\x01" + bytes(4) + b"\xff\xff", "holes: 65535 of them"),
    ],
)
async def test_a_bad_body_is_refused_with_what_is_wrong_and_stores_nothing(world, body, told):
    await world.start(1)
    status, document = await world.post(world.context("house-1", 1), body)
    assert status == 400
    assert document["error"].startswith(told)
    assert await read_archive(world.url) == {}


async def test_a_body_that_is_too_large_is_refused_and_counted(world):
    await world.start(1)
    status, document = await world.post(world.context("house-1", 1), bytes(MOST_BODY + 2))
    assert (status, document["error"]) == (413, f"batch: has more than {MOST_BODY} bytes")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://localhost:{world.plain_ports[0]}/metrics") as answer,
    ):
        told = await answer.text()
    assert 'metertwin_archive_requests_refused_total{status="413"} 1.0' in told


@pytest.fixture
def small_disk():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="metertwin-small-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=180m", "small", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
async def test_a_full_disk_loses_nothing_and_is_over_when_there_is_space(
    small_disk, tmp_path_factory
):
    postgres = PostgresServer(small_disk, max_wal_size="64MB", min_wal_size="32MB")
    world = ArchiveWorld(tmp_path_factory.mktemp("world"), start(postgres))
    try:
        await world.start(1)
        twin = PushingTwin(world, "house-1", 300, batch=50)
        await twin.push()
        fill(small_disk / "ballast")
        twin.last = 60_000
        twin.batch = 400
        with pytest.raises(TimeoutError):
            await twin.push(12)
        full = twin.marks[-1]
        (small_disk / "ballast").unlink()
        await asyncio.to_thread(restart, world)
        twin.last = full + 400
        await twin.push()
        await check(world, [twin])
    finally:
        world.stop()
        postgres.stop()


def start(postgres):
    postgres.start()
    return postgres


def fill(path):
    """Leave less than 2 MiB on the file system."""
    free = shutil.disk_usage(path.parent).free - (2 << 20)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free)


async def test_a_row_that_the_database_refuses_stops_no_other_twin(world):
    await world.start(1)
    connection = await asyncpg.connect(world.url)
    await connection.execute("ALTER TABLE metertwin.entry ADD CHECK (seq <> 13)")
    await connection.close()
    bad = world.context("house-1", 1)
    answers = await asyncio.gather(
        world.post(bad, encode_batch(20, (), batch(10, 20).entries)),
        *(PushingTwin(world, f"house-{number}", 12).push() for number in range(2, 6)),
    )
    assert answers[0][0] == 400
    stored = await read_archive(world.url)
    assert {device for device, _ in stored} == {f"house-{number}" for number in range(2, 6)}
