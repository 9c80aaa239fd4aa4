"""A cordoned node is emptied a few twins at a time, and only when another node can take them."""

import logging
from dataclasses import replace

import pytest
from meter_operator.cluster import ClusterError
from meter_operator.desired import Key
from meter_operator.drain import (
    FORBIDDEN_S,
    MOST_AT_ONCE,
    NO_ROOM,
    PATIENCE_S,
    Drain,
    waits_for_node,
)
from meter_operator.settings import load_settings

STORE = {"type": "PersistentVolume", "size": "1Gi"}


class Street:
    """An operator with nodes, whose pods the test schedules."""

    def __init__(self, operator):
        self.operator = operator
        self.looked = []
        self.drain = self.new_drain()
        self.now_s = 0.0
        for name in ("node-a", "node-b"):
            self.set_node(name)

    def new_drain(self):
        operator = self.operator
        return Drain(operator.cluster, operator.cache, self.looked.append, operator.events)

    def restart(self):
        """Forget what only the operator's memory has."""
        self.operator.restart()
        self.drain = self.new_drain()

    def set_node(self, name, *, cordoned=False, ready=True, taints=()):
        conditions = [{"type": "Ready", "status": str(ready)}]
        spec = {"unschedulable": True} if cordoned else {}
        body = {"metadata": {"name": name}, "spec": spec | {"taints": list(taints)}}
        body["status"] = {"conditions": conditions}
        self.operator.cluster._version += 1
        self.operator.cluster._store(("nodes", "", name), body)

    async def add(self, name, node="node-a", **changes):
        self.operator.add_meter(name, **changes)
        await self.operator.settle(name)
        self.run(f"{name}-e1", node)
        await self.operator.settle(name)

    def run(self, pod, node):
        self.operator.cluster.objects["pods", "street", pod]["spec"]["nodeName"] = node
        self.operator.set_pod(pod)

    def schedule(self, pod, node):
        self.operator.cluster.objects["pods", "street", pod]["spec"]["nodeName"] = node
        self.operator.set_pod(pod, phase="Pending", ready=False)

    async def poll(self):
        """Poll once, and reconcile what it asks for."""
        self.looked.clear()
        self.now_s += 10
        await self.drain.poll(self.now_s)
        moved = {key.name for key in self.looked}
        for key in set(self.looked):
            await self.operator.settle(key.name)
        return moved

    async def begin(self):
        """Cordon node-a, and let the one that goes alone find out that there is room."""
        self.set_node("node-a", cordoned=True)
        assert await self.poll() == {"first"}
        self.run("first-e2", "node-b")

    def moved(self):
        return [pod for pod in self.operator.pods() if pod.endswith("-e2") and "first" not in pod]

    def events(self, reason="NodeCordoned"):
        rows = self.operator.events._waiting.values()
        return [row["message"] for row in rows if row["reason"] == reason]


@pytest.fixture
def street(operator):
    return Street(operator)


async def test_without_a_cordon_nothing_moves_and_nothing_is_written(street):
    await street.add("house-1")
    before = street.operator.cluster.writes
    assert await street.poll() == set()
    assert street.operator.cluster.writes == before


async def test_a_twin_of_a_cordoned_node_is_taken_over_by_the_next_epoch(street):
    await street.add("house-1")
    street.set_node("node-a", cordoned=True)
    assert await street.poll() == {"house-1"}
    assert street.operator.pods() == ["house-1-e2"]
    assert street.events() == ["node node-a is cordoned: the twin moves to another"]
    assert any("NodeCordoned" in text for text in street.events("Takeover"))
    street.run("house-1-e2", "node-b")
    await street.poll()
    assert street.operator.pods() == ["house-1-e2"]


async def test_a_persistent_store_keeps_its_epoch_and_its_claim(street):
    await street.add("house-1", twin={"version": "", "store": STORE})
    uid = street.operator.cluster.objects["pods", "street", "house-1-e1"]["metadata"]["uid"]
    street.set_node("node-a", cordoned=True)
    await street.poll()
    assert street.operator.status()["epoch"] == 1
    assert street.operator.cluster.objects["pods", "street", "house-1-e1"]["metadata"]["uid"] != uid
    assert street.operator.cluster.names("persistentvolumeclaims") == ["house-1-e1"]


async def test_the_first_of_a_drain_goes_alone_so_that_one_store_finds_out_whether_there_is_room(
    street,
):
    for number in range(3):
        await street.add(f"house-{number}")
    street.set_node("node-a", cordoned=True)
    for _ in range(3):
        assert await street.poll() == {"house-0"}
    street.run("house-0-e2", "node-b")
    assert await street.poll() == {"house-1", "house-2"}


async def test_the_first_of_each_node_goes_alone_while_another_is_still_cordoned(street):
    street.set_node("node-c")
    await street.add("first")
    for number in range(3):
        await street.add(f"house-{number}", "node-c")
    await street.begin()
    assert await street.poll() == set()
    street.set_node("node-c", cordoned=True)
    for _ in range(3):
        assert await street.poll() == {"house-0"}
    street.run("house-0-e2", "node-b")
    assert await street.poll() == {"house-1", "house-2"}


async def test_of_nodes_that_are_cordoned_together_the_second_begins_when_the_first_has_left(
    street,
):
    street.set_node("node-c", cordoned=True)
    street.set_node("node-a", cordoned=True)
    for number in range(4):
        await street.add(f"house-{number}", "node-c" if number % 2 else "node-a")
    assert await street.poll() == {"house-0"}
    street.run("house-0-e2", "node-b")
    assert await street.poll() == {"house-1"}
    street.run("house-1-e2", "node-b")
    assert await street.poll() == {"house-2", "house-3"}


async def test_the_first_of_another_node_waits_until_nothing_is_under_way(street):
    street.set_node("node-c")
    await street.add("first")
    for number in range(MOST_AT_ONCE + 1):
        await street.add(f"house-{number}")
    await street.add("house-9", "node-c")
    await street.begin()
    assert len(await street.poll()) == MOST_AT_ONCE
    street.set_node("node-c", cordoned=True)
    for number in range(MOST_AT_ONCE):
        street.schedule(f"house-{number}-e2", "node-b")
    street.run("house-0-e2", "node-b")
    assert not await street.poll() & {f"house-{MOST_AT_ONCE}", "house-9"}
    for number in range(1, MOST_AT_ONCE):
        street.run(f"house-{number}-e2", "node-b")
    assert await street.poll() == {"house-9"}
    street.run("house-9-e2", "node-b")
    assert await street.poll() == {f"house-{MOST_AT_ONCE}"}


async def test_one_that_left_for_a_node_that_is_cordoned_since_does_not_show_room(street):
    await street.add("first")
    await street.begin()
    assert await street.poll() == set()
    for number in range(3):
        await street.add(f"house-{number}")
    street.set_node("node-b", cordoned=True)
    street.set_node("node-c")
    assert await street.poll() == {"first"}


async def test_a_persistent_twin_that_was_told_to_leave_and_has_no_pod_shows_no_room(street):
    for number in range(3):
        await street.add(f"house-{number}", twin={"version": "", "store": STORE})
    street.set_node("node-a", cordoned=True)
    await street.poll()
    cordoned = {"node-a"}
    assert street.drain._left(cordoned) == set()
    street.run("house-0-e1", "node-b")
    assert street.drain._left(cordoned) == {"node-a"}


async def test_a_node_that_is_cordoned_again_begins_with_one_again(street):
    street.set_node("node-c", cordoned=True)
    await street.add("first")
    for number in range(3):
        await street.add(f"house-{number}")
    await street.begin()
    street.set_node("node-a")
    assert await street.poll() == set()
    street.set_node("node-a", cordoned=True)
    assert await street.poll() == {"house-0"}


async def test_nobody_follows_the_first_before_it_has_left(street):
    for number in range(3):
        await street.add(f"house-{number}")
    street.set_node("node-a", cordoned=True)
    for second in (10, 20):
        await street.drain.poll(second)  # and nobody reconciles
        assert {key.name for key in street.operator.cache.leaving} == {"house-0"}
    await street.drain.poll(10 + PATIENCE_S)
    assert {key.name for key in street.operator.cache.leaving} == {"house-1"}


async def test_only_so_many_move_at_once_and_the_next_when_one_is_ready(street):
    await street.add("first")
    for number in range(MOST_AT_ONCE + 3):
        await street.add(f"house-{number}")
    await street.begin()
    batch = await street.poll()
    assert len(batch) == MOST_AT_ONCE
    assert len(street.moved()) == MOST_AT_ONCE
    await street.poll()
    assert len(street.moved()) == MOST_AT_ONCE
    for name in batch:
        street.schedule(f"{name}-e2", "node-b")
    street.run(f"{min(batch)}-e2", "node-b")
    await street.poll()
    assert len(street.moved()) == MOST_AT_ONCE + 1


async def test_one_that_never_becomes_ready_gives_its_place_to_the_next(street):
    await street.add("first")
    for number in range(MOST_AT_ONCE + 1):
        await street.add(f"house-{number}")
    await street.begin()
    await street.poll()
    for number in range(MOST_AT_ONCE):
        street.schedule(f"house-{number}-e2", "node-b")
    await street.poll()
    assert f"house-{MOST_AT_ONCE}-e1" in street.operator.pods()
    street.now_s += PATIENCE_S
    await street.poll()
    assert f"house-{MOST_AT_ONCE}-e2" in street.operator.pods()


async def test_while_a_moved_twin_finds_no_room_no_other_store_is_given_up(street):
    await street.add("first")
    for number in range(3 * MOST_AT_ONCE):
        await street.add(f"house-{number:02}")
    await street.begin()
    for _ in range(4):
        await street.poll()
        street.now_s += PATIENCE_S
    moved = street.moved()
    assert len(moved) == MOST_AT_ONCE
    said = [text for text in street.events() if text.endswith(NO_ROOM)]
    assert len(said) == 2 * MOST_AT_ONCE
    for pod in moved:
        street.run(pod, "node-b")
    await street.poll()
    assert len(street.moved()) == 2 * MOST_AT_ONCE


async def test_one_moved_twin_without_a_node_holds_back_the_free_places_too(street):
    await street.add("first")
    for number in range(MOST_AT_ONCE + 2):
        await street.add(f"house-{number}")
    await street.begin()
    await street.poll()
    for number in range(1, MOST_AT_ONCE):
        street.run(f"house-{number}-e2", "node-b")
    assert await street.poll() == {"house-0"}
    street.schedule("house-0-e2", "node-b")
    assert await street.poll() == {"house-0", "house-5", "house-6"}


async def test_a_meter_with_a_violation_stays_says_why_once_and_holds_no_place(street):
    wrong = [f"house-{number}" for number in range(MOST_AT_ONCE)]
    for name in (*wrong, "house-9"):
        await street.add(name)
    for name in wrong:
        street.operator.change_meter(name, applications={"nothing": {}})
        await street.operator.settle(name)
    street.set_node("node-a", cordoned=True)
    assert await street.poll() == {"house-9"}
    await street.poll()
    assert "house-9-e2" in street.operator.pods()
    stays = "node node-a is cordoned: the twin stays: NotOffered"
    assert sorted(set(street.events())) == [
        "node node-a is cordoned: the twin moves to another",
        stays,
    ]
    assert street.events().count(stays) == len(wrong)


async def test_a_moved_twin_without_a_node_that_is_paused_holds_back_nobody(street):
    await street.add("first")
    for number in range(MOST_AT_ONCE + 1):
        await street.add(f"house-{number}")
    await street.begin()
    await street.poll()
    for number in range(1, MOST_AT_ONCE):
        street.run(f"house-{number}-e2", "node-b")
    street.operator.meter("house-0")["metadata"]["annotations"] = {"metertwin.io/paused": "true"}
    street.operator.sync()
    assert f"house-{MOST_AT_ONCE}" in await street.poll()


async def test_persistent_twins_move_last_and_one_by_one(street):
    for number in range(3):
        await street.add(f"house-{number}", twin={"version": "", "store": STORE})
    await street.add("house-9")
    await street.add("first")
    await street.begin()
    assert await street.poll() == {"house-0", "house-9"}
    street.run("house-9-e2", "node-b")
    street.now_s += PATIENCE_S
    assert await street.poll() == {"house-0"}
    street.schedule("house-0-e1", "node-b")
    assert await street.poll() == {"house-1"}
    assert street.operator.status("house-1")["epoch"] == 1


@pytest.mark.parametrize(
    "other",
    [
        {"cordoned": True},
        {"ready": False},
        {"taints": [{"key": "control-plane", "effect": "NoSchedule"}]},
    ],
    ids=["cordoned too", "not ready", "tainted"],
)
async def test_without_another_node_the_twin_stays_and_says_so_once(street, other):
    await street.add("house-1")
    street.set_node("node-a", cordoned=True)
    street.set_node("node-b", **other)
    for _ in range(3):
        await street.poll()
    assert street.operator.pods() == ["house-1-e1"]
    assert street.events() == ["node node-a is cordoned: the twin stays, no other node can take it"]
    assert [row["count"] for row in street.operator.events._waiting.values()].count(3) == 0
    street.set_node("node-b")
    await street.poll()
    assert street.operator.pods() == ["house-1-e2"]


async def test_a_paused_meter_stays(street):
    await street.add("house-1")
    meter = street.operator.meter()
    meter["metadata"]["annotations"] = {"metertwin.io/paused": "true"}
    street.operator.sync()
    street.set_node("node-a", cordoned=True)
    assert await street.poll() == set()
    assert street.operator.pods() == ["house-1-e1"]


async def test_a_cordon_that_is_taken_back_moves_nobody_else(street):
    await street.add("house-1")
    street.set_node("node-a", cordoned=True)
    await street.drain.poll(1)
    street.set_node("node-a")
    await street.drain.poll(2)
    await street.operator.settle()
    assert street.operator.pods() == ["house-1-e1"]


async def test_a_restarted_operator_goes_on_with_what_is_left(street):
    await street.add("house-1")
    await street.add("house-2")
    street.set_node("node-a", cordoned=True)
    street.restart()
    assert await street.poll() == {"house-1"}
    assert street.operator.cache.leaving == {Key("street", "house-1"): "node-a"}
    street.run("house-1-e2", "node-b")
    assert await street.poll() == {"house-2"}


async def test_however_often_the_operator_restarts_a_drain_without_room_costs_one_store(street):
    for number in range(MOST_AT_ONCE):
        await street.add(f"house-{number}")
    street.set_node("node-a", cordoned=True)
    await street.poll()
    for _ in range(3):
        street.restart()
        await street.poll()
        await street.poll()
    assert street.moved() == ["house-0-e2"]
    assert street.events().count(f"node node-a is cordoned: {NO_ROOM}") == MOST_AT_ONCE - 1
    street.run("house-0-e2", "node-b")
    assert await street.poll() == {"house-1"}


async def test_a_store_given_up_for_a_changed_spec_has_to_find_its_node_first_too(street):
    await street.add("house-1")
    await street.add("house-2")
    street.operator.change_meter("house-1", reportSpreadSeconds=60)
    await street.operator.settle("house-1")
    street.set_node("node-a", cordoned=True)
    assert await street.poll() == set()
    street.run("house-1-e2", "node-b")
    assert await street.poll() == {"house-2"}


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        pytest.param({}, True, id="a later epoch, no node"),
        pytest.param({"node": "node-b"}, False, id="on a node, starting"),
        pytest.param({"phase": "Failed"}, True, id="its pod failed"),
        pytest.param({"epoch": 1}, True, id="only the pod of its old epoch is there"),
    ],
)
async def test_a_twin_waits_for_a_node_when_its_epoch_replaced_another_and_has_no_node(
    street, changes, waits
):
    await street.add("house-1")
    street.operator.delete_pod("house-1-e1")
    await street.operator.settle("house-1")
    meter = street.operator.cache.meters[Key("street", "house-1")]
    (pod,) = street.operator.cache.pods_of(meter)
    assert waits_for_node(meter, (replace(pod, **changes),)) is waits
    assert waits_for_node(meter, ()) is True


async def test_a_first_epoch_without_a_node_has_given_up_nothing(street):
    street.operator.add_meter("house-1")
    await street.operator.settle("house-1")
    await street.add("house-2")
    street.set_node("node-a", cordoned=True)
    assert await street.poll() == {"house-2"}


async def test_a_persistent_twin_without_a_node_has_given_up_nothing(street):
    await street.add("house-1")
    await street.add("house-2")
    street.operator.change_meter("house-1", twin={"version": "", "store": STORE})
    await street.operator.settle("house-1")
    assert street.operator.status("house-1")["storeClaim"] == "house-1-e2"
    street.set_node("node-a", cordoned=True)
    assert await street.poll() == {"house-2"}


@pytest.mark.parametrize(("value", "watches"), [("true", True), ("false", False), (None, True)])
def test_the_chart_says_whether_nodes_are_watched(monkeypatch, value, watches):
    for name in ("NAMESPACE", "BROKER_HOST", "TWIN_IMAGE"):
        monkeypatch.setenv(f"METERTWIN_{name}", "x")
    monkeypatch.delenv("METERTWIN_WATCH_NODES", raising=False)
    if value:
        monkeypatch.setenv("METERTWIN_WATCH_NODES", value)
    assert load_settings().watch_nodes is watches


async def test_without_the_right_to_list_nodes_it_says_once_how_to_drain_by_hand(street, caplog):
    async def refuse(*_arguments, **_options):
        raise ClusterError("listing Node", 403, "forbidden")

    street.operator.cluster.list_all = refuse
    with caplog.at_level(logging.WARNING):
        assert await street.drain.step() == FORBIDDEN_S
        assert await street.drain.step() == FORBIDDEN_S
    assert caplog.text.count("kubectl delete pod -l metertwin.io/role=twin") == 1


async def delete_later(street, name):
    """Add a meter and delete it; it stays until its readings are taken."""
    await street.add(name, deletionPolicy="Wait")
    await street.operator.cluster.remove("SmartMeter", "street", name)
    street.operator.sync()
    await street.operator.settle(name)


async def test_a_twin_whose_meters_deletion_waits_leaves_the_node_too(street):
    await delete_later(street, "house-1")
    street.set_node("node-a", cordoned=True)
    assert await street.poll() == {"house-1"}
    assert street.operator.pods() == ["house-1-e2"]


async def test_such_a_twin_without_a_node_holds_back_the_others(street):
    await delete_later(street, "house-1")
    await street.add("house-2")
    street.operator.delete_pod("house-1-e1")
    await street.operator.settle("house-1")
    street.set_node("node-a", cordoned=True)
    assert await street.poll() == set()
    street.run("house-1-e2", "node-b")
    assert await street.poll() == {"house-2"}
