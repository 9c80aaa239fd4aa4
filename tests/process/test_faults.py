"""Nothing is lost and nothing counted twice, whichever process dies whenever.

Real processes over mutual TLS; the oracle is the firmware's own log. See `harness`. Each test
ends with `settle`, and runs for the whole firmware and the small one, whose port has no TLS and
whose readings have no power (`small_world`). Neighbour: `test_clock`.
"""

import random
import shutil
import time
from typing import Any

import pytest
from final_check import settle
from harness import World
from oracle import read_store
from processes import Process, wait_for
from small_world import both_builds, both_builds_at_night

pytestmark = pytest.mark.timeout(600)
OVERFLOW, RESERVED, RELEASED = 1, 2, 3
RING_OVERFLOW, INCARNATION_NEW = 14, 16


def restart(process: Process) -> None:
    """Kill -9 and start again."""
    process.kill()
    process.start()


def test_readings_and_events_arrive_over_mutual_tls(world: World) -> None:
    world.start()
    world.wait_stored(8)
    ledger = world.check()
    assert {kind for kind, _ in ledger.entries.values()} == {1, 2}

    def live() -> Any:
        status, document = world.ask("GET", "/v1/registers?live=1")
        assert status == 200
        return document if document["source"] == "metered" else None

    document = wait_for(live, "the meter itself answers")
    assert document["registers"]["1-0:16.7.0*255"] == {"value": 230, "unit": "W"}


@both_builds
def test_a_twin_killed_at_random_loses_nothing(world: World) -> None:
    world.start()
    choose = random.Random(1)
    for _ in range(5):
        time.sleep(choose.uniform(0.3, 2.5))
        restart(world.twin)
    settle(world)


@both_builds
@pytest.mark.parametrize("persistence", [False, True], ids=["volatile", "persistent"])
def test_a_broker_killed_at_random_loses_nothing(world: World, persistence: bool) -> None:
    world.configure_broker(persistence=persistence)
    world.start()
    choose = random.Random(2)
    for _ in range(4):
        time.sleep(choose.uniform(0.5, 3))
        restart(world.broker)
    settle(world)


@both_builds
def test_a_meter_killed_at_random_loses_and_repeats_nothing(world: World) -> None:
    world.start()
    choose = random.Random(3)
    for _ in range(8):
        time.sleep(choose.uniform(0.2, 2.5))
        restart(world.firmware)
    ledger = settle(world)
    assert len(ledger.raw) == 1


@both_builds
def test_everything_killed_together_loses_nothing(world: World) -> None:
    world.start()
    world.wait_stored(4)
    for _ in range(3):
        for process in (world.broker, world.firmware, world.twin):
            process.kill()
        world.start_broker()
        world.firmware.start()
        world.twin.start()
        time.sleep(3)
    settle(world)


@both_builds
def test_a_store_that_is_gone_is_rebuilt_from_the_ring_by_the_next_epoch(world: World) -> None:
    world.start()
    world.wait_stored(10)
    world.twin.kill()
    shutil.rmtree(world.twin.store.parent)
    old = world.operator.active
    world.operator.take_over()
    world.twin.start()
    assert world.operator.active == old + 1
    world.wait_stored(12)
    settle(world)


@both_builds_at_night
def test_what_the_ring_no_longer_has_is_a_hole_of_the_new_store_only(world: World) -> None:
    world.start(ring_bytes=4096, ring_segments=3)
    wait_for(lambda: len(world.oracle()) > 45, "the ring goes round", 240)
    world.wait_stored()
    world.check()
    world.twin.kill()
    world.operator.take_over()
    world.twin.start()
    ledger = settle(world, {RELEASED})
    ((first, last, _),) = next(iter(ledger.holes.values()))
    assert first == 1
    assert last < max(seq for _, seq in world.oracle()) - 8


@both_builds_at_night
def test_a_broker_away_for_half_the_ring_costs_nothing(world: World) -> None:
    # About 165 entries at one a second: after half of it the meter may wait another minute.
    world.start(ring_bytes=57344, ring_segments=7)
    world.wait_stored(6)
    world.broker.kill()
    before = len(world.oracle())
    wait_for(lambda: len(world.oracle()) > before + 80, "half the ring fills", 240)
    world.start_broker()
    world.wait_stored(timeout_s=240)
    settle(world)


@both_builds
def test_an_overflowing_ring_declares_a_counted_hole_and_goes_on(world: World) -> None:
    world.start(ring_bytes=4096, ring_segments=3)
    world.wait_stored(6)
    world.broker.kill()
    before = len(world.oracle())
    wait_for(
        lambda: len(world.oracle()) > before + world.more_than_a_ring, "the ring overflows", 240
    )
    world.start_broker()
    ledger = settle(world, {OVERFLOW})
    (holes,) = ledger.holes.values()
    missing = sum(last - first + 1 for first, last, _ in holes)
    stored = len(ledger.entries)
    assert missing > 20
    assert missing + stored == max(seq for _, seq in ledger.entries)
    assert RING_OVERFLOW in ledger.event_codes()


@both_builds
def test_a_lost_flash_state_begins_a_new_incarnation_beside_the_old(world: World) -> None:
    world.start()
    world.wait_stored(8)
    world.operator.stop()
    world.firmware.kill()
    world.lose_flash_state()
    world.firmware.start()
    time.sleep(3)
    assert len(read_store(world.twin.store).raw) == 1, "accepted without an owner record"
    world.operator.start()
    # A hello that nobody answered is said again after QUIET_MS, a minute (`meter_epochs`).
    wait_for(lambda: len(read_store(world.twin.store).raw) == 2, "the new incarnation", 240)
    ledger = settle(world)
    assert len(ledger.raw) == 2
    assert INCARNATION_NEW in ledger.event_codes()


@both_builds
def test_a_killed_operator_stops_nothing(world: World) -> None:
    world.start()
    world.wait_stored(5)
    world.operator.stop()
    restart(world.broker)
    restart(world.twin)
    before = len(world.oracle())
    wait_for(lambda: len(world.oracle()) > before + 4, "metering goes on")
    world.wait_stored(before + 4)
    world.operator.start()
    settle(world)


@both_builds
def test_a_handover_over_one_connection_gives_both_twins_everything(world: World) -> None:
    world.start()
    world.wait_stored(6)
    old = world.twin
    candidate = world.operator.prepare()
    world.twins[candidate].start()
    wait_for(
        lambda: len(read_store(world.twins[candidate].store).entries) > 6, "the candidate fills"
    )
    world.wait_stored(8)
    world.check()
    world.operator.commit()
    before = len(world.oracle())
    wait_for(lambda: len(world.oracle()) > before + 4, "metering goes on")
    settle(world)
    stored = read_store(old.store).entries
    time.sleep(2)
    assert read_store(old.store).entries == stored, "a retired epoch got something"


@both_builds
def test_an_aborted_handover_leaves_the_active_twin_alone(world: World) -> None:
    world.start()
    world.wait_stored(5)
    candidate = world.operator.prepare()
    world.twins[candidate].start()
    time.sleep(2)
    world.twins[candidate].kill()
    world.operator.abort()
    before = len(world.oracle())
    wait_for(lambda: len(world.oracle()) > before + 3, "metering goes on")
    settle(world)


@both_builds
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_random_kills_of_everything_for_minutes(world: World, seed: int) -> None:
    choose = random.Random(seed)
    world.configure_broker(persistence=choose.random() < 0.5)
    world.start()
    end = time.monotonic() + 120
    while time.monotonic() < end:
        time.sleep(choose.expovariate(0.7))
        victim = choose.choice((world.twin, world.twin, world.broker, world.firmware))
        victim.kill()
        time.sleep(choose.choice((0, 0, 0.5, 4)))
        victim.start()
        if choose.random() < 0.08:
            world.twin.kill()
            shutil.rmtree(world.twin.store.parent, ignore_errors=True)
            world.operator.take_over()
            world.twin.start()
    settle(world, timeout_s=180)
