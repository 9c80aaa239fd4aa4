"""A soak goes on where a restart left it, and ends when another twin is wanted."""

import copy
import time
from datetime import UTC, datetime

import pytest
from meter_operator.desired import Key
from meter_wire.word import Cover, Word

from .street import NAMESPACE
from .test_handover_of_volumes import EMPTY, ROOT, Street
from .test_rollouts import Street as Fleet
from .test_rollouts import version

SOAK_S = 7 * 86400
LONG = {"soakSeconds": SOAK_S, "canary": 0}


@pytest.fixture
async def fleet():
    """Four meters; two of them soak a version for a week, with a place for no other."""
    made = Fleet()
    await made.populate(4)
    await made.step(6)
    made.change_profile(twin=version("0.2.0"), rollout=LONG | {"maxConcurrent": 2})
    await made.step(1)
    soaking = made.under_way()
    for name in soaking:
        made.commit(name)
        await made.settle(name)
    assert len(soaking) == 2
    return made


def row_of(street, name="house-1"):
    return street.status(name)["handovers"][0]


async def test_a_version_is_left_in_the_middle_of_its_soak(fleet):
    soaking = fleet.under_way()
    fleet.change_profile(twin=version(""), rollout=LONG | {"maxConcurrent": 2})
    await fleet.step(1)
    await fleet.step(1)
    assert fleet.under_way() == soaking
    for name in soaking:
        assert (row_of(fleet, name)["result"], row_of(fleet, name)["to"]) == ("Superseded", 2)
        assert fleet.status(name)["epoch"] == 2, "it serves until the next one does"
        handover = fleet.status(name)["handover"]
        assert (handover["epoch"], handover["source"]) == (3, 2)
        assert {f"{name}-e{epoch}" for epoch in (1, 2, 3)} <= set(fleet.pods()), "a donor stays"


async def test_a_soak_that_is_wanted_goes_on(fleet):
    soaking = fleet.under_way()
    await fleet.step(3600)
    assert fleet.under_way() == soaking
    assert {fleet.status(name)["epoch"] for name in soaking} == {2}


async def test_while_the_profile_is_paused_a_soak_goes_on(fleet):
    soaking = fleet.under_way()
    fleet.change_profile(twin=version("0.3.0"), rollout=LONG | {"paused": True})
    await fleet.step(1)
    await fleet.step(1)
    assert {fleet.status(name)["handover"]["phase"] for name in soaking} == {"Committed"}


@pytest.mark.parametrize("ready", [True, False])
async def test_a_changed_spec_and_a_cordon_end_a_soak_of_a_twin_that_serves(ready):
    for change in ("spec", "cordon", "store"):
        street = await Street(EMPTY).serve()
        await street.soak(ready=True, age_s=5, version="2")
        street.set_pod("house-1-e2", ready=ready)
        if change == "spec":
            street.change_meter(capturePeriodSeconds=300)
        elif change == "store":
            volume = {"type": "PersistentVolume", "size": "1Gi"}
            street.change_meter(twin={"version": "2", "store": volume})
        else:
            body = street.cluster.objects["pods", NAMESPACE, "house-1-e2"]
            body["spec"]["nodeName"] = "node1"
            street.set_pod("house-1-e2", ready=ready)
            street.cache.leaving = {Key(NAMESPACE, "house-1"): "node1"}
        await street.settle()
        if ready:
            assert street.status()["epoch"] == 2, "handed over, never taken over"
            assert street.status()["handover"]["phase"] == "Preparing"
            assert street.pods() == ["house-1-e1", "house-1-e2", "house-1-e3"]
        elif change != "store":  # which is no other twin's to read
            assert street.status()["handover"]["phase"] == "Committed"


async def soak(*, past_s, ready_s):
    """A soak of a week that began `past_s` ago; its twin is ready for `ready_s`."""
    street = await Street(EMPTY).serve()
    profile = copy.deepcopy(street.cluster.objects["twinprofiles", NAMESPACE, "household"])
    profile["spec"]["rollout"] = {"soakSeconds": SOAK_S}
    street.put("twinprofiles", "household", profile)
    await street.soak(ready=True, age_s=0, version="2")
    body = copy.deepcopy(street.meter())
    body["status"]["handover"] |= {"committedAt": say(past_s)} if past_s else {}
    for row in body["status"]["conditions"]:
        row["lastTransitionTime"] = say(ready_s)
    street.put("smartmeters", "house-1", body)
    street.restart(handover=True)
    return street


def say(past_s):
    return datetime.fromtimestamp(time.time() - past_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("past_s", "ready_s", "done"),
    [
        (SOAK_S + 5, SOAK_S + 5, True),
        (SOAK_S - 60, SOAK_S + 5, False),
        (SOAK_S + 5, 60, False),
        (-SOAK_S, SOAK_S + 5, False),
        (0, SOAK_S + 5, False),
    ],
    ids=["over", "not-over", "ready-since-a-minute", "a-clock-that-was-ahead", "not-said"],
)
async def test_a_restart_forgets_no_soak(past_s, ready_s, done):
    street = await soak(past_s=past_s, ready_s=ready_s)
    street.say(1, Word(store="5e", root=ROOT, retired=True))
    street.say(2, Word(store="5f", covers={1: Cover(ROOT, "", final=True)}))
    await street.settle()
    assert (street.status().get("handover") is None) is done
    assert (street.pods() == ["house-1-e2"]) is done


@pytest.mark.parametrize("past_s", [SOAK_S + 5000, 60])
async def test_a_restart_takes_no_time_from_who_takes_what_is_left(past_s):
    street = await soak(past_s=past_s, ready_s=SOAK_S + 5000)
    now_s = [1000.0]
    street.reconciler._time_s = lambda: now_s[0]
    left_s = max(0, SOAK_S - past_s)
    for wait_s, phase in ((0, "Committed"), (left_s + 598, "Committed"), (2, "")):
        now_s[0] += wait_s
        await street.settle()
        assert (street.status().get("handover") or {}).get("phase", "") == phase
    assert row_of(street)["result"] == "Lost"
