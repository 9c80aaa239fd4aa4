"""A twin is lost with its store: archive and ring together make the new one's whole.

Everything is real: PostgreSQL, the archive, Mosquitto, twins, and a meter whose ring is far too
small for what it has measured. The oracle is the meter's own log.
"""

import asyncio
import json
import shutil
import time
import urllib.request

import pytest
from archive_world import ArchiveWorld
from harness import World
from oracle import read_store
from processes import wait_for

pytestmark = pytest.mark.timeout(600)
RING_BYTES = 5760
ENTRIES = 100
MORE_THAN_A_RING = 65
"""Entries that surely do not fit into it."""


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def archive(world, server):
    """One replica of the archive, with the world's authority."""
    made = ArchiveWorld(world.folder, server, world.authority)
    asyncio.run(made.start(1))
    world.twin_settings["archive"] = {"host": "localhost", "port": made.ports[0]}
    yield made
    made.stop()


def look(world):
    """Return what the active twin says about the archive."""
    url = f"http://127.0.0.1:{world.twin.local}/v1/status"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["archive"]
    except OSError:  # it does not serve yet
        return {"behind": -1, "restore": {"state": "", "restored": 0}}


def fill(world):
    """Measure far more than the ring holds, until all of it is in the archive."""
    world.start(ring_bytes=RING_BYTES)
    world.wait_stored(ENTRIES, 200)
    wait_for(lambda: look(world)["behind"] == 0, "all is in the archive")


def lose(world):
    """Lose the active twin with its store; return how many entries it had."""
    lost = world.twin
    lost.kill()
    count = len(read_store(lost.store).entries)
    shutil.rmtree(lost.store.parent)
    world.operator.take_over()
    return count


def wait_whole(world):
    """Wait until the ring was taken in, and nothing is lacking; return what the twin says."""

    def is_whole():
        said, ledger = look(world)["restore"], read_store(world.twin.store)
        return said["state"] == "whole" and len(ledger.entries) >= ENTRIES and not ledger.reasons()

    wait_for(is_whole, "the store is whole", 200)
    return look(world)["restore"]


@pytest.mark.usefixtures("archive")
def test_a_twin_that_is_lost_with_its_store_is_rebuilt_from_archive_and_ring(world):
    fill(world)
    assert lose(world) >= ENTRIES
    world.twin.start()
    said = wait_whole(world)
    ledger = world.check()
    assert ledger.holes[next(iter(ledger.raw))] == []
    assert said["restored"] >= ENTRIES - MORE_THAN_A_RING
    assert said["missing"] == 0
    wait_for(lambda: look(world)["behind"] == 0, "the archive goes on")


@pytest.mark.usefixtures("archive")
def test_the_new_twin_is_killed_again_and_again_while_it_fills_its_store(world):
    fill(world)
    lose(world)
    for pause_s in (0.5, 0.9, 1.3, 1.6, 2.0):
        world.twin.start()
        time.sleep(pause_s)
        world.twin.kill()
    world.twin.start()
    wait_whole(world)
    world.check()


def test_an_archive_that_is_away_or_dies_keeps_no_twin_from_its_meter(world, archive):
    fill(world)
    archive.replicas[0].kill()
    lose(world)
    world.twin.start()
    logged = len(world.oracle())
    newest = list(world.oracle())[-1]
    wait_for(lambda: len(world.oracle()) > logged + 3, "the meter measures on")
    wait_for(lambda: newest in read_store(world.twin.store).entries, "the ring is taken in")
    wait_for(lambda: look(world)["restore"]["state"] == "failing", "it says so")
    assert read_store(world.twin.store).reasons() == {3}
    archive.replicas[0].start()
    wait_for(lambda: look(world)["restore"]["restored"] or wait_whole(world), "it begins", 200)
    archive.replicas[0].kill()
    archive.replicas[0].start()
    wait_whole(world)
    world.check()


@pytest.mark.usefixtures("archive")
def test_two_takeovers_in_a_row_lose_nothing(world):
    """The store is lost again before it was whole, and the archive has entries of three epochs."""
    fill(world)
    for _ in range(2):
        lose(world)
        world.twin.start()
        time.sleep(1.0)
    wait_whole(world)
    world.check()
    wait_for(lambda: look(world)["behind"] == 0, "the archive goes on")
    lose(world)
    world.twin.start()
    wait_whole(world)
    world.check()
