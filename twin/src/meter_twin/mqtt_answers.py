"""Who waits for which answer of the broker: SUBACK, UNSUBACK and PUBACK by packet id.

Part of `mqtt_shell`. A lost session ends every wait; the link repeats what was in flight.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from meter_wire.portable.mqtt_event import Answer


class NotConnectedError(Exception):
    """There is no session with the broker now, or it ended before the broker's answer."""


class RenewedError(NotConnectedError):
    """The session was ended by ourselves, for one with a renewed certificate."""


class Answers:
    """The open waits of one shell."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waits: dict[int, asyncio.Future[Answer]] = {}
        self._room = asyncio.Event()

    def __len__(self) -> int:
        """Return how many packets wait for their answer."""
        return len(self._waits)

    @contextmanager
    def expect(self, packet_id: int) -> "Iterator[asyncio.Future[Answer]]":
        """Give the future answer to a packet; it fails if the session ends first."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waits[packet_id] = answer
        try:
            yield answer
        finally:
            answer.cancel()
            if self._waits.get(packet_id) is answer:
                del self._waits[packet_id]

    async def wait_for_room(self) -> None:
        """Return after the next answer or the end of the session."""
        self._room.clear()
        await self._room.wait()

    def settle(self, event: Answer) -> None:
        """Hand an answer to who waits for it."""
        answer = self._waits.pop(event.packet_id, None)
        if answer and not answer.done():
            answer.set_result(event)
        self._room.set()

    def fail(self, error: Exception) -> None:
        """End every wait: the session is gone."""
        for answer in self._waits.values():
            if not answer.done():
                answer.set_exception(NotConnectedError(f"connection lost: {error}"))
        self._waits.clear()
        self._room.set()
