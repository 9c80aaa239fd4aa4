"""`spec.deletionPolicy: Wait`: a deleted SmartMeter stays until nothing stored would be lost."""

import copy
import json

import pytest
from meter_operator import decisions
from meter_operator.cluster import ClusterError
from meter_operator.deletion import find_finalizers, find_obstacle, parse_taken
from meter_operator.desired import ANNOTATION_TAKEN, FINALIZER, FOREGROUND, Key, parse_meter
from meter_operator.memory_cluster import DELETED_AT
from meter_operator.observed import Observed, Pod, TwinState

from .street import NAMESPACE, PROFILE, SPEC, Fault, Operator

HOUSE = "house-1"
ID, OTHER_ID = "0a" * 16, "0b" * 16
BEFORE, AFTER = "2026-01-01T23:59:59Z", "2026-01-02T00:00:01Z"
FOREIGN = "example.com/theirs"
VOLUME = {"version": "", "store": {"type": "PersistentVolume", "size": "1Gi"}}
PREPARING = {
    "phase": "Preparing", "epoch": 3, "epochId": OTHER_ID, "keyVersion": 1, "source": 2,
    "specHash": "h", "reason": "SpecChanged", "begunAt": BEFORE,
}  # fmt: skip


def body(*, policy="Wait", deleted=True, finalizers=(FINALIZER,), taken=None, **status):
    """Return a SmartMeter whose active epoch is 2."""
    metadata = {
        "name": HOUSE, "namespace": NAMESPACE, "uid": "uid", "resourceVersion": "7",
        "finalizers": list(finalizers),
        "annotations": {} if taken is None else {ANNOTATION_TAKEN: taken},
    }  # fmt: skip
    if deleted:
        metadata["deletionTimestamp"] = DELETED_AT
    spec = SPEC | ({"deletionPolicy": policy} if policy else {})
    return {"metadata": metadata, "spec": spec, "status": {"epoch": 2, "epochId": ID} | status}


def pod(epoch, **changes):
    fields = {
        "name": f"{HOUSE}-e{epoch}", "uid": str(epoch), "epoch": epoch, "phase": "Running",
        "ready": True, "deleting": False, "node": "", "spec_hash": "", "template_hash": "",
        "version": "", "certificate_not_after": "", "message": "",
    }  # fmt: skip
    return Pod(**fields | changes)


def reason_of(meter, *pods, claims=()):
    found = find_obstacle(Observed(parse_meter(meter), pods=pods), claims)
    return found.reason if found else None


OBSTACLES = [
    ("nobody has taken anything", body(), (pod(2),), (), "ReadingsNotTaken"),
    ("taken after the deletion", body(taken=f"{ID} {AFTER}"), (pod(2),), (), None),
    ("taken in the second of the deletion", body(taken=f"{ID} {DELETED_AT}"), (pod(2),), (), None),
    ("in another zone", body(taken=f"{ID} 2026-01-02T02:00:01+02:00"), (pod(2),), (), None),
    ("taken before it", body(taken=f"{ID} {BEFORE}"), (pod(2),), (), "ReadingsNotTaken"),
    ("before it in another zone", body(taken=f"{ID} 2026-01-02T00:00:01+02:00"), (pod(2),), (),
     "ReadingsNotTaken"),
    ("from a twin that was replaced since", body(taken=f"{OTHER_ID} {AFTER}"), (pod(2),), (),
     "ReadingsNotTaken"),
    ("even if its pod is gone by now", body(taken=f"{ID} {AFTER}"), (), (), None),
    ("a handover is open", body(taken=f"{ID} {AFTER}", handover=PREPARING), (pod(2),), (),
     "HandoverOpen"),
    ("or committed and not at its end",
     body(taken=f"{ID} {AFTER}", handover=PREPARING | {"phase": "Committed"}), (pod(2),), (),
     "HandoverOpen"),
    ("an older twin may hold more", body(taken=f"{ID} {AFTER}"), (pod(1), pod(2)), (),
     "StoresNotPassedOn"),
    ("a candidate that was given up, too", body(taken=f"{ID} {AFTER}"), (pod(2), pod(3)), (),
     "StoresNotPassedOn"),
    ("not one that is going", body(taken=f"{ID} {AFTER}"), (pod(1, deleting=True), pod(2)), (),
     None),
    ("not one that has failed", body(taken=f"{ID} {AFTER}"), (pod(1, phase="Failed"), pod(2)), (),
     None),
    ("a volume of an older epoch is left", body(taken=f"{ID} {AFTER}"), (pod(2),), ("house-1-e1",),
     "StoresNotPassedOn"),
    ("a meter that never had a twin", body(epoch=0, epochId=""), (), (), None),
    ("one whose status was lost and whose twin is there", body(epoch=0, epochId=""), (pod(2),), (),
     "StoresNotPassedOn"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("meter", "pods", "claims", "reason"),
    [row[1:] for row in OBSTACLES], ids=[row[0] for row in OBSTACLES],
)  # fmt: skip
def test_what_is_not_yet_safe(meter, pods, claims, reason):
    assert reason_of(meter, *pods, claims=claims) == reason


@pytest.mark.parametrize(
    "text",
    ["", " ", "true", AFTER, ID, f"{ID}  {AFTER}", f"{ID} {AFTER} ", f"{ID} {AFTER}\n",
     f"{ID[:-1]} {AFTER}", f"{ID.upper()} {AFTER}", f"{ID} 2026-01-02", f"{ID} 2026-13-02T00:00:01Z",
     f"{ID} 2026-01-02T00:00:01", f"{ID} {AFTER};{ID} {AFTER}", f"{ID} ٢٠٢٦-01-02T00:00:01Z"],
)  # fmt: skip
def test_a_malformed_annotation_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_taken(text)
    if text:
        found = find_obstacle(Observed(parse_meter(body(taken=text)), pods=(pod(2),)))
        assert found.reason == "AnnotationRefused"
        assert ANNOTATION_TAKEN in found.message
        assert "kubectl meter export house-1" in found.message


def test_each_reason_to_wait_names_the_way_out():
    rows = [row for row in OBSTACLES if row[-1]]
    for _, meter, pods, claims, _ in rows:
        found = find_obstacle(Observed(parse_meter(meter), pods=pods), claims)
        assert """kubectl patch meter house-1 -n street --type=merge -p '{"spec":{"del""" in (
            found.message
        )


FINALIZERS = [
    ("the default costs nothing", body(policy="", deleted=False, finalizers=()), None),
    ("nor does Delete", body(policy="Delete", deleted=False, finalizers=(FOREIGN,)), None),
    ("Wait adds ours", body(deleted=False, finalizers=(FOREIGN,)), [FOREIGN, FINALIZER]),
    ("once", body(deleted=False), None),
    ("another policy removes it", body(policy="Delete", deleted=False, finalizers=(FINALIZER, FOREIGN)),
     [FOREIGN]),
    ("also while the deletion waits", body(policy="Delete"), []),
    ("or is in the foreground", body(policy="Delete", finalizers=(FOREGROUND, FINALIZER)),
     [FOREGROUND]),
    ("a deleted one takes no new one", body(finalizers=(FOREIGN,)), None),
    ("and keeps ours", body(), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("meter", "wanted"), [row[1:] for row in FINALIZERS], ids=[row[0] for row in FINALIZERS]
)
def test_the_finalizer_follows_the_policy(meter, wanted):
    assert find_finalizers(parse_meter(meter)) == wanted


class Street(Operator):
    """One meter whose deletion is to wait."""

    def __init__(self, *, handover=False, **spec):
        super().__init__()
        self.restart(handover=handover)
        self.put("twinprofiles", "household", {"spec": PROFILE})
        self.add_meter(**{"deletionPolicy": "Wait"} | spec)

    async def serve(self, epoch=1):
        await self.settle()
        self.set_pod(f"{HOUSE}-e{epoch}")
        await self.settle()
        return self

    @property
    def exists(self):
        return ("smartmeters", NAMESPACE, HOUSE) in self.cluster.objects

    def finalizers(self):
        return self.meter()["metadata"].get("finalizers") or []

    async def change(self, **patch):
        await self.cluster.merge("SmartMeter", NAMESPACE, HOUSE, patch)
        self.sync()

    async def add_finalizer(self, name):
        await self.change(metadata={"finalizers": [*self.finalizers(), name]})

    async def take(self, moment=AFTER, epoch_id=None):
        """Somebody has exported the readings."""
        text = f"{epoch_id or self.status()['epochId']} {moment}"
        await self.change(metadata={"annotations": {ANNOTATION_TAKEN: text}})

    async def delete(self):
        await self.cluster.remove("SmartMeter", NAMESPACE, HOUSE)
        self.sync()

    def lose_pod(self, name):
        self.delete_pod(name)

    def reasons(self):
        return [row["reason"] for row in self.events._waiting.values()]


@pytest.fixture
async def street():
    return await Street().serve()


async def test_without_the_policy_nothing_is_written_and_a_deletion_is_at_once():
    street = await Street(deletionPolicy="Delete").serve()
    street.cluster.log.clear()
    street.restart()
    await street.settle()
    assert street.cluster.log == []
    assert street.finalizers() == []
    await street.delete()
    assert not street.exists
    assert street.pods() == []


async def test_the_finalizer_is_there_before_anything_else(street):
    rows = [row for row in street.cluster.log if HOUSE in row]
    assert rows[0] == "PATCH smartmeters/house-1"
    assert street.finalizers() == [FINALIZER]
    assert sum(row.startswith("PATCH smartmeters") for row in rows) == 3  # one more than without


async def test_a_restart_with_nothing_changed_writes_nothing(street):
    for prepare in (None, street.delete):
        if prepare:
            await prepare()
            await street.settle()
        before = street.cluster.writes
        street.restart()
        await street.settle()
        assert street.cluster.writes == before
        assert street.reasons() == []


async def test_a_deleted_meter_stays_ready_and_says_what_is_missing_once(street):
    street.events._waiting.clear()
    await street.delete()
    await street.settle()
    await street.settle()
    assert street.exists
    assert street.pods() == [f"{HOUSE}-e1"]
    assert street.condition()["status"] == "True"
    found = street.condition("Deletable")
    assert (found["status"], found["reason"]) == ("False", "ReadingsNotTaken")
    assert "kubectl meter export house-1 -n street --out FILE" in found["message"]
    assert street.reasons() == ["ReadingsNotTaken"]


async def test_a_meter_that_is_not_deleted_has_no_such_condition(street):
    assert street.condition("Deletable") is None


async def test_what_has_been_taken_may_go(street):
    await street.delete()
    await street.settle()
    await street.take()
    await street.settle()
    assert not street.exists
    assert street.pods() == street.secrets() == []
    assert "DeletionGoesOn" in street.reasons()


async def test_what_was_taken_before_the_deletion_has_to_be_taken_again(street):
    await street.take(BEFORE)
    await street.delete()
    await street.settle()
    assert street.condition("Deletable")["reason"] == "ReadingsNotTaken"
    await street.take()
    await street.settle()
    assert not street.exists


async def test_an_annotation_that_nobody_understands_is_told(street):
    await street.delete()
    await street.change(metadata={"annotations": {ANNOTATION_TAKEN: "yes"}})
    await street.settle()
    assert street.exists
    assert street.condition("Deletable")["reason"] == "AnnotationRefused"


@pytest.mark.parametrize("prepare", [None, "paused", "profile"])
async def test_giving_up_what_is_stored_is_always_possible(street, prepare):
    """Also for a meter that the operator leaves as it is."""
    await street.delete()
    if prepare == "paused":
        await street.change(metadata={"annotations": {"metertwin.io/paused": "true"}})
    elif prepare == "profile":
        del street.cluster.objects["twinprofiles", NAMESPACE, "household"]
        street.restart()
    await street.settle()
    assert street.exists
    await street.change(spec={"deletionPolicy": "Delete"})
    await street.settle()
    assert not street.exists


async def test_a_paused_meter_goes_too_when_its_readings_were_taken(street):
    await street.change(metadata={"annotations": {"metertwin.io/paused": "true"}})
    await street.settle()
    await street.delete()
    await street.settle()
    assert street.condition("Deletable")["reason"] == "ReadingsNotTaken"
    await street.take()
    await street.settle()
    assert not street.exists


async def test_a_meter_that_never_had_a_twin_is_deleted_at_once():
    street = Street(profile="nowhere")
    await street.settle()
    assert street.finalizers() == [FINALIZER]
    await street.delete()
    await street.settle()
    assert not street.exists
    assert street.pods() == []


async def test_the_policy_may_be_changed_on_a_meter_that_serves(street):
    await street.change(spec={"deletionPolicy": "Delete"})
    await street.settle()
    assert street.finalizers() == []
    await street.change(spec={"deletionPolicy": "Wait"})
    await street.settle()
    assert street.finalizers() == [FINALIZER]
    assert street.pods() == [f"{HOUSE}-e1"]
    assert street.status()["epoch"] == 1


async def test_a_finalizer_that_somebody_adds_meanwhile_is_not_lost():
    street = Street()

    def interfere(when, method, path):
        if when == "before" and method == "PATCH" and path.endswith(f"/smartmeters/{HOUSE}"):
            street.cluster.fault = lambda *_: None
            meter = copy.deepcopy(street.meter())
            meter["metadata"]["finalizers"] = [
                FOREIGN,
                *(meter["metadata"].get("finalizers") or []),
            ]
            street.cluster._version += 1
            street.cluster._store(("smartmeters", NAMESPACE, HOUSE), meter)

    street.cluster.fault = interfere
    await street.serve()
    assert street.finalizers() == [FOREIGN, FINALIZER]
    await street.delete()
    await street.settle()
    await street.take()
    street.cluster.fault = interfere
    street.cluster.objects["smartmeters", NAMESPACE, HOUSE]["metadata"]["finalizers"] = [FINALIZER]
    street.restart()
    await street.settle()
    assert street.finalizers() == [FOREIGN]


async def test_the_annotation_of_an_epoch_that_was_taken_over_meanwhile_counts_for_nothing(street):
    """The decision is made on the version that was looked at."""
    await street.delete()
    await street.settle()
    first = street.status()["epochId"]
    street.lose_pod(f"{HOUSE}-e1")
    await street.settle()
    assert street.status()["epoch"] == 2
    street.set_pod(f"{HOUSE}-e2")
    await street.take(epoch_id=first)
    await street.settle()
    assert street.exists
    assert "another epoch" in street.condition("Deletable")["message"]
    await street.take()
    await street.settle()
    assert not street.exists


async def test_while_a_deletion_waits_a_lost_twin_is_taken_over(street):
    await street.delete()
    await street.settle()
    street.lose_pod(f"{HOUSE}-e1")
    await street.settle()
    assert street.pods() == [f"{HOUSE}-e2"]
    assert street.condition("Deletable")["reason"] == "ReadingsNotTaken"


async def test_a_volume_that_was_not_passed_on_is_waited_for():
    street = await Street(twin=VOLUME).serve()
    street.change_meter(twin={"version": "", "store": {"type": "EmptyDir"}})
    await street.settle()
    street.set_pod(f"{HOUSE}-e2")
    await street.settle()
    await street.delete()
    await street.take()
    await street.settle()
    found = street.condition("Deletable")
    assert found["reason"] == "StoresNotPassedOn"
    assert f"{HOUSE}-e1" in found["message"]
    del street.cluster.objects["persistentvolumeclaims", NAMESPACE, f"{HOUSE}-e1"]
    await street.settle()
    assert not street.exists


async def test_a_volume_that_was_not_passed_on_is_waited_for_whatever_has_been_since():
    street = await Street(twin=VOLUME).serve()
    street.change_meter(twin={"version": "", "store": {"type": "EmptyDir"}})
    await street.settle()
    for epoch in range(2, 9):
        street.set_pod(f"{HOUSE}-e{epoch}")
        street.lose_pod(f"{HOUSE}-e{epoch}")
        await street.settle()
    assert 1 not in {row["epoch"] for row in street.status()["previousEpochs"]}
    street.set_pod(f"{HOUSE}-e9")
    await street.delete()
    await street.take()
    await street.settle()
    assert street.condition("Deletable")["reason"] == "StoresNotPassedOn"
    assert f"{HOUSE}-e1" in street.condition("Deletable")["message"]


async def test_a_volume_is_mounted_again_while_a_deletion_waits():
    street = await Street(twin=VOLUME).serve()
    await street.delete()
    await street.settle()
    street.lose_pod(f"{HOUSE}-e1")
    await street.settle()
    assert street.pods() == [f"{HOUSE}-e1"]
    assert street.status()["epoch"] == 1


@pytest.mark.parametrize("handover", [False, True])
@pytest.mark.parametrize(
    "change",
    [{"capturePeriodSeconds": 300}, {"twin": {"version": "9", "store": {"type": "EmptyDir"}}},
     {"twin": VOLUME}],
    ids=["period", "version", "store"],
)  # fmt: skip
async def test_a_changed_spec_begins_nothing_while_a_deletion_waits(handover, change):
    street = await Street(handover=handover).serve()
    await street.delete()
    await street.settle()
    street.change_meter(**change)
    await street.settle()
    assert street.status()["epoch"] == 1
    assert "handover" not in street.status()
    assert street.pods() == [f"{HOUSE}-e1"]


@pytest.mark.parametrize("is_ready", [True, False])
async def test_a_changed_spec_stops_no_twin_on_a_volume_either(is_ready):
    street = await Street(twin=VOLUME).serve()
    uid = street.cluster.objects["pods", NAMESPACE, f"{HOUSE}-e1"]["metadata"]["uid"]
    await street.delete()
    street.set_pod(f"{HOUSE}-e1", ready=is_ready)
    street.change_meter(capturePeriodSeconds=300)
    await street.settle()
    assert street.cluster.objects["pods", NAMESPACE, f"{HOUSE}-e1"]["metadata"]["uid"] == uid


async def test_a_store_that_is_lost_is_replaced_by_what_the_spec_says_by_then(street):
    """An emptyDir is never made again as a volume of the same epoch."""
    await street.delete()
    street.change_meter(twin=VOLUME)
    await street.settle()
    street.lose_pod(f"{HOUSE}-e1")
    await street.settle()
    assert street.status()["epoch"] == 2
    assert street.cluster.names("persistentvolumeclaims") == [f"{HOUSE}-e2"]


async def test_a_twin_that_has_failed_is_replaced_by_what_the_spec_says_by_then(street):
    await street.delete()
    street.change_meter(twin=VOLUME)
    await street.settle()
    street.set_pod(f"{HOUSE}-e1", phase="Failed", ready=False)
    await street.settle()
    assert street.status()["epoch"] == 2


async def test_the_decision_of_a_takeover_leaves_the_condition_as_it_is(street):
    await street.delete()
    await street.settle()
    before = street.condition("Deletable")
    street.lose_pod(f"{HOUSE}-e1")
    street.cluster.fault = Fault(1, "after")
    with pytest.raises(ClusterError):
        await street.settle()
    assert street.status()["epoch"] == 2
    assert street.condition("Deletable") == before


async def test_a_meter_that_has_gone_though_the_answer_was_lost_is_no_error(street):
    await street.delete()
    await street.settle()
    await street.take()
    street.cluster.fault = Fault(1, "after")
    with pytest.raises(ClusterError):
        await street.settle()
    assert not street.exists
    await street.settle()


async def test_a_handover_that_is_open_is_carried_to_its_end():
    street = await Street(handover=True).serve()
    street.change_meter(capturePeriodSeconds=300)
    await street.settle()
    assert street.status()["handover"]["phase"] == "Preparing"
    await street.delete()
    await street.take()
    await street.settle()
    assert street.condition("Deletable")["reason"] == "HandoverOpen"
    changed = street.meter()
    meter = parse_meter(changed)
    changed["status"] |= decisions.build_commit(
        meter, decisions.parse_handover(meter.status), waits=False
    )
    street.put("smartmeters", HOUSE, changed)
    await street.settle()
    assert street.condition("Deletable")["reason"] == "HandoverOpen"
    changed = street.meter()
    changed["status"]["handover"] = None
    street.put("smartmeters", HOUSE, changed)
    street.set_pod(f"{HOUSE}-e2")
    await street.settle()
    assert street.condition("Deletable")["reason"] == "StoresNotPassedOn"
    street.lose_pod(f"{HOUSE}-e1")
    await street.settle()
    assert street.condition("Deletable")["reason"] == "ReadingsNotTaken"
    await street.take()
    await street.settle()
    assert not street.exists


async def test_a_node_is_left_while_a_deletion_waits():
    """A drain would not end otherwise: the disruption budget refuses the eviction."""
    street = await Street(handover=True).serve()
    street.cluster.objects["pods", NAMESPACE, f"{HOUSE}-e1"]["spec"]["nodeName"] = "node-a"
    street.set_pod(f"{HOUSE}-e1")
    await street.delete()
    street.cache.leaving = {Key(NAMESPACE, HOUSE): "node-a"}
    await street.settle()
    assert street.status()["handover"]["reason"] == "NodeCordoned"


class Always:
    """A rollout that lets everybody begin."""

    def permit(self, _meter):
        return "Handover"

    def reserve(self, _meter):
        """Nothing to note."""


async def test_no_rollout_begins_while_a_deletion_waits():
    street = await Street(handover=True).serve()
    profile = json.loads(json.dumps(PROFILE))
    profile["twin"]["version"] = "9"
    for deleted, expected in ((True, [f"{HOUSE}-e1"]), (False, [f"{HOUSE}-e1", f"{HOUSE}-e2"])):
        street = await Street(handover=True).serve()
        street.reconciler._rollouts = Always()
        street.cache.states[HOUSE] = {1: TwinState(1, online=True, meter="connected")}
        if deleted:
            await street.delete()
            await street.settle()
        street.put("twinprofiles", "household", {"spec": profile})
        await street.settle()
        assert street.pods() == expected


@pytest.mark.parametrize("finalizers", [(FOREGROUND,), (FOREGROUND, FINALIZER), (FOREIGN,)])
async def test_what_kubernetes_removes_by_itself_is_not_made_again(street, finalizers):
    """It would be removed again, and made again, without end."""
    meter = street.meter()
    meter["metadata"] |= {"finalizers": list(finalizers), "deletionTimestamp": DELETED_AT}
    street.put("smartmeters", HOUSE, meter)
    street.lose_pod(f"{HOUSE}-e1")
    before = street.cluster.writes
    await street.settle()
    assert street.cluster.writes == before
    assert street.pods() == []


async def test_after_that_the_meter_gets_a_twin_again_from_what_its_ring_holds(street):
    meter = street.meter()
    meter["metadata"] |= {"finalizers": [FINALIZER], "deletionTimestamp": DELETED_AT}
    street.put("smartmeters", HOUSE, meter)
    street.lose_pod(f"{HOUSE}-e1")
    await street.settle()
    assert street.pods() == [f"{HOUSE}-e2"]


class Guard:
    """Looks before and after each write that nothing is where the finalizer is not."""

    def __init__(self, street, fault):
        self.street, self.fault = street, fault
        self.may_go = False
        self.seen_foreign = False

    def __call__(self, when, method, path):
        self.check()
        try:
            self.fault(when, method, path)
        finally:
            self.check()

    def check(self):
        objects = self.street.cluster.objects
        meter = objects.get(("smartmeters", NAMESPACE, HOUSE))
        held = meter is not None and FINALIZER in (meter["metadata"].get("finalizers") or [])
        made = [row for row in objects if row[0] in {"pods", "secrets", "persistentvolumeclaims"}]
        assert held or self.may_go or not made, "something is there without the finalizer"
        if self.seen_foreign:
            assert meter is not None, "it went although somebody else holds it"
            assert FOREIGN in meter["metadata"]["finalizers"]


async def live_and_die(street, guard, settle):
    """A meter's whole life, each step with whatever goes wrong."""

    async def serve():
        await settle()
        street.set_pod(street.pods()[-1])
        await settle()

    await serve()
    street.lose_pod(street.pods()[-1])
    await serve()
    await without(street, street.delete)
    await settle()
    street.lose_pod(street.pods()[-1])
    await serve()
    await without(street, lambda: street.take(epoch_id=OTHER_ID))
    await settle()
    assert street.exists
    guard.may_go = True
    await without(street, street.take)
    await settle()


async def without(street, act):
    """Somebody else acts: the fault is of the operator's writes only."""
    fault, street.cluster.fault = street.cluster.fault, lambda *_: None
    await act()
    street.cluster.fault = fault


@pytest.mark.parametrize("foreign", [False, True], ids=["alone", "with another's finalizer"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_at_any_write_no_twin_is_without_the_finalizer_and_none_is_let_go_unsafe(
    when, foreign
):
    number, hit = 0, True
    while hit:
        number += 1
        street = Street()
        guard = Guard(street, Fault(number, when))
        if foreign:
            await street.add_finalizer(FOREIGN)
            guard.seen_foreign = True
        street.cluster.fault = guard

        async def settle(street=street):
            for _ in range(3):
                try:
                    await street.settle()
                except ClusterError:  # killed: another process begins with what is written
                    street.restart()
                else:
                    return

        await live_and_die(street, guard, settle)
        assert street.exists == foreign
        if foreign:
            assert street.finalizers() == [FOREIGN]
        hit = guard.fault.hit
    assert number > 15, "there are more writes than that in a life"
