"""A node goes while a meter is handed over: it is drained, or it is lost.

Long, and only where there is a second node; a node is lost only on the cluster of `tools/cluster`,
whose kubelets are processes of this machine.
"""

import contextlib
import json
import os
import signal

import pytest
from bad_images import is_ours
from cells import NEXT
from demo import CLUSTER, answers, get, is_ready, kubectl, run, until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]
HOUSES = ["house-5", "house-6"]


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


@pytest.fixture
def nodes(street):  # noqa: ARG001 - it is there while this lives
    """Return the names of the nodes; they take pods again afterwards and the houses are as before."""
    found = [row["metadata"]["name"] for row in get("nodes")]
    if len(found) < 2:
        pytest.skip("a twin can go elsewhere only where there is a second node")
    yield found
    for node in found:
        run("kubectl", "uncordon", node)
    for house in HOUSES:
        ask(house, None)
    for house in HOUSES:
        until(lambda house=house: is_ready(house), f"{house} has a stock twin", 600, 1)


@pytest.mark.parametrize(("house", "side"), [*zip(HOUSES, ["old", "new"], strict=True)])
def test_a_node_that_is_drained_in_the_middle_loses_nothing(nodes, street, record, house, side):  # noqa: ARG001
    timeline, oracle = street.timelines[house], record(house)
    until(lambda: is_ready(house), "ready")
    timeline.begin()
    ask(house, {"version": NEXT})
    assert timeline.wait(["new:session"], 180)
    source, candidate = timeline.epochs
    node = node_of(pods_of(house)[source if side == "old" else candidate])
    chosen = f"metertwin.io/role=twin,metertwin.io/device={house}"
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=600s")
    run("kubectl", "drain", node, *options, f"--pod-selector={chosen}", timeout=660)
    until(lambda: serves_elsewhere(house, node), f"{house} is served elsewhere", 600, 1)
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


def test_a_node_that_is_lost_in_the_middle_is_taken_over_and_its_twin_that_wakes_acts_no_more(
    nodes, street, record, power
):
    if not is_ours():
        pytest.skip("the cluster is not the one of tools/cluster: its kubelets are not ours")
    (broker,) = get("pod", "-l", "app.kubernetes.io/component=broker")
    (lost,) = [node for node in nodes if node != node_of(broker)]
    house = next(
        (one for one in street.timelines if any(node_of(p) == lost for p in pods_of(one).values())),
        None,
    )
    if house is None:
        pytest.skip("no twin is on the node that can be lost")
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
    for pod in there.values():
        kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    until(lambda: serves_elsewhere(house, lost), f"{house} is served elsewhere", 400, 1)
    assert get("smartmeter", house)["status"]["epoch"] > source
    power.on()
    until(lambda: is_ready_node(lost), "the node is back", 180)
    until(lambda: oracle.verify() is None, "the oracle", 300)
    ask(house, None)
    until(lambda: is_ready(house), f"{house} has a stock twin", 400, 1)
