"""The line of messages: each topic once, kept at the broker if it says so, none lost with a session."""

import asyncio

import pytest
from meter_operator.outbox import BATCH, Outbox
from meter_operator.owner import Message


class FakeClient:
    """Takes what is published, until it fails; `meanwhile` is called with each message."""

    def __init__(self, meanwhile=lambda _: None):
        self.published = []
        self.fails = False
        self.meanwhile = meanwhile

    async def publish(self, topic, payload, *, qos, retain):
        if self.fails:
            raise ConnectionError
        assert qos == 1
        self.published.append(Message(topic, payload, retain))
        await asyncio.sleep(0)
        self.meanwhile(topic)


async def sent(outbox, client):
    """Return what goes out until the line is empty."""
    sending = asyncio.create_task(outbox.send(client))
    for _ in range(1000):
        if not outbox.pending or sending.done():
            break
        await asyncio.sleep(0)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    return client.published


@pytest.mark.parametrize("retain", [True, False])
@pytest.mark.parametrize("topic", ["mt/house-1/owner", "mt/house-1/renewed"])
async def test_a_message_is_kept_by_the_broker_if_it_says_so_whatever_its_topic(topic, retain):
    outbox = Outbox()
    outbox.add([Message(topic, b"x", retain)])
    assert await sent(outbox, FakeClient()) == [Message(topic, b"x", retain)]


async def test_the_newest_of_a_topic_goes_in_its_own_place():
    outbox = Outbox()
    outbox.add([Message("a", b"1"), Message("b", b"1"), Message("a", b"2", retain=False)])
    assert await sent(outbox, FakeClient()) == [
        Message("b", b"1"),
        Message("a", b"2", retain=False),
    ]


async def test_a_message_that_comes_while_another_of_its_topic_is_sent_is_sent_too():
    outbox = Outbox()
    later = [Message("a", b"1", retain=False)]

    def meanwhile(_topic):
        if later:
            outbox.add([later.pop()])

    outbox.add([Message("a", b"1")])
    found = await sent(outbox, FakeClient(meanwhile))
    assert found == [Message("a", b"1"), Message("a", b"1", retain=False)]


async def test_what_a_lost_session_did_not_send_is_sent_by_the_next():
    outbox = Outbox()
    messages = [Message(f"mt/{number}", b"x") for number in range(BATCH + 1)]
    outbox.add(messages)
    client = FakeClient()
    client.fails = True
    await sent(outbox, client)
    assert list(outbox.pending.values()) == messages
    outbox.wake()
    assert await sent(outbox, FakeClient()) == messages
