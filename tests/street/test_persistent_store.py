"""A store on a persistent volume outlives its pods; an epoch never has two stores."""

import json
import pathlib
import shutil
import uuid

import pytest
from demo import (
    Record,
    answers,
    build_manifest,
    get,
    is_pod_ready,
    is_ready,
    kubectl,
    names,
    run,
    twin_of,
    until,
)

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(900)]
HOUSE = "house-8"
CLASS = "street-by-hand"


@pytest.fixture
def storage_class():
    """Return a class that binds: the cluster's own, else two volumes in folders of this machine."""
    if names("storageclass"):
        yield ""
        return
    # Nodes of tools/cluster see this machine's folders; a cluster elsewhere has a class.
    base = pathlib.Path("/var/lib/metertwin-street-volumes")
    volumes = []
    for _ in range(2):
        name = f"street-{uuid.uuid4().hex[:8]}"  # another one's removal may still be under way
        folder = base / name
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        spec = {
            "capacity": {"storage": "100Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder)},
        }
        metadata = {"name": name}
        volumes.append(
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}
        )
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": volumes})
    run("kubectl", "apply", "-f", "-", text=text)
    yield CLASS
    made = [volume["metadata"]["name"] for volume in volumes]
    run("kubectl", "delete", "pv", *made, "--wait=false")
    shutil.rmtree(base)


@pytest.fixture
def house():
    """Give a house whose store is an emptyDir, and give it one again afterwards."""
    yield HOUSE
    change({"type": "EmptyDir", "size": None, "storageClassName": None})
    kubectl("delete", "pvc", "-l", f"metertwin.io/device={HOUSE}", "--wait=false")
    until(lambda: answers(HOUSE), "the meter answers the last twin, as the next tests expect")


def change(store):
    """Change where the store is; return the epoch that serves with it."""
    patch = {"spec": {"twin": {"store": store}}}
    kubectl("patch", "smartmeter", HOUSE, "--type", "merge", "-p", json.dumps(patch))
    until(lambda: is_ready(HOUSE), "the twin with the other store is Ready")
    return get("smartmeter", HOUSE)["status"]["epoch"]


def persistent(storage_class):
    """Return the spec of a store on a volume."""
    found = {"type": "PersistentVolume", "size": "100Mi"}
    return found | ({"storageClassName": storage_class} if storage_class else {})


def test_a_persistent_store_outlives_its_pod_and_a_new_store_is_a_new_epoch(
    house, storage_class, tmp_path
):
    before = get("smartmeter", house)["status"]["highestEpoch"]
    epoch = change(persistent(storage_class))
    assert epoch == before + 1, "another store is another epoch"
    bigger = json.dumps({"spec": {"twin": {"store": {"size": "200Mi"}}}})
    done = kubectl("patch", "smartmeter", HOUSE, "--type", "merge", "-p", bigger, check=False)
    assert "size and storageClassName are immutable" in done.stderr
    until(lambda: answers(house), "the meter answers")
    record = Record(tmp_path, house)
    name, stored = record.store_id(), record.stored().entries
    assert stored

    twin = twin_of(house)
    kubectl("delete", "pod", twin["metadata"]["name"])

    def back():
        pod = twin_of(house)
        assert pod["metadata"]["uid"] != twin["metadata"]["uid"]
        return is_pod_ready(pod) and is_ready(house)

    until(back, "another pod is Ready")  # Ready alone may still be that of the deleted one
    assert get("smartmeter", house)["status"]["epoch"] == epoch, "the same store is the same epoch"
    until(lambda: answers(house), "the meter answers")
    assert record.store_id() == name, "the store is the one from before"
    assert stored.items() <= record.stored().entries.items()
    record.verify()


def test_a_deleted_meter_leaves_no_claim_on_a_volume(extra, storage_class):
    name = "cellar-1"
    extra(build_manifest(name, twin={"store": persistent(storage_class)}))
    until(lambda: is_ready(name), "a twin with a store on a volume is Ready")
    selector = f"metertwin.io/device={name}"

    def claims():
        return get("pvc", "-l", selector)

    (claim,) = claims()
    assert claim["status"]["phase"] == "Bound"
    kubectl("delete", "smartmeter", name)
    until(lambda: not claims(), "the claim is gone")
    volume = claim["spec"]["volumeName"]

    def let_go():
        asked = ("kubectl", "get", "pv", volume, "-o", "json", "--ignore-not-found")
        left = run(*asked).stdout
        assert not left.strip() or json.loads(left)["status"]["phase"] != "Bound"
        return True

    until(let_go, "the volume is free for whoever cleans it, or removed by its class")
