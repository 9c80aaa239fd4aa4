"""The whole process against a real Mosquitto with mutual TLS and the real meter link."""

import asyncio
import time

import pytest

pytestmark = pytest.mark.timeout(90)


def readings(twin):
    status, document = twin.get("/v1/readings?limit=10000")
    assert status == 200
    return [(item["incarnation"], item["seq"]) for item in document["readings"]]


async def test_a_reading_of_the_meter_is_served_by_the_api(world, tools):
    world.start_broker()
    twin = world.start_twin()
    twin.wait_serving()
    await world.operate("active")
    meter = tools.Meter(world)
    meter.power_on()
    now_s = int(time.time()) // 60 * 60
    for minute in range(5):
        meter.append(tools.reading(now_s - 60 * (4 - minute), 1000 + minute))
    try:
        await tools.eventually(lambda: len(readings(twin)) == 5, "five readings")
        status, document = await asyncio.to_thread(twin.get, "/v1/readings?since=3m")
        assert status == 200
        assert document["next"] is None
        assert [item["seq"] for item in document["readings"]] == [3, 4, 5]
        assert document["readings"][-1]["registers"]["1-0:1.8.0*255"] == {
            "value": 1004,
            "unit": "Wh",
        }
        await tools.eventually(lambda: meter.ring.stored == 5, "the ack")
        await tools.eventually(lambda: twin.get("/readyz", world.plain)[0] == 200, "ready")
    finally:
        await meter.power_off()
