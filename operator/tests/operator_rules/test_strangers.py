"""Pods that look like twins and are none: they steer nothing, and nobody deletes them."""

import copy

import pytest
from meter_operator.relist import relist

from .street import NAMESPACE


@pytest.fixture
async def pod(operator):
    operator.add_meter()
    await operator.settle()
    operator.set_pod("house-1-e1")
    await operator.settle()
    return operator.cluster.objects["pods", NAMESPACE, "house-1-e1"]


def stranger(pod, name="stranger", epoch="7", owners=None):
    """Return a copy of a twin's pod with another name, label and owner."""
    body = copy.deepcopy(pod)
    body["metadata"] |= {"name": name, "uid": f"uid-of-{name}"}
    body["metadata"]["labels"]["metertwin.io/epoch"] = epoch
    if owners is not None:
        body["metadata"]["ownerReferences"] = owners
    return body


def add(operator, body):
    operator.cluster.objects["pods", NAMESPACE, body["metadata"]["name"]] = body
    operator.sync()


def owner(pod, **changes):
    return [pod["metadata"]["ownerReferences"][0] | changes]


@pytest.mark.parametrize(
    "change",
    [
        None,
        {"uid": "another"},
        {"kind": "ReplicaSet"},
        {"controller": False},
        {"apiVersion": "other.io/v1"},
    ],
    ids=["none", "another meter", "another kind", "no controller", "another group"],
)
async def test_a_pod_that_no_meter_controls_causes_no_takeover_and_stays(operator, pod, change):
    owners = [] if change is None else owner(pod, **change)
    add(operator, stranger(pod, owners=owners))
    await operator.settle()
    assert operator.status()["epoch"] == 1
    assert operator.pods() == ["house-1-e1", "stranger"]


async def test_an_owned_pod_of_a_higher_epoch_is_a_witness(operator, pod):
    add(operator, stranger(pod, "house-1-e7"))
    operator.delete_pod("house-1-e1")
    await operator.settle()
    assert operator.status()["epoch"] == 8


@pytest.mark.parametrize("epoch", ["x", "", "0", "-1", "4294967296", "1e3", "٣", "9" * 63])
async def test_a_label_that_is_no_epoch_ends_nothing(operator, pod, epoch):
    operator.cluster.objects["pods", NAMESPACE, "stranger"] = stranger(pod, epoch=epoch)

    async def gone(_meter):
        raise AssertionError("no meter has vanished")

    await relist(operator.cluster, operator.cache, (NAMESPACE,), gone)
    await operator.settle()
    assert operator.status()["epoch"] == 1
    assert operator.pods() == ["house-1-e1", "stranger"]


async def test_a_twin_whose_label_was_spoiled_is_taken_over_without_end_of_the_work(operator, pod):
    pod["metadata"]["labels"]["metertwin.io/epoch"] = "x"
    operator.restart()
    await operator.settle()
    assert operator.status()["epoch"] == 2
