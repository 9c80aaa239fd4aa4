"""The listener at brokers that are no good: nothing of it harms the process."""

import asyncio
import contextlib
import time

import pytest
from fake_vtn import FakeVtn, make, settle
from loopback import free_ports
from meter_twin import notification_listener
from meter_twin.notification_listener import NotificationListener
from meter_twin.openadr3.hearing import MOST_A_MINUTE, OF_A_SESSION

CONNACK, REFUSED = b"\x20\x02\x00\x00", b"\x20\x02\x00\x05"


def build(uri, method="ANONYMOUS"):
    vtn, agent = FakeVtn(int(time.time())), make()
    vtn.broker = {"URIS": uri if isinstance(uri, list) else [uri]}
    vtn.broker["authentication"] = {"method": method}
    settle(agent, vtn)
    return agent


@contextlib.asynccontextmanager
async def serving(answer):
    """A broker that does what a test wants; yields its URI and the sessions it had."""
    sessions = []

    async def serve(reader, writer):
        sessions.append(await reader.read(4096))
        with contextlib.suppress(ConnectionError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", sessions
    server.close()


@contextlib.asynccontextmanager
async def listening(agent):
    listener = NotificationListener(agent.notices, lambda: None)
    listener.start()
    yield listener
    await listener.close()


async def until(condition):
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)


async def accept(reader, writer):
    writer.write(CONNACK)
    asked = await reader.read(4096)
    writer.write(b"\x90\x03" + asked[2:4] + b"\x00")


async def test_a_broker_that_ends_each_session_is_left_alone():
    async with serving(accept) as (uri, sessions):
        agent = build(uri)
        async with listening(agent):
            await until(lambda: agent.notices.hearing.floods)
            count = len(sessions)
            await asyncio.sleep(2)
        assert count <= 2 * (MOST_A_MINUTE // OF_A_SESSION + 1), "in two minutes of the clock"
        assert len(sessions) <= count + 1
        assert not agent.notices.hearing.is_up


async def test_a_broker_that_refuses_is_asked_later_and_later():
    async def refuse(_, writer):
        writer.write(REFUSED)

    async with serving(refuse) as (uri, sessions):
        agent = build(uri)
        async with listening(agent):
            await until(lambda: "refused: code 5" in agent.notices.hearing.message)
            await asyncio.sleep(4)
        assert 1 <= len(sessions) <= 9
        assert agent.notices.hearing.losses == 0


@pytest.mark.parametrize(
    "junk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 5000, b"\xff" * 70_000]
)
async def test_a_broker_that_speaks_no_mqtt_is_none(junk):
    async def talk(_, writer):
        writer.write(junk)
        await writer.drain()

    async with serving(talk) as (uri, sessions):
        agent = build(uri)
        async with listening(agent):
            await until(lambda: len(sessions) >= 2)
        assert agent.notices.hearing.heard == agent.notices.hearing.losses == 0


async def test_the_next_address_is_tried_when_one_gives_no_session():
    async def stay(reader, writer):
        await accept(reader, writer)
        await reader.read()

    async with serving(stay) as (uri, sessions):
        agent = build([f"mqtt://127.0.0.1:{free_ports(1)[0]}", uri])
        async with listening(agent):
            await until(lambda: agent.notices.hearing.is_up)
        assert len(sessions) == 1
        assert not agent.notices.hearing.is_up, "it has been closed"


async def test_without_a_token_it_says_why_and_tries_again(monkeypatch):
    monkeypatch.setattr(notification_listener, "AFTER_ERROR_S", 0.05)
    agent = build("mqtt://127.0.0.1:1", "OAUTH2_BEARER_TOKEN")
    tries, found = [], agent.notices.find_place
    monkeypatch.setattr(agent.notices, "find_place", lambda: tries.append(1) or found())
    async with listening(agent):
        await until(lambda: len(tries) >= 3)
        assert "mqtts" in agent.notices.hearing.message


@pytest.mark.parametrize("answer", [b"\x00", b"\x80"])
async def test_a_topic_that_nobody_has_told_may_be_refused(answer):
    async def stay(reader, writer):
        await accept(reader, writer)
        asked = await reader.read(4096)
        asked_for.append(asked[6:-1].decode())
        writer.write(b"\x90\x03" + asked[2:4] + answer)
        await reader.read()

    asked_for = []
    async with serving(stay) as (uri, sessions):
        agent = build(uri)
        agent.ven.topics = (f"events/vens/{agent.ven_id}/create",)
        async with listening(agent):
            await until(lambda: asked_for and agent.notices.hearing.is_up)
            await asyncio.sleep(2)
            assert agent.notices.hearing.is_up
        assert asked_for == [f"vens/{agent.ven_id}/events/create"]
        assert len(sessions) == 1


async def test_a_topic_that_was_told_may_not_be_refused():
    async def refuse(reader, writer):
        writer.write(CONNACK)
        asked = await reader.read(4096)
        writer.write(b"\x90\x03" + asked[2:4] + b"\x80")
        await reader.read()

    async with serving(refuse) as (uri, _):
        agent = build(uri)
        async with listening(agent):
            await until(lambda: "refuses the subscription" in agent.notices.hearing.message)
        assert agent.notices.hearing.losses == 0
