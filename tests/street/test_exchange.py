"""The device of a metering point is exchanged for another: both are real firmware."""

import json

import pytest
from demo import Record, answers, build_manifest, get, is_ready, kubectl, meter, read_live, until
from extra_meter import firmware

pytestmark = [pytest.mark.demo, pytest.mark.timeout(900)]
OLD, NEW = "swap-1", "swap-2"
POINT = {"id": "541448860000000776", "scheme": "EAN", "timezone": "Europe/Brussels"}
SHELF = {"id": "store-17", "scheme": "Other", "timezone": "Europe/Brussels"}
IMPORT = "1-0:1.8.0*255"


@pytest.fixture
def devices(tmp_path):
    """The one that is installed, and the one from the shelf; both are connected."""
    with firmware(OLD, tmp_path), firmware(NEW, tmp_path):
        for name, point in ((OLD, POINT), (NEW, SHELF)):
            manifest = build_manifest(name, meteringPoint=point, capturePeriodSeconds=15)
            kubectl("apply", "-f", "-", text=json.dumps(manifest))
        for name in (OLD, NEW):
            until(lambda name=name: is_ready(name) and answers(name), f"{name} is served", 300)
        yield
        kubectl("delete", "smartmeter", OLD, NEW, "--ignore-not-found")


def spec_of(name):
    return get("smartmeter", name)["spec"]


def energy(document):
    """Return the import register in Wh, as the meter counts it."""
    return int(document["registers"][IMPORT]["value"])


@pytest.mark.usefixtures("devices")
def test_the_metering_point_moves_with_the_final_and_the_first_register_reading(tmp_path):
    record = Record(tmp_path, NEW)
    before = {name: energy(read_live(name)) for name in (OLD, NEW)}
    meter("exchange", OLD, NEW, "--dry-run")
    assert (spec_of(OLD)["meteringPoint"], spec_of(NEW)["meteringPoint"]) == (POINT, SHELF)
    kept = meter("readings", OLD, "--since", "all", "-o", "json").stdout
    epoch = get("smartmeter", NEW)["status"]["epoch"]

    done = meter("exchange", OLD, NEW, "-o", "json")
    protocol = json.loads(done.stdout)
    assert protocol["meteringPoint"] == POINT["id"]
    for side, name in (("old", OLD), ("new", NEW)):
        assert protocol[side]["source"] == "metered"
        assert protocol[side]["device"] == name
        assert before[name] <= energy(protocol[side])
    assert energy(protocol["new"]) <= energy(read_live(NEW))

    def moved():
        found = get("smartmeter", NEW)
        assert found["spec"]["meteringPoint"] == POINT
        assert found["status"]["epoch"] > epoch, "its twin knows the new metering point"
        (row, *_) = found["status"].get("handovers") or [{}]
        assert row.get("result") == "Done", row
        return is_ready(NEW) and answers(NEW)

    until(moved, "the new device has the metering point and its twin", 300)
    record.verify()
    assert spec_of(OLD)["meteringPoint"]["id"] == f"removed-{POINT['id']}"
    after = json.loads(meter("readings", OLD, "--since", "all", "-o", "json").stdout)
    assert json.loads(kept) == after[: len(json.loads(kept))], "the old twin keeps its readings"
    again = json.loads(meter("exchange", OLD, NEW, "-o", "json").stdout)
    assert again["meteringPoint"] == POINT["id"], "it can be repeated"
    assert spec_of(NEW)["meteringPoint"] == POINT
