"""Rules for a cluster that was put back, and for twins that wait to be taken from.

Each was found by the simulation of handovers.
"""

import copy

import pytest
from meter_operator.desired import parse_meter
from meter_operator.handover import Patience
from meter_operator.observed import Observed, Pod, TwinState
from meter_operator.succession import Succession
from meter_wire.word import NO_WORD

from .street import NAMESPACE

DEVICE = "house-1"


async def test_a_twin_of_a_status_that_was_lost_may_still_act_so_the_next_one_waits(operator):
    operator.add_meter()
    operator.cache.raise_witness(DEVICE, 3, 5)
    await operator.settle()
    assert operator.status()["epoch"] == 4
    assert operator.status()["authorityWaitSeconds"] == 120


async def test_the_first_twin_ever_does_not_wait(operator):
    operator.add_meter()
    await operator.settle()
    assert "authorityWaitSeconds" not in operator.status()


async def test_a_status_put_back_right_after_a_decision_is_not_taken_for_the_decision(operator):
    operator.add_meter()

    def put_back(when, method, path):
        if when == "after" and method == "PATCH" and path.endswith("/status"):
            operator.cluster.fault = lambda *_: None
            row = ("smartmeters", NAMESPACE, DEVICE)
            operator.cluster._version += 1
            before = copy.deepcopy(operator.cluster.objects[row])
            operator.cluster._store(row, before | {"status": {}})
            operator.sync()

    operator.cluster.fault = put_back
    await operator.settle()
    assert operator.status()["epoch"] == 2


def pod(epoch):
    return Pod(
        name=f"{DEVICE}-e{epoch}", uid=str(epoch), epoch=epoch, phase="Running", ready=True,
        deleting=False, node="", spec_hash="", template_hash="", version="",
        certificate_not_after="", message="",
    )  # fmt: skip


async def test_the_time_to_take_from_an_older_twin_runs_only_while_somebody_takes(operator):
    operator.add_meter()
    await operator.settle()
    succession = Succession(None, None, None, bytes, Patience())
    meter = parse_meter(operator.meter())

    def ages(now_s, *, online):
        states = {1: TwinState(1, online)} if online is not None else {}
        observed = Observed(meter, pods=(pod(1), pod(9)), states=states)
        return succession.clock(observed, now_s).older_s

    assert ages(0, online=None) == {}
    assert ages(5000, online=False) == {}
    assert ages(6000, online=True) == {9: 0}
    assert ages(6599, online=True) == {9: 599}
    assert ages(6600, online=False) == {}
    assert ages(6700, online=True) == {9: 0}


async def test_a_donor_that_says_something_new_has_its_whole_time_again(operator):
    """One that was away until just before the end still has what nobody else may have."""
    operator.add_meter()
    await operator.settle()
    succession = Succession(None, None, None, bytes, Patience())
    meter = parse_meter(operator.meter())

    def age(now_s, **donor):
        states = {1: TwinState(1, online=True), 9: TwinState(9, **donor)}
        observed = Observed(meter, pods=(pod(1), pod(9)), states=states)
        return succession.clock(observed, now_s).older_s[9]

    assert age(0, online=True) == 0
    assert age(500, online=True) == 500, "what it says is what it said"
    assert age(550, online=False) == 0
    assert age(1100, online=False) == 550, "silence goes on"
    assert age(1101, online=True) == 0
    retired = NO_WORD._replace(retired=True)
    assert age(1200, online=True, word=retired) == 0
    assert age(1900, online=True, word=retired) == 700


@pytest.mark.parametrize("bare", [False, True], ids=["its-word", "no-word-until-it-is-told"])
async def test_a_donor_that_crashes_again_and_again_and_gives_nothing_has_a_time_too(
    operator, bare
):
    operator.add_meter()
    await operator.settle()
    succession = Succession(None, None, None, bytes, Patience(final_s=600))
    meter = parse_meter(operator.meter())

    def age(now_s, root="ab"):
        """Its last will says nothing; a start says what it said, perhaps not before it is told."""
        word = NO_WORD._replace(root=root, retired=True)
        words = {0: NO_WORD if bare else word, 50: word}
        online = now_s % 200 in words
        states = {1: TwinState(1, online=True)}
        states[9] = TwinState(9, online, word=words.get(now_s % 200, NO_WORD))
        observed = Observed(meter, pods=(pod(1), pod(9)), states=states)
        return succession.clock(observed, now_s).older_s[9]

    assert max(age(now_s) for now_s in range(0, 3600, 50)) < 600
    assert age(3700) >= 600, "an hour of that is enough"
    assert age(3850, root="cd") < 600, "it says something new"
    assert max(age(now_s, root="cd") for now_s in range(4000, 7400, 50)) < 600
    assert age(7600, root="cd") >= 600


async def test_an_older_twin_stays_if_the_one_that_has_everything_goes_at_that_moment(operator):
    """The Secret is let go of first; meanwhile the pod that serves is deleted."""
    operator.restart(handover=True)
    operator.add_meter()
    await operator.settle()
    (meter,) = operator.cache.meters.values()
    active = operator.cluster.objects["pods", NAMESPACE, "house-1-e1"]
    older = copy.deepcopy(active)
    operator.put("pods", "house-1-e0", older)
    operator.cluster.objects["pods", NAMESPACE, "house-1-e0"]["metadata"]["uid"] = "0"
    old = Pod(**{**{f: getattr(pod(0), f) for f in Pod.__slots__}, "name": "house-1-e0"})
    twins = operator.reconciler._twins

    def lose(when, method, path):
        if when == "after" and method == "PATCH" and "secrets" in path:
            operator.cluster.fault = lambda *_: None
            operator.cache.pods[meter.key].pop("house-1-e1")

    secret = operator.cluster.objects["secrets", NAMESPACE, "house-1-e1"]
    operator.put("secrets", "house-1-e0", copy.deepcopy(secret))
    operator.cluster.fault = lose
    await twins.remove(meter, old, is_older=True)
    assert "house-1-e0" in operator.pods()
    operator.sync()
    await twins.remove(meter, old, is_older=True)
    assert "house-1-e0" not in operator.pods()
