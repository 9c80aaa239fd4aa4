"""Events of a resource that was deleted and declared again, in any order."""

import copy
from types import SimpleNamespace

import pytest
from meter_operator.desired import Key
from meter_operator.directory import Directory
from meter_operator.relist import relist
from meter_operator.utilities import Utilities
from meter_operator.watches import Watches
from meter_operator.workqueue import WorkQueue

HOUSE = Key("street", "house-1")


class Body(dict):
    """A body as kopf gives it."""

    @property
    def metadata(self):
        return self["metadata"]


@pytest.fixture
async def again(operator):
    """Return (operator, watches, gone, the old body, the new body)."""
    gone = []

    async def forget(meter):
        gone.append(meter.uid)

    watches = Watches(
        operator.cache,
        WorkQueue(),
        SimpleNamespace(forget=forget),
        operator.reconciler.forget,
        Directory(operator.cache, operator.cluster),
        Utilities(operator.cache, operator.cluster),
        operator.reconciler.announcements.follow,
    )
    operator.add_meter()
    await operator.settle()
    old = copy.deepcopy(operator.meter())
    del operator.cluster.objects["smartmeters", "street", "house-1"]
    new = copy.deepcopy(operator.cluster._store(("smartmeters", "street", "house-1"), {
        "metadata": {"name": "house-1"}, "spec": old["spec"]}))  # fmt: skip
    new["metadata"]["uid"] = "another"
    new["metadata"]["resourceVersion"] = str(int(old["metadata"]["resourceVersion"]) + 5)
    return operator, watches, gone, Body(old), Body(new)


DELETED, ADDED = "DELETED", "ADDED"


@pytest.mark.parametrize("order", [(DELETED, ADDED), (ADDED, DELETED)], ids=" ".join)
async def test_the_old_resource_is_forgotten_once_and_the_new_one_kept(again, order):
    operator, watches, gone, old, new = again
    late = copy.deepcopy(old)
    for kind in order:
        await watches.on_meter({"type": kind}, Body(late) if kind == DELETED else new)
    assert gone == [old["metadata"]["uid"]]
    assert operator.cache.meters[HOUSE].uid == "another"


async def test_a_late_event_of_the_old_resource_replaces_nothing(again):
    operator, watches, gone, old, new = again
    await watches.on_meter({"type": ADDED}, new)
    await watches.on_meter({"type": "MODIFIED"}, old)
    assert operator.cache.meters[HOUSE].uid == "another"
    assert len(gone) == 1


async def test_a_sweep_sees_that_a_resource_was_declared_again(again):
    operator, watches, gone, old, new = again
    operator.cluster.objects["smartmeters", "street", "house-1"] = dict(new)
    await relist(operator.cluster, operator.cache, ("street",), watches.meter_gone)
    assert gone == [old["metadata"]["uid"]]
    assert operator.cache.meters[HOUSE].uid == "another"


@pytest.mark.parametrize("kind", ["smartmeters", "twinprofiles", "pods"])
async def test_what_is_deleted_while_a_sweep_reads_does_not_come_back(again, kind):
    """Its list may be from before; a pod that came back so was no loss until the next sweep."""
    operator, watches, _, old, _ = again
    operator.cluster.objects["smartmeters", "street", "house-1"] = dict(old)
    operator.put("twinprofiles", "household", {"spec": {}})
    operator.sync()
    name = {"smartmeters": "house-1", "twinprofiles": "household", "pods": "house-1-e1"}[kind]
    late = Body(copy.deepcopy(operator.cluster.objects[kind, "street", name]))
    heard = {"smartmeters": watches.on_meter, "twinprofiles": watches.on_profile,
             "pods": watches.on_pod}[kind]  # fmt: skip
    read = operator.cluster.list_all
    lists = []

    async def list_all(*what):
        lists.append(what)
        found = await read(*what)
        if len(lists) == 4:  # all are read now, and nothing is stored yet
            await heard({"type": DELETED}, late)
        return found

    operator.cluster.list_all = list_all
    await relist(operator.cluster, operator.cache, ("street",), watches.meter_gone)
    cache = operator.cache
    assert len(lists) == 4
    known = {"smartmeters": cache.meters, "twinprofiles": cache.profiles.specs,
             "pods": cache.pods[HOUSE]}[kind]  # fmt: skip
    assert name not in [getattr(key, "name", key) for key in known]


@pytest.mark.parametrize("order", [(DELETED, ADDED), (ADDED, DELETED)], ids=" ".join)
async def test_a_profile_that_was_declared_again_stays(again, order):
    operator, watches, _, _, _ = again
    operator.put("twinprofiles", "household", {"spec": {}})
    old = Body(copy.deepcopy(operator.cluster.objects["twinprofiles", "street", "household"]))
    new = copy.deepcopy(old)
    new["metadata"] |= {"uid": "another", "resourceVersion": "1000"}
    for kind in order:
        await watches.on_profile({"type": kind}, old if kind == DELETED else new)
    body = operator.cache.profiles.bodies[Key("street", "household")]
    assert body["metadata"]["uid"] == "another"


async def test_a_profile_that_is_made_while_a_sweep_reads_stays(again):
    operator, watches, _, _, _ = again
    read = operator.cluster.list_all
    lists = []

    async def list_all(*what):
        lists.append(what)
        found = await read(*what)
        if len(lists) == 4:
            operator.put("twinprofiles", "late", {"spec": {}})
            late = operator.cluster.objects["twinprofiles", "street", "late"]
            await watches.on_profile({"type": ADDED}, Body(copy.deepcopy(late)))
        return found

    operator.cluster.list_all = list_all
    await relist(operator.cluster, operator.cache, ("street",), watches.meter_gone)
    assert Key("street", "late") in operator.cache.profiles.specs


async def test_the_next_resource_of_a_device_begins_above_the_one_before(operator):
    watches = Watches(
        operator.cache,
        WorkQueue(),
        SimpleNamespace(forget=None),
        operator.reconciler.forget,
        Directory(operator.cache, operator.cluster),
        Utilities(operator.cache, operator.cluster),
        operator.reconciler.announcements.follow,
    )
    operator.add_meter()
    await operator.settle()
    operator.delete_pod("house-1-e1")
    await operator.settle()
    operator.add_meter("copy", device="house-1")
    first = operator.meter()
    await watches.on_meter({"type": DELETED}, Body(copy.deepcopy(first)))
    for row in [row for row in operator.cluster.objects if row[2].startswith("house-1")]:
        del operator.cluster.objects[row]
    operator.sync()
    await operator.settle("copy")
    assert (operator.status("copy")["epoch"], operator.status("copy")["ownerCounter"]) == (3, 3)


async def test_of_a_deleted_meter_nothing_is_remembered(operator):
    operator.restart(handover=True)
    operator.add_meter()
    await operator.settle()
    operator.set_pod("house-1-e1")
    operator.change_meter(capturePeriodSeconds=300)
    await operator.settle()
    succession = operator.reconciler._succession
    assert succession._since
    assert operator.status()["handover"]
    operator.reconciler.forget(operator.cache.meters[Key("street", "house-1")])
    tables = (succession._since, succession._announced, succession._addresses)
    assert not any(tables)
    assert not operator.reconciler._allocated
