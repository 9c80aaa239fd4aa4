"""The database is away for an hour, in real time: nothing is lost, nothing grows, all comes back.

PostgreSQL, the archive, Mosquitto, the twin and the meter are real; the meter measures each second.
`OUTAGE_S` makes it another time. Shorter outages: `test_archive_faults`.
"""

import asyncio
import os
import time

import pytest
from archive_world import ArchiveWorld
from fleet_of_batches import read_archive
from harness import DEVICE, World
from postgres_server import PostgresServer
from processes import wait_for
from test_archive_faults import resident
from test_archive_rebuild import look

OUTAGE_S = int(os.environ.get("OUTAGE_S", "3600"))
MIB = 1 << 20


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(OUTAGE_S + 900)
def test_a_database_that_is_away_an_hour_costs_nothing(world):
    with PostgresServer() as postgres:
        archive = ArchiveWorld(world.folder, postgres, world.authority)
        try:
            asyncio.run(archive.start(1))
            world.twin_settings["archive"] = {"host": "localhost", "port": archive.ports[0]}
            world.start()
            world.wait_stored(10, 100)
            wait_for(lambda: look(world)["behind"] == 0, "all is in the archive")
            processes = [archive.replicas[0], world.twin]
            before = [resident(one) for one in processes]
            postgres.kill()
            until = time.monotonic() + OUTAGE_S
            while time.monotonic() < until:
                time.sleep(min(10, OUTAGE_S))
                assert all(one.runs for one in [*processes, world.firmware])
            grown = [
                (resident(one) - was) / MIB for one, was in zip(processes, before, strict=True)
            ]
            assert max(grown) < 8, grown
            assert look(world)["behind"] > OUTAGE_S / 2, "the meter measured on"
            postgres.start()
            wait_for(lambda: look(world)["behind"] == 0, "the archive has it all", 400)
            archived = asyncio.run(read_archive(archive.url))
            ledger = world.check()
        finally:
            archive.stop()
    ((incarnation, rows),) = ledger.raw.items()
    held = archived[DEVICE, bytes.fromhex(incarnation)]
    assert sorted(held) == list(range(1, len(held) + 1))
    assert len(held) > OUTAGE_S / 2
    assert held == {seq: raw for seq, raw in rows if seq in held}
