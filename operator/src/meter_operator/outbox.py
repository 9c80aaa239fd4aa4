"""What the operator still has to say at the broker. Neighbour: `messenger`, which fills it."""

import asyncio
from collections.abc import Iterable
from itertools import islice

import aiomqtt

from meter_operator.owner import Message

BATCH = 64


class Outbox:
    """A line of messages, one of each topic; what was not sent stays for the next session."""

    def __init__(self) -> None:
        """Begin empty."""
        self.pending: dict[str, Message] = {}
        self._wake = asyncio.Event()

    def add(self, messages: Iterable[Message]) -> None:
        """Hand over messages; the newest of a topic wins, and goes in its own place."""
        for message in messages:
            self.pending.pop(message.topic, None)
            self.pending[message.topic] = message
        self.wake()

    def wake(self) -> None:
        """Have `send` look: there is another session."""
        self._wake.set()

    async def send(self, client: aiomqtt.Client) -> None:
        """Publish for ever, some at a time."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.pending:
                batch = list(islice(self.pending.values(), BATCH))
                sending = (
                    client.publish(one.topic, one.payload, qos=1, retain=one.retain)
                    for one in batch
                )
                await asyncio.gather(*sending)
                for one in batch:
                    if self.pending.get(one.topic) == one:
                        del self.pending[one.topic]
