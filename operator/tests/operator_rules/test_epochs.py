"""Epochs: who speaks for a meter, through every event and every fault."""

import json

import pytest
from meter_operator.cluster import ClusterError
from meter_operator.desired import Key
from meter_operator.observed import TwinState
from meter_wire.owner_record import parse_owner_record
from meter_wire.portable.keys import derive_key

from .street import PROFILE, Fault, Operator

STREET = "street"


def owner_record(operator, device="house-1"):
    key = derive_key(operator.fleet.meter_key(device, 1), "owner", device)
    return parse_owner_record(operator.publisher.retained[f"mt/{device}/owner"], key)


def ctl_state(operator, epoch, device="house-1"):
    return json.loads(operator.publisher.retained[f"mt/{device}/{epoch}/ctl"])["state"]


async def test_a_new_meter_gets_epoch_one_its_secret_its_pod_and_a_record(operator):
    operator.add_meter()
    await operator.settle()
    assert operator.status()["epoch"] == operator.status()["ownerCounter"] == 1
    assert operator.pods() == operator.secrets() == ["house-1-e1"]
    assert owner_record(operator).active == 1
    assert ctl_state(operator, 1) == "active"
    assert operator.condition()["reason"] == "Starting"


async def test_ready_is_true_when_the_pod_is(operator):
    operator.add_meter()
    await operator.settle()
    operator.set_pod("house-1-e1")
    await operator.settle()
    assert operator.condition()["status"] == "True"
    assert operator.status()["twin"]["version"] == "0.1.0"


async def test_a_new_meter_costs_four_writes(operator):
    operator.add_meter("house-0")  # the first makes what its namespace has once
    await operator.settle("house-0")
    operator.add_meter()
    operator.cluster.log.clear()
    await operator.settle()
    for phase, ready in (("Pending", False), ("Running", False), ("Running", True)):
        operator.set_pod("house-1-e1", phase=phase, ready=ready)
        await operator.settle()
    assert operator.condition()["status"] == "True"
    assert operator.status()["twin"]["podUid"]
    assert operator.cluster.log == [
        "PATCH smartmeters/house-1",  # the decision, with its conditions
        "POST secrets/house-1-e1",
        "POST pods/house-1-e1",
        "PATCH smartmeters/house-1",  # Ready
    ]


async def test_a_decision_says_in_the_same_write_that_the_new_twin_starts(operator):
    operator.add_meter()
    await operator.settle()
    operator.set_pod("house-1-e1")
    await operator.settle()
    operator.delete_pod("house-1-e1")
    operator.cluster.fault = Fault(1, "after")
    with pytest.raises(ClusterError):
        await operator.settle()
    assert operator.status()["epoch"] == 2
    assert (operator.condition()["status"], operator.condition()["reason"]) == ("False", "Starting")
    assert operator.status()["twin"] == {"pod": "house-1-e2", "version": "0.1.0"}


async def test_the_last_state_of_an_epoch_is_removed_once_its_pod_is_gone(operator):
    operator.add_meter()
    await operator.settle()
    operator.cache.states["house-1"] = {1: TwinState(1, online=False)}
    operator.set_pod("house-1-e1", phase="Failed", ready=False)
    await operator.reconciler.reconcile(Key(STREET, "house-1"))
    assert "mt/house-1/1/state" not in operator.publisher.retained
    operator.sync()
    await operator.settle()
    assert operator.publisher.retained["mt/house-1/1/state"] == b""
    assert "mt/house-1/2/state" not in operator.publisher.retained


async def test_a_restart_with_nothing_to_do_writes_nothing(operator):
    operator.add_meter()
    await operator.settle()
    operator.set_pod("house-1-e1")
    await operator.settle()
    before = operator.cluster.writes
    operator.restart()
    await operator.settle()
    assert operator.cluster.writes == before


async def test_a_newer_operator_or_profile_replaces_no_twin(operator):
    operator.add_meter()
    await operator.settle()
    operator.restart(twin_image="localhost/metertwin/twin:0.2.0")
    operator.put("twinprofiles", "household", {"spec": _profile_with_more_days()})
    await operator.settle()
    assert operator.pods() == ["house-1-e1"]
    assert operator.status()["epoch"] == 1


def _profile_with_more_days():
    changed = json.loads(json.dumps(PROFILE))
    changed["applications"]["offered"][0]["options"][0]["default"] = 20
    return changed


async def test_a_changed_spec_gets_the_next_epoch_and_is_ready_only_then(operator):
    operator.add_meter()
    await operator.settle()
    operator.set_pod("house-1-e1")
    await operator.settle()
    operator.change_meter(capturePeriodSeconds=300)
    await operator.settle()
    assert operator.pods() == ["house-1-e2"]
    assert operator.condition()["status"] == "False"
    operator.set_pod("house-1-e2")
    await operator.settle()
    assert operator.condition()["status"] == "True"
    assert operator.condition()["observedGeneration"] == 2


async def test_a_deleted_pod_is_taken_over_and_the_old_secret_removed(operator):
    operator.add_meter()
    await operator.settle()
    first_id = operator.status()["epochId"]
    operator.delete_pod("house-1-e1")
    await operator.settle()
    assert operator.status()["epoch"] == operator.status()["highestEpoch"] == 2
    assert operator.status()["epochId"] != first_id
    assert operator.pods() == operator.secrets() == ["house-1-e2"]
    assert (ctl_state(operator, 1), ctl_state(operator, 2)) == ("retired", "active")
    assert owner_record(operator).counter == 2


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_a_finished_or_evicted_pod_is_taken_over_and_collected(operator, phase):
    operator.add_meter()
    await operator.settle()
    operator.set_pod("house-1-e1", phase=phase, ready=False)
    await operator.settle()
    assert operator.pods() == operator.secrets() == ["house-1-e2"]


async def test_a_container_restart_keeps_its_epoch(operator):
    operator.add_meter()
    await operator.settle()
    operator.set_pod("house-1-e1", ready=False)
    await operator.settle()
    assert operator.pods() == ["house-1-e1"]


async def test_a_slow_watch_is_no_lost_pod(operator):
    operator.add_meter()
    await operator.settle()
    operator.restart()
    operator.cache.pods.clear()
    await operator.settle()
    assert operator.pods() == ["house-1-e1"]
    assert operator.status()["epoch"] == 1


async def test_a_persistent_store_keeps_its_epoch_when_its_pod_is_gone(operator):
    store = {"type": "PersistentVolume", "size": "1Gi"}
    operator.add_meter(twin={"version": "", "store": store})
    await operator.settle()
    operator.delete_pod("house-1-e1")
    await operator.settle()
    assert operator.pods() == operator.secrets() == ["house-1-e1"]
    assert operator.cluster.names("persistentvolumeclaims") == ["house-1-e1"]


PERSISTENT = {"version": "", "store": {"type": "PersistentVolume", "size": "1Gi"}}
EMPTY_DIR = {"version": "", "store": {"type": "EmptyDir"}}


@pytest.mark.parametrize("is_pod_gone", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(EMPTY_DIR, PERSISTENT, id="to a volume"),
        pytest.param(PERSISTENT, EMPTY_DIR, id="to an emptyDir"),
    ],
)
async def test_another_kind_of_store_is_another_epoch(operator, first, second, is_pod_gone):
    operator.add_meter(twin=first)
    await operator.settle()
    if is_pod_gone:
        del operator.cluster.objects["pods", STREET, "house-1-e1"]
        operator.restart()
    operator.change_meter(twin=second)
    await operator.settle()
    assert operator.pods() == ["house-1-e2"]
    claims = operator.cluster.names("persistentvolumeclaims")
    assert claims == (["house-1-e2"] if second is PERSISTENT else ["house-1-e1"])


async def test_a_volume_that_is_used_again_begins_anew(operator):
    operator.add_meter(twin=PERSISTENT)
    for store in (EMPTY_DIR, PERSISTENT):
        await operator.settle()
        operator.change_meter(twin=store)
    await operator.settle()
    assert operator.status()["epoch"] == 3
    (volume,) = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in operator.cluster.objects["pods", STREET, "house-1-e3"]["spec"]["volumes"]
        if volume["name"] == "store"
    ]
    assert volume == "house-1-e3"


async def test_two_twins_never_share_a_persistent_store(operator):
    store = {"type": "PersistentVolume", "size": "1Gi"}
    operator.add_meter(twin={"version": "", "store": store})
    await operator.settle()
    uid = operator.cluster.objects["pods", STREET, "house-1-e1"]["metadata"]["uid"]
    operator.change_meter(capturePeriodSeconds=300)
    await operator.settle()
    assert operator.pods() == ["house-1-e1"]
    assert operator.cluster.objects["pods", STREET, "house-1-e1"]["metadata"]["uid"] != uid


async def test_a_meter_that_knows_more_than_status_gets_an_epoch_above_it(operator):
    operator.add_meter()
    await operator.settle()
    operator.cache.raise_witness("house-1", 6, 9)
    await operator.settle()
    assert operator.status()["epoch"] == 7
    assert operator.status()["ownerCounter"] == 10


async def test_a_recreated_resource_continues_above_the_meters_memory(operator):
    operator.cache.raise_witness("house-1", 3, 3)
    operator.add_meter()
    await operator.settle()
    assert (operator.status()["epoch"], operator.status()["ownerCounter"]) == (4, 4)


async def test_of_two_resources_for_one_device_the_oldest_wins(operator):
    operator.add_meter("house-1")
    operator.add_meter("copy", device="house-1")
    operator.meter("copy")["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    operator.restart()
    await operator.settle("house-1")
    await operator.settle("copy")
    assert operator.pods() == ["house-1-e1"]
    assert operator.condition(name="copy")["reason"] == "DuplicateDevice"
    assert "street/house-1" in operator.condition(name="copy")["message"]


@pytest.mark.parametrize("restarts", [False, True], ids=["same process", "process killed"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("begin", ["new", "pod deleted", "spec changed"])
async def test_a_fault_at_any_write_ends_with_one_twin_and_one_owner(
    operator, when, restarts, begin
):
    for number in range(1, 30):
        current = type(operator)()
        current.cluster.objects = dict(operator.cluster.objects)
        current.add_meter()
        if begin != "new":
            await current.settle()
        if begin == "pod deleted":
            current.delete_pod("house-1-e1")
        elif begin == "spec changed":
            current.change_meter(capturePeriodSeconds=300)
        fault = current.cluster.fault = Fault(number, when)
        try:
            await current.settle(catching=() if restarts else (ClusterError,))
        except ClusterError:
            current.cluster.fault = lambda *_: None
            current.restart()
            await current.reconnect()
            await current.settle()
        epoch = current.status()["epoch"]
        assert current.pods() == current.secrets() == [f"house-1-e{epoch}"]
        assert owner_record(current).active == epoch
        assert ctl_state(current, epoch) == "active"
        assert {ctl_state(current, lower) for lower in range(1, epoch)} <= {"retired"}
        pod = current.cluster.objects["pods", STREET, f"house-1-e{epoch}"]
        assert json.loads(pod["spec"]["containers"][0]["env"][0]["value"])["epoch"] == epoch
        if not fault.hit:
            assert number > 3
            return
    raise AssertionError("more writes than expected")


async def replace_often(operator, times):
    for _ in range(times):
        operator.delete_pod(f"house-1-e{operator.status()['epoch']}")
        await operator.settle()


async def test_the_last_five_epochs_are_said_to_be_retired_for_as_long_as_they_are_kept(operator):
    operator.add_meter()
    await operator.settle()
    await replace_often(operator, 7)
    kept = operator.status()["previousEpochs"]
    assert [row["epoch"] for row in kept] == [7, 6, 5, 4, 3]
    assert all(len(row["epochId"]) == 32 for row in kept)
    assert operator.publisher.retained["mt/house-1/1/ctl"] == b""
    assert operator.publisher.retained["mt/house-1/2/ctl"] == b""
    lost = dict(operator.publisher.retained)
    operator.publisher.retained.clear()
    operator.restart()
    await operator.reconnect()
    again = operator.publisher.retained
    assert {topic: lost[topic] for topic in again} == again
    assert {ctl_state(operator, epoch) for epoch in range(3, 8)} == {"retired"}
    assert ctl_state(operator, 8) == "active"


async def test_a_kept_epoch_and_the_decision_are_one_write(operator):
    operator.add_meter()
    await operator.settle()
    first = operator.status()["epochId"]
    operator.delete_pod("house-1-e1")
    operator.cluster.fault = Fault(1, "after")
    with pytest.raises(ClusterError):
        await operator.settle()
    assert operator.status()["previousEpochs"] == [{"epoch": 1, "epochId": first, "keyVersion": 1}]


async def test_an_epoch_that_status_does_not_know_loses_its_ctl(operator):
    operator.add_meter()
    await operator.settle()
    operator.publisher.retained["mt/house-1/3/ctl"] = b"of a cluster before its restore"
    operator.cache.raise_witness("house-1", 3, 3)
    await operator.settle()
    assert operator.status()["epoch"] == 4
    assert operator.publisher.retained["mt/house-1/3/ctl"] == b""
    assert ctl_state(operator, 1) == "retired"


async def test_the_owner_record_names_no_broker(operator):
    """Empty is the meter's first: it may know the broker by a name that we do not."""
    operator.add_meter()
    await operator.settle()
    assert owner_record(operator).broker == ""


async def test_a_secret_goes_only_after_its_pod(operator):
    """A pod that is still there without its Secret shows FailedMount to whoever looks."""
    operator.add_meter()
    await operator.settle()
    operator.change_meter(capturePeriodSeconds=300)
    operator.cluster.log.clear()
    await operator.settle()
    log = operator.cluster.log
    handed, made = log.index("PATCH secrets/house-1-e1"), log.index("POST pods/house-1-e2")
    assert handed < made < log.index("DELETE pods/house-1-e1")
    assert "DELETE secrets/house-1-e1" not in log
    assert operator.secrets() == ["house-1-e2"]


async def test_a_pod_that_is_on_its_way_out_keeps_its_secret_until_it_has_gone(operator):
    operator.add_meter()
    await operator.settle()
    pod = operator.cluster.objects["pods", STREET, "house-1-e1"]
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    operator.sync()
    await operator.settle()
    secret = operator.cluster.objects["secrets", STREET, "house-1-e1"]
    owners = secret["metadata"]["ownerReferences"]
    assert [(row["kind"], row["uid"]) for row in owners] == [("Pod", pod["metadata"]["uid"])]


async def test_a_decision_from_an_older_version_is_refused(operator):
    operator.add_meter()
    other = Operator()
    other.cluster = operator.cluster
    other.restart()
    await other.settle()
    decided = dict(operator.status())
    again = await operator.reconciler.reconcile(Key(STREET, "house-1"))
    assert again
    assert operator.status() == decided
    operator.sync()
    await operator.settle()
    assert operator.status()["epoch"] == 1
    assert operator.pods() == ["house-1-e1"]
