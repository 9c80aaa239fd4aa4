"""A backup that is taken while batches arrive is whole, and after a restore the twins fill it up."""

import asyncio
import shutil

import asyncpg
import pytest
from archive_world import ArchiveWorld, PushingTwin
from fleet_of_batches import A, entries, read_archive
from postgres_server import PostgresServer

pytestmark = pytest.mark.timeout(300)
FIRST, LAST = 600, 650
AFTER = FIRST + 20


def dump(server, url, folder):
    """As docs/how-to/back-up-the-archive.md says it."""
    server._run("pg_dump", "--format=custom", f"--file={folder / 'dump'}", url)


def restore(server, folder):
    url = server.new_database()
    server._run(
        "pg_restore",
        "--exit-on-error",
        "--single-transaction",
        f"--dbname={url}",
        str(folder / "dump"),
    )
    return url


def copy_cluster(server, target):
    shutil.rmtree(target.data)
    server._run(
        "pg_basebackup", "--host=127.0.0.1", f"--port={server.port}", "--username=postgres",
        "--checkpoint=fast", "--wal-method=stream", f"--pgdata={target.data}",
    )  # fmt: skip


@pytest.fixture
def folder(server):
    """A folder that PostgreSQL's own user writes to."""
    made = server.data.parent / "backup"
    made.mkdir()
    shutil.chown(made, server.data.owner(), server.data.group())
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("way", ["dump", "base backup"])
async def test_twins_fill_what_came_after_the_backup(way, server, folder, tmp_path):
    world = ArchiveWorld(tmp_path, server)
    with PostgresServer() as lost, PostgresServer() as fresh:
        world.url = lost.new_database()
        try:
            await world.start(2)
            twins = [PushingTwin(world, f"house-{number}", FIRST, batch=20) for number in range(4)]
            pushing = asyncio.gather(*(twin.push() for twin in twins))
            while min(twin.marks[-1] for twin in twins) < 100:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            if way == "dump":
                await asyncio.to_thread(dump, lost, world.url, folder)
            else:
                fresh.stop_process()
                await asyncio.to_thread(copy_cluster, lost, fresh)
            await pushing
            for twin in twins:
                twin.last = AFTER
            await asyncio.gather(*(twin.push() for twin in twins))
            assert all(twin.marks[-1] == AFTER for twin in twins)
            world.stop()
            lost.kill()
            if way == "dump":
                world.url = await asyncio.to_thread(restore, fresh, folder)
            else:
                await asyncio.to_thread(fresh.start)
                world.url = fresh.url(world.url.split("?")[0].rsplit("/", 1)[1])
            before = await read_archive(world.url)
            for twin in twins:
                held = before[twin.device, A]
                assert held == dict(entries(1, len(held))), "a backup has no hole"
            assert any(len(held) < AFTER for held in before.values()), (
                "nothing came after the backup"
            )
            world.replicas, world.ports = [], []
            await world.start(2)
            for twin in twins:
                twin.last = LAST  # a new reading: its answer says how far the archive is
            await asyncio.gather(*(twin.push() for twin in twins))
            after = await read_archive(world.url)
            for twin in twins:
                assert after[twin.device, A] == dict(entries(1, LAST))
            assert any(twin.marks != sorted(twin.marks) for twin in twins), "a mark went back"
        finally:
            world.stop()


async def test_a_running_replica_notices_that_its_database_is_another(tmp_path, server, folder):
    """A reading's layout is a number of the database: what a replica remembers of the lost one is none."""
    world = ArchiveWorld(tmp_path, server)
    try:
        await world.start(1)
        one = PushingTwin(world, "house-1", 20)
        one.entries = {"registers": 3}
        await one.push()
        await asyncio.to_thread(dump, server, world.url, folder)
        for registers in (4, 5):
            other = PushingTwin(world, f"house-{registers}", 20)
            other.entries = {"registers": registers}
            await other.push()
        name = world.url.split("?")[0].rsplit("/", 1)[1]
        server._run("dropdb", "--force", *where(server), name)
        server._run("createdb", *where(server), name)
        server._run("pg_restore", "--exit-on-error", f"--dbname={world.url}", str(folder / "dump"))
        other.marks = [0]
        await other.push()
        connection = await asyncpg.connect(world.url)
        wrong = await connection.fetchval(
            "SELECT count(*) FROM metertwin.entry e LEFT JOIN metertwin.layout l ON l.id = e.layout"
            " WHERE l.id IS NULL OR length(l.codes) <> 6 * cardinality(e.values)"
        )
        await connection.close()
        assert wrong == 0
        stored = await read_archive(world.url)
        assert {device: len(held) for (device, _), held in stored.items()} == {
            "house-1": 20,
            "house-5": 20,
        }
    finally:
        world.stop()


def where(server):
    return "--host=127.0.0.1", f"--port={server.port}", "--username=postgres"
