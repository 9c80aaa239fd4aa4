import re

import pytest
from demo import DEVICES, build_manifest, get, kubectl, until

pytestmark = [pytest.mark.demo, pytest.mark.timeout(900)]


def test_the_columns_of_a_meter_are_what_an_operator_asks_for():
    lines = kubectl("get", "meters").stdout.splitlines()
    head = "NAME READY REASON TWIN-VERSION EPOCH AGE HANDOVER"
    assert lines[0].split() == head.split()
    assert set(DEVICES) <= {line.split()[0] for line in lines[1:]}
    for device in DEVICES:
        until(lambda device=device: shows_a_meter_that_serves(device), f"the row of {device}")


def shows_a_meter_that_serves(device):
    """The row of a meter says that it serves, with all its columns and the epoch of its status."""
    epoch = get("smartmeter", device)["status"]["epoch"]
    lines = kubectl("get", "meter", device).stdout.splitlines()
    row = lines[-1].split()
    assert row[:3] == [device, "True", "Serving"], lines
    assert len(row) == 6, lines
    assert int(row[4]) == epoch, (lines, epoch)
    assert re.fullmatch(r"(\d+[smhdy])+", row[5]), lines
    return True


def test_the_wide_columns_place_a_meter():
    header, *lines = kubectl("get", "meters", "-o", "wide").stdout.splitlines()
    for column in ("METERING-POINT", "FEEDER", "NODE", "LAST-SEEN"):
        assert column in header.split()
    house = next(line for line in lines if line.startswith("house-1 "))
    assert "541448860000000011" in house.split()
    assert "feeder-1" in house.split()


@pytest.mark.parametrize("name", ["meter", "meters", "sm", "smartmeters"])
def test_a_meter_has_short_names(name):
    assert "house-1" in kubectl("get", name).stdout


def test_waiting_for_all_meters_ends():
    done = kubectl("wait", "--for=condition=Ready", "meter", *DEVICES, "--timeout=100s")
    assert done.stdout.count("condition met") == len(DEVICES)


def test_status_is_of_the_current_generation():
    for smart_meter in [row for row in get("smartmeters") if row["metadata"]["name"] in DEVICES]:
        generation = smart_meter["metadata"]["generation"]
        assert smart_meter["status"]["observedGeneration"] == generation
        kinds = {row["type"]: row for row in smart_meter["status"]["conditions"]}
        assert {"Ready", "TwinReady", "MeterConnected"} <= kinds.keys()
        assert {row["observedGeneration"] for row in kinds.values()} == {generation}


def test_describe_is_for_a_person():
    words = ("the meter speaks to its twin", "Observed Generation")

    def said():
        text = kubectl("describe", "meter", "house-1").stdout
        assert all(one in text for one in words), text
        return True

    until(said, "the description")


def test_describe_shows_what_happened(extra):
    extra(build_manifest("told-1"))

    def said():
        text = kubectl("describe", "meter", "told-1").stdout
        events = text.partition("Events:")[2]
        assert "Serving" in events, text
        return True

    until(said, "an event of the operator")
