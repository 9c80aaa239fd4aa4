"""Speaks with the operator over the twin's session with the broker: its record in, our state out.

What the gate takes of a control record is in the store before anything is done because of it; the
state is said again whenever it is another one. Neighbours: `shell` (builds it, hands over messages
and runs it), `control_reading` (asks for the record), `owner_gate` (judges it), `status` (knows the
state), `handover` (its part in one).
"""

import asyncio
from functools import partial
from typing import Any

from . import log
from .control_reading import ControlReading
from .gate_memory import save_gate_memory
from .handover import Handover, Parties
from .mqtt_shell import MqttShell, NotConnectedError
from .status import Status, now_ms
from .twin_state import encode_state


class OperatorLine:
    """Of one twin."""

    def __init__(
        self,
        topics: dict[str, str],
        broker: MqttShell,
        parties: Parties,
        handover: Handover,
        status: Status,
        feed: asyncio.Event,
        changed: asyncio.Event,
    ) -> None:
        """Say nothing yet.

        Args:
            topics: of this twin, by channel; `ctl` and `state` are used.
            broker: the session.
            parties: the parts of the twin.
            handover: is told of each record.
            status: knows the state.
            feed: set when applications may have something to do.
            changed: set by everybody when the state may be another one; waited for here.
        """
        self._topics = topics
        self._broker = broker
        self._parties = parties
        self._gate = parties.gate
        self._handover = handover
        self._status = status
        self._feed = feed
        self._changed = changed
        self._published: dict[str, Any] | None = None
        self._is_durable = True
        ask = partial(broker.subscribe, topics["ctl"])
        self._reading = ControlReading(self._gate, ask, now_ms)

    def receive(self, payload: bytes) -> None:
        """Do what a message of `ctl` says, once the gate takes it and the store has it."""
        verdict = self._reading.receive(payload)
        if not verdict.accepted:
            return
        if self._gate.is_retired:
            self._parties.loop.stop()
        if verdict.changed:
            memory = self._gate.memory
            log.log("info", "control record", state=memory.state, term=memory.term)
        self._status.loads.look()
        if verdict.changed or not self._is_durable:
            self._save()
        if self._is_durable and self._gate.record is not None:
            self._handover.control(self._gate.record)
            self._feed.set()
        self._changed.set()

    def connected(self) -> None:
        """Begin anew with a session: the state is said again."""
        self._published = None
        self._changed.set()

    def lost(self) -> None:
        """No session: nothing of the record counts that comes from before the next one."""
        self._reading.lost()

    async def watch(self) -> None:
        """Read the control record again, and see the moments at which the state changes by time."""
        while True:
            await self._handover.rest()
            self._changed.set()
            if self._gate.end_wait(now_ms()):
                self._save()
            if self._broker.connected.is_set():
                await self._reading.step()

    async def publish(self) -> None:
        """Say the state after each change, but not the same twice in a session."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            document = self._status.state()
            if document == self._published or not self._broker.connected.is_set():
                continue
            try:
                payload = encode_state(self._status.sign(document))
                await self._broker.publish(self._topics["state"], payload, retain=True)
            except NotConnectedError:
                continue
            self._published = document

    async def say_goodbye(self) -> None:
        """Say that the twin ends.

        Raises:
            NotConnectedError: the session ended meanwhile.
        """
        if self._broker.connected.is_set():
            payload = encode_state(self._status.state(online=False))
            await self._broker.publish(self._topics["state"], payload, 0, retain=True)

    def _save(self) -> None:
        self._is_durable = save_gate_memory(self._parties.store, self._gate.memory)
