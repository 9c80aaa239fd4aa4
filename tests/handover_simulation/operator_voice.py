"""The operator's messenger in a simulated world: the real one, on a session of the played broker.

It hears, judges and answers as the real one does; only how messages reach the broker is played:
a batch at a time, each kept until the broker has acknowledged it, sent again in the next session.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from meter_operator.cache import Cache
from meter_operator.desired import Key, Meter
from meter_operator.lease import Lease
from meter_operator.messenger import Messenger
from meter_operator.outbox import BATCH
from meter_operator.owner import Message
from meter_wire.portable.tlv import RemoteProtocolError

from .broker import Session
from .scheduler import Actor, drive


class Voice(Messenger):
    """One life of an operator at the broker."""

    def __init__(
        self, around: Any, cache: Cache, lease: Lease,
        messages_of: Callable[[Meter, bytes], list[Message]], look: Callable[[Key], None],
        actor: Actor,
    ) -> None:  # fmt: skip
        self._scheduler = around.scheduler
        super().__init__(
            around.settings, cache, around.fleet, lease.term, messages_of, look, _confirm,
            clock=lambda: self._scheduler.now_ms / 1000, raise_term=lease.raise_above,
        )  # fmt: skip
        self._actor, self._life = actor, actor.life
        self._current: Session | None = None
        self._heard: list[tuple[str, bytes]] = []
        self._in_flight: dict[str, Message] = {}

    async def begin(self, session: Session) -> None:
        """Say everything on a new session, then what was heard meanwhile."""
        self._current = session
        self._in_flight = {}
        await self._publish_all()
        heard, self._heard = self._heard, []
        for topic, payload in heard:
            self.hear(topic, payload)
        self._send_batch()

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a message, as the real one's loop does."""
        if not self.synced.is_set():
            self._heard.append((topic, payload))
            return
        with contextlib.suppress(ValueError, RemoteProtocolError):
            drive(self._hear(topic, payload))

    async def publish(self, messages: list[Message]) -> None:
        """Hand over messages (Publisher); they leave a moment later."""
        await super().publish(messages)
        wait_ms = self._scheduler.random.choice((0, 1, 5))
        self._scheduler.after(
            wait_ms, lambda: self._scheduler.act(self._actor, self._life, self._send_batch)
        )

    def _send_batch(self) -> None:
        session = self._current
        if session is None or not session.is_open or self._in_flight:
            return
        self._in_flight = dict(list(self._outbox.pending.items())[:BATCH])
        for one in list(self._in_flight.values()):
            session.publish(
                one.topic, one.payload, retain=one.retain,
                acknowledged=partial(self._acknowledged, session, one),
            )  # fmt: skip

    def _acknowledged(self, session: Session, message: Message) -> None:
        topic = message.topic
        if session is not self._current or self._in_flight.get(topic) != message:
            return
        del self._in_flight[topic]
        if self._outbox.pending.get(topic) == message:
            del self._outbox.pending[topic]
        if not self._in_flight and self._outbox.pending:
            self._send_batch()


async def _confirm() -> None:
    """Played by the process's own loop."""
