"""The control record is read again and again: authority lasts a lease after each reading.

The broker sends its retained copy with each subscription, so subscribing again is reading again.
What comes counts from before it was asked for. Where no record comes, because the topic is empty
or its content is none, the gate is told: without *active* in its `ctl` a twin has no authority.
Neighbours: `owner_gate` judges, `operator_line` subscribes and acts.
"""

import contextlib
from collections.abc import Awaitable, Callable

from . import log
from .mqtt_answers import NotConnectedError
from .owner_gate import LEASE_MS, OwnerGate, Verdict

READ_MS = LEASE_MS // 3


class ControlReading:
    """Knows when the record was asked for."""

    def __init__(
        self, gate: OwnerGate, subscribe: Callable[[], Awaitable[None]], clock: Callable[[], int]
    ) -> None:
        """`subscribe` asks the broker for the record; `clock` is monotonic, in milliseconds."""
        self._gate = gate
        self._subscribe = subscribe
        self._clock = clock
        self._asked_ms = clock()
        self._reported: set[str] = set()

    def lost(self) -> None:
        """No session: the next one asks by itself, from now on at the earliest."""
        self._asked_ms = self._clock()
        self._gate.session_lost()

    def receive(self, payload: bytes) -> Verdict:
        """Let the gate judge a message of `ctl`."""
        verdict = self._gate.receive(payload, self._asked_ms)
        if not verdict.accepted and verdict.reason not in self._reported:
            self._reported.add(verdict.reason)
            log.log("warning", "control record refused (first of its kind)", reason=verdict.reason)
        return verdict

    async def step(self) -> None:
        """Ask again when it is time; only while there is a session."""
        if self._clock() - self._asked_ms < READ_MS:
            return
        self._asked_ms = self._clock()
        if self._gate.read_again():
            log.log("error", "no control record is to be read: this twin has no authority",
                    remedy="the operator writes it: see whether it runs")  # fmt: skip
        with contextlib.suppress(NotConnectedError, PermissionError):
            await self._subscribe()
