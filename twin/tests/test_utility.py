"""A twin as a process against openleadr's VTN: an event limits the meter's load."""

import asyncio
import json
import time

import pytest
from vtn_process import VtnProcess

pytestmark = pytest.mark.timeout(300)
VEN_ID = "ven-of-house-1"
APPLICATIONS = {
    "metering-data": {},
    "demand-response": {"load": 1, "ratedWatts": 3000, "highWatts": 900},
}


def move(world, configuration, url, **changes):
    """Say where the utility is, as the operator does."""
    folder = world.folder / "utility"
    folder.mkdir(exist_ok=True)
    configuration["paths"]["utility"] = str(folder)
    text = json.dumps({"protocol": "openadr-2.0b", "url": url, **changes})
    (folder / "new").write_text(text)
    (folder / "new").rename(folder / "utility.json")


@pytest.fixture
async def street(world, tools):
    """Return a VTN, a twin that speaks with it and a meter whose loads it limits."""
    async with VtnProcess() as vtn:
        world.start_broker()
        configuration = world.configuration(
            applications=APPLICATIONS, utility={"name": "city-grid", "venName": "house-1"}
        )
        move(world, configuration, vtn.url())
        twin = world.start_twin(configuration)
        await asyncio.to_thread(twin.wait_serving)
        meter = tools.Meter(world)
        meter.power_on()
        await world.operate()
        yield vtn, twin, meter, configuration
        await meter.power_off()


async def ask(twin):
    status, document = await asyncio.to_thread(twin.get, "/v1/dr")
    assert status == 200
    return document


def peak(seconds=600, event_id="peak-1"):
    start_s = int(time.time()) - 5
    return {
        "do": "event",
        "ven_id": VEN_ID,
        "event_id": event_id,
        "value": 2,
        "start_s": start_s,
        "duration_s": seconds,
    }


async def test_a_peak_event_limits_the_load_and_its_end_releases_it(street, tools):
    vtn, twin, meter, _ = street
    await vtn.until("registered")
    vtn.say(**peak(seconds=20))
    assert await vtn.until("opt") == [{"ven": VEN_ID, "event": "peak-1", "opt": "optIn"}]
    await tools.eventually(lambda: meter.loads, "the load is limited")
    (_, index, limit_w, seconds), *_ = meter.loads
    assert (index, limit_w) == (1, 900)
    assert seconds <= 20
    (shown,) = (await ask(twin))["events"]
    assert (shown["id"], shown["status"], shown["opt"]) == ("peak-1", "active", "optIn")


async def test_an_event_that_is_cancelled_lifts_the_limit(street, tools):
    vtn, _, meter, _ = street
    await vtn.until("registered")
    vtn.say(**peak())
    await tools.eventually(lambda: meter.loads, "the load is limited")
    vtn.say(do="cancel", ven_id=VEN_ID, event_id="peak-1")
    await tools.eventually(lambda: meter.loads[-1][3] == 1, "the limit is lifted")


async def test_a_twin_that_is_killed_goes_on_with_its_registration_and_its_events(
    street, world, tools
):
    vtn, twin, meter, configuration = street
    await vtn.until("registered")
    vtn.say(**peak())
    await tools.eventually(lambda: meter.loads, "the load is limited")
    before = await ask(twin)
    twin.kill()
    meter.loads.clear()
    again = world.start_twin(configuration)
    await asyncio.to_thread(again.wait_serving)
    await tools.eventually(lambda: meter.loads, "the load is limited again")
    assert (await ask(again))["events"] == before["events"]
    assert vtn.find("registered") == ["house-1"]


async def test_without_authority_nobody_speaks(street, world, tools):
    vtn, twin, meter, _ = street
    await vtn.until("registered")
    await world.operate("frozen", counter=2)
    await tools.eventually(lambda: not twin.get("/v1/status")[1]["authority"], "it is frozen")
    vtn.say(**peak())
    await asyncio.sleep(5)
    assert vtn.find("opt") == []
    assert meter.loads == []
    await world.operate("active", counter=3)
    await tools.eventually(lambda: meter.loads, "the load is limited")


async def test_a_utility_whose_address_comes_later_is_spoken_to_then(world, tools):
    async with VtnProcess() as vtn:
        world.start_broker()
        configuration = world.configuration(
            applications=APPLICATIONS, utility={"name": "city-grid", "venName": "house-1"}
        )
        move(world, configuration, vtn.url())
        (world.folder / "utility/utility.json").unlink()
        twin = world.start_twin(configuration)
        await asyncio.to_thread(twin.wait_serving)
        await world.operate()
        await tools.eventually(lambda: reason(twin) == "UtilityMissing", "it says so")
        move(world, configuration, vtn.url())
        await vtn.until("registered")


async def test_a_utility_that_moves_is_followed(street, world, tools):
    vtn, twin, _, configuration = street
    await vtn.until("registered")
    async with VtnProcess() as other:
        move(world, configuration, other.url())
        await other.until("registered")
        await tools.eventually(lambda: reason(twin) == "Registered", "it is taken")
        other.say(**peak())
        await other.until("opt")


async def test_without_a_certificate_the_twin_says_so_and_serves(street, world, tools):
    vtn, twin, _, configuration = street
    await vtn.until("registered")
    move(world, configuration, vtn.url("https"))
    await tools.eventually(lambda: reason(twin) == "Credentials", "it says so")
    assert twin.get("/readyz", world.plain)[0] == 200


async def test_the_operator_is_told_how_the_meter_stands(street, world, tools):
    vtn, _, _, _ = street
    await vtn.until("registered")
    states = []

    async def take(message):
        states.append(json.loads(message.payload))

    operator = "operator", "Operator.metertwin", take, ("mt/house-1/1/state",)
    async with world.client(*operator):
        await tools.eventually(
            lambda: states and states[-1].get("utility", {}).get("reason") == "Registered",
            "it is in the state",
        )


def reason(twin):
    return twin.get("/v1/dr")[1].get("reason")
