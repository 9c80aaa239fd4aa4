"""A twin as a process against openleadr's VTN: an event limits the meter's load."""

import asyncio
import contextlib
import http.client
import json
import shutil
import time

import pytest
from home_ems.__main__ import describe as describe_home
from home_ems.__main__ import step as home_step
from home_ems.devices import Battery, Car, HeatPump, Home
from home_ems.twin_client import TwinClient, TwinError
from vtn_process import VtnProcess

pytestmark = pytest.mark.timeout(300)
VEN_ID = "ven-of-house-1"
APPLICATIONS = {
    "metering-data": {},
    "demand-response": {
        "load": 1,
        "ratedWatts": 3000,
        "highWatts": 900,
        "baseline": "high-4-of-5",
    },
    "pricing": {"edgeSpreadSeconds": 0},
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
            applications=APPLICATIONS,
            utility={"name": "city-grid", "venName": "house-1"},
            ems={"name": "home-1"},
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


async def test_what_an_event_has_brought_is_reckoned_from_the_meters_quarter_hours(
    street, world, tools
):
    """45 days of the same hours before; the twin is killed while the event goes on."""
    vtn, twin, meter, configuration = street
    await vtn.until("registered")
    event = peak(seconds=30)
    first_s = event["start_s"] // 900 * 900
    last_s = first_s + 900 * (1 + (event["start_s"] + 29 - first_s) // 900)
    energy_wh = 0
    for day in range(45, -1, -1):
        for time_s in range(first_s - 4 * 3600, last_s + 1, 900):
            energy_wh += 100
            if day or time_s <= first_s:
                meter.append(tools.reading(time_s - day * 86_400, energy_wh))
    vtn.say(**event)

    def row():
        return next(iter(twin.get("/v1/dr")[1]["performance"]), None)

    await tools.eventually(lambda: meter.ring.stored == len(meter.log), "all is stored")
    await tools.eventually(lambda: row() and row()["days_found"] == 5, "it is reckoned")
    assert row()["result"] == "running"
    twin.kill()
    twin = world.start_twin(configuration)
    await asyncio.to_thread(twin.wait_serving)
    await tools.eventually(lambda: row()["result"] == "waiting", "it is over")
    for number, time_s in enumerate(range(first_s + 900, last_s + 1, 900), 1):
        meter.append(tools.reading(time_s, energy_wh - (last_s - first_s) // 9 + 40 * number))
    await tools.eventually(lambda: row()["result"] == "delivered", "it is finished")
    quarters = (last_s - first_s) // 900
    figures = [row()[f"{name}_wh"] for name in ("baseline", "metered", "delivered")]
    assert figures == [100 * quarters, 40 * quarters, 60 * quarters]


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


def ask_ems(world, name, method, path, body=None):
    """Ask the mutual TLS port as a reader does."""
    context = world.context(name)
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", world.peer, context=context, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture
def readers(world):
    world.issue("home", "Reader.home-1", "URI:urn:metertwin:reader:home-1")
    world.issue("other", "Reader.home-2", "URI:urn:metertwin:reader:home-2")


@pytest.mark.usefixtures("readers")
async def test_the_energy_management_is_told_limit_and_prices_and_overrides(street, world, tools):
    vtn, twin, meter, _ = street
    await vtn.until("registered")
    price = {"signal": "ELECTRICITY_PRICE", "type": "price", "value": 0.31, "event_id": "price-1"}
    vtn.say(**{**peak(), **price})
    vtn.say(**peak())
    await tools.eventually(lambda: meter.loads, "the load is limited")

    def plan():
        status, found = ask_ems(world, "home", "GET", "/v1/ems/plan")
        assert status == 200
        return found

    await tools.eventually(lambda: plan()["prices"] and plan()["limit"], "it is told both")
    found = await asyncio.to_thread(plan)
    assert (found["limit"]["watts"], found["limit"]["event"]) == (900, "peak-1")
    assert found["prices"][0]["price"] == 0.31
    state = {"devices": [{"id": "wallbox", "kind": "ev", "watts": 3700, "chargePercent": 40}]}
    status, told = await asyncio.to_thread(ask_ems, world, "home", "POST", "/v1/ems/state", state)
    assert (status, told["limit"]["watts"]) == (200, 900)
    shown = (await asyncio.to_thread(twin.get, "/v1/ems"))[1]
    assert shown["state"]["devices"][0]["chargePercent"] == 40
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    body = {"until": until}
    status, _ = await asyncio.to_thread(ask_ems, world, "home", "POST", "/v1/ems/override", body)
    assert status == 200
    await tools.eventually(lambda: meter.loads[-1][3] == 1, "the limit is lifted")
    told = await ask(twin)
    assert (told["override_until"], told["reason"]) == (until, "Registered"), (
        "though it has no EiOpt"
    )
    assert plan()["limit"] is None
    assert plan()["prices"]


@pytest.mark.usefixtures("readers")
@pytest.mark.usefixtures("street")
async def test_nobody_else_speaks_for_the_customer(world):
    for name in ("other", "operator", "meter"):
        status, _ = await asyncio.to_thread(ask_ems, world, name, "GET", "/v1/ems/plan")
        assert status == 403
    status, _ = await asyncio.to_thread(ask_ems, world, "home", "GET", "/v1/registers")
    assert status == 403, "it reads no data unless it is a recipient"
    for body in ({"until": "yesterday"}, {"until": "2020-01-01T00:00:00Z"}, {}, [], {"x": 1}):
        answer = await asyncio.to_thread(ask_ems, world, "home", "POST", "/v1/ems/override", body)
        assert answer[0] == 400, answer
    long = {"devices": [{"id": "a", "kind": "ev"}] * 17}
    assert (await asyncio.to_thread(ask_ems, world, "home", "POST", "/v1/ems/state", long))[
        0
    ] == 400


@pytest.mark.usefixtures("readers")
async def test_a_home_of_another_hand_reacts_to_what_the_twin_tells_it(street, world, tools):
    vtn, twin, _, _ = street
    await vtn.until("registered")
    vtn.say(**peak())
    folder = world.folder / "home"
    folder.mkdir()
    for source, name in (("ca.crt", "ca.crt"), ("home.crt", "tls.crt"), ("home.key", "tls.key")):
        shutil.copy(world.folder / source, folder / name)
    client = TwinClient("house-1", "127.0.0.1", world.peer, folder)
    await tools.eventually(lambda: client.get_plan().limit, "it is told of the limit")
    home = Home(Battery(), Car(leaves_s=time.time() + 40_000), HeatPump())
    doing = home_step(home, await asyncio.to_thread(client.get_plan), time.time(), 60)
    assert home.watts <= 900
    await asyncio.to_thread(client.tell, describe_home(home, doing))
    shown = (await asyncio.to_thread(twin.get, "/v1/ems"))[1]
    assert shown["state"]["reaction"] == "a peak: no more than 900 W"
    another = TwinClient("house-2", "127.0.0.1", world.peer, folder)
    with pytest.raises(TwinError, match="not the twin of house-2"):
        await asyncio.to_thread(another.get_plan)


@pytest.mark.usefixtures("readers")
async def test_a_stop_of_load_control_takes_the_house_out_until_it_is_allowed(street, world, tools):
    vtn, twin, meter, _ = street
    await vtn.until("registered")
    vtn.say(**peak())
    await tools.eventually(lambda: meter.loads, "the load is limited")
    await world.operate(stop=True)
    await tools.eventually(lambda: meter.loads[-1][1:] == (1, 900, 1), "the limit is lifted", 10)
    await tools.eventually(
        lambda: [one["opt"] for one in twin.get("/v1/dr")[1]["events"]] == ["optOut"],
        "it is out of what it had accepted",
    )
    status, plan = await asyncio.to_thread(ask_ems, world, "home", "GET", "/v1/ems/plan")
    assert (status, plan["stopped"], plan["limit"]) == (200, True, None)
    vtn.say(**peak(event_id="peak-2"))
    await tools.eventually(
        lambda: [one["opt"] for one in vtn.find("opt") if one["event"] == "peak-2"] == ["optOut"],
        "the utility does not count on the house",
    )
    assert [one for one in meter.loads if one[3] > 1] == meter.loads[:1]
    meter.loads.clear()
    await world.operate(stop=False, term=2)
    await tools.eventually(
        lambda: any(one[1:3] == (1, 900) and one[3] > 1 for one in meter.loads),
        "the load is limited again",
    )
