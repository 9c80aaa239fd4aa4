"""Speaks with the utility, and holds the meter's load at what its events say.

One process speaks at any time: this one only while it has the authority (owner gate), and not
before its applications have begun, so that it goes on from what the twin before has left. Whatever
happens here, metering goes on. Neighbours: `utility_talk` (speaks),
`applications.demand_response` (decides), `demand_response.load_keeper` (what the meter is told),
`performance_keeper` (what it was good for).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from meter_wire.commands import Write

from . import log
from .applications.demand_response import DemandResponse
from .applications.pricing import Pricing
from .demand_response.ems_plan import build_plan
from .demand_response.event_book import Kept
from .demand_response.load_keeper import HOLD_S, LoadCommand, LoadKeeper
from .load_control import LoadControl
from .utility_standing import Standing
from .utility_talk import UtilityTalk

STEP_S, AFTER_ERROR_S = 1.0, 30.0
ACCOUNT_S = 5.0
"""Between two looks at what events have brought."""
LOOK_S = 10
"""Between two looks at the file with the utility's address."""
COMMAND_TTL_MS = 10_000


class UtilityLoop:
    """One per twin that has a utility."""

    def __init__(
        self,
        talk: UtilityTalk,
        may_act: Callable[[], bool],
        loads: LoadControl,
        acting: Mapping[str, Any],
        changed: Callable[[], None],
        account: Callable[[Iterable[Kept], int], None],
    ) -> None:
        """Wait for `run`.

        `may_act`: this twin has the authority, and has begun; `loads`: commands the meter;
        `acting`: the applications that act on events; `changed`: told of another standing;
        `account`: keeps what events have brought.
        """
        self._talk = talk
        self._may_act = may_act
        self._loads = loads
        self._demand_response: DemandResponse | None = acting.get(DemandResponse.name)
        self._pricing: Pricing | None = acting.get(Pricing.name)
        self._changed = changed
        self._account_for = account
        self._load = LoadKeeper()
        self._look_s = 0.0

    @property
    def standing(self) -> Standing | None:
        """How the meter stands with its utility; None for a twin that has never spoken."""
        return self._talk.standing

    async def run(self) -> None:
        """Speak and act until cancelled; an error here is told, and metering goes on."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._speak))
            tasks.create_task(self._repeat(self._hold_load))
            tasks.create_task(self._repeat(self._account, ACCOUNT_S))

    async def _repeat(self, step: Callable[[], Awaitable[None]], pause_s: float = STEP_S) -> None:
        try:
            while True:
                try:
                    await step()
                except Exception as error:  # noqa: BLE001 - whatever it is, the meter is served
                    log.log_exception("utility", error)
                    await asyncio.sleep(AFTER_ERROR_S)
                await asyncio.sleep(pause_s)
        finally:
            await self._talk.close()

    async def _speak(self) -> None:
        """Ask what is due, until nothing is; an answer counts only while this twin may act."""
        before = self._talk.standing
        if not self._may_act():
            await self._talk.close()
            return
        if time.monotonic() >= self._look_s:
            self._look_s = time.monotonic() + LOOK_S
            await self._talk.look()
        self._release_inherited()
        while self._may_act() and await self._talk.ask_next():
            pass
        if self._may_act():
            await self._talk.listen()
        if self._talk.standing != before:
            self._changed()

    def _release_inherited(self) -> None:
        """Release what the twin before limited: what is still accepted, it may have acted on.

        The first question after a stop takes the house out of all that.
        """
        acting, book = self._demand_response, self._talk.book
        if not self._loads.is_stopped or book is None or acting is None:
            return
        limit = acting.find_limit(list(book), int(time.time())) if acting.commands_meter else None
        if limit is not None:
            told = Write("load", limit.limit_w, index=acting.load_index, seconds=HOLD_S)
            self._loads.inherit(told)

    async def _hold_load(self) -> None:
        book = self._talk.book
        acting = self._demand_response
        if acting is None or book is None or not self._may_act():
            return
        if self._loads.is_stopped:
            self._load = LoadKeeper()  # whatever was said is released
            return
        now_s = int(time.time())
        wanted = acting.find_limit(list(book), now_s) if acting.commands_meter else None
        command = self._load.find_command(wanted, now_s)
        if command is not None:
            await self._command(command, acting.load_index)

    async def _account(self) -> None:
        """Keep which events there were, and what they brought."""
        if self._may_act():
            self._account_for(self._talk.book or (), int(time.time()))

    def build_plan(self) -> dict[str, Any]:
        """Return what the home's energy management is told now."""
        stopped = self._loads.is_stopped
        return self.find_plan() or build_plan(None, (), (), int(time.time()), stopped=stopped)

    def find_plan(self) -> dict[str, Any] | None:
        """Return what holds now, None while this twin must not say it, or does not know it yet."""
        book, now_s, stopped = self._talk.book, int(time.time()), self._loads.is_stopped
        if book is None or not self._may_act():
            return None
        kept = list(book)
        acting, pricing = self._demand_response, self._pricing
        limit = None
        if acting is not None and not stopped:
            limit = acting.find_limit(kept, now_s)
        prices = pricing.find_prices(kept, now_s, self._talk.ven_id) if pricing is not None else ()
        return build_plan(limit, prices, kept, now_s, stopped=stopped)

    def override(self, until_s: int) -> bool:
        """Take the house out of events until a time, or in again (0); False if that must wait."""
        return self._may_act() and self._talk.override(until_s)

    async def _command(self, command: LoadCommand, index: int) -> None:
        write = Write("load", command.limit_w, index=index, seconds=command.seconds)
        answered = await self._loads.command(write, COMMAND_TTL_MS)
        now_s = int(time.time())
        if answered.code == "ok":
            self._load.done(command, now_s)
        else:
            self._load.failed(now_s)
        log.log("info", "load limit told", state=answered.code)
