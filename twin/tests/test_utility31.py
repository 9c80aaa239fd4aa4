"""A twin as a process and a utility of OpenADR 3.1: an event limits the meter's load.

The VTN here is the one in memory; against openleadr-rs' the agent is tried in `make nightly`.
"""

import asyncio
import json
import time

import pytest
from fake_vtn import CLIENT, SECRET, FakeVtn, describe_event
from test_capacity31 import offer
from test_over_http31 import Served

pytestmark = pytest.mark.timeout(300)
APPLICATIONS = {
    "metering-data": {},
    "demand-response": {"load": 1, "ratedWatts": 3000, "highWatts": 900},
    "pricing": {},
    "capacity-bidding": {"wantedWatts": 4000, "mostPriceMilli": 120},
}


WALLBOX = {"name": "wallbox", "kind": "ev", "importWatts": 11000}


@pytest.fixture
async def street(world, tools):
    """Return a VTN, a twin that speaks with it, a meter whose loads it limits, and the files."""
    vtn = FakeVtn(int(time.time()))
    async with Served(vtn) as served:
        world.start_broker()
        configuration = world.configuration(
            applications=APPLICATIONS,
            utility={"name": "city-grid", "venName": "house-1", "resources": [WALLBOX]},
        )
        folder = world.folder / "utility"
        folder.mkdir()
        configuration["paths"]["utility"] = str(folder)
        (folder / "client_id").write_text(CLIENT)
        (folder / "client_secret").write_text(SECRET + "\n")
        say(folder, served.url)
        twin = world.start_twin(configuration)
        await asyncio.to_thread(twin.wait_serving)
        meter = tools.Meter(world)
        meter.power_on()
        await world.operate()
        yield vtn, twin, meter, folder
        await meter.power_off()


def say(folder, url, protocol="openadr-3"):
    (folder / "new").write_text(json.dumps({"protocol": protocol, "url": url}))
    (folder / "new").rename(folder / "utility.json")


def ask(twin):
    return twin.get("/v1/dr")[1]


async def test_an_event_limits_the_load_and_its_deletion_lifts_the_limit(street, tools):
    vtn, twin, meter, _ = street
    row = vtn.add("events", describe_event(start_s=int(time.time()) - 5, span="PT10M"))
    await tools.eventually(lambda: meter.loads, "the load is limited")
    assert (meter.loads[0][1], meter.loads[0][2]) == (1, 900)
    shown = await asyncio.to_thread(ask, twin)
    assert (shown["protocol"], shown["registered"]) == ("openadr-3", True)
    assert [(one["status"], one["opt"]) for one in shown["events"]] == [("active", "optIn")]
    vtn.remove("events", row)
    await tools.eventually(lambda: meter.loads[-1][3] == 1, "the limit is lifted")
    assert vtn.complaints == []


async def test_a_device_behind_the_meter_is_a_resource_of_the_ven(street, tools):
    vtn, _, _, _ = street
    await tools.eventually(lambda: len(vtn.objects["resources"]) > 1, "it tells of the device")
    (row,) = [one for one in vtn.objects["resources"] if one["resourceName"] == "wallbox"]
    assert {one["type"]: one["values"] for one in row["attributes"]} == {
        "DESCRIPTION": ["ev"],
        "MAX_POWER_CONSUMPTION": [11.0],
    }


async def test_an_import_limit_reaches_the_load_and_the_energy_management(street, tools):
    vtn, twin, meter, _ = street
    now_s = int(time.time())
    limit = ("IMPORT_CAPACITY_LIMIT", [1.5])
    vtn.add("events", describe_event(start_s=now_s - 5, span="PT10M", payload=limit))
    vtn.add("events", describe_event(start_s=now_s - 5, span="PT10M", payload=("CHARGE_STATE_SETPOINT", [0.8]),
            payloadDescriptors=[{"payloadType": "CHARGE_STATE_SETPOINT", "units": "PERCENT"}]))  # fmt: skip
    await tools.eventually(lambda: meter.loads, "the load is limited")
    assert (meter.loads[0][1], meter.loads[0][2]) == (1, 1500)
    plan = (await asyncio.to_thread(twin.get, "/v1/ems"))[1]["plan"]
    assert plan["limits"]["import"]["watts"] == plan["limit"]["watts"] == 1500
    assert (plan["charge"]["value"], plan["charge"]["unit"]) == (80, "%")
    shown = await asyncio.to_thread(ask, twin)
    assert [one["opt"] for one in shown["events"]] == ["optIn", "optIn"]
    assert {one[0] for one in meter.loads} == {tools.LOAD}, "never the supply"


async def test_an_offer_is_bid_for_once_also_by_a_twin_that_was_killed(street, world, tools):
    vtn, twin, _, folder = street
    start_s = int(time.time()) + 3600
    vtn.add("events", offer(start_s=start_s, prices=(0.11, 0.5)))
    await tools.eventually(lambda: vtn.reports("bid-"), "it bids")
    await tools.eventually(lambda: ask(twin)["capacity"]["bids"][0]["arrived"], "it knows")
    found = (await asyncio.to_thread(ask, twin))["capacity"]
    assert [one["watts"] for one in found["bids"]] == [4000]
    assert len(found["offers"]) == 2
    twin.kill()
    configuration = world.configuration(
        applications=APPLICATIONS, utility={"name": "city-grid", "venName": "house-1"}
    )
    configuration["paths"]["utility"] = str(folder)
    again = world.start_twin(configuration)
    await asyncio.to_thread(again.wait_serving)
    before = len(vtn.log)
    await tools.eventually(
        lambda: [one for one in vtn.log[before:] if one.path.startswith("/events")], "it looks"
    )
    await tools.eventually(lambda: ask(again)["registered"], "it goes on")
    assert (await asyncio.to_thread(ask, again))["capacity"]["bids"] == found["bids"]
    assert len(vtn.reports("bid-")) == 1
    assert vtn.complaints == []


async def test_wrong_credentials_are_said_and_the_meter_is_served(street, world, tools):
    _, twin, _, folder = street
    await tools.eventually(lambda: ask(twin)["registered"], "it is registered")
    (folder / "client_secret").write_text("another")
    say(folder, json.loads((folder / "utility.json").read_text())["url"])  # look again
    await tools.eventually(lambda: ask(twin)["reason"] == "Unauthorized", "it says so")
    (folder / "client_secret").write_bytes(b"\xff")
    say(folder, json.loads((folder / "utility.json").read_text())["url"])
    await tools.eventually(lambda: ask(twin)["reason"] != "Registered", "it says so")
    assert twin.get("/readyz", world.plain)[0] == 200
    assert SECRET not in twin.log


async def test_a_utility_that_changes_its_protocol_is_registered_with_anew(street, tools):
    _, twin, _, folder = street
    await tools.eventually(lambda: ask(twin)["registered"], "it is registered")
    say(folder, "http://127.0.0.1:9/OpenADR2/Simple/2.0b", "openadr-2.0b")
    await tools.eventually(lambda: ask(twin)["protocol"] == "openadr-2.0b", "it speaks the other")
    shown = await asyncio.to_thread(ask, twin)
    assert (shown["registered"], shown["capacity"], shown["notifications"]) == (False, None, None)
    assert "bids for capacity need OpenADR 3.1" in twin.log
