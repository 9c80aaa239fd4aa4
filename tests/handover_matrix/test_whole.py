"""To another version of the twin and back, and nobody at the meter notices."""

import json

import pytest
from cells import NEXT
from demo import ask_meter, get, is_ready, kubectl, meter, restarts, until

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(1200)]
HOUSE = "house-8"
APPLICATIONS = ("metering-data", "power-quality")
"""Of the street's profile."""
DIGEST = """
import os, hashlib, binascii
def walk(path):
    for name, kind, *_ in sorted(os.ilistdir(path)):
        whole = path + "/" + name
        if kind == 0x4000:
            yield from walk(whole)
        else:
            yield whole
found = hashlib.sha256()
for path in list(walk("/app")) + ["/usr/bin/micropython"]:
    found.update(path)
    with open(path, "rb") as file:
        while True:
            piece = file.read(4096)
            if not piece:
                break
            found.update(piece)
print(binascii.hexlify(found.digest()).decode())
"""
ASK = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 8081)
connection.request("GET", sys.argv[1])
answer = connection.getresponse()
print(answer.read().decode())
sys.exit(answer.status != 200)
"""


def see_firmware():
    """Return what identifies the meter: its firmware's files, its image, its process."""
    pod = get("pod", f"meter-{HOUSE}")
    done = kubectl("exec", f"meter-{HOUSE}", "--", "/usr/bin/micropython", "-c", DIGEST)
    status = pod["status"]["containerStatuses"][0]
    return done.stdout.strip(), status["imageID"], status["containerID"], restarts(pod)


def ask_twin(path):
    """Ask the active twin's local API."""
    pod = get("smartmeter", HOUSE)["status"]["twin"]["pod"]
    return json.loads(kubectl("exec", pod, "--", "python3", "-c", ASK, path).stdout)


def see_profile():
    """Return the quarter hours and the gaps that metering-data has derived."""
    found = ask_twin("/v1/profile")
    return {
        kind: {row["start"]: (row["end"], row["registers"]) for row in found[kind]}
        for kind in ("intervals", "gaps")
    }


def replace(watcher, twin):
    """Ask for another twin; return the handover once it is done."""
    timeline = watcher.timelines[HOUSE]
    timeline.begin()
    kubectl(
        "patch", "smartmeter", HOUSE, "--type=merge", "-p", json.dumps({"spec": {"twin": twin}})
    )

    def done():
        status = get("smartmeter", HOUSE)["status"]
        rows = [row for row in status.get("handovers", []) if row["to"] == timeline.epochs[1]]
        return rows and is_ready(HOUSE) and rows[0]

    found = until(done, f"{HOUSE} has another twin", 300)
    assert found["result"] == "Done", found
    return found


@pytest.fixture
def house(street):
    """Return the watcher; the house has a stock twin before and afterwards."""
    go_back()
    yield street
    go_back()


def go_back():
    patch = json.dumps({"spec": {"twin": None}})
    kubectl("patch", "smartmeter", HOUSE, "--type=merge", "-p", patch)

    def is_stock():
        meter = get("smartmeter", HOUSE)
        return is_ready(HOUSE) and not meter["status"].get("handover")

    until(is_stock, "the stock twin", 400)


def is_carried(watcher):
    """Whether each application that has a state went on from that of the twin before."""
    marks = set(watcher.timelines[HOUSE].marks())
    return {f"new:inherits:{name}" for name in APPLICATIONS} <= marks


def test_to_the_next_version_and_back_nothing_is_lost_and_the_meter_is_as_it_was(house, record):
    firmware, profile = see_firmware(), see_profile()
    before = get("smartmeter", HOUSE)["status"]
    oracle = record(HOUSE)

    replace(house, {"version": NEXT})
    status = get("smartmeter", HOUSE)["status"]
    assert status["twin"]["version"] == NEXT
    assert NEXT in kubectl("get", "meter", HOUSE).stdout.splitlines()[-1].split()
    assert status["epoch"] > before["epoch"]
    assert is_carried(house)
    assert ask_twin("/v1/status")["version"] == NEXT
    assert ask_twin("/v1/demand")["register"] == "1-0:1.8.0*255"
    until(lambda: oracle.verify() is None, "the oracle")
    during = see_profile()

    replace(house, None)
    assert get("smartmeter", HOUSE)["status"]["twin"]["version"] == before["twin"]["version"]
    assert is_carried(house)
    until(lambda: oracle.verify() is None, "the oracle")
    after = see_profile()

    assert see_firmware() == firmware, "the meter was touched"
    for earlier, later in ((profile, during), (during, after)):
        assert earlier["intervals"].items() <= later["intervals"].items(), "the profile goes on"
        assert later["gaps"] == earlier["gaps"], "a handover makes no gap"

    rows = json.loads(meter("handovers", HOUSE, "-o", "json").stdout)
    assert [(row["result"], row["version"]) for row in rows[:2]] == [
        ("Done", before["twin"]["version"]),
        ("Done", NEXT),
    ]
    assert all(row["seconds"] > 0 for row in rows[:2])
    text = meter("handovers", HOUSE).stdout
    assert text.count("Done") >= 2
    events = ask_meter("events", HOUSE, "--since", "1h")
    epochs = [row["arguments"]["active_epoch"] for row in events if row["code"] == "owner_change"]
    assert epochs == sorted(epochs)
