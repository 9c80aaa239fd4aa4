"""Port 8443: who may read what, over real mutual TLS."""

import asyncio
import contextlib
import http.client
import json
import select
import socket
import time

import pytest
from meter_twin.http_server import HANDSHAKE_TIMEOUT_S, MAX_HANDSHAKES
from meter_twin.peer_port import reads

pytestmark = pytest.mark.timeout(300)

KEY = "ab" * 32
POLICY = {
    "resolutionSeconds": 900,
    "recipients": [
        {"name": "utility", "publicKey": KEY},
        {"name": "twin:house-2", "publicKey": KEY},
    ],
}
CLIENTS = {
    "utility": "urn:metertwin:reader:utility",
    "stranger": "urn:metertwin:reader:stranger",
    "neighbour": "urn:metertwin:twin:house-2:9",
    "twin-of-another": "urn:metertwin:twin:house-3:1",
    "operator": "urn:metertwin:operator",
    "meter": "urn:metertwin:meter:house-1",
}


@pytest.mark.parametrize(
    ("names", "recipients", "expected"),
    [
        (["urn:metertwin:reader:utility"], {"utility"}, True),
        (["urn:metertwin:reader:utility"], {"utilit"}, False),
        (["urn:metertwin:reader:utility"], set(), False),
        (["urn:metertwin:twin:house-2:1"], {"twin:house-2"}, True),
        (["urn:metertwin:twin:house-2:7"], {"twin:house-2"}, True),
        (["urn:metertwin:twin:house-20:1"], {"twin:house-2"}, False),
        (["urn:metertwin:twin:house-2:1"], {"house-2"}, False),
        (["urn:metertwin:reader:house-2"], {"twin:house-2"}, False),
        (["urn:metertwin:meter:house-2"], {"house-2", "twin:house-2"}, False),
        (["urn:metertwin:operator"], {"operator", ""}, False),
        ([], {"utility", ""}, False),
        (["urn:other", "urn:metertwin:reader:utility"], {"utility"}, True),
    ],
)
def test_only_a_recipient_reads(names, recipients, expected):
    assert reads(names, frozenset(recipients)) is expected


class Reader:
    """HTTPS clients of the peer port, by the name of their certificate."""

    def __init__(self, world, twin):
        self.world = world
        self.twin = twin

    def get(self, name, path, method="GET"):
        context = self.world.context(name)
        context.check_hostname = False
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.world.peer, context=context, timeout=60
        )
        with contextlib.closing(connection):
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, json.load(answer)


@pytest.fixture
async def street(world, tools):
    """A twin with two hours of readings, one a minute, and its clients."""
    for name, uri in CLIENTS.items():
        if name not in {"operator", "meter"}:
            world.issue(name, f"Test.{name}", f"URI:{uri}")
    world.start_broker()
    twin = world.start_twin(world.configuration(dataPolicy=POLICY))
    await asyncio.to_thread(twin.wait_serving)
    await world.operate("active")
    meter = tools.Meter(world)
    meter.power_on()
    end_s = int(time.time()) // 60 * 60
    for minute in range(120, -1, -1):
        meter.append(tools.reading(end_s - 60 * minute, 5000 - minute))
    await tools.eventually(lambda: meter.ring.stored == 121, "everything is stored")
    yield Reader(world, twin), end_s
    await meter.power_off()


async def test_a_recipient_reads_at_the_resolution_of_the_policy_and_never_finer(street):
    reader, end_s = street
    newest_s = end_s // 900 * 900
    for name in ("utility", "neighbour"):
        before_s = int(time.time())
        status, document = await asyncio.to_thread(reader.get, name, "/v1/registers")
        assert (status, document["device"], document["source"]) == (200, "house-1", "cached")
        assert document["resolution_seconds"] == 900
        energy = document["registers"]["1-0:1.8.0*255"]
        assert energy == {"value": 5000 - (end_s - newest_s) // 60, "unit": "Wh"}
        assert before_s - 1 <= newest_s + document["age_seconds"] <= int(time.time()) + 1
        assert (await asyncio.to_thread(reader.get, name, "/v1/identity"))[0] == 200
    path = "/v1/registers?code=1-0:2.8.0*255"
    _, one = await asyncio.to_thread(reader.get, "utility", path)
    assert list(one["registers"]) == ["1-0:2.8.0*255"]
    seqs, cursor = [], ""
    while cursor is not None:
        path = f"/v1/readings?limit=3{cursor}"
        _, document = await asyncio.to_thread(reader.get, "utility", path)
        seqs += [one["seq"] for one in document["readings"]]
        cursor = document["next"] and f"&after={document['next']}"
    expected = [
        seq
        for seq in range(1, 122)
        if (end_s - 60 * (121 - seq)) % 900 == 0
    ]  # fmt: skip
    assert seqs == expected


async def test_everybody_else_is_refused_registers_and_counted(street):
    reader, _ = street
    for name in ("stranger", "meter", "twin-of-another", "operator"):
        for path in ("/v1/registers", "/v1/readings", "/v1/readings?since=1h"):
            status, document = await asyncio.to_thread(reader.get, name, path)
            assert (status, document["error"]["field"]) == (403, "certificate")
            assert "spec.dataPolicy.recipients" in document["error"]["remedy"]
    for name, expected in [
        ("operator", 200), ("twin-of-another", 200), ("stranger", 403), ("meter", 403),
    ]:  # fmt: skip
        assert (await asyncio.to_thread(reader.get, name, "/v1/identity"))[0] == expected
    assert (await asyncio.to_thread(reader.get, "stranger", "/v1/nothing"))[0] == 403
    _, status = await asyncio.to_thread(reader.twin.get, "/v1/status")
    assert status["peerRefused"] == {
        "/v1/registers": 4, "/v1/readings": 8, "/v1/identity": 2, "other": 1,
    }  # fmt: skip


async def test_nothing_that_reaches_the_meter_or_changes_it_is_on_the_peer_port(street):
    reader, _ = street
    for path, method, expected in [
        ("/v1/forward", "POST", 405), ("/v1/load", "POST", 405), ("/v1/registers", "POST", 405),
        ("/v1/registers?live=1", "GET", 400), ("/v1/registers?code=1.8.0", "GET", 400),
        ("/v1/readings?limit=1001", "GET", 400), ("/v1/status", "GET", 404),
        ("/v1/events", "GET", 404), ("/v1/profile", "GET", 404), ("/v1/export", "GET", 404),
    ]:  # fmt: skip
        answer = await asyncio.to_thread(reader.get, "utility", path, method)
        assert answer[0] == expected, path


def still_open(connections):
    """Return those that the other side has neither closed nor reset."""
    ready, _, _ = select.select(connections, [], [], 0)
    return [one for one in connections if one not in ready]


async def test_connections_without_a_handshake_are_few_short_and_counted(street, tools):
    reader, _ = street
    with contextlib.ExitStack() as stack:
        bare = [
            stack.enter_context(socket.create_connection(("127.0.0.1", reader.world.peer), 60))
            for _ in range(200)
        ]
        await tools.eventually(lambda: len(still_open(bare)) <= MAX_HANDSHAKES, "few")
        assert still_open(bare), "those few have their time"
        assert (await asyncio.to_thread(reader.get, "utility", "/v1/identity"))[0] == 200
        await asyncio.sleep(HANDSHAKE_TIMEOUT_S)
        await tools.eventually(lambda: not still_open(bare), "short")

    def counted():
        return reader.twin.get("/v1/status")[1]["peerRefused"] == {"handshake": 200}

    await tools.eventually(counted, "each is counted, once")
