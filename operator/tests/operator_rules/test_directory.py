"""Where twins are found: slices of the headless Service that follow pods and epochs."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from meter_operator import directory
from meter_operator.cluster import ClusterError
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
    alone = build_rows([("house-7", pod("house-7-e1", "10.0.0.7"))])
    many = build_rows((f"house-{n}", pod(f"house-{n}-e1", f"10.0.0.{n}")) for n in range(1, 200))
    (name,) = alone
    assert alone[name][0] in many[name]
    assert sum(map(len, many.values())) == 199
    assert len(many) == directory.SLICES
    assert max(map(len, many.values())) < 100, "no slice takes most of them"


def test_the_families_of_addresses_have_slices_of_their_own():
    rows = build_rows([("a", pod("a-e1", "10.0.0.1")), ("b", pod("b-e1", "fd00::1"))])
    types = {build_slice(NAMESPACE, name, rows[name])["addressType"] for name in rows}
    assert types == {"IPv4", "IPv6"}


@pytest.mark.parametrize("one", [pod("a-e1", ""), pod("a-e1", "10.0.0.1", phase="Failed")])
def test_a_pod_without_an_address_or_life_is_not_named(one):
    assert build_rows([("a", one)]) == {}


async def test_the_name_follows_the_epoch(street):
    operator, names = street
    await names.publish(NAMESPACE)
    assert found(operator) == {"house-1": "10.0.0.1"}
    operator.delete_pod("house-1-e1")
    await operator.settle()
    await names.publish(NAMESPACE)
    assert found(operator) == {}
    give_address(operator, "house-1-e2", "10.0.0.2")
    await names.publish(NAMESPACE)
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
    await names.publish(NAMESPACE)
    assert found(operator) == {"house-1": "10.0.0.1"}


async def test_a_restart_with_nothing_new_writes_nothing(street):
    operator, names = street
    await names.publish(NAMESPACE)
    operator.restart()
    before = operator.cluster.writes
    await Directory(operator.cache, operator.cluster).publish(NAMESPACE)
    assert operator.cluster.writes == before


async def test_what_somebody_else_changed_is_put_right_at_the_next_sweep(street):
    operator, names = street
    await names.publish(NAMESPACE)
    row = next(row for row in operator.cluster.objects if row[0] == "endpointslices")
    operator.cluster.objects[row]["endpoints"] = []
    names.read_again([NAMESPACE])
    await names.publish(NAMESPACE)
    assert found(operator) == {"house-1": "10.0.0.1"}


async def test_a_refused_write_is_tried_again(street, monkeypatch):
    monkeypatch.setattr(directory, "PAUSE_S", 0)
    operator, names = street
    left = [2]

    def refuse(when, _method, path):
        if "endpointslices" in path and when == "before" and left[0]:
            left[0] -= 1
            raise ClusterError(path, 503, "busy")

    operator.cluster.fault = refuse
    names.note(NAMESPACE)
    async with running(names):
        await until(lambda: found(operator) == {"house-1": "10.0.0.1"})
    assert left == [0]


async def test_a_street_that_starts_is_few_writes(operator, monkeypatch):
    """Twins that come one by one within the pause cost a write for each slice, not for each."""
    paused, go_on = asyncio.Event(), asyncio.Event()

    async def pause(seconds):
        assert seconds == directory.PAUSE_S
        paused.set()
        await go_on.wait()

    monkeypatch.setattr(directory, "asyncio", SimpleNamespace(sleep=pause, Event=asyncio.Event))
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
