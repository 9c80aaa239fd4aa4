"""Rollouts over simulated fleets: bounds at every step, and an end whatever happens."""

import math
import random
import time
from pathlib import Path

import pytest
import yaml
from meter_operator.rollout import BY_USER, TOO_MANY_FAILURES, Policy, parse_policy

from .simulated_fleet import Fleet, patient

SEEDS = range(2)
CRD = Path(__file__).resolve().parents[3] / "crds" / "twinprofiles.metertwin.io.yaml"


def once(share, seed):
    """A share of the meters fails its first two tries."""
    chosen = random.Random(seed).sample(range(10_000), int(10_000 * share))
    names = {f"m{number}" for number in chosen}
    return lambda name, target, tries: target != "v1" and name in names and tries < 2


def test_what_a_profile_leaves_out_is_what_its_resource_has_as_default():
    (crd,) = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    spec = crd["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields = spec["rollout"]["properties"]
    defaults = {name: row["default"] for name, row in fields.items() if "default" in row}
    assert parse_policy({"rollout": defaults}) == parse_policy({}) == Policy()
    assert len(fields) == len(Policy._fields)


def test_ten_thousand_meters_are_updated_in_waves_though_some_fail_at_first():
    fleet = Fleet(10_000, 1, patient(max_concurrent=1_000, canary=5), fails=once(0.02, 1))
    fleet.change("v2")
    begun = time.process_time()
    ticks = fleet.run(400)
    assert fleet.versions() == {"v2": 10_000}
    assert fleet.failures == 400
    assert fleet.most <= 1_000
    assert ticks < 2 * 10_000 / 1_000 * 6
    assert time.process_time() - begun < 15


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("canary", [0, 1, 7])
def test_a_bad_version_stops_by_itself(seed, canary):
    policy = Policy(max_concurrent=20, canary=canary, max_failures=5)
    fleet = Fleet(500, seed, policy, fails=lambda *_: True)
    fleet.change("bad")
    stopped = fleet.run(200, until=lambda outlook: outlook.stopped == TOO_MANY_FAILURES)
    for _ in range(stopped + 200):
        fleet.tick()
    assert 5 <= fleet.failures <= 5 + 20
    assert fleet.versions() == {"v1": 500}
    assert not fleet.ends


@pytest.mark.parametrize("seed", SEEDS)
def test_one_that_is_bad_for_some_only_stops_in_the_fleet_wave(seed):
    policy = Policy(max_concurrent=50, canary=3, max_failures=4)
    fleet = Fleet(10_000, seed, policy, fails=lambda name, *_: int(name[1:]) % 3 == 0)
    fleet.change("bad")
    fleet.run(100, until=lambda outlook: outlook.stopped == TOO_MANY_FAILURES)
    for _ in range(20):
        assert not fleet.tick().permits
    assert fleet.failures <= 4 + 50


@pytest.mark.parametrize("seed", SEEDS)
def test_twins_that_are_lost_meanwhile_are_replaced_and_hold_up_nobody(seed):
    fleet = Fleet(10_000, seed, patient(max_concurrent=500, canary=5), fails=once(0.01, seed))
    fleet.change("v2")
    chance = random.Random(seed)
    for _ in range(40):
        fleet.tick()
        fleet.lose(chance.sample(sorted(fleet.meters), 20))
    fleet.run(400)
    assert fleet.versions() == {"v2": 10_000}
    assert fleet.replaced > 50, "some of those lost were still of the version before"
    assert fleet.most <= 500


def test_lost_twins_that_are_replaced_and_never_get_ready_stop_a_rollout():
    policy = Policy(max_concurrent=20, max_failures=5)
    fleet = Fleet(500, 1, policy, fails=lambda *_: True)
    fleet.lose(fleet.meters)
    fleet.change("bad")
    fleet.run(2_000, until=lambda outlook: outlook.stopped == TOO_MANY_FAILURES)
    for _ in range(100):
        assert not fleet.tick().permits
    assert fleet.replaced <= 20


def test_a_small_fleet_of_which_each_try_fails_stops_too():
    fleet = Fleet(2, 1, Policy(max_failures=3), fails=lambda *_: True)
    fleet.change("bad")
    fleet.run(2_000, until=lambda outlook: outlook.stopped == TOO_MANY_FAILURES)
    assert fleet.failures == 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_paused_rollout_begins_nothing_and_goes_on_when_it_is_resumed(seed):
    fleet = Fleet(500, seed, patient(max_concurrent=20))
    fleet.change("v2")
    for _ in range(30):
        fleet.tick()
    fleet.policy = fleet.policy._replace(paused=True)
    fleet.tick()
    begun = fleet.begun
    for _ in range(50):
        assert fleet.tick().stopped == BY_USER
    assert fleet.begun == begun
    assert not fleet.ends
    fleet.policy = fleet.policy._replace(paused=False)
    fleet.run(300)
    assert fleet.versions() == {"v2": 500}


@pytest.mark.parametrize("seed", SEEDS)
def test_one_that_paused_itself_goes_on_when_its_failures_are_forgiven(seed):
    fleet = Fleet(300, seed, Policy(max_failures=3), fails=once(0.5, seed))
    fleet.change("v2")
    for _ in range(300):
        outlook = fleet.tick()
        if outlook.wave == "Done":
            break
        if outlook.stopped:
            fleet.policy = fleet.policy._replace(resumed_s=fleet.now_s)
    else:
        fleet.policy = fleet.policy._replace(resumed_s=math.inf)
        fleet.run(1_000)
    assert fleet.versions() == {"v2": 300}


@pytest.mark.parametrize("seed", SEEDS)
def test_offline_meters_wait_and_block_nobody(seed):
    fleet = Fleet(1_000, seed, patient(max_concurrent=50, canary=3))
    away = {f"m{number}" for number in range(0, 1_000, 7)}
    fleet.set_offline(away)
    fleet.change("v2")
    fleet.run(300, until=lambda outlook: outlook.counts.updated == 1_000 - len(away))
    for _ in range(20):
        outlook = fleet.tick()
    assert (outlook.wave, outlook.counts.offline, outlook.permits) == ("Fleet", len(away), {})
    assert fleet.versions()["v1"] == len(away)
    fleet.set_offline(())
    fleet.run(100)
    assert fleet.versions() == {"v2": 1_000}


def test_offline_meters_are_no_reason_to_wait_if_the_profile_says_so():
    fleet = Fleet(200, 1, patient(offline_commits=True))
    fleet.set_offline({f"m{number}" for number in range(50)})
    fleet.change("v2")
    fleet.run(300)
    assert fleet.versions() == {"v2": 200}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rollback_in_the_middle_brings_everybody_back_without_a_canary(seed):
    fleet = Fleet(1_000, seed, patient(max_concurrent=50, canary=5))
    fleet.change("v2")
    fleet.run(100, until=lambda outlook: outlook.counts.updated > 400)
    fleet.change("v1")
    assert fleet.tick().wave == "Fleet"
    fleet.run(200)
    assert fleet.versions() == {"v1": 1_000}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_third_version_in_the_middle_has_canaries_of_its_own(seed):
    fleet = Fleet(1_000, seed, patient(max_concurrent=50, canary=5))
    fleet.change("v2")
    fleet.run(100, until=lambda outlook: outlook.counts.updated > 400)
    fleet.change("v3")
    assert fleet.tick().wave == "Canary"
    fleet.run(300)
    assert fleet.versions() == {"v3": 1_000}


@pytest.mark.parametrize("seed", SEEDS)
def test_operators_that_restart_at_any_step_keep_the_bounds_and_forget_no_failure(seed):
    policy = Policy(max_concurrent=30, canary=3, max_failures=6)
    fleet = Fleet(500, seed, policy, fails=lambda name, *_: int(name[1:]) % 3 == 0)
    fleet.change("v2")
    chance = random.Random(seed)
    for _ in range(400):
        fleet.tick()
        if chance.random() < 0.4:
            fleet.restart()
    assert fleet._look().stopped == TOO_MANY_FAILURES
    assert fleet.failures <= 6 + 30
    assert fleet.most <= 30


@pytest.mark.parametrize("seed", SEEDS)
def test_progress_never_stalls_while_anything_can_begin(seed):
    """One meter that fails for ever is tried later and later, and holds up nobody."""
    fleet = Fleet(300, seed, patient(max_concurrent=3), fails=lambda name, *_: name == "m7")
    fleet.change("v2")
    ticks = fleet.run(2_000, until=lambda outlook: outlook.counts.updated == 299)
    assert ticks < 300 / 3 * 6 * 1.5
    outlook = fleet.tick()
    assert outlook.counts.failed == 1 or outlook.counts.in_progress == 1


def test_the_same_fleet_and_seed_go_the_same_way():
    def course():
        fleet = Fleet(300, 4, patient(), fails=once(0.1, 4))
        fleet.change("v2")
        return [fleet.tick().permits for _ in range(100)]

    assert course() == course()
