"""`deletionPolicy: Wait`: a deleted meter is served until its readings are exported.

The meter is real firmware in a pod of its own; the oracle is its log.
"""

import json

import pytest
from demo import (
    Record,
    answers,
    build_manifest,
    condition,
    get,
    is_ready,
    kubectl,
    meter,
    names,
    until,
)
from extra_meter import firmware

pytestmark = [pytest.mark.demo, pytest.mark.timeout(900)]
DEVICE = "leaving-1"
PERIOD_S = 15
FINALIZER = "metertwin.io/readings"
KINDS = {"registers": 1, "code": 2}
"""What a row has only as a reading, or only as an event, and how the oracle calls it."""


def build_waiting(name, **fields):
    return build_manifest(name, capturePeriodSeconds=PERIOD_S, deletionPolicy="Wait", **fields)


def deletable(name):
    """Return why a deletion waits, nothing while nobody has said."""
    return condition(get("smartmeter", name), "Deletable").get("reason")


def is_gone(name):
    return name not in names("smartmeter") and not [
        one for kind in ("pod", "secret") for one in names(kind) if one.startswith(f"{name}-e")
    ]


def give_up(name):
    """Let a meter go, whatever a test has left of it."""
    if name in names("smartmeter"):
        patch = json.dumps({"spec": {"deletionPolicy": "Delete"}})
        kubectl("patch", "smartmeter", name, "--type=merge", "-p", patch, check=False)
    kubectl("delete", "smartmeter", name, "--ignore-not-found")


@pytest.fixture
def waiting():
    """Apply SmartMeters whose deletion waits; they are gone afterwards."""
    made = []

    def apply(name):
        made.append(name)
        kubectl("apply", "-f", "-", text=json.dumps(build_waiting(name)))

    yield apply
    for name in made:
        give_up(name)


@pytest.fixture
def installed(tmp_path):
    """A meter that is none of the street's."""
    with firmware(DEVICE, tmp_path):
        yield


def is_connected():
    return is_ready(DEVICE) and is_ready(DEVICE, "MeterConnected") and answers(DEVICE)


@pytest.mark.usefixtures("installed")
def test_a_deleted_meter_is_served_until_everything_that_its_log_has_is_in_a_file(
    waiting, tmp_path
):
    waiting(DEVICE)
    until(is_connected, "the meter is served", 300)
    assert get("smartmeter", DEVICE)["metadata"]["finalizers"] == [FINALIZER]
    record = Record(tmp_path, DEVICE)
    until(lambda: len(record.logged()) >= 8, "some readings", period_s=2)

    logged = record.logged()  # all of it is older than the deletion
    kubectl("delete", "smartmeter", DEVICE, "--wait=false")
    until(lambda: deletable(DEVICE) == "ReadingsNotTaken", "it says what is missing")
    assert is_ready(DEVICE)
    assert answers(DEVICE)
    epoch = get("smartmeter", DEVICE)["status"]["epoch"]
    kubectl("delete", "pod", f"{DEVICE}-e{epoch}", "--wait=false")
    until(lambda: get("smartmeter", DEVICE)["status"]["epoch"] > epoch, "a takeover")
    until(is_connected, "served again by the next twin", 300)
    until(lambda: deletable(DEVICE) == "ReadingsNotTaken", "nothing else is missing", 300)

    file = tmp_path / "readings.jsonl"
    done = meter("export", DEVICE, "--out", str(file), timeout=300)
    until(lambda: is_gone(DEVICE), "the SmartMeter and all that it owned are gone")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    found = {
        (row["incarnation"], row["seq"]): next(KINDS[name] for name in KINDS if name in row)
        for row in rows
    }
    assert len(found) == len(rows), "something is in it twice"
    missing = {tuple(name): content[0] for name, content in logged.items()}.items() - found.items()
    assert not missing, (sorted(missing), done.stdout)


def test_who_gives_up_the_readings_need_not_export_them(waiting, tmp_path):
    waiting("leaving-2")
    until(lambda: is_ready("leaving-2"), "a twin without a meter is Ready")
    kubectl("delete", "smartmeter", "leaving-2", "--wait=false")
    until(lambda: deletable("leaving-2") == "ReadingsNotTaken", "it says what is missing")
    done = meter("export", "leaving-2", "--out", str(tmp_path / "none"), check=False)
    assert done.returncode == 1, "a meter that was never there was asked, and answered"
    assert deletable("leaving-2") == "ReadingsNotTaken"
    patch = json.dumps({"spec": {"deletionPolicy": "Delete"}})
    kubectl("patch", "smartmeter", "leaving-2", "--type=merge", "-p", patch)
    until(lambda: is_gone("leaving-2"), "it is gone")


def test_another_one_that_holds_it_keeps_what_it_holds(waiting):
    waiting("leaving-3")
    until(lambda: is_ready("leaving-3"), "a twin without a meter is Ready")
    other = "example.com/theirs"
    finalizers = [*get("smartmeter", "leaving-3")["metadata"]["finalizers"], other]
    patch = json.dumps({"metadata": {"finalizers": finalizers}})
    kubectl("patch", "smartmeter", "leaving-3", "--type=merge", "-p", patch)
    kubectl("delete", "smartmeter", "leaving-3", "--wait=false")
    patch = json.dumps({"spec": {"deletionPolicy": "Delete"}})
    kubectl("patch", "smartmeter", "leaving-3", "--type=merge", "-p", patch)

    def is_theirs_only():
        return get("smartmeter", "leaving-3")["metadata"]["finalizers"] == [other]

    until(is_theirs_only, "ours is removed, and nothing else")
    patch = json.dumps({"metadata": {"finalizers": []}})
    kubectl("patch", "smartmeter", "leaving-3", "--type=merge", "-p", patch)
    until(lambda: is_gone("leaving-3"), "it is gone")
