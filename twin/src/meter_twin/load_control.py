"""The one way by which this twin moves loads, shut while the profile has load control stopped.

The operator says so in the control record, `owner_gate` remembers it over restarts. Then no limit
is told and nothing is forwarded, and what is limited is released. Neighbours: `load_release`
(what is lifted), `link_loop` (carries), `api_commands` and `utility_loop` (ask here).
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from meter_wire.commands import Command, Forward, Write
from meter_wire.effects import Answered

from . import log
from .link_loop import LinkLoop
from .load_release import LoadRelease
from .owner_gate import OwnerGate
from .store import Store
from .store_schema import StoreError

STOPPED = "stopped"
STEP_S = 1.0
_TTL_MS = 10_000
_KEPT = "load_limits"


class LoadControl:
    """Of one twin."""

    def __init__(
        self, loop: LinkLoop, store: Store, gate: OwnerGate, may_command: Callable[[], bool]
    ) -> None:
        """Begin as gate and store remember; `may_command`: this epoch may tell its meter."""
        self._loop = loop
        self._store = store
        self._gate = gate
        self._may_command = may_command
        self._release = LoadRelease()
        rows = json.loads(store.find_property(_KEPT) or "[]")
        self._release.restore(rows, _now_ms(), int(time.time()))
        self._was_stopped = False
        self._changed = asyncio.Event()
        self.look()

    @property
    def is_stopped(self) -> bool:
        """Whether no load may be moved now."""
        return self._gate.memory.stopped

    def look(self) -> None:
        """See what the last control record has changed."""
        if self.is_stopped == self._was_stopped:
            return
        self._was_stopped = self.is_stopped
        if self.is_stopped:
            log.log("warning", "load control is stopped")
            self._release.begin(_now_ms())
        else:
            log.log("info", "load control is allowed")
            self._release.end()
        self._changed.set()

    async def command(self, command: Command, ttl_ms: int) -> Answered:
        """Issue a command and wait for its end; `stopped` is that of one that may move a load.

        What is forwarded, nobody here can read: it may be for a battery.

        Raises:
            ValueError: a field is out of range.
        """
        if self.is_stopped and isinstance(command, Write | Forward):
            return Answered(0, STOPPED)
        if not isinstance(command, Write):
            return await self._loop.command(command, ttl_ms)
        self._release.note(command, _now_ms())
        self._keep()
        answered = await self._loop.command(command, ttl_ms)
        if answered.code == "ok" and not self.is_stopped:
            self._release.confirm(command, _now_ms())
            self._keep()
        return answered

    def inherit(self, limit: Write) -> None:
        """Release, while load control is stopped, what the twin before may have limited."""
        if self.is_stopped:
            self._release.inherit(limit, _now_ms())
            self._changed.set()

    async def run(self) -> None:
        """Release what is limited whenever load control is stopped, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._release.left:
                await self._release_due()
                await asyncio.sleep(STEP_S)

    async def _release_due(self) -> None:
        while self._may_command():
            command = self._release.find_next(_now_ms())
            if command is None:
                return
            answered = await self._loop.command(command, _TTL_MS)
            self._release.take(command, answered.code, _now_ms())
            self._keep()
            if not self._release.left:
                log.log("info", "loads are released")

    def _keep(self) -> None:
        rows = json.dumps(self._release.export(_now_ms(), int(time.time())))
        try:
            self._store.save_properties({_KEPT: rows})
        except StoreError as error:  # the meter ends each limit by itself
            log.log("error", "limits of loads are not durable", message=str(error))

    def describe(self) -> dict[str, Any]:
        """Return what people are told of it."""
        return {"stopped": self.is_stopped, "toRelease": self._release.left}


def _now_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
