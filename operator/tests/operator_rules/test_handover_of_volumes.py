"""Twins that are handed over: what becomes of their volumes, of failed pods, on cordoned nodes."""

import contextlib
from functools import partial

import pytest
from meter_operator import decisions
from meter_operator.cluster import ClusterError
from meter_operator.desired import Key, parse_meter
from meter_operator.observed import TwinState
from meter_wire.portable.keys import derive_key
from meter_wire.word import Cover, Word, sign_word

from .street import NAMESPACE, PROFILE, Operator

VOLUME = {"version": "1", "store": {"type": "PersistentVolume", "size": "1Gi"}}
EMPTY = {"version": "1", "store": {"type": "EmptyDir"}}
ROOT = "ab" * 16


class Street(Operator):
    """One meter whose twin of epoch 1 serves."""

    def __init__(self, twin):
        super().__init__()
        self.restart(handover=True)
        self.put("twinprofiles", "household", {"spec": PROFILE})
        self.add_meter(twin=twin)

    async def serve(self):
        await self.settle()
        self.set_pod("house-1-e1")
        await self.settle()
        return self

    def say(self, epoch, word):
        """A twin's word, as the broker brings it."""
        meter = parse_meter(self.meter())
        ids = {row.epoch: row.epoch_id for row in meter.previous_epochs} | {
            meter.epoch: meter.epoch_id
        }
        if meter.status.get("handover"):
            handover = decisions.parse_handover(meter.status)
            ids[handover.epoch] = handover.epoch_id
        key = derive_key(self.fleet.meter_key("house-1", 1), "ctl", "house-1", epoch, ids[epoch])
        said = sign_word(word, epoch, key)
        self.cache.states.setdefault("house-1", {})[epoch] = TwinState(
            epoch, online=True, said=said
        )

    async def hand_over(self):
        """Change the version; the candidate becomes the meter's twin, the old one is there."""
        self.change_meter(twin={**self.meter()["spec"]["twin"], "version": "2"})
        await self.settle()
        body = self.meter()
        meter = parse_meter(body)
        handover = decisions.parse_handover(meter.status)
        body["status"] |= decisions.build_commit(meter, handover, waits=False)
        body["status"]["handover"] = None
        self.put("smartmeters", "house-1", body)
        self.set_pod("house-1-e2")

    def owners(self, claim):
        """Kinds of what a claim waits for before it goes; none if it went."""
        body = self.cluster.objects.get(("persistentvolumeclaims", NAMESPACE, claim))
        return [row["kind"] for row in body["metadata"]["ownerReferences"]] if body else []

    async def soak(self, *, ready, age_s, healthy_s=0, version="1"):
        """Hand over to version 2, whose twin is ready or not, and ask for another one again."""
        await self.hand_over()
        body = self.meter()
        meter = parse_meter(body)
        row = {"phase": "Committed", "epoch": 2, "epochId": meter.epoch_id.hex(), "keyVersion": 1,
               "source": 1, "specHash": "x", "reason": "SpecChanged",
               "begunAt": "2026-01-01T00:00:00Z"}  # fmt: skip
        body["status"]["handover"] = row
        self.put("smartmeters", "house-1", body)
        self.set_pod("house-1-e2", ready=ready)
        self.change_meter(twin={**self.meter()["spec"]["twin"], "version": version})
        now_s = [1000.0]
        self.reconciler._time_s = lambda: now_s[0]
        if healthy_s:
            self.set_pod("house-1-e2")
            await self.settle()
            now_s[0] += healthy_s
            self.set_pod("house-1-e2", ready=ready)
        await self.settle()
        now_s[0] += age_s
        await self.settle()


@pytest.fixture(params=[VOLUME, EMPTY], ids=["volume", "emptyDir"])
async def either(request):
    return await Street(request.param).serve()


@pytest.fixture
async def street():
    return await Street(VOLUME).serve()


async def test_a_twin_that_serves_is_handed_over_whatever_its_store(either):
    either.change_meter(twin={**either.meter()["spec"]["twin"], "version": "2"})
    await either.settle()
    assert either.status()["epoch"] == 1
    assert either.status()["handover"]["reason"] == "SpecChanged"
    assert either.pods() == ["house-1-e1", "house-1-e2"]


async def test_a_handover_that_is_slow_says_what_it_waits_for_until_it_is_over(either):
    now_s = [1000.0]
    either.reconciler._time_s = lambda: now_s[0]
    either.change_meter(twin={**either.meter()["spec"]["twin"], "version": "2"})
    await either.settle()
    now_s[0] += 9
    await either.settle()
    assert "waitsFor" not in either.status()
    now_s[0] += 1
    await either.settle()
    assert either.status()["waitsFor"] == "flow 2: the candidate has not connected yet"
    either.say(2, Word(store="aa"))
    await either.settle()
    text = "flow 4: the candidate has not taken everything yet"
    assert either.status()["waitsFor"] == text
    either.change_meter(twin={**either.meter()["spec"]["twin"], "version": "1"})
    await either.settle()
    assert "handover" not in either.status()
    assert "waitsFor" not in either.status()


async def test_a_twin_on_a_cordoned_node_is_handed_over(either):
    body = either.cluster.objects["pods", NAMESPACE, "house-1-e1"]
    body["spec"]["nodeName"] = "node1"
    either.set_pod("house-1-e1")
    either.cache.leaving = {Key(NAMESPACE, "house-1"): "node1"}
    await either.settle()
    assert either.status()["epoch"] == 1
    assert either.status()["handover"]["reason"] == "NodeCordoned"
    assert "house-1-e1" in either.pods()


@pytest.mark.parametrize(
    ("ready", "age_s", "epoch"), [(False, 60, 3), (False, 59, 2), (True, 600, 2)]
)
async def test_a_new_twin_that_does_not_serve_can_be_replaced_while_it_soaks(ready, age_s, epoch):
    street = await Street(EMPTY).serve()
    await street.soak(ready=ready, age_s=age_s)
    assert street.status()["epoch"] == epoch
    assert f"house-1-e{epoch}" in street.pods()
    if epoch == 3:
        assert {row["result"] for row in street.status()["handovers"]} == {"TakenOver"}
        assert {row["epoch"] for row in street.status()["previousEpochs"]} == {1, 2}
        assert "house-1-e1" in street.pods(), "the old twin is the donor"


async def test_one_failed_probe_of_a_twin_that_served_is_no_reason_to_replace_it():
    street = await Street(EMPTY).serve()
    await street.soak(ready=False, age_s=59, healthy_s=25)
    assert street.status()["epoch"] == 2


async def test_the_old_twin_stays_until_the_new_one_has_served_for_the_soak_in_one_piece():
    street = await Street(EMPTY).serve()
    await street.soak(ready=False, age_s=0, version="2")
    now_s = [street.reconciler._time_s()]
    street.reconciler._time_s = lambda: now_s[0]
    street.say(1, Word(store="5e", root=ROOT, retired=True))
    street.say(2, Word(store="5f", covers={1: Cover(ROOT, "", final=True)}))

    async def play(seconds, *, ready):
        street.set_pod("house-1-e2", ready=ready)
        await street.settle()
        now_s[0] += seconds
        await street.settle()
        return street.pods() == ["house-1-e1", "house-1-e2"]

    assert await play(10_000, ready=False), "it never came"
    assert await play(29, ready=True)
    assert await play(1, ready=False), "one failed probe"
    assert await play(29, ready=True)
    now_s[0] += 1
    await street.settle()
    assert street.pods() == ["house-1-e2"]
    assert [row["result"] for row in street.status()["handovers"]] == ["Done"]


async def test_what_a_new_twin_took_no_time_for_is_not_lost_as_soon_as_it_serves():
    street = await Street(EMPTY).serve()
    await street.soak(ready=False, age_s=10_000, version="2")
    now_s = [street.reconciler._time_s()]
    street.reconciler._time_s = lambda: now_s[0]
    street.set_pod("house-1-e2")
    await street.settle()
    for wait_s, phase in ((629, "Committed"), (1, "")):
        now_s[0] += wait_s
        await street.settle()
        assert (street.status().get("handover") or {}).get("phase", "") == phase
    assert [row["result"] for row in street.status()["handovers"]] == ["Lost"]


@pytest.mark.parametrize("proven", [True, False])
async def test_a_store_that_is_given_up_without_proof_is_told_of(proven):
    street = await Street(EMPTY).serve()
    await street.soak(ready=True, age_s=0, version="2")
    now_s = [street.reconciler._time_s()]
    street.reconciler._time_s = lambda: now_s[0]
    street.say(1, Word(store="5e", root=ROOT, retired=True))
    street.say(2, Word(store="5f", covers={1: Cover(ROOT, "", final=True)} if proven else {}))
    for wait_s in (30, 600, 600):
        now_s[0] += wait_s
        await street.settle()
    assert street.pods() == ["house-1-e2"]
    told = [one for one in street.events._waiting.values() if one["reason"] == "StoreGivenUp"]
    assert [one["type"] for one in told] == ([] if proven else ["Warning"])


async def test_what_never_began_is_removed_without_a_word():
    street = await Street(EMPTY).serve()
    await street.soak(ready=True, age_s=0, version="2")
    street.set_pod("house-1-e1", ready=False)
    street.cache.states["house-1"] = {2: TwinState(2, online=True)}
    now_s = [street.reconciler._time_s()]
    street.reconciler._time_s = lambda: now_s[0]
    for wait_s in (0, 630, 60):
        now_s[0] += wait_s
        await street.settle()
    assert street.pods() == ["house-1-e2"]
    assert "StoreGivenUp" not in {one["reason"] for one in street.events._waiting.values()}


async def test_a_new_twin_that_never_stays_ready_does_not_soak_for_ever():
    street = await Street(EMPTY).serve()
    await street.soak(ready=True, age_s=0, version="2")
    now_s = [street.reconciler._time_s()]
    street.reconciler._time_s = lambda: now_s[0]
    for _ in range(630 // 20):
        for ready, seconds in ((True, 10), (False, 10)):
            street.set_pod("house-1-e2", ready=ready)
            await street.settle()
            now_s[0] += seconds
            await street.settle()
    assert street.status()["handover"]["phase"] == "Committed"
    street.set_pod("house-1-e2")
    await street.settle()
    now_s[0] += 10
    await street.settle()
    assert not street.status().get("handover")


async def test_a_candidate_that_the_api_refuses_for_ever_is_given_up():
    street = await Street(EMPTY).serve()
    now_s = [1000.0]
    street.reconciler._time_s = lambda: now_s[0]

    def refuse(when, method, path):
        if when == "before" and method == "POST" and path.endswith("/pods"):
            raise ClusterError("creating", 422, "quota")

    street.cluster.fault = refuse
    street.change_meter(twin={**EMPTY, "version": "2"})
    for _ in range(3):
        with contextlib.suppress(AssertionError):
            await street.settle(catching=(ClusterError,), rounds=3)
        now_s[0] += 400
    (row,) = street.status()["handovers"]
    assert (row["result"], row["message"].partition(":")[0]) == ("Aborted", "DeadlineExceeded")


async def test_the_volume_of_a_twin_goes_with_its_pod_when_the_next_one_has_everything(street):
    await street.hand_over()
    street.say(1, Word(root=ROOT, retired=True))
    street.say(2, Word(covers={1: Cover(ROOT, final=True)}))
    await street.settle()
    assert street.pods() == ["house-1-e2"]
    assert street.owners("house-1-e1") in ([], ["Pod"])
    assert street.owners("house-1-e2") == ["SmartMeter"]


async def test_the_volume_of_a_twin_stays_when_something_may_be_only_there(street):
    await street.hand_over()
    street.say(1, Word(root=ROOT, retired=True))
    street.say(2, Word(covers={1: Cover("cd" * 16, final=True)}))
    await street.settle()
    assert street.pods() == ["house-1-e1", "house-1-e2"]
    before = street.reconciler._time_s
    street.reconciler._time_s = partial(lambda clock: clock() + 10_000, before)
    await street.settle()
    assert street.pods() == ["house-1-e2"]
    assert street.owners("house-1-e1") == ["SmartMeter"]


@pytest.mark.parametrize("is_open", [False, True], ids=["alone", "in a handover"])
async def test_an_evicted_twin_on_a_volume_is_made_again_in_its_epoch(street, is_open):
    if is_open:
        street.change_meter(twin={**VOLUME, "version": "2"})
        await street.settle()
    street.set_pod("house-1-e1", phase="Failed", ready=False)
    await street.settle()
    assert street.status()["epoch"] == 1
    body = street.cluster.objects["pods", NAMESPACE, "house-1-e1"]
    assert body.get("status", {}).get("phase") != "Failed"


async def test_a_twin_on_a_volume_that_does_not_serve_gets_a_changed_spec_in_its_epoch(street):
    street.set_pod("house-1-e1", ready=False)
    street.change_meter(twin={**VOLUME, "version": "2"})
    await street.settle()
    assert street.status()["epoch"] == 1
    assert not street.status().get("handover")
    (container,) = street.cluster.objects["pods", NAMESPACE, "house-1-e1"]["spec"]["containers"]
    assert container["image"].endswith(":2")


@pytest.mark.parametrize(("seen", "phase"), [("", "Frozen"), ("2026-11-21T18:00:00Z", "Preparing")])
async def test_a_meter_that_was_never_there_is_not_waited_for(either, seen, phase):
    either.change_meter(twin={**either.meter()["spec"]["twin"], "version": "2"})
    await either.settle()
    if seen:
        either.meter()["status"]["lastSeen"] = seen
        either.sync()
    either.say(1, Word(store="aa"))
    either.say(2, Word(store="bb", covers={1: Cover("")}))
    await either.settle()
    assert either.status()["handover"]["phase"] == phase
