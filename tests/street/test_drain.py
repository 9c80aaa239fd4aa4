"""A node is drained: all that is on it goes elsewhere by itself, and no reading is lost."""

import pytest
from demo import DEVICES, Record, answers, get, is_ready, run, twin_of, until

pytestmark = [pytest.mark.demo, pytest.mark.timeout(900)]


def is_usable(node):
    return not node["spec"].get("unschedulable") and not node["spec"].get("taints")


@pytest.fixture
def node():
    """Return a node with twins while another can take them; it is uncordoned afterwards."""
    usable = [one["metadata"]["name"] for one in get("nodes") if is_usable(one)]
    if len(usable) < 2:
        pytest.skip("twins can move only where there is a second node")
    chosen = twin_of("house-5")["spec"]["nodeName"]
    yield chosen
    run("kubectl", "uncordon", chosen)


def test_a_drain_ends_by_itself_and_every_twin_serves_elsewhere(node, tmp_path):
    there = [device for device in DEVICES if twin_of(device)["spec"]["nodeName"] == node]
    epochs = {device: get("smartmeter", device)["status"]["epoch"] for device in DEVICES}
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=400s")
    # The simulated meters stand for hardware: nobody drains those. Operator and broker go, too.
    but = "--pod-selector=metertwin.io/role!=meter"
    run("kubectl", "drain", node, *options, but, timeout=430)

    def serves_elsewhere(device):
        assert is_ready(device)
        assert twin_of(device)["spec"]["nodeName"] != node
        return True

    for device in DEVICES:
        until(lambda device=device: serves_elsewhere(device), f"{device} serves elsewhere", 300)
        moved = get("smartmeter", device)["status"]["epoch"] - epochs[device]
        assert moved == (1 if device in there else 0), device
    until(lambda: answers("house-5"), "the meter answers its new twin")
    Record(tmp_path, "house-5").verify()
