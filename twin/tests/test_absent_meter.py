"""Asking a meter that is not there: the answer says so, and it does not count as heard."""

import asyncio
import base64

import pytest

pytestmark = pytest.mark.timeout(300)


async def test_a_meter_without_a_session_is_offline_for_each_command_and_never_heard(world, tools):
    world.start_broker()
    twin = world.start_twin()
    await asyncio.to_thread(twin.wait_serving)
    await world.operate("active")
    await tools.eventually(lambda: twin.get("/v1/status")[1]["authority"], "authority")
    status, registers = await asyncio.to_thread(twin.get, "/v1/registers?live=1&timeout=1")
    assert (status, registers["source"], registers["live"]) == (200, "cached", "meter_offline")
    assert (registers["seq"], registers["registers"]) == (None, {})
    body = {"data": base64.b64encode(b"hello").decode()}
    assert await asyncio.to_thread(twin.post, "/v1/forward", body) == (
        200,
        {"code": "meter_offline", "data": None},
    )
    load = {"load": 0, "limit_w": 1500, "seconds": 600}
    assert await asyncio.to_thread(twin.post, "/v1/load", load) == (409, {"code": "meter_offline"})
    _, after = await asyncio.to_thread(twin.get, "/v1/status")
    assert (after["meter"], after["lastSeen"]) == ("never", None)


async def test_a_live_reading_tells_why_it_is_from_the_cache(world, tools):
    world.start_broker()
    twin = world.start_twin()
    await asyncio.to_thread(twin.wait_serving)
    await world.operate("active")
    meter = tools.Meter(world)
    meter.power_on()
    await tools.eventually(lambda: twin.get("/v1/status")[1]["session"], "a session")
    _, live = await asyncio.to_thread(twin.get, "/v1/registers?live=1&timeout=30")
    assert (live["source"], live["live"]) == ("metered", "ok")
    await meter.power_off()
    _, late = await asyncio.to_thread(twin.get, "/v1/registers?live=1&timeout=1")
    assert (late["source"], late["live"]) == ("cached", "timeout")
    _, cached = await asyncio.to_thread(twin.get, "/v1/registers")
    assert (cached["source"], cached["live"]) == ("cached", None)
