"""A store on a persistent volume outlives its pods; an epoch never has two stores."""

import json
import pathlib
import shutil

import pytest
from demo import Record, answers, get, is_pod_ready, is_ready, kubectl, names, run, twin_of, until

pytestmark = [pytest.mark.demo, pytest.mark.timeout(900)]
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
    for number in (1, 2):
        folder = base / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        spec = {
            "capacity": {"storage": "100Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder)},
        }
        metadata = {"name": f"street-{number}"}
        volumes.append(
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}
        )
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": volumes})
    run("kubectl", "apply", "-f", "-", text=text)
    yield CLASS
    run("kubectl", "delete", "pv", "street-1", "street-2", "--wait=false")
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


def test_a_persistent_store_outlives_its_pod_and_a_new_store_is_a_new_epoch(
    house, storage_class, tmp_path
):
    before = get("smartmeter", house)["status"]["epoch"]
    persistent = {"type": "PersistentVolume", "size": "100Mi"}
    if storage_class:
        persistent["storageClassName"] = storage_class
    epoch = change(persistent)
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
