"""The energy management of house-2 hears its twin over the broker, and goes on over an upgrade."""

import json
import time

import pytest
from demo import get, is_ready, kubectl, restarts, twin_of, until
from utility_staff import clear_the_programme, utility

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(900)]
HOUSE, HOME = "house-2", "home-2"
LIMIT = "a peak: no more than"
ASK = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8081/v1/ems').read().decode())"


def shown():
    """Return what the twin was told and tells, as people see it."""
    done = kubectl("exec", twin_of(HOUSE)["metadata"]["name"], "--", "python3", "-c", ASK)
    return json.loads(done.stdout)


def reaction():
    return (shown()["state"] or {}).get("reaction", "")


def home_pod():
    (pod,) = [
        one
        for one in get("pod", "-l", "app.kubernetes.io/name=home-ems,metertwin.io/role=ems")
        if "deletionTimestamp" not in one["metadata"]
    ]
    return pod


def log_since(since):
    return kubectl("logs", f"deploy/{HOME}", f"--since-time={since}").stdout.splitlines()


def set_version(version):
    change = json.dumps({"spec": {"twin": {"version": version}}})
    kubectl("patch", "smartmeter", HOUSE, "--type=merge", "-p", change)


def is_replaced(epoch):
    status = get("smartmeter", HOUSE)["status"]
    return status["epoch"] > epoch and not status.get("handover") and is_ready(HOUSE)


@pytest.fixture
def registered():
    until(lambda: is_ready(HOUSE, "UtilityRegistered"), f"{HOUSE} is registered")
    clear_the_programme()
    yield
    if get("smartmeter", HOUSE)["spec"]["twin"].get("version"):
        epoch = get("smartmeter", HOUSE)["status"]["epoch"]
        set_version("")
        until(lambda: is_replaced(epoch), f"{HOUSE} is as it was", 300)


@pytest.mark.usefixtures("registered")
def test_a_home_reacts_to_a_peak_and_an_upgrade_in_its_middle_changes_nothing_for_it():
    until(lambda: shown()["state"], "the home tells its twin what it has")
    kinds = {one["kind"] for one in shown()["state"]["devices"]}
    assert kinds == {"battery", "ev", "heatPump"}
    until(lambda: not reaction().startswith(LIMIT), "the peak of an earlier test is over for it")
    before = home_pod()
    peak = utility("peak", "--level", "2", "--in", "5", "--for", "1800", "--ven", HOUSE).strip()
    try:
        until(lambda: reaction().startswith(LIMIT), "the home reacts")
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
        epoch = get("smartmeter", HOUSE)["status"]["epoch"]
        set_version("next")
        until(lambda: is_replaced(epoch), f"{HOUSE} is upgraded", 300)
        until(lambda: reaction().startswith(LIMIT), "the home tells the new twin")
        lines = log_since(since)
        assert lines
        assert all(line.startswith("a peak: ") for line in lines), "the peak went on for it"
        after = home_pod()
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert restarts(after) == restarts(before)
        assert shown()["refused"] == {}
    finally:
        utility("cancel", peak)
    until(lambda: not reaction().startswith(LIMIT), "the home does what it did before")
