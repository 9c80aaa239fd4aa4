"""Bad frames are refused and counted; they restart nothing, cost nothing, and readings go on.

The broker's rules let nobody but a meter's own twin and the operator write to it, so the attacker
here comes through a listener without rules (`harness`, `open_port`): what is tested is that twin
and firmware need no rules. Both are real processes over mutual TLS; what they refused is read from
the twin's status and metrics and from the firmware's own counters (`watched_meter`).
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from attack import DOWN, NUDGE, OWNER, UP, Attacker, Victims, flip, mutate, start_watched
from harness import DEVICE, World
from loopback import free_port
from oracle import read_store
from processes import wait_for

pytestmark = pytest.mark.timeout(600)
ROUNDS = 20
FRAMES = 50
"""Bad frames a round to each of `up` and `down`, and a tenth of it to `owner`.

Fewer than a twin takes before it drops some (64): a machine that is busy hands them over at once.
"""
SENT = ROUNDS * FRAMES
FLOOD = 300
NUDGED_S = 16
HELLO_S = 5
"""The meter answers a nudge with a hello once in this time."""
REASONS = {"mac": 300, "oversized": 50, "version": 50, "malformed": 20, "replayed": 3}
"""The least share of each reason, in a thousandth of what was sent."""
HELLO, WELCOME, READ = 0x01, 0x81, 0x84


@pytest.fixture
def attacker(world: World) -> Iterator[Attacker]:
    """Everything runs, the attacker has seen a session and a command."""
    port = free_port()
    world.configure_broker(open_port=port)
    start_watched(world)
    made = Attacker(port)
    try:
        world.wait_stored(6)
        made.kick(DEVICE)
        wait_for(lambda: of_type(made.frames(DOWN), WELCOME), "the attacker sees a session begin")
        world.operator.publish()
        wait_for(lambda: live_read(world), "the meter answers a command")
        wait_for(lambda: made.frames(OWNER) and of_type(made.frames(DOWN), READ), "a command")
        yield made
    finally:
        made.close()


def of_type(frames: list[bytes], kind: int) -> list[bytes]:
    return [frame for frame in frames if frame[1:2] == bytes([kind])]


def count_stored(world: World) -> int:
    return len(read_store(world.twin.store).entries)


def live_read(world: World, timeout_s: int = 5) -> bool:
    """Whether the meter itself answers within the time."""
    status, document = world.ask("GET", f"/v1/registers?live=1&timeout={timeout_s}")
    return bool(status == 200 and document["source"] == "metered")


def storm(attacker: Attacker, victims: Victims, choose: random.Random) -> None:
    """Send some hundred frames of each kind of damage in both directions.

    A round begins when the one before is counted, so that no queue overflows.
    """
    twin, meter = victims.refused_by_twin().total(), victims.refused_by_meter().total()
    for number in range(1, ROUNDS + 1):
        attacker.send(UP, mutate(attacker.frames(UP), choose, FRAMES))
        attacker.send(DOWN, mutate(attacker.frames(DOWN), choose, FRAMES))
        attacker.send(OWNER, mutate(attacker.frames(OWNER), choose, FRAMES // 10))
        by_twin = twin + number * FRAMES
        by_meter = meter + number * (FRAMES + FRAMES // 10)
        wait_counted(victims.refused_by_twin, by_twin, f"round {number} is counted by the twin")
        wait_counted(victims.refused_by_meter, by_meter, f"round {number} is counted by the meter")


def wait_counted(count: Callable[[], Counter[str]], total: int, what: str) -> None:
    """Wait for a sum; say which reasons have been counted if it never comes."""
    begun = count()
    try:
        wait_for(lambda: count().total() >= total, what)
    except AssertionError as error:
        told = f"{what}: {total}, begun with {begun}, now {count()}"
        raise AssertionError(told) from error


def flood(attacker: Attacker, choose: random.Random) -> None:
    """Send more than anybody can count, without pace: some are dropped, none does harm."""
    for topic in (UP, DOWN):
        attacker.send(topic, mutate(attacker.frames(topic), choose, FLOOD), qos=0)


class Look(NamedTuple):
    """What there is to see before and after a storm; the figures settle first."""

    at_s: float
    twin_kib: int
    meter_heap: int
    log_lines: int
    by_twin: Counter[str]
    by_meter: Counter[str]


def is_quiet(victims: Victims) -> bool:
    """Whether for two seconds nothing more is refused: what was sent has been read."""
    before = victims.refused_by_twin(), victims.refused_by_meter()
    time.sleep(2)
    return before == (victims.refused_by_twin(), victims.refused_by_meter())


def look(world: World, victims: Victims) -> Look:
    wait_for(lambda: is_quiet(victims), "all that was sent is read")
    heap = victims.heap_of_meter()
    counts = victims.refused_by_twin(), victims.refused_by_meter()
    now_s = time.monotonic()
    return Look(now_s, world.twin.resident_kib(), heap, victims.log_lines(), *counts)


def check_counted(before: Look, after: Look) -> None:
    """Every bad frame was refused, for each of the reasons that the damage gives."""
    by_twin, by_meter = after.by_twin - before.by_twin, after.by_meter - before.by_meter
    assert by_twin.total() >= SENT
    assert by_meter.total() >= SENT * 11 // 10
    for reason, share in REASONS.items():
        for counted in (by_twin, by_meter):
            assert counted[reason] >= SENT * share // 1000, (reason, counted)


def test_a_storm_of_bad_frames_is_refused_and_counted_and_costs_nothing(
    world: World, attacker: Attacker
) -> None:
    victims, choose = Victims(world), random.Random(1)
    pids = world.twin.pid, world.firmware.pid
    looks = [look(world, victims)]
    for _ in range(2):
        logged, stored = len(world.oracle()), count_stored(world)
        storm(attacker, victims, choose)
        assert len(world.oracle()) > logged + 2, "the meter goes on measuring meanwhile"
        assert count_stored(world) > stored + 2, "and the twin storing"
        flood(attacker, choose)
        looks.append(look(world, victims))
    before, once, twice = looks
    print(*looks, sep="\n")
    check_counted(before, once)
    check_counted(once, twice)
    assert once.twin_kib - before.twin_kib < 2048
    assert twice.twin_kib - once.twin_kib < 512
    assert once.meter_heap - before.meter_heap < 8192
    assert twice.meter_heap - once.meter_heap < 2048
    hellos = (twice.at_s - once.at_s) // HELLO_S  # the twin logs each; bad frames provoke them
    assert twice.log_lines - once.log_lines < 10 + hellos
    assert (world.twin.pid, world.firmware.pid) == pids
    assert "task" not in world.firmware.log
    wait_for(lambda: live_read(world), "a command passes")
    world.wait_stored()
    world.check()


def test_a_retained_frame_is_refused_at_the_next_subscription(
    world: World, attacker: Attacker
) -> None:
    victims = Victims(world)
    attacker.leave(UP, attacker.frames(UP)[-1])
    attacker.leave(DOWN, attacker.frames(DOWN)[-1])
    for client_id in (DEVICE, f"{DEVICE}/1"):
        attacker.kick(client_id)
    wait_for(lambda: victims.refused_by_twin()["retained"] >= 1, "refused by the twin")
    wait_for(lambda: victims.refused_by_meter()["retained"] >= 1, "refused by the meter")
    for topic in (UP, DOWN):
        attacker.leave(topic, b"")
    wait_for(lambda: live_read(world), "the link is back")
    world.wait_stored(12)
    world.check()


def more_than(victims: Victims, count: int) -> int:
    """Return how many owner records the meter refused as too old; 0 if no more than `count`."""
    found = victims.refused_by_meter()["counter"]
    return found if found > count else 0


def test_an_older_owner_record_is_refused_retained_or_not(world: World, attacker: Attacker) -> None:
    victims, known = Victims(world), attacker.frames(OWNER)
    old = known[-1]
    world.operator.prepare()
    world.operator.abort()
    wait_for(lambda: len(attacker.frames(OWNER)) >= len(known) + 2, "two newer records")
    before = victims.refused_by_meter()["counter"]
    attacker.leave(OWNER, old)
    once = wait_for(lambda: more_than(victims, before), "refused")
    attacker.kick(DEVICE)
    wait_for(lambda: more_than(victims, once), "refused again")
    wait_for(lambda: live_read(world), "the meter keeps to the newer record")
    world.wait_stored(12)
    world.check()


def test_a_command_that_comes_after_its_time_is_refused_and_so_is_its_copy(
    world: World, attacker: Attacker
) -> None:
    victims = Victims(world)
    answers: list[bool] = []
    before = len(of_type(attacker.frames(DOWN), READ))
    with world.firmware.suspended():
        asking = threading.Thread(target=lambda: answers.append(live_read(world, 1)))
        asking.start()
        wait_for(lambda: len(of_type(attacker.frames(DOWN), READ)) > before, "the twin has asked")
        time.sleep(2.5)
    asking.join(90)
    assert answers == [False]
    wait_for(lambda: victims.refused_by_meter()["expired"] == 1, "it came too late")
    late = of_type(attacker.frames(DOWN), READ)[-1]
    replayed = victims.refused_by_meter()["replayed"]
    attacker.send(DOWN, [late] * 3)
    wait_for(lambda: victims.refused_by_meter()["replayed"] == replayed + 3, "its copies")
    wait_for(lambda: live_read(world), "the next command is answered")
    world.wait_stored(8)
    world.check()


def provoke_nudge(attacker: Attacker) -> bytes:
    """Return the last nudge of the twin, which a frame with a wrong MAC provokes."""
    attacker.send(UP, [flip(attacker.frames(UP)[-1], 16)])
    return next(reversed(of_type(attacker.frames(DOWN), NUDGE)), b"")


def test_a_replayed_nudge_costs_a_hello_in_five_seconds_at_most(
    world: World, attacker: Attacker
) -> None:
    nudge = wait_for(lambda: provoke_nudge(attacker), "the twin asks for a hello", period_s=1)
    hellos, stored = len(of_type(attacker.frames(UP), HELLO)), count_stored(world)
    begun = time.monotonic()

    def nudged() -> bool:
        attacker.send(DOWN, [nudge])
        if time.monotonic() - begun < NUDGED_S:
            return False
        return count_stored(world) > stored + NUDGED_S // 3

    wait_for(nudged, "readings go on meanwhile")
    said = len(of_type(attacker.frames(UP), HELLO)) - hellos
    assert said <= (time.monotonic() - begun) // HELLO_S + 1
    world.wait_stored(12)
    world.check()
