"""dr: how a meter stands with its utility, what is printed and refused."""

import json
from pathlib import Path

import pytest

EVENT = {
    "id": "peak-1",
    "modification": 0,
    "status": "active",
    "signal": "SIMPLE",
    "value": 2.0,
    "start": "2026-06-14T17:02:31Z",
    "end": "2026-06-14T18:02:31Z",
    "random_offset_seconds": 151,
    "opt": "optIn",
    "opt_reason": "participating",
    "test": False,
    "fault": None,
    "active": True,
}
TOLD = {
    "registered": True,
    "reason": "Registered",
    "message": "",
    "protocol": "openadr-2.0b",
    "ven_id": "ven-7",
    "events": [
        EVENT,
        EVENT | {"id": "night", "status": "far", "opt": "optOut", "opt_reason": "x-schedule",
                 "active": False, "random_offset_seconds": 0, "end": None},
        EVENT | {"id": "odd", "signal": "BID", "value": None, "opt": "optOut", "active": False,
                 "fault": "no signal of it is supported", "test": True,
                 "random_offset_seconds": 0},
    ],
    "capacity": {
        "offers": [{"event": "cap-1", "direction": "import", "start": "2026-06-14T18:00:00Z",
                    "end": "2026-06-14T19:00:00Z", "watts": 11000, "price": 0.11}],
        "bids": [{"event": "cap-1", "direction": "import", "start": "2026-06-14T18:00:00Z",
                  "end": "2026-06-14T19:00:00Z", "watts": 4000, "fee": 0.11, "arrived": True}],
        "granted": [{"event": "cap-2", "direction": "import", "start": "2026-06-14T18:00:00Z",
                     "end": None, "watts": 4000, "kind": "reservation"}],
    },
    "reports": [{"id": "rr-1", "name": "TELEMETRY_USAGE", "sent_until": "2026-06-14T17:00:00Z"}],
}  # fmt: skip
PERFORMANCE = {
    "event": "peak-0",
    "start": "2026-06-13T17:00:00Z",
    "end": "2026-06-13T18:00:00Z",
    "test": False,
    "opt": "optIn",
    "result": "delivered",
    "source": "estimated",
    "method": "10-of-10",
    "days": ["2026-06-12"],
    "days_found": 10,
    "days_needed": 10,
    "adjustment_percent": 103.4,
    "baseline_wh": 2104,
    "metered_wh": 902,
    "delivered_wh": 1202,
    "quarter_hours": {},
}
NOTHING = dict.fromkeys(("baseline_wh", "metered_wh", "delivered_wh", "adjustment_percent"))
GOLDEN = Path(__file__).parent / "golden/dr.txt"


@pytest.fixture
def house(world):
    meter = json.loads((world.folder / "smartmeters.house-1.json").read_text())
    meter["spec"]["utility"] = {"name": "city-grid"}
    world.put("smartmeters", "house-1", meter)
    return meter


@pytest.mark.usefixtures("house")
def test_registration_events_and_reports_are_printed(world):
    world.answer({"/v1/dr": [200, TOLD]})
    done = world.run("dr", "house-1")
    assert (done.returncode, done.stdout) == (0, GOLDEN.read_text()), done.stderr


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"arrived": True}, "import bid  "),
        ({"arrived": False, "refused": False}, "import bid, on its way  "),
        ({"arrived": False, "refused": True}, "import bid, refused  "),
    ],
)
def test_it_is_shown_what_became_of_a_bid(world, told, shown):
    (bid,) = TOLD["capacity"]["bids"]
    world.answer({"/v1/dr": [200, TOLD | {"capacity": {"bids": [bid | told]}}]})
    assert shown in world.run("dr", "house-1").stdout


@pytest.mark.usefixtures("house")
def test_what_events_have_brought_is_printed_with_what_it_is_of(world):
    rows = [
        PERFORMANCE,
        PERFORMANCE | {"event": "peak-1", "result": "insufficient", "days_found": 7} | NOTHING,
        PERFORMANCE | {"event": "peak-2", "result": "running", "opt": "optOut"},
        PERFORMANCE | {"event": "try", "result": "test", "test": True, "method": "none"} | NOTHING,
        PERFORMANCE | {"event": "new", "result": "a word of a newer twin"},
    ]
    world.answer({"/v1/dr": [200, TOLD | {"performance": rows}]})
    done = world.run("dr", "house-1")
    table = done.stdout.split("\n\n")[2]
    assert table + "\n" == (GOLDEN.parent / "dr_delivered.txt").read_text(), done.stderr
    found = json.loads(world.run("dr", "house-1", "-o", "json").stdout)
    assert found["performance"] == rows


def test_json_has_what_the_twin_says_and_the_condition(world, house):
    house["status"]["conditions"].append(
        {"type": "UtilityRegistered", "status": "True", "reason": "Registered", "message": "m"}
    )
    world.put("smartmeters", "house-1", house)
    world.answer({"/v1/dr": [200, TOLD]})
    found = json.loads(world.run("dr", "house-1", "-o", "json").stdout)
    assert found["registered"] is True
    assert (found["protocol"], found["ven_id"]) == ("openadr-2.0b", "ven-7")
    assert found["events"][0] == EVENT
    assert found["condition"]["status"] == "True"


def test_what_is_in_the_way_is_said_with_the_operators_remedy(world, house):
    house["status"]["conditions"].append(
        {"type": "UtilityRegistered", "status": "False", "reason": "Unauthorized",
         "message": "Secret city-grid.house-1 must have tls.crt"}
    )  # fmt: skip
    world.put("smartmeters", "house-1", house)
    nothing = {"registered": False, "reason": "Unauthorized", "message": "401", "events": []}
    world.answer({"/v1/dr": [200, TOLD | nothing | {"reports": []}]})
    text = world.run("dr", "house-1").stdout
    assert "Unauthorized: Secret city-grid.house-1" in text
    assert "No events." in text


def test_a_meter_without_a_utility_is_refused_with_a_remedy(world):
    done = world.run("dr", "house-1")
    assert done.returncode == 1
    assert "spec.utility" in done.stderr
    assert "kubectl get utilities" in done.stderr


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("capacity", [{}, {"capacity": None}], ids=["older twin", "2.0b"])
def test_without_capacity_there_is_no_table_of_it(world, capacity):
    told = {name: value for name, value in TOLD.items() if name != "capacity"} | capacity
    world.answer({"/v1/dr": [200, told]})
    assert "CAPACITY" not in world.run("dr", "house-1").stdout


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize(
    ("heard", "text"),
    [
        ({"broker": "broker.example", "listening": True}, ", told of changes by broker.example\n"),
        ({"broker": "broker.example", "listening": False}, "(openadr-2.0b)\n"),
    ],
)
def test_who_tells_of_changes_is_said(world, heard, text):
    world.answer({"/v1/dr": [200, TOLD | {"notifications": heard}]})
    assert text in world.run("dr", "house-1").stdout


@pytest.mark.usefixtures("house")
def test_a_house_is_taken_out_for_a_time_and_in_again(world):
    world.answer({"POST /v1/ems/override": [200, {"until": "2026-06-14T19:00:00Z"}]})
    done = world.run("override", "house-1", "--for", "2h")
    assert (done.returncode, done.stdout) == (0, "house-1 takes part in no event until 2026-06-14T19:00:00Z\n"), done.stderr  # fmt: skip
    world.answer({"POST /v1/ems/override": [200, {"until": None}]})
    assert world.run("override", "house-1", "--end").stdout == "house-1 takes part again\n"


@pytest.mark.parametrize("arguments", [[], ["--for", "2h", "--end"], ["--for", "soon"]])
def test_an_override_without_a_span_is_wrong_usage(world, arguments):
    done = world.run("override", "house-1", *arguments)
    assert done.returncode == 2
    assert "--for" in done.stderr
