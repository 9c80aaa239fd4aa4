"""A twin's process with its meter: the archive's mark reaches the meter, and only from an owner."""

import asyncio
import time

import pytest
from archive_server import Server
from loopback import free_port

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def server(world):
    made = Server(world, free_port())
    await made.start()
    yield made
    made.stop()


async def test_the_mark_of_the_archive_reaches_the_meter_of_the_active_twin(world, tools, server):
    world.start_broker()
    address = {"host": "127.0.0.1", "port": server.port}
    twin = world.start_twin(world.configuration(archive=address))
    await asyncio.to_thread(twin.wait_serving)
    meter = tools.Meter(world)
    meter.power_on()
    now_s = int(time.time())
    for number in range(40):
        meter.append(tools.reading(now_s - 40 + number, 5000 + number))
    await world.operate("candidate")
    await tools.eventually(lambda: twin.get("/v1/status")[1]["gate"] == "candidate", "candidate")
    said = (await asyncio.to_thread(twin.get, "/v1/status"))[1]["archive"]
    assert (said["state"], said["lastAnswer"], server.connections) == ("waiting", None, 0)
    await world.operate("active", counter=2)
    await tools.eventually(lambda: meter.ring.archived == 40, "the meter knows")
    kept = {seq: raw for seq, (raw, _) in meter.ring.held.items()}
    assert server.archive.rows(meter.ring.incarnation)[0] == kept
    said = (await asyncio.to_thread(twin.get, "/v1/status"))[1]["archive"]
    assert (said["state"], said["behind"]) == ("current", 0)

    before = len(server.archive.bodies)
    await world.operate("retired", counter=3)
    await tools.eventually(lambda: twin.get("/v1/status")[1]["gate"] == "retired", "retired")
    server.archive.entries.clear()
    await asyncio.sleep(2)
    assert len(server.archive.bodies) == before
    await meter.power_off()
