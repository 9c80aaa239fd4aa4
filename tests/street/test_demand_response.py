"""A peak of the utility lowers the feeder's load; an upgrade in the middle of it changes nothing.

What the feeder's meter measures is compared with what it would without and with the contactors
open: the simulation's own figures for that second, from its configuration (`Expected`).
"""

import json
import statistics
import time
from datetime import datetime

import pytest
from demo import (
    FEEDER,
    HOUSES,
    ROOT,
    ask_meter,
    condition,
    get,
    is_ready,
    kubectl,
    meter,
    read_live,
    secret,
    until,
)
from electricity import street_electricity
from utility_staff import clear_the_programme, utility

pytestmark = [pytest.mark.demo, pytest.mark.timeout(900)]
REFUSES = "house-8"
TAKE_PART = [house for house in HOUSES if house != REFUSES]
UPGRADED = "house-6"
NET_POWER = "1-0:16.7.0*255"
LEAST_FALL_W = 200
"""Less would say nothing: the street's smallest controllable load is more at any time of day."""


def find_event(event_id):
    """Return what the utility has of an event."""
    events = json.loads(utility("state"))["events"]
    return next(one for one in events if one["id"] == event_id)


def find_ven(house):
    return json.loads(utility("state"))["vens"][house]


class Expected:
    """What the feeder's meter would measure."""

    def __init__(self):
        configuration = json.loads(secret(f"meter-{FEEDER}")["meter.json"])
        self._street = dict(configuration["electricity"]["street"])
        del self._street["wire"]  # a port that this machine has no use for
        self._open_permille = 1000 - configuration["loads"][0]["share_permille"]

    def power_w(self, at_s, *, is_peak):
        """Return the net power of a second, as a meter that ticks once a second shows it."""
        profiles = str(ROOT / "build/profiles")
        electricity = street_electricity(self._street, None, profiles, at_s - 1)
        for name, house in zip(sorted(HOUSES), electricity.members, strict=True):
            if is_peak and name in TAKE_PART:
                house.connected_permille = self._open_permille
        return sum(phase[0] for phase in electricity.tick(1000)[1])


def measure(expected):
    """Return (without, with): how far the feeder is from both, and how far these are apart."""
    rows = []
    for _ in range(3):
        reading = read_live(FEEDER)
        at_s = int(datetime.fromisoformat(reading["time"]).timestamp())
        measured = reading["registers"][NET_POWER]["value"]
        usual = expected.power_w(at_s, is_peak=False)
        peak = expected.power_w(at_s, is_peak=True)
        assert usual - peak >= LEAST_FALL_W
        rows.append(((usual - measured) / (usual - peak), usual - measured))
    return statistics.median(one[0] for one in rows), statistics.median(one[1] for one in rows)


def moves(house, since):
    """Return what a house's contactor did: 0 for opened, 1 for closed."""
    rows = ask_meter("events", house, "--since", since)
    return [one["arguments"]["closed"] for one in rows if one["code"] == "relay_load"]


def set_version(house, version):
    change = json.dumps({"spec": {"twin": {"version": version}}})
    kubectl("patch", "smartmeter", house, "--type=merge", "-p", change)


def is_replaced(house, epoch):
    status = get("smartmeter", house)["status"]
    return status["epoch"] > epoch and not status.get("handover") and is_ready(house)


@pytest.fixture
def registered():
    """Every house is a customer that its utility has taken, and no peak goes on or begins."""
    for house in HOUSES:
        until(lambda house=house: is_ready(house, "UtilityRegistered"), f"{house} is registered")
    clear_the_programme()
    yield
    if get("smartmeter", UPGRADED)["spec"]["twin"].get("version"):
        epoch = get("smartmeter", UPGRADED)["status"]["epoch"]
        set_version(UPGRADED, "")
        until(lambda: is_replaced(UPGRADED, epoch), f"{UPGRADED} is as it was", 300)


@pytest.mark.usefixtures("registered")
def test_a_peak_lowers_the_feeders_load_and_an_upgrade_in_its_middle_changes_nothing():
    expected = Expected()
    until(lambda: abs(measure(expected)[0]) < 0.1, "all houses draw what they want")
    before = find_ven(UPGRADED)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    peak = utility("peak", "--level", "2", "--in", "2", "--for", "1800").strip()
    try:
        until(lambda: measure(expected)[0] > 0.9, "the feeder's load falls", 180)
        fall, watts = measure(expected)
        print(f"the feeder's load is {watts:.0f} W lower, {100 * fall:.0f} % of what may fall")
        upgrade_in_the_middle(peak, before, since)
        fall, _ = measure(expected)
        assert fall > 0.9, "the load came back with the upgrade"
    finally:
        utility("cancel", peak)
    until(lambda: abs(measure(expected)[0]) < 0.1, "the feeder's load is as usual", 180)
    for house in TAKE_PART:
        until(lambda house=house: len(moves(house, since)) > 1, f"{house} closes again")
        assert moves(house, since) == [0, 1], f"{house} opens and closes once"
    assert moves(REFUSES, since) == []


def upgrade_in_the_middle(peak, before, since):
    """Replace one twin; neither the utility nor the house notices."""
    epoch = get("smartmeter", UPGRADED)["status"]["epoch"]
    set_version(UPGRADED, "next")
    until(lambda: is_replaced(UPGRADED, epoch), f"{UPGRADED} is upgraded", 300)
    polls = find_ven(UPGRADED)["polls"]
    until(lambda: find_ven(UPGRADED)["polls"] > polls, "the new twin polls")
    after = find_ven(UPGRADED)
    assert after["polls"] > before["polls"]
    assert after["registrations"] == before["registrations"], "it has not registered again"
    opts = find_event(peak)["opts"]
    assert {house: opts[house]["opt"] for house in HOUSES} == {
        house: "optOut" if house == REFUSES else "optIn" for house in HOUSES
    }
    assert {opts[house]["changes"] for house in HOUSES} == {0}
    shown = ask_meter("dr", UPGRADED)
    (event,) = [one for one in shown["events"] if one["id"] == peak]
    assert (event["status"], event["opt"], event["active"]) == ("active", "optIn", True)
    assert moves(UPGRADED, since) == [0], "its contactor stays as it is"
    assert condition(get("smartmeter", UPGRADED), "UtilityRegistered")["status"] == "True"


@pytest.mark.usefixtures("registered")
def test_the_utility_counts_its_customers_and_a_person_sees_how_a_meter_stands():
    status = get("utility", "city-grid")["status"]
    assert status["meters"] == {"total": len(HOUSES), "registered": len(HOUSES)}
    text = meter("dr", REFUSES).stdout
    assert f"{REFUSES} with city-grid: registered as" in text
    assert "notParticipating" in text
    done = meter("dr", FEEDER, check=False)
    assert done.returncode == 1
    assert "spec.utility" in done.stderr


OVERRIDDEN = "house-7"


@pytest.mark.usefixtures("registered")
def test_a_customer_who_calls_is_taken_out_at_once_and_the_utility_hears_of_it():
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    peak = utility(
        "peak", "--level", "2", "--in", "2", "--for", "1800", "--ven", OVERRIDDEN
    ).strip()
    try:
        until(lambda: moves(OVERRIDDEN, since) == [0], "its contactor opens")
        meter("override", OVERRIDDEN, "--for", "2h")
        until(lambda: moves(OVERRIDDEN, since) == [0, 1], "its contactor closes")
        until(lambda: find_event(peak)["opts"][OVERRIDDEN]["opt"] == "optOut", "it is told")
        assert condition(get("smartmeter", OVERRIDDEN), "UtilityRegistered")["status"] == "True"
    finally:
        meter("override", OVERRIDDEN, "--end")
        utility("cancel", peak)


STOPPED = "house-5"
LIMIT_A_LOAD = """
import http.client, json
twin = http.client.HTTPConnection("127.0.0.1", 8081, timeout=60)
twin.request("POST", "/v1/load", json.dumps({"load": 0, "limit_w": 100000, "seconds": 1}))
answer = twin.getresponse()
print(json.dumps([answer.status, json.loads(answer.read())]))
"""


def limit_a_load(house):
    """Return status and body of a write to a house's twin, as an application beside it does."""
    pod = get("smartmeter", house)["status"]["twin"]["pod"]
    return json.loads(kubectl("exec", pod, "--", "python3", "-c", LIMIT_A_LOAD).stdout)


@pytest.mark.usefixtures("registered")
def test_a_fleet_stop_lifts_the_limits_of_a_peak_that_goes_on_and_refuses_every_write():
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    epochs = {house: get("smartmeter", house)["status"]["epoch"] for house in HOUSES}
    peak = utility("peak", "--level", "2", "--in", "2", "--for", "1800").strip()
    try:
        until(lambda: moves(STOPPED, since) == [0], "its contactor opens")
        meter("stop", "--profile", "household", "--reason", "a test")
        # The meter itself spreads releases over a minute at most.
        until(lambda: moves(STOPPED, since) == [0, 1], "its contactor closes", 90)
        status, body = limit_a_load(STOPPED)
        assert (status, body["error"]["field"]) == (409, "spec.loadControl")
        until(lambda: find_event(peak)["opts"][STOPPED]["opt"] == "optOut", "the utility is told")
        until(
            lambda: (
                (count := get("twinprofile", "household")["status"]["loadControl"])["stopped"]
                == count["of"]
            ),
            "all twins say so",
        )
        meter("allow", "--profile", "household")
        until(lambda: moves(STOPPED, since) == [0, 1, 0], "it follows the peak again")
        assert limit_a_load(STOPPED)[0] == 200
    finally:
        meter("allow", "--profile", "household")
        utility("cancel", peak)
    found = {house: get("smartmeter", house)["status"]["epoch"] for house in HOUSES}
    assert found == epochs, "no twin was replaced for it"
