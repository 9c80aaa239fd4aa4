"""Where twins are found: slices of the headless Service that follow pods and epochs."""

import asyncio
import contextlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
from meter_operator import directory, upkeep
from meter_operator.cluster import ClusterError, ConflictError
from meter_operator.directory import Directory, build_rows, build_slice
from meter_operator.observed import parse_pod

NAMESPACE = "street"


def pod(name, address, **status):
    return parse_pod({
        "metadata": {"name": name, "uid": f"uid-{name}", "namespace": NAMESPACE},
        "spec": {"nodeName": "node-1"},
        "status": {"podIP": address, "phase": "Running"} | status,
    })  # fmt: skip


@pytest.fixture
async def street(operator):
    """Return (operator, directory) with one meter whose twin has an address."""
    operator.add_meter()
    await operator.settle()
    give_address(operator, "house-1-e1", "10.0.0.1")
    return operator, Directory(operator.cache, operator.cluster)


def give_address(operator, name, address):
    operator.set_pod(name)
    row = operator.cluster.objects["pods", NAMESPACE, name]
    row["status"]["podIP"] = address
    operator.cluster._version += 1
    operator.cluster._store(("pods", NAMESPACE, name), row)
    operator.sync()


def found(operator):
    """Return device: address as DNS would answer."""
    return {
        row["hostname"]: row["addresses"][0]
        for (kind, _, _), body in operator.cluster.objects.items()
        if kind == "endpointslices"
        for row in body["endpoints"]
    }


async def publish(names):
    await names.publish(NAMESPACE, names._find_twins([NAMESPACE])[NAMESPACE])


async def until(question):
    async with asyncio.timeout(10):
        while not question():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def running(names):
    task = asyncio.create_task(names.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_a_device_stays_in_its_slice_whoever_joins():
    alone = build_rows(NAMESPACE, [("house-7", pod("house-7-e1", "10.0.0.7"))])
    twins = [(f"house-{n}", pod(f"house-{n}-e1", f"10.0.0.{n}")) for n in range(1, 200)]
    many = build_rows(NAMESPACE, twins)
    (name,) = alone
    assert alone[name][0] in many[name]
    assert sum(map(len, many.values())) == 199
    assert len(many) == directory.SLICES
    assert max(map(len, many.values())) < 100, "no slice takes most of them"


def test_the_families_of_addresses_have_slices_of_their_own():
    rows = build_rows(NAMESPACE, [("a", pod("a-e1", "10.0.0.1")), ("b", pod("b-e1", "fd00::1"))])
    types = {build_slice(NAMESPACE, name, rows[name])["addressType"] for name in rows}
    assert types == {"IPv4", "IPv6"}


@pytest.mark.parametrize("one", [pod("a-e1", ""), pod("a-e1", "10.0.0.1", phase="Failed")])
def test_a_pod_without_an_address_or_life_is_not_named(one):
    assert build_rows(NAMESPACE, [("a", one)]) == {}


async def test_the_name_follows_the_epoch(street):
    operator, names = street
    await publish(names)
    assert found(operator) == {"house-1": "10.0.0.1"}
    operator.delete_pod("house-1-e1")
    await operator.settle()
    await publish(names)
    assert found(operator) == {}
    give_address(operator, "house-1-e2", "10.0.0.2")
    await publish(names)
    assert found(operator) == {"house-1": "10.0.0.2"}


async def test_a_candidate_has_no_name_before_the_decision(street):
    operator, names = street
    operator.restart(handover=True)
    give_address(operator, "house-1-e1", "10.0.0.1")
    names = Directory(operator.cache, operator.cluster)
    body = operator.cluster.objects["pods", NAMESPACE, "house-1-e1"]
    metadata = body["metadata"] | {"name": "house-1-e2", "uid": "uid-candidate"}
    metadata["labels"] = metadata["labels"] | {"metertwin.io/epoch": "2"}
    operator.put("pods", "house-1-e2", body)
    operator.cluster.objects["pods", NAMESPACE, "house-1-e2"] = body | {
        "metadata": metadata,
        "status": body["status"] | {"podIP": "10.0.0.2"},
    }
    operator.sync()
    assert len(operator.cache.pods_of(next(iter(operator.cache.meters.values())))) == 2
    await publish(names)
    assert found(operator) == {"house-1": "10.0.0.1"}


async def test_a_restart_with_nothing_new_writes_nothing(street):
    operator, names = street
    await publish(names)
    operator.restart()
    before = operator.cluster.writes
    await publish(Directory(operator.cache, operator.cluster))
    assert operator.cluster.writes == before


async def test_what_somebody_else_changed_is_put_right_at_the_next_sweep(street):
    operator, names = street
    await publish(names)
    row = next(row for row in operator.cluster.objects if row[0] == "endpointslices")
    operator.cluster.objects[row]["endpoints"] = []
    names.read_again([NAMESPACE])
    await publish(names)
    assert found(operator) == {"house-1": "10.0.0.1"}


@pytest.mark.parametrize("error", [ClusterError("writing", 503, "busy"), ValueError("no JSON")])
async def test_a_write_that_fails_is_tried_again_whatever_the_reason(street, monkeypatch, error):
    monkeypatch.setattr(upkeep, "PAUSE_S", 0)
    operator, names = street
    left = [2]

    def refuse(when, _method, path):
        if "endpointslices" in path and when == "before" and left[0]:
            left[0] -= 1
            raise error

    operator.cluster.fault = refuse
    names.note(NAMESPACE)
    async with running(names):
        await until(lambda: found(operator) == {"house-1": "10.0.0.1"})
    assert left == [0]


async def test_one_slice_that_is_refused_keeps_no_other_back(operator):
    names = Directory(operator.cache, operator.cluster)
    for number in range(1, 41):
        operator.add_meter(f"house-{number}", device=f"house-{number}")
        await operator.settle(f"house-{number}")
        give_address(operator, f"house-{number}-e1", f"10.0.0.{number}")

    def refuse(when, _method, path):
        if when == "before" and path.split("?")[0].endswith("/metertwin-twins-ipv4-0"):
            raise ClusterError(path, 422, "Too many: must have at most 1000 items")

    operator.cluster.fault = refuse
    with pytest.raises(ClusterError, match="Too many"):
        await publish(names)
    others = [f"metertwin-twins-ipv4-{number}" for number in (1, 2, 3)]
    assert operator.cluster.names("endpointslices") == others


async def test_the_slices_of_another_controller_are_left_alone(street):
    operator, names = street
    rows = [{"addresses": ["10.9.9.9"], "hostname": "other"}]
    labels = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    operator.put("endpointslices", "metertwin-twins-x7k2p", {"endpoints": rows})
    row = ("endpointslices", NAMESPACE, "metertwin-twins-x7k2p")
    operator.cluster.objects[row]["metadata"]["labels"] = labels
    await publish(names)
    assert operator.cluster.objects[row]["endpoints"] == rows
    assert found(operator) == {"house-1": "10.0.0.1", "other": "10.9.9.9"}


async def test_a_slice_that_somebody_else_has_changed_is_read_before_it_is_written(street):
    """A leader that stood still, and writes before it knows that it leads no more."""
    operator, names = street
    await publish(names)
    newer = Directory(operator.cache, operator.cluster)
    give_address(operator, "house-1-e1", "10.0.0.2")
    await publish(newer)
    give_address(operator, "house-1-e1", "10.0.0.1")
    operator.add_meter("house-2", device="house-2")
    await operator.settle("house-2")
    give_address(operator, "house-1-e1", "10.0.0.3")
    with pytest.raises(ConflictError):
        await publish(names)
    assert found(operator) == {"house-1": "10.0.0.2"}
    names.read_again([NAMESPACE])
    await publish(names)
    assert found(operator) == {"house-1": "10.0.0.3"}


@pytest.mark.parametrize("selector", [None, {"metertwin.io/role": "twin"}])
async def test_the_service_is_made_again_and_an_older_ones_selector_goes(street, selector):
    operator, names = street
    row = ("services", NAMESPACE, "metertwin-twins")
    if selector is None:
        del operator.cluster.objects[row]
    else:
        operator.cluster.objects[row]["spec"]["selector"] = selector
    before = len(operator.cluster.log)
    await publish(names)
    assert "PATCH services/metertwin-twins" in operator.cluster.log[before:]
    names.read_again([NAMESPACE])
    if selector is None:
        before = len(operator.cluster.log)
        await publish(names)
        assert operator.cluster.log[before:] == []


async def test_only_another_epoch_is_a_reason_to_look(operator):
    operator.add_meter()
    await operator.settle()
    names = Directory(operator.cache, operator.cluster)
    (meter,) = operator.cache.meters.values()
    names.note_epoch(meter)
    assert names._due == {NAMESPACE}
    names._due.clear()
    names.note_epoch(meter)
    assert names._due == set()
    names.note_epoch(replace(meter, status=meter.status | {"epoch": 2}))
    assert names._due == {NAMESPACE}


async def test_a_street_that_starts_is_few_writes(operator, monkeypatch):
    """Twins that come one by one within the pause cost a write for each slice, not for each."""
    paused, go_on = asyncio.Event(), asyncio.Event()

    async def pause(seconds):
        assert seconds == upkeep.PAUSE_S
        paused.set()
        await go_on.wait()

    monkeypatch.setattr(upkeep, "asyncio", SimpleNamespace(sleep=pause, Event=asyncio.Event))
    names = Directory(operator.cache, operator.cluster)
    for number in range(1, 41):
        operator.add_meter(f"house-{number}", device=f"house-{number}")
        await operator.settle(f"house-{number}")
    before = operator.cluster.writes
    async with running(names):
        for number in range(1, 41):
            give_address(operator, f"house-{number}-e1", f"10.0.0.{number}")
            names.note(NAMESPACE)
            await paused.wait()
        assert found(operator) == {"house-1": "10.0.0.1"}
        go_on.set()
        await until(lambda: len(found(operator)) == 40)
    assert operator.cluster.writes - before == 1 + directory.SLICES
