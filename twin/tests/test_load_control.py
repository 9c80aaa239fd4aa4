"""Load control that is stopped, in a twin as a process: limits end, and nothing moves a load."""

import asyncio

import pytest

pytestmark = pytest.mark.timeout(300)
LIMIT = {"load": 2, "limit_w": 700, "seconds": 3600}
FORWARD = {"data": "aGVsbG8="}


@pytest.fixture
async def house(world, tools):
    """Return a twin that may command its meter, and the meter."""
    world.start_broker()
    twin = world.start_twin()
    await asyncio.to_thread(twin.wait_serving)
    meter = tools.Meter(world)
    meter.power_on()
    await world.operate()
    await tools.eventually(lambda: twin.get("/v1/status")[1]["session"], "the meter speaks")
    await tools.eventually(lambda: twin.get("/v1/status")[1]["authority"], "it has the authority")
    yield twin, meter
    await meter.power_off()


async def post(twin, path, body):
    return await asyncio.to_thread(twin.post, path, body)


def is_stopped(twin):
    return twin.get("/v1/status")[1]["loadControl"]["stopped"]


async def check_refused(twin):
    for path, body in (("/v1/load", LIMIT), ("/v1/forward", FORWARD)):
        status, document = await post(twin, path, body)
        assert (status, document["error"]["field"]) == (409, "spec.loadControl")
        assert "kubectl meter allow" in document["error"]["remedy"]


async def test_a_stop_lifts_a_limit_refuses_what_moves_loads_and_outlives_a_restart(
    house, world, tools
):
    twin, meter = house
    assert await post(twin, "/v1/load", LIMIT) == (200, {"code": "ok"})
    assert meter.loads == [(3, 2, 700, 3600)]
    await world.operate(stop=True)
    await tools.eventually(lambda: (3, 2, 700, 1) in meter.loads, "its limit is lifted", 10)
    await check_refused(twin)
    assert twin.get("/v1/registers?live=1")[0] == 200
    twin.kill()
    again = world.start_twin()
    await asyncio.to_thread(again.wait_serving)
    await tools.eventually(lambda: again.get("/v1/status")[1]["authority"], "it has the authority")
    await check_refused(again)


async def test_only_a_higher_order_permits_loads_again(house, world, tools):
    twin, meter = house
    await world.operate(stop=True, counter=5)
    await tools.eventually(lambda: is_stopped(twin), "it is stopped")
    for counter, changes in ((5, {"stop": False}), (6, {}), (4, {"stop": False})):
        await world.operate(counter=counter, **changes)
    await asyncio.sleep(1)
    await check_refused(twin)
    await world.operate(stop=False, counter=6)
    await tools.eventually(lambda: not is_stopped(twin), "it is allowed")
    meter.loads.clear()
    assert await post(twin, "/v1/load", LIMIT) == (200, {"code": "ok"})
    assert meter.loads == [(3, 2, 700, 3600)]


async def test_a_meter_that_is_away_is_released_when_it_is_back(house, world, tools):
    twin, meter = house
    assert (await post(twin, "/v1/load", LIMIT))[0] == 200
    await meter.power_off()
    meter.loads.clear()
    await world.operate(stop=True)
    await tools.eventually(lambda: is_stopped(twin), "it is stopped")
    await asyncio.sleep(1)
    meter.power_on()
    await tools.eventually(lambda: (3, 2, 700, 1) in meter.loads, "its limit is lifted")


async def test_a_limit_of_before_a_restart_is_lifted_too(house, world, tools):
    twin, meter = house
    assert (await post(twin, "/v1/load", LIMIT))[0] == 200
    twin.kill()
    await world.operate(stop=True)
    again = world.start_twin()
    await asyncio.to_thread(again.wait_serving)
    await tools.eventually(lambda: (3, 2, 700, 1) in meter.loads, "its limit is lifted")


async def test_a_twin_that_begins_while_load_control_is_stopped_knows_it_before_it_acts(
    world, tools
):
    world.start_broker()
    await world.operate(stop=True)
    twin = world.start_twin()
    await asyncio.to_thread(twin.wait_serving)
    meter = tools.Meter(world)
    meter.power_on()
    await tools.eventually(lambda: twin.get("/v1/status")[1]["authority"], "it has the authority")
    await check_refused(twin)
    await meter.power_off()
