"""A device's key gets a new version: each twin hears `ctl` under the key that it was given."""

import base64
import json

import pytest
from meter_operator.cluster import ClusterError
from meter_operator.desired import Key
from meter_wire.owner_record import parse_owner_record
from meter_wire.portable.keys import derive_key, mac16

from .street import NAMESPACE, PROFILE, Fault, Operator

PERSISTENT = {"version": "", "store": {"type": "PersistentVolume", "size": "1Gi"}}


def given_key(operator, epoch):
    """Return K_ctl as the Secret of an epoch has it."""
    data = operator.cluster.objects["secrets", NAMESPACE, f"house-1-e{epoch}"]["data"]
    return bytes.fromhex(json.loads(base64.b64decode(data["keys.json"]))["ctl"])


def expected_key(operator, epoch, version):
    """Return K_ctl of an epoch under a version of the device's key."""
    epoch_id = bytes.fromhex(operator.status()["epochId"])
    key = operator.fleet.meter_key("house-1", version)
    return derive_key(key, "ctl", "house-1", epoch, epoch_id)


def heard(operator, epoch, key):
    """Return the state that the `ctl` of an epoch says to a twin with this key, if it believes."""
    record = json.loads(operator.publisher.retained[f"mt/house-1/{epoch}/ctl"])
    claimed = record.pop("mac")
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    return record["state"] if claimed == mac16(key, canonical).hex() else "refused"


def owner_counter(operator, version):
    """Return the counter of the owner record, opened as a meter with this key version does."""
    key = derive_key(operator.fleet.meter_key("house-1", version), "owner", "house-1")
    return parse_owner_record(operator.publisher.retained["mt/house-1/owner"], key).counter


async def start(operator, **changes):
    """Start a meter and return K_ctl of its first twin."""
    operator.add_meter(**changes)
    await operator.settle()
    operator.set_pod("house-1-e1")
    await operator.settle()
    return given_key(operator, 1)


async def test_the_old_twin_believes_that_it_is_retired_when_the_key_version_was_raised(operator):
    old = await start(operator)
    operator.change_meter(keyVersion=2)
    await operator.settle()
    assert operator.status()["epoch"] == 2
    assert heard(operator, 1, old) == "retired"
    assert heard(operator, 2, given_key(operator, 2)) == "active"
    assert owner_counter(operator, 2) == 2


async def test_it_stays_so_for_as_long_as_the_epoch_is_kept_and_over_a_restart(operator):
    old = await start(operator)
    for version in (2, 3, 7):
        operator.change_meter(keyVersion=version)
        await operator.settle()
    operator.publisher.retained.clear()
    operator.restart()
    await operator.reconnect()
    assert heard(operator, 1, old) == "retired"
    versions = [row["keyVersion"] for row in operator.status()["previousEpochs"]]
    assert (versions, operator.status()["keyVersion"]) == ([3, 2, 1], 7)


async def test_until_there_is_a_decision_the_twin_keeps_its_authority(operator):
    key = await start(operator)
    operator.meter()["metadata"]["annotations"] = {"metertwin.io/paused": "true"}
    operator.change_meter(keyVersion=2)
    await operator.settle()
    await operator.reconnect()
    assert operator.status()["epoch"] == 1
    assert heard(operator, 1, key) == "active"


async def test_a_persistent_twin_gets_the_new_key_in_its_epoch_and_is_told_at_once(operator):
    old = await start(operator, twin=PERSISTENT)
    operator.change_meter(keyVersion=2)
    await operator.settle()
    assert operator.status()["epoch"] == 1
    assert given_key(operator, 1) != old
    assert heard(operator, 1, given_key(operator, 1)) == "active"
    assert owner_counter(operator, 2) == 1


async def test_a_version_raised_before_the_pod_is_made_means_another_epoch(operator):
    operator.add_meter()
    assert await operator.reconciler._look(Key(NAMESPACE, "house-1"))
    operator.change_meter(keyVersion=2)
    await operator.settle()
    assert operator.status()["epoch"] == 2
    assert given_key(operator, 2) == expected_key(operator, 2, 2)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("changes", [{}, {"twin": PERSISTENT}], ids=["EmptyDir", "Persistent"])
async def test_wherever_the_operator_is_killed_each_twin_believes_its_ctl(when, changes):
    for number in range(1, 20):
        operator = Operator()
        operator.put("twinprofiles", "household", {"spec": PROFILE})
        old = await start(operator, **changes)
        operator.change_meter(keyVersion=2)
        fault = operator.cluster.fault = Fault(number, when)
        try:
            await operator.settle()
        except ClusterError:
            operator.cluster.fault = lambda *_: None
            operator.restart()
            await operator.reconnect()
            await operator.settle()
        epoch = operator.status()["epoch"]
        assert (epoch == 1) == bool(changes)
        assert changes or heard(operator, 1, old) == "retired"
        assert heard(operator, epoch, given_key(operator, epoch)) == "active"
        assert given_key(operator, epoch) == expected_key(operator, epoch, 2)
        if not fault.hit:
            assert number > 3
            return
    raise AssertionError("more writes than expected")


async def test_a_renewed_certificate_leaves_the_keys_of_a_running_twin(operator):
    key = await start(operator)
    operator.change_meter(keyVersion=2)
    meter = operator.cache.owner_of("house-1")
    (pod,) = operator.cache.pods_of(meter)
    await operator.reconciler._twins.renew(meter, pod)
    assert given_key(operator, 1) == key


async def test_a_status_that_names_no_key_version_means_that_of_the_spec(operator):
    old = await start(operator, keyVersion=3)
    for name in ("keyVersion", "previousEpochs"):
        operator.status().pop(name, None)
    operator.restart()
    await operator.reconnect()
    assert heard(operator, 1, old) == "active"
