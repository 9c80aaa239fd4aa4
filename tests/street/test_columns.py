import re

import pytest
from demo import DEVICES, get, kubectl

pytestmark = pytest.mark.demo


def test_the_columns_of_a_meter_are_what_an_operator_asks_for():
    lines = kubectl("get", "meters").stdout.splitlines()
    assert lines[0].split() == ["NAME", "READY", "REASON", "TWIN-VERSION", "EPOCH", "AGE"]
    rows = {line.split()[0]: line.split() for line in lines[1:]}
    assert set(DEVICES) <= rows.keys()
    for device in DEVICES:
        _, ready, reason, version, epoch, age = rows[device]
        assert (ready, reason) == ("True", "Serving")
        assert version
        assert int(epoch) == get("smartmeter", device)["status"]["epoch"]
        assert re.fullmatch(r"(\d+[smhdy])+", age)


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
    done = kubectl("wait", "--for=condition=Ready", "meter", *DEVICES, "--timeout=10s")
    assert done.stdout.count("condition met") == len(DEVICES)


def test_status_is_of_the_current_generation():
    for smart_meter in [row for row in get("smartmeters") if row["metadata"]["name"] in DEVICES]:
        generation = smart_meter["metadata"]["generation"]
        assert smart_meter["status"]["observedGeneration"] == generation
        kinds = {row["type"]: row for row in smart_meter["status"]["conditions"]}
        assert {"Ready", "TwinReady", "MeterConnected"} <= kinds.keys()
        assert {row["observedGeneration"] for row in kinds.values()} == {generation}


def test_describe_is_for_a_person():
    text = kubectl("describe", "meter", "house-1").stdout
    assert "the meter speaks to its twin" in text
    assert "Observed Generation" in text
