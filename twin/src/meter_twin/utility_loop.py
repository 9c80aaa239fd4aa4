"""Speaks with the utility, and holds the meter's load at what its events say.

One process speaks at any time: this one only while it has the authority (owner gate), and not
before its applications have begun, so that it goes on from what the twin before has left. Whatever
happens here, metering goes on. Neighbours: `openadr2.agent` (says what to ask, and when),
`http_client` (asks), `utility_memory` (keeps), `applications.demand_response` (decides).
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from meter_wire.commands import Write

from . import log
from .applications.demand_response import DemandResponse
from .demand_response.load_keeper import LoadCommand, LoadKeeper
from .http_client import HttpClient, HttpClientError
from .link_loop import LinkLoop
from .openadr2.agent import Agent
from .store_schema import StoreError

STEP_S, AFTER_ERROR_S = 1.0, 30.0
COMMAND_TTL_MS = 10_000
_HEADERS = {"content-type": "application/xml", "accept": "application/xml"}


class UtilityLoop:
    """One per twin that has a utility."""

    def __init__(
        self,
        agent: Agent,
        client: HttpClient,
        keep: Callable[[], None],
        may_act: Callable[[], bool],
        loop: LinkLoop,
        application: DemandResponse | None,
    ) -> None:
        """`keep` writes the memory; `may_act`: this twin has the authority, and has begun."""
        self._agent = agent
        self._client = client
        self._keep = keep
        self._may_act = may_act
        self._loop = loop
        self._application = application
        self._load = LoadKeeper()
        self._reason = ""
        self._is_kept = True

    async def run(self) -> None:
        """Speak and act until cancelled; an error here is told, and metering goes on."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._speak))
            tasks.create_task(self._repeat(self._hold_load))

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            while True:
                try:
                    await step()
                except Exception as error:  # noqa: BLE001 - whatever it is, the meter is served
                    log.log_exception("utility", error)
                    await asyncio.sleep(AFTER_ERROR_S)
                await asyncio.sleep(STEP_S)
        finally:
            await self._client.close()

    async def _speak(self) -> None:
        if self._may_act():
            await self._step()
        else:
            await self._client.close()

    async def _step(self) -> None:
        """Ask what is due, until nothing is; an answer counts only while this twin may act."""
        while self._may_act() and (question := self._agent.find_next(int(time.time()))) is not None:
            body = question.body.encode()
            chance = random.random()  # noqa: S311 - spreads a fleet, no secret
            try:
                answer = await self._client.ask("POST", f"/{question.service}", body, _HEADERS)
            except HttpClientError as error:
                is_changed = self._agent.fail(error.reason, str(error), int(time.time()), chance)
            else:
                is_changed = self._agent.take(answer.status, answer.body, int(time.time()), chance)
            self._tell()
            if is_changed or not self._is_kept:
                self._save()

    def _save(self) -> None:
        try:
            self._keep()
            self._is_kept = True
        except StoreError as error:
            self._is_kept = False
            log.log("error", "the utility's memory waits for the store", message=str(error))

    def _tell(self) -> None:
        """Log when the reason changes; each failed poll would fill the log."""
        if self._agent.reason == self._reason:
            return
        self._reason = self._agent.reason
        trouble = self._agent.trouble
        level = "warning" if trouble else "info"
        log.log(level, "utility", reason=self._reason, message=trouble.message if trouble else "")

    async def _hold_load(self) -> None:
        if self._application is None or not self._may_act():
            return
        now_s = int(time.time())
        wanted = self._application.find_limit(list(self._agent.book), now_s)
        command = self._load.find_command(wanted, now_s)
        if command is not None:
            await self._command(command, self._application.load_index)

    async def _command(self, command: LoadCommand, index: int) -> None:
        write = Write("load", command.limit_w, index=index, seconds=command.seconds)
        answered = await self._loop.command(write, COMMAND_TTL_MS)
        now_s = int(time.time())
        if answered.code == "ok":
            self._load.done(command, now_s)
        else:
            self._load.failed(now_s)
        log.log("info", "load limit told", state=answered.code)
