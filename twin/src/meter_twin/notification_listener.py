"""Listens to what a utility of OpenADR 3.1 publishes over MQTT; loaded only where one does.

A second session beside that of the meter's own broker, by the same shell. What it hears is a reason
to look and no more, so it subscribes with QoS 0 and nothing is lost with it: the twin polls anyway.
Its trust, certificate and token are those of the utility. A broker that is away, refuses or talks
nonsense costs a try now and then; one that floods is left for five minutes. Neighbours:
`openadr3.broker_place` (where), `openadr3.hearing` (counts), `utility_ear` (starts and ends it),
`mqtt_shell` (connects).
"""

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Callable

from meter_wire.portable.mqtt_event import Message

from . import log
from .dialing import BrokerSettings
from .http_client import HttpClientError
from .mqtt_shell import MqttShell
from .openadr3.broker_place import Place
from .openadr3.hearing import MOST_OCTETS, OF_A_SESSION, PAUSE_S
from .openadr3.notices import Notices

KEEP_ALIVE_S = 60
ROOM = 512
"""Of a packet, for its topic and header."""
IN_FLIGHT = 4
CANCEL_AGAIN_S = 1
AFTER_ERROR_S = 60
"""Also without a token, or with files of credentials that cannot be used."""


class NotificationListener:
    """At the broker of one utility, for one VEN."""

    def __init__(self, notices: Notices, context: Callable[[], ssl.SSLContext]) -> None:
        """`context` returns the utility's trust and this meter's certificate as they are now."""
        self._notices = notices
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._shell: MqttShell | None = None
        self._tries = 0
        self._dropped = 0
        self._aliases: tuple[str, ...] = ()
        self._host = ""
        self._is_closed = False
        self._told = ""

    def start(self) -> None:
        """Listen until `close`."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End the session."""
        self._is_closed = True
        # asyncio.wait_for of Python 3.11 may swallow a cancellation: it is said until it is heard.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CANCEL_AGAIN_S)
        self._notices.hearing.ended()

    async def _run(self) -> None:
        while True:
            pause_s = PAUSE_S
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it is, the meter is served
                is_ours = isinstance(error, (ValueError, HttpClientError))  # said for people
                self._notices.hearing.lost(self._host, str(error) if is_ours else "internal error")
                self._tell("error", type(error).__name__)
                pause_s = AFTER_ERROR_S
            self._shell = None
            await asyncio.sleep(pause_s)

    async def _listen(self) -> None:
        """Return when the broker has said too much."""
        place, self._dropped = self._notices.find_place(), 0
        self._aliases = place.aliases
        settings, tls = self._prepare(place)
        shell = MqttShell(settings, self._receive, tls, self._came, self._lost)
        self._shell = shell
        for topic in place.topics:
            await shell.subscribe(topic, 0)
        await shell.run()

    def _prepare(self, place: Place) -> tuple[BrokerSettings, ssl.SSLContext | None]:
        """Return settings of the next session: with the present token, at the next address."""
        address = place.addresses[self._tries % len(place.addresses)]
        self._host = address.host
        settings = BrokerSettings(
            *(address.host, address.port, place.client_id, KEEP_ALIVE_S, None),
            *(MOST_OCTETS + ROOM, IN_FLIGHT, place.username, place.password),
        )
        return settings, self._context() if address.is_secure else None

    async def _receive(self, message: Message) -> None:
        dropped = self._shell.dropped_messages if self._shell is not None else 0
        news, self._dropped = 1 + dropped - self._dropped, dropped
        if await self._is_too_much(news):
            return
        chance = random.random()  # noqa: S311 - spreads a fleet, no secret
        self._notices.take(
            message.payload, int(time.time()), chance, is_retained=bool(message.retain)
        )

    async def _came(self) -> None:
        """There is a session: what was said before it is read from the VTN."""
        if await self._is_too_much(OF_A_SESSION):
            return
        self._notices.hearing.came(self._host)
        self._notices.look_soon(int(time.time()), random.random())  # noqa: S311 - as above
        self._tell("info", "Listening")
        shell = self._shell
        if shell is not None:
            for topic in self._aliases:
                with contextlib.suppress(PermissionError):
                    await shell.subscribe(topic, 0, is_lasting=False)

    async def _is_too_much(self, messages: int) -> bool:
        """Count; end the session, and what follows it, if that is too much for a minute."""
        hearing = self._notices.hearing
        if not hearing.count(messages, int(time.time())):
            return False
        hearing.lost(self._host, f"too much is said there; again in {PAUSE_S} s")
        self._tell("warning", "Flood")
        if self._shell is not None:
            await self._shell.close()
        return True

    def _lost(self, error: Exception, _: list[int]) -> None:
        if self._is_closed:
            return
        hearing = self._notices.hearing
        self._tries += not hearing.is_up  # another address only if this one gave no session
        hearing.lost(self._host, str(error) or type(error).__name__)
        self._tell("warning", type(error).__name__)
        try:
            prepared = self._prepare(self._notices.find_place())
        except (ValueError, HttpClientError) as reason:  # the next try is as the last one
            hearing.lost(self._host, str(reason))
        else:
            if self._shell is not None:
                self._shell.use(*prepared)

    def _tell(self, level: str, state: str) -> None:
        """Log when the state changes: each failed try would fill the log."""
        if state != self._told:
            self._told = state
            log.log(level, "utility's notifications", state=state)
