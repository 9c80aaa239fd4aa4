"""The simulated world itself: what it plays is what it says that it plays, again and again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .faults import CELLS, NAMES, Faults
from .mutations import IN_CALM
from .oracle import Broken
from .phases import FROZEN
from .play import played
from .replacing import Mutation
from .seeds import FailedError, run_seed
from .tally import find_noted
from .world import PATIENCE, World

ROOT = Path(__file__).parents[2]
SEEDS = 2000
GOES_ON_S = 5
COMMAND = (sys.executable, "-m", "tests.handover_simulation")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(1, tmp_path)
    with played(world.scheduler):
        while world.problems():
            world.run(5)
        yield world


def test_an_upgrade_without_faults_is_a_handover(world: World) -> None:
    upgrade_in_calm(world)


@pytest.mark.parametrize("broken", IN_CALM)
def test_an_upgrade_without_faults_shows_what_is_slow(
    world: World, broken: Mutation, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch.setattr)
    with pytest.raises(AssertionError, match="applications go on"):
        upgrade_in_calm(world)


def upgrade_in_calm(world: World) -> None:
    """Upgrade; nothing else happens."""
    (old,) = world.nodes.twins.values()
    world.want(1)
    while world.status["epoch"] == 1:
        world.run(1)
    assert old.store is not None
    before = find_noted(old.store)
    world.run(GOES_ON_S)
    new = world.active
    assert new is not None
    assert new.handover.may_feed, "applications go on at once"
    world.run(60)
    assert world.problems() == ""
    assert world.status["epoch"] == 2
    assert world.active is new
    assert new.store is not None
    after = find_noted(new.store)
    assert before.entries < after.entries
    assert any("application state taken over" in text for _, text in world.scheduler.story)
    assert after.total == len(after.entries), "its state knows of all that the old one was handed"
    assert [row["result"] for row in world.status["handovers"]] == ["Done"]


def test_a_twin_on_a_node_that_is_cut_off_still_has_the_broker_and_the_meter(world: World) -> None:
    (twin,) = world.nodes.twins.values()
    world.nodes.lose_pod("house-1-e1", after_s=100)
    world.run(4)
    assert world.status["epoch"] == 2
    assert twin.alive
    assert twin.session is not None
    assert twin.gate.is_retired, "it was told by the broker, the only way that is left"
    world.run(240)
    assert not twin.alive
    assert world.problems() == ""


def test_a_leader_stands_still_between_what_it_has_read_and_its_decision(world: World) -> None:
    faults = Faults(world)
    faults.do("leader_paused_deciding")
    world.want(1)
    world.run(14)
    assert "handover" not in world.status
    world.run(100)
    terms = [text for _, text in world.scheduler.story if "leads" in text]
    assert len(terms) == 2
    assert world.status["epoch"] == 2
    assert world.problems() == ""


def test_a_meter_that_is_paused_while_its_twin_is_frozen_has_a_twin_again_in_time(
    world: World,
) -> None:
    """The proof does not come: the deadline runs, and the twin that was frozen acts again."""
    (twin,) = world.nodes.twins.values()

    def cut(phase: str) -> None:
        if phase == FROZEN and "handovers" not in world.status:
            world.nodes.peers_cut_until_ms = world.scheduler.now_ms + 120_000
            world.pause(paused=True)

    world.phase_changed = cut
    world.want(1)
    while world.status.get("handover", {}).get("phase") != "Frozen":
        world.run(1)
    assert not twin.has_authority
    world.run(PATIENCE.frozen_s + 5)
    assert [row["result"] for row in world.status["handovers"]] == ["Aborted"]
    assert twin.has_authority
    world.run(120)
    assert world.status["highestEpoch"] == 2, "nothing begins"
    world.pause(paused=False)
    world.run(200)
    assert world.problems() == ""


def test_a_broker_comes_back_with_what_it_had_saved(world: World) -> None:
    before = dict(world.broker.retained)
    world.want(1)
    world.run(60)
    assert world.broker.retained.keys() != before.keys()
    world.broker.kill(10_000, retained=before)
    world.run(9)
    assert world.broker.retained.keys() == before.keys()


def test_a_twin_serves_through_six_tries_given_up_and_hears_of_its_end(world: World) -> None:
    """Status keeps five epochs: the one that serves must not fall out among those given up."""
    (twin,) = world.nodes.twins.values()
    world.nodes.slow_until_ms = 1 << 60
    world.want(1)
    while world.status["highestEpoch"] < 8:
        world.run(20)
        assert twin.has_authority
        assert world.scheduler.now_ms < 7_200_000, world.status
    assert {row["result"] for row in world.status["handovers"]} == {"Aborted"}
    world.nodes.slow_until_ms = 0
    for _ in range(300):
        world.run(20)
        if not world.problems():
            break
    assert world.problems() == ""
    assert world.status["epoch"] > 8
    assert twin.gate.is_retired


def test_a_broker_that_has_forgotten_a_stop_does_not_end_it(world: World) -> None:
    (twin,) = world.nodes.twins.values()
    before = dict(world.broker.retained)
    world.stop_loads(stopped=True)
    world.run(5)
    assert twin.gate.memory.stopped
    for operator in world.operators:
        operator.exit(200_000)
    world.broker.kill(1_000, retained=before)
    world.run(100)
    assert twin.has_authority, "it has read the older record, and believes that it is active"
    assert twin.gate.memory.stopped
    twin.kill()
    twin.start()
    world.run(60)
    assert twin.has_authority
    assert twin.gate.memory.stopped, "its store remembers it"


def test_a_stop_is_known_within_seconds_to_old_and_new_twin_and_ends_as_soon(world: World) -> None:
    (old,) = world.nodes.twins.values()
    world.want(1)
    while len(world.nodes.twins) == 1 or any(not twin.ready for twin in (old,)):
        world.run(1)
    world.stop_loads(stopped=True)
    while world.status["epoch"] == 1:
        world.run(1)
    world.run(3)
    new = world.active
    assert new is not None
    assert [twin.gate.memory.stopped for twin in (old, new)] == [True, True]
    world.stop_loads(stopped=False)
    world.run(8)
    assert not new.gate.memory.stopped
    world.run(60)
    assert world.problems() == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_alone_is_survived(world: World, name: str) -> None:
    faults = Faults(world)
    faults.steer(FROZEN, name)
    world.want(1)
    world.run(200)
    for _ in range(100):
        if not world.problems():
            return
        world.run(20)
    raise AssertionError(world.problems())


def test_a_candidate_deletes_nothing_that_its_application_waits_for(world: World) -> None:
    """A meter that was away brings readings past their time to both; only one hands them on."""
    world.meter.cut(30_000)

    def expire(_phase: str) -> None:
        for twin in [one for one in world.nodes.all if one.alive and not one.gate.is_active]:
            world.ledger.deleted(sorted(twin.expire(1)))

    world.phase_changed = expire
    world.want(1)
    while world.status["epoch"] == 1:
        world.run(1)
    world.meter.measures = False
    world.run(75)
    assert world.problems() == ""


def test_a_falling_epoch_is_broken(world: World) -> None:
    world.oracle.forwarded(3)
    world.oracle.forwarded(2)
    with pytest.raises(Broken, match="epoch 2 after epoch 3"):
        world.run(1)


def test_a_key_in_a_message_is_broken(world: World) -> None:
    (twin,) = world.nodes.twins.values()
    world.broker.route("mt/house-1/1/state", b'{"k":"%s"}' % twin.keys["up"].hex().encode(),
                       retain=False)  # fmt: skip
    with pytest.raises(Broken, match="a key of epoch 1 is in"):
        world.run(1)


def test_an_entry_that_only_the_ring_had_is_excused_when_the_flash_is_lost(world: World) -> None:
    world.meter.cut(1000)
    world.run(5)
    last = world.meter.ring.head
    Faults(world).do("meter_flash_lost")
    assert ("flash" in world.ledger.counts) == (last > 0)
    assert set(world.ledger.counts) <= {"flash"}


def test_an_entry_in_a_lost_store_is_not_excused_while_the_ring_has_it(world: World) -> None:
    world.nodes.lose_pod("house-1-e1")
    world.run(8)
    held = {entry for entry in world.ledger.excused if entry in set(world.ring())}
    assert held == set()


def test_a_store_that_the_operator_gives_up_excuses_nothing(world: World) -> None:
    (twin,) = world.nodes.twins.values()
    world.meter.ring.capacity = 12
    world.run(100)
    world.nodes.slow_until_ms = world.scheduler.now_ms + 300_000  # the ring goes round before
    world.cluster.change(lambda: world.cluster.objects.pop(("pods", "street", "house-1-e1")))
    with pytest.raises(Broken, match="is held by nobody"):
        world.run(600)
    assert twin not in world.nodes.lasting


def test_two_processes_play_a_seed_in_the_same_way() -> None:
    told = [
        subprocess.run(
            [*COMMAND, "--seed", "11"], cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONHASHSEED": number},
        ).stdout
        for number in ("1", "2")
    ]  # fmt: skip
    assert "digest" in told[0]
    assert told[0] == told[1]


def test_a_failing_seed_tells_its_story_and_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(World, "problems", lambda _self: "all is lost")
    with pytest.raises(FailedError) as caught:
        run_seed(3)
    told = str(caught.value).split("\n")
    assert told[0] == "seed 3: all is lost"
    assert any("leads, term 1" in line for line in told)
    assert any("FAULT" in line for line in told)
    assert told[-1] == "again: python -m tests.handover_simulation --seed 3"


@pytest.mark.timeout(2400)
def test_two_thousand_seeds_hold_and_meet_every_fault_in_every_phase() -> None:
    done = subprocess.run(
        [*COMMAND, "--seeds", f"0-{SEEDS - 1}", "--strict"], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS} seeds" in done.stdout
    assert len(CELLS) == 7 * len(NAMES)
