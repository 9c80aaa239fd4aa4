"""The twin's talk with its utility: asks what is due, takes what comes, keeps what has changed.

Whoever runs it (`utility_loop`) has the authority to speak. Its agent is built when the utility's
address is known, and anew when that is another one: the memory goes on. Neighbours:
`openadr2.agent` (says what to ask, and when), `http_client` (asks), `utility_memory` (keeps),
`utility_reports` (what is reported).
"""

import os
import random
import ssl
import time
from collections.abc import Callable, Iterable

from . import log
from .agent_building import Self, build_agent
from .application_host import ApplicationHost
from .configuration import UtilitySettings
from .deciders import Deciders
from .demand_response.dr_event import DrEvent
from .demand_response.event_book import EventBook, Kept, Opt
from .demand_response.quarter_hour import MeterStatus
from .dialing import tls_context
from .http_client import HttpClientError
from .store_schema import StoreError
from .utility_agent import OPENADR_2, Asked, Client, UtilityAgent
from .utility_client import UtilityClient
from .utility_ear import UtilityEar
from .utility_file import UtilityAddress, UtilityFile, UtilityFileError
from .utility_memory import NAME, UtilityMemory
from .utility_reports import make_reports
from .utility_standing import Standing, StandingKeeper


class UtilityTalk:
    """Of one twin."""

    def __init__(
        self,
        device: str,
        settings: UtilitySettings,
        memory: UtilityMemory,
        deciders: Deciders,
        host: ApplicationHost,
        is_online: Callable[[], bool],
        is_stopped: Callable[[], bool],
    ) -> None:
        """Nothing is read or asked yet.

        Args:
            device: of the meter.
            settings: who it is to its utility.
            memory: what is kept of the conversation.
            deciders: the applications that act on events.
            host: keeps the memory, and answers for the profile.
            is_online: the meter speaks.
            is_stopped: load control is stopped, so the house takes part in no limit.
        """
        self._is_stopped = is_stopped
        self._decided_stopped: bool | None = None
        self._device = device
        self._settings = settings
        self._memory = memory
        self._deciders = deciders
        self._host = host
        self._is_online = is_online
        self._file = UtilityFile(settings.folder)
        self._client: Client | None = None
        self._ear = UtilityEar(self._context)
        self._protocol = OPENADR_2
        self._standing = StandingKeeper()
        self._is_kept = True
        self._told = ""

    @property
    def book(self) -> EventBook | None:
        """The events, None before the utility's address is known."""
        agent = self._memory.agent
        return None if agent is None else agent.book

    @property
    def ven_id(self) -> str:
        """What the utility calls this meter, empty before it does."""
        agent = self._memory.agent
        return "" if agent is None else agent.ven_id

    @property
    def standing(self) -> Standing | None:
        """How the meter stands with its utility, None before anything is known."""
        return self._standing.standing

    def find_time_of_next(self) -> int | None:
        """Return when something is due, None if nobody knows."""
        agent = self._memory.agent
        return None if agent is None else agent.find_time_of_next()

    async def close(self) -> None:
        """Drop the connections; the next question opens another one."""
        await self._ear.close()
        if self._client is not None:
            await self._client.close()

    async def look(self) -> None:
        """Read the utility's address; a new one is spoken to from now on."""
        try:
            address = self._file.poll()
            client = None if address is None else self._build_client(address)
        except UtilityFileError as error:
            self._memory.agent = None
            await self.close()
            self._memory.standing = error.reason, str(error)
            self._note(error.reason, str(error))
            return
        if address is not None:
            await self.close()
            self._client = client
            self._protocol = address.protocol
            deciders = self._deciders
            me = Self(self._device, self._settings, deciders.signals, deciders.bidding)
            self._memory.agent = build_agent(me, address, self._decide, self._memory.memory)
            self._decided_stopped = None
            log.log("info", "utility's address", host=address.url.host)

    def _build_client(self, address: UtilityAddress) -> Client:
        """Return the client of a utility.

        Raises:
            UtilityFileError: it asks for signatures, and this image has none.
        """
        client = UtilityClient(address.url, self._context)
        if not address.signed_by:
            return client
        from .signed_client import build_signed_client  # noqa: PLC0415 - 10 MiB

        return build_signed_client(client, self._settings.folder, address.signed_by)

    def _decide(self, event: DrEvent, others: Iterable[Kept], _now_s: int) -> Opt:
        agent = self._memory.agent
        override_s = 0 if agent is None else agent.override_s
        return self._deciders.decide(
            event,
            others,
            is_overridden=event.start_s < override_s,
            is_stopped=self._is_stopped(),
        )

    def _follow_stop(self, agent: UtilityAgent) -> None:
        """Decide again where load control was stopped, or permitted, since the last decision."""
        is_stopped = self._is_stopped()
        if is_stopped == self._decided_stopped:
            return
        is_changed = agent.review(int(time.time()))
        self._decided_stopped = is_stopped
        if is_changed:
            self._save()

    def override(self, until_s: int) -> bool:
        """Take the house out until a time, or in again (0); return False without an agent."""
        agent = self._memory.agent
        if agent is None:
            return False
        agent.override(until_s, int(time.time()))
        self._save()
        return True

    def _context(self) -> ssl.SSLContext:
        folder, name = self._settings.folder, self._settings.name
        pair = f"{folder}/tls.crt", f"{folder}/tls.key"
        is_known_otherwise = self._protocol != OPENADR_2 and not os.path.exists(pair[0])  # noqa: PTH110 - pathlib costs 0.3 MiB
        try:
            return tls_context(f"{folder}/ca.crt", *(() if is_known_otherwise else pair))
        except OSError as error:  # of ssl too
            text = f"CA, certificate or key for {name} cannot be used ({type(error).__name__})"
            raise HttpClientError("Credentials", text) from error

    async def listen(self) -> None:
        """Listen to what the utility publishes, if it does."""
        if self._memory.agent is not None:
            await self._ear.follow(self._memory.agent)

    async def ask_next(self) -> bool:
        """Ask what is due; return whether anything was."""
        agent, client = self._memory.agent, self._client
        if agent is None or client is None:
            return False
        self._follow_stop(agent)
        self._report(agent)
        try:
            question = agent.find_next(int(time.time()))
        except ValueError as error:  # of the files that hold its credentials
            self._note("Credentials", str(error))
            return False
        if question is None:
            return False
        if await self._ask(agent, client, question) or not self._is_kept:
            self._save()
        trouble = agent.trouble
        self._note(agent.reason, trouble.message if trouble else "")
        return True

    async def _ask(self, agent: UtilityAgent, client: Client, question: Asked) -> bool:
        """Ask; return whether there is something to keep."""
        chance = random.random()  # noqa: S311 - spreads a fleet, no secret
        try:
            answer = await client.ask(question)
        except HttpClientError as error:
            return agent.fail(error.reason, str(error), int(time.time()), chance)
        return agent.take(answer.status, answer.body, int(time.time()), chance)

    def _report(self, agent: UtilityAgent) -> None:
        now_s = int(time.time())
        is_overridden = agent.override_s > now_s or self._is_stopped()
        status = MeterStatus(self._is_online(), is_overridden=is_overridden)
        if make_reports(agent, self._host.answer_or_none, status, now_s):
            self._save()  # what is passed over, or given up, no answer of the utility will tell

    def _save(self) -> None:
        try:
            self._host.keep(NAME)
            self._is_kept = True
        except StoreError as error:
            self._is_kept = False
            log.log("error", "the utility's memory waits for the store", message=str(error))

    def _note(self, reason: str, message: str) -> None:
        """Keep the standing; log when the reason changes: each failed poll would fill the log."""
        self._standing.note(reason, message, int(time.time()))
        if reason != self._told:
            self._told = reason
            level = "info" if reason in ("Registered", "Registering") else "warning"
            log.log(level, "utility", reason=reason, message=message)
