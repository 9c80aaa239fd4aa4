"""What the resource wants of the meter itself: capture period and report spread, told to it.

The active twin sends each value once a session; a meter that has it already writes nothing to its
flash. What the meter refuses is counted and tried again with the next session only, what got no
answer after a minute. Neighbours: `link_loop` carries the commands, `status` shows `describe`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from meter_wire.commands import Command, Write
from meter_wire.effects import Answered

from . import log

POLL_S = 5.0
TTL_MS = 20_000
RETRY_S = 60.0
_FINAL = frozenset(("ok", "refused", "unknown", "unsigned", "out_of_range"))


class Carrier(Protocol):
    """What carries commands: `link_loop.LinkLoop`."""

    sessions: int
    """Sessions that the meter has opened since the start."""

    async def command(self, command: Command, ttl_ms: int) -> Answered:
        """Issue a command and wait for its end."""


class _Setting:
    """One value: what is wanted, and what became of it in the last session."""

    def __init__(self, field: str, target: str, wanted: int) -> None:
        self.field = field
        self.target = target
        self.wanted = wanted
        self.confirmed: int | None = None
        self.settled = 0
        self.again_s = 0.0


class MeterSettings:
    """The two settings of one twin; `may_act`: whether this epoch is the active one, now."""

    def __init__(
        self, carrier: Carrier, may_act: Callable[[], bool], capture_s: int, spread_s: int
    ) -> None:
        """Begin with nothing confirmed."""
        self._carrier = carrier
        self._may_act = may_act
        self._session = 0
        self._settings = (
            _Setting("capturePeriodSeconds", "capture_period", capture_s),
            _Setting("reportSpreadSeconds", "report_spread", spread_s),
        )
        self.refused = 0

    async def run(self) -> None:
        """Look every five seconds whether there is something to tell."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.poll(time.monotonic())

    async def poll(self, now_s: float) -> None:
        """Tell the meter of this session what it has not been told."""
        session = self._carrier.sessions
        if session != self._session:
            self._session = session
            for one in self._settings:
                one.confirmed, one.again_s = None, 0.0
        for one in self._settings:
            if one.settled != session and now_s >= one.again_s and self._may_act():
                answered = await self._carrier.command(Write(one.target, one.wanted), TTL_MS)
                self._judge(one, session, answered.code, now_s)

    def _judge(self, one: _Setting, session: int, code: str, now_s: float) -> None:
        if code not in _FINAL:
            one.again_s = now_s + RETRY_S
            return
        one.settled = session
        if code == "ok":
            one.confirmed = one.wanted
            return
        self.refused += 1
        log.log("warning", "meter refuses a setting", field=one.field, reason=code)

    def describe(self) -> dict[str, Any]:
        """Return `settings` of /v1/status; `confirmed`: by the meter in its last session."""
        return {
            "wanted": {one.field: one.wanted for one in self._settings},
            "confirmed": {one.field: one.confirmed for one in self._settings},
            "refused": self.refused,
        }
