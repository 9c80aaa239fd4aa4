"""A node is drained: all that is on it goes elsewhere by itself, and no reading is lost."""

import pytest
from demo import DEVICES, Record, answers, get, is_ours, is_ready, run, twin_of, until

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(900)]
CORDONED = "NodeCordoned"


def is_usable(node):
    return not node["spec"].get("unschedulable") and not node["spec"].get("taints")


def find_usable():
    """Return the names of the nodes that take twins."""
    return [one["metadata"]["name"] for one in get("nodes") if is_usable(one)]


@pytest.fixture
def node():
    """Return a node with twins while another can take them; it is uncordoned afterwards."""
    if not is_ours():
        pytest.skip("a drain evicts everybody's pods: only on a cluster of ours")
    wait_settled()
    chosen = node_of("house-5")
    yield chosen
    run("kubectl", "uncordon", chosen)


@pytest.fixture
def nodes():
    """Return both nodes of a cluster of ours; they are uncordoned afterwards, and all twins serve."""
    if not is_ours():
        pytest.skip("only a cluster of ours may be without room")
    wait_settled()
    # The taint of a node that was cordoned goes a moment after the cordon.
    until(lambda: len(find_usable()) == 2, "two nodes take twins", 60)
    found = find_usable()
    yield found
    run("kubectl", "uncordon", *found)
    wait_settled()


def node_of(device):
    return twin_of(device)["spec"]["nodeName"]


def see():
    """Return each device's status."""
    return {device: get("smartmeter", device)["status"] for device in DEVICES}


def wait_settled():
    """Every meter speaks to one twin that is as it should be: that one can be handed over."""
    for device in DEVICES:
        until(lambda device=device: is_settled(device), f"{device} is served", 300, 1)


def is_settled(device):
    handover = get("smartmeter", device)["status"].get("handover")
    assert not handover, handover
    return is_ready(device) and is_ready(device, "MeterConnected")


def was_handed_over(device, before):
    """Whether it has the next free epoch, by a handover that the cordon was the reason for."""
    status = get("smartmeter", device)["status"]
    assert status["epoch"] == before["highestEpoch"] + 1
    (row, *_) = status["handovers"]
    assert (row["from"], row["to"]) == (before["epoch"], status["epoch"]), row
    assert (row["result"], row["reason"]) == ("Done", CORDONED), row
    return True


def test_a_drain_ends_by_itself_and_every_twin_is_handed_over_to_another_node(node, tmp_path):
    there = [device for device in DEVICES if node_of(device) == node]
    before = see()
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=400s")
    # The simulated meters stand for hardware: nobody drains those. Operator and broker go, too.
    but = "--pod-selector=metertwin.io/role!=meter"
    done = run("kubectl", "drain", node, *options, but, timeout=430)
    assert "disruption budget" in done.stderr, done.stderr
    for device in there:
        refused = f'evicting pods/"{before[device]["twin"]["pod"]}"'
        assert refused in done.stderr, f"it was not kept until {device} was served elsewhere"

    def serves_elsewhere(device):
        assert is_settled(device)
        assert node_of(device) != node
        return True

    for device in DEVICES:
        until(lambda device=device: serves_elsewhere(device), f"{device} serves elsewhere", 300)
        if device in there:
            assert was_handed_over(device, before[device])
        else:
            assert get("smartmeter", device)["status"]["epoch"] == before[device]["epoch"], device
    until(lambda: answers("house-5"), "the meter answers its new twin")
    Record(tmp_path, "house-5").verify()


def events_of(device):
    """Return name → event of all that cordons have made."""
    chosen = f"involvedObject.kind=SmartMeter,involvedObject.name={device},reason={CORDONED}"
    rows = get("events", "--field-selector", chosen)
    return {row["metadata"]["name"]: (row["type"], row["message"]) for row in rows}


def test_without_another_node_every_twin_stays_and_says_so_until_there_is_one(nodes, tmp_path):
    earlier = {device: events_of(device) for device in DEVICES}
    before, places = see(), {device: node_of(device) for device in DEVICES}
    run("kubectl", "cordon", *nodes)

    def says_so(device):
        said = [row for name, row in events_of(device).items() if name not in earlier[device]]
        text = f"node {places[device]} is cordoned: the twin stays, no other node can take it"
        assert ("Warning", text) in said, said
        return True

    for device in DEVICES:
        until(lambda device=device: says_so(device), f"{device} says why it stays", 120, 1)
    for device in DEVICES:
        status = get("smartmeter", device)["status"]
        assert not status.get("handover"), device
        assert status["highestEpoch"] == before[device]["highestEpoch"], "nothing was begun"
        assert status["twin"]["podUid"] == before[device]["twin"]["podUid"], device
    until(lambda: answers("house-5"), "the meter answers the twin that stays")

    emptied = places["house-5"]
    (free,) = [node for node in nodes if node != emptied]
    run("kubectl", "uncordon", free)
    until(lambda: find_moved(before), "one moves", 180)
    run("kubectl", "uncordon", emptied)  # what has not begun stays
    wait_settled()
    moved = find_moved(before)
    for device in moved:
        assert places[device] == emptied, f"{device} had a node that takes twins"
        assert was_handed_over(device, before[device])
    arrived = [device for device in moved if node_of(device) == free]
    assert arrived, "the first one is where there was room"
    until(lambda: answers(arrived[0]), f"{arrived[0]} answers its new twin")
    Record(tmp_path, arrived[0]).verify()


def find_moved(before):
    """Return the devices that have another epoch since."""
    return [device for device, status in see().items() if status["epoch"] > before[device]["epoch"]]
