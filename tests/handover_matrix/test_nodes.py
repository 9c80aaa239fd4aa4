"""A node goes while a meter is handed over: it is drained, or it is lost.

Long, and only where there is a second node; a node is lost only on the cluster of `tools/cluster`,
whose kubelets are processes of this machine.
"""

import contextlib
import json
import os
import signal

import pytest
from cells import NEXT
from demo import (
    CLUSTER,
    answers,
    find_process,
    get,
    is_ours,
    is_pod_ready,
    is_ready,
    kubectl,
    run,
    until,
)

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(1800)]
HOUSES = ["house-5", "house-6"]
TWINS, DATABASE = "metertwin.io/role=twin", "app.kubernetes.io/component=postgres"


def ask(house, twin):
    patch = json.dumps({"spec": {"twin": twin}})
    kubectl("patch", "smartmeter", house, "--type=merge", "-p", patch)


def is_ready_node(name):
    rows = get("node", name)["status"]["conditions"]
    return any(row["type"] == "Ready" and row["status"] == "True" for row in rows)


def pods_of(house):
    """Return {epoch: pod} of a house's twins."""
    rows = get("pod", "-l", f"metertwin.io/role=twin,metertwin.io/device={house}")
    return {int(row["metadata"]["labels"]["metertwin.io/epoch"]): row for row in rows}


def node_of(pod):
    return pod["spec"].get("nodeName")


def serves_elsewhere(house, node):
    assert is_ready(house), get("smartmeter", house)["status"]
    assert not get("smartmeter", house)["status"].get("handover")
    assert all(node_of(pod) != node for pod in pods_of(house).values())
    return answers(house)


def is_served(house, node):
    """Whether a twin elsewhere serves; pods of a lost node stay in the API until it is back."""
    found = get("smartmeter", house)
    assert is_ready(house), found["status"]
    active = pods_of(house)[found["status"]["epoch"]]
    assert node_of(active) != node
    return answers(house)


def reasons_since(house, source):
    """Return why its twin was replaced since an epoch, in order.

    Raises:
        AssertionError: once without a handover that was committed, such as by a takeover.
    """
    status = get("smartmeter", house)["status"]
    rows = {row["to"]: row for row in status["handovers"]}
    found, epoch = [], status["epoch"]
    while epoch != source:
        row = rows.get(epoch, {})
        # A soak ends at once when the new twin has to go on, off the node that is drained.
        assert row.get("result") in {"Done", "Superseded"}, (epoch, status["handovers"])
        found.insert(0, row["reason"])
        epoch = row["from"]
    return found


@pytest.fixture
def nodes(street):  # noqa: ARG001 - it is there while this lives
    """Return the names of the nodes; they take pods again afterwards and the houses are as before."""
    found = [row["metadata"]["name"] for row in get("nodes")]
    if len(found) < 2:
        pytest.skip("a twin can go elsewhere only where there is a second node")
    settle_stock()
    yield found
    for node in found:
        run("kubectl", "uncordon", node)
    settle_stock()


def settle_stock():
    """Give each house the twin of the installation; one may have the next version by now."""
    for house in HOUSES:
        ask(house, None)
    for house in HOUSES:
        until(lambda house=house: is_stock(house), f"{house} has a stock twin", 600, 1)


def is_stock(house):
    return is_ready(house) and not get("smartmeter", house)["status"].get("handover")


@pytest.mark.parametrize(("house", "side"), [*zip(HOUSES, ["old", "new"], strict=True)])
def test_a_node_that_is_drained_in_the_middle_loses_nothing(nodes, street, record, house, side):  # noqa: ARG001
    timeline, oracle = street.timelines[house], record(house)
    until(lambda: is_ready(house), "ready")
    timeline.begin()
    ask(house, {"version": NEXT})
    assert timeline.wait(["new:session"], 180)
    source, candidate = timeline.epochs
    pods = pods_of(house)
    node = node_of(pods[source if side == "old" else candidate])
    moves_again = node_of(pods[candidate]) == node
    chosen = f"metertwin.io/role=twin,metertwin.io/device={house}"
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=600s")
    done = run("kubectl", "drain", node, *options, f"--pod-selector={chosen}", timeout=660)
    if moves_again:  # the old twin may have gone by itself before its eviction was asked for
        assert f'evicting pods/"{pods[candidate]["metadata"]["name"]}"' in done.stderr
        assert "disruption budget" in done.stderr, done.stderr
    until(lambda: serves_elsewhere(house, node), f"{house} is served elsewhere", 600, 1)
    cordoned = ["NodeCordoned"] if moves_again else []
    assert reasons_since(house, source) == ["SpecChanged", *cordoned]
    until(lambda: oracle.verify() is None, "the oracle")


class Power:
    """Processes that are stopped as if their machine had no power."""

    def __init__(self):
        self._stopped = []

    def off(self, process):
        os.kill(process, signal.SIGSTOP)
        self._stopped.append(process)

    def on(self):
        """Let all go on; one that was killed meanwhile is none."""
        while self._stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._stopped.pop(), signal.SIGCONT)


@pytest.fixture
def power():
    found = Power()
    yield found
    found.on()


def kubelet_of(node):
    """Return the process of a node's kubelet."""
    number = node.rpartition("-")[2]
    rows = [line.split() for line in run(CLUSTER, "status").stdout.splitlines()]
    (found,) = [int(row[2]) for row in rows if row[0] in {f"kubelet-{number}", f"kubelet{number}"}]
    return found


def place(street, node, others):
    """Return a house with a twin on a node; the other nodes are cordoned until one has come."""

    def there():
        rows = [one for one in street.timelines if any(node_of(p) == node for p in settled(one))]
        return rows[0] if rows else None

    if there() is None:
        for other in others:
            run("kubectl", "cordon", other)
        until(there, f"a twin is on {node}", 400, 1)
        for other in others:
            run("kubectl", "uncordon", other)
        for house in street.timelines:
            until(lambda house=house: settled(house), f"{house} has one twin", 400, 1)
    return there()


def settled(house):
    """Return the pod of a house that serves, while nothing is handed over."""
    status = get("smartmeter", house)["status"]
    pods = pods_of(house)
    is_alone = set(pods) == {status.get("epoch")} and not status.get("handover")
    return list(pods.values()) if is_alone and is_ready(house) else []


@pytest.mark.parametrize("by_hand", [True, False], ids=["force-deleted", "evicted"])
def test_a_node_that_is_lost_in_the_middle_is_taken_over_and_its_twin_that_wakes_acts_no_more(
    nodes, street, record, power, by_hand
):
    """Its pods are deleted by hand; or by Kubernetes itself, some five minutes later."""
    if not is_ours():
        pytest.skip("the cluster is not the one of tools/cluster: its kubelets are not ours")
    (broker,) = get("pod", "-l", "app.kubernetes.io/component=broker")
    (lost,) = [node for node in nodes if node != node_of(broker)]
    house = place(street, lost, [node_of(broker)])
    timeline, oracle = street.timelines[house], record(house)
    timeline.begin()
    ask(house, {"version": NEXT})
    assert timeline.wait(["new:session"], 180)
    source = timeline.epochs[0]
    power.off(kubelet_of(lost))
    there = {epoch: pod for epoch, pod in pods_of(house).items() if node_of(pod) == lost}
    for epoch in there:
        power.off(timeline.processes[epoch])
    until(lambda: not is_ready_node(lost), "the node is seen to be lost", 180)
    for pod in there.values() if by_hand else ():
        kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    until(lambda: is_served(house, lost), f"{house} is served elsewhere", 800, 1)
    assert get("smartmeter", house)["status"]["epoch"] > source
    power.on()
    until(lambda: is_ready_node(lost), "the node is back", 180)
    until(lambda: serves_elsewhere(house, lost), "nothing is left on the node", 400, 1)
    until(lambda: oracle.verify() is None, "the oracle", 300)
    ask(house, None)
    until(lambda: is_ready(house), f"{house} has a stock twin", 400, 1)


def lost_with(node):
    """Return {house: pod} of a node's twins, and its pods of the archive's service."""
    twins = {row["metadata"]["labels"]["metertwin.io/device"]: row for row in here(node, TWINS)}
    return twins, here(node, "app.kubernetes.io/component=archive")


def here(node, selector):
    return [pod for pod in get("pod", "-l", selector) if node_of(pod) == node]


def move_database(node):
    """Have PostgreSQL elsewhere: its volume is what outlives a node, and here it has only one."""
    if here(node, DATABASE):
        run("kubectl", "cordon", node)
        kubectl("delete", "pod", "-l", DATABASE, "--wait")
        until(lambda: is_pod_ready(*get("pod", "-l", DATABASE)), "the database is elsewhere", 180)
        run("kubectl", "uncordon", node)


def test_a_node_that_is_lost_with_its_twins_stores_leaves_nothing_missing_in_the_archive(
    nodes, record, power
):
    """Its meters go on, as meters do; its twins and the service's replica wake up when it is back."""
    if not is_ours():
        pytest.skip("the cluster is not the one of tools/cluster: its kubelets are not ours")
    (broker,) = get("pod", "-l", "app.kubernetes.io/component=broker")
    (lost,) = [node for node in nodes if node != node_of(broker)]
    move_database(lost)
    twins, replicas = lost_with(lost)
    assert twins, f"no twin is on {lost}"
    epochs = {house: get("smartmeter", house)["status"]["epoch"] for house in twins}
    power.off(kubelet_of(lost))
    for pod in (*twins.values(), *replicas):
        power.off(find_process(pod))
    until(lambda: not is_ready_node(lost), "the node is seen to be lost", 180)
    for pod in (*twins.values(), *replicas):
        kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    for house in twins:
        until(lambda house=house: is_served(house, lost), f"{house} is served elsewhere", 800, 1)
        assert get("smartmeter", house)["status"]["epoch"] > epochs[house]
    power.on()
    until(lambda: is_ready_node(lost), "the node is back", 180)
    for house in twins:
        oracle = record(house)
        until(lambda oracle=oracle: oracle.verify() is None, f"the oracle of {house}", 300)
