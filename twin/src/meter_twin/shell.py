"""The process: opens the store and the broker session, answers, and does what the core says.

Neighbours: `configuration` (what it is told), `link_loop` (meter), `mqtt_shell` (broker),
`operator_line` (operator), `api` and `health` (ports), `application_host`. One event loop, no
threads; whatever is long is done in bounded pieces.
"""

import asyncio
import contextlib
import time
from typing import Any

from meter_wire.names import build_topic
from meter_wire.portable.mqtt_event import Message
from meter_wire.twin_link import EpochKeys

from . import __version__, log
from .api import Api
from .api_commands import Commands
from .application import Context
from .application_host import ApplicationHost
from .configuration import Configuration
from .credentials import Credentials
from .description import Description
from .export import Exporter
from .gate_memory import load_gate_memory
from .handover import Handover, Parties
from .health import Health
from .link_loop import LinkLoop
from .listening import Listening
from .mqtt_shell import BrokerSettings, MqttShell, NotConnectedError, RenewedError
from .operator_line import OperatorLine
from .owner_gate import OwnerGate
from .peer_port import PeerPort
from .ports import Ports
from .registry import build_applications, build_engines
from .status import Status, now_ms
from .store import Store
from .store_keeper import StoreKeeper
from .store_schema import StoreError, make_folder
from .twin_state import encode_state
from .utility import build_ems, build_utility

KEEP_ALIVE_S = 30
FEED_PAUSE_S = 0.2


class Twin:
    """One twin; `run` serves until cancelled."""

    def __init__(self, configuration: Configuration) -> None:
        """Open the store and check what was selected; nothing is answered yet.

        Raises:
            ConfigurationError: an application, option, engine or certificate is wrong.
            StoreError: the store cannot be used.
        """
        self._configuration = configuration
        engines = build_engines(configuration.engines)
        applications = build_applications(
            configuration.applications,
            Context(
                configuration.device,
                configuration.metering_point,
                configuration.timezone,
                configuration.capture_period_s,
            ),
        )
        make_folder(configuration.store_path)
        self._store = Store(configuration.store_path)
        self._keeper = StoreKeeper(
            self._store,
            retention_days=configuration.retention_days,
            limit_bytes=configuration.store_limit_bytes,
            keep_unarchived=configuration.has_archive,
            handed=lambda: self._host.handed,
        )
        self._utility = build_utility(configuration, applications)
        self._host = ApplicationHost(self._store, applications)
        self._description = Description(self._store)
        self._host.describe(self._description.units)
        self._gate = OwnerGate(
            configuration.epoch,
            configuration.keys.epoch_id,
            configuration.keys.ctl,
            load_gate_memory(self._store),
        )
        keys = EpochKeys(configuration.epoch, configuration.keys.up, configuration.keys.down)
        self._feed = asyncio.Event()
        self._changed = asyncio.Event()
        self._loop = LinkLoop(
            *(configuration.device, keys, self._store, self._publish_down, self._stored),
            self._description,
            lambda: self._host.describe(self._description.units),
            self._link_changed,
        )
        if self._gate.is_retired:
            self._loop.stop()
        self._exporter = Exporter(configuration, self._store, engines.get("encrypt"),
                                  self._description.units)  # fmt: skip
        self._topics = {
            channel: build_topic(configuration.device, channel, configuration.epoch)
            for channel in ("up", "down", "ctl", "state")
        }
        self._credentials = Credentials(configuration)
        self._parties = Parties(
            configuration.device,
            configuration.namespace,
            self._store,
            self._gate,
            self._loop,
            self._host,
        )
        self._handover = Handover(
            self._parties,
            lambda: self._credentials.contexts.client,
            self._changed.set,
            now_ms,
        )
        self._status = Status(
            configuration, self._store, self._gate, self._loop, self._keeper, self._handover
        )
        self._status.credentials = self._credentials
        self._broker = self._status.broker = self._build_broker()
        self._ports = self._build_ports()
        self._archive = self._status.archive = self._build_archive()
        self._speaking: Any = None
        self._ems: Any = None
        if self._utility is not None:
            self._speaking = self._status.speaking = self._utility.build_loop(
                *(self._host, self._status.loads, self._may_speak),
                self._status.is_meter_connected,
                self._changed.set,
            )
            self._ems = build_ems(
                configuration, self._speaking, self._broker, self._api, self._peers
            )
        self._operator = OperatorLine(
            *(self._topics, self._broker, self._parties, self._handover, self._status),
            *(self._feed, self._changed),
        )

    def _may_speak(self) -> bool:
        """Whether this twin alone may act on others, and knows what the one before knew."""
        return self._status.has_authority() and self._handover.may_feed

    def _build_archive(self) -> Any:
        """Return the line to the archive; most is loaded by it, so only where there is one."""
        address = self._configuration.archive
        if address is None:
            return None
        from .archive_line import ArchiveLine  # noqa: PLC0415

        line = ArchiveLine(
            *(address, self._store, self._loop, lambda: self._gate.is_active),
            lambda: self._credentials.contexts.client,
            (self._configuration.retention_days, self._configuration.store_limit_bytes),
        )
        self._handover.waits_for_archive = lambda: line.holds_back
        return line

    def _build_broker(self) -> MqttShell:
        configuration = self._configuration
        will = encode_state(self._status.state(online=False))
        settings = BrokerSettings(
            configuration.broker_host,
            configuration.broker_port,
            f"{configuration.device}/{configuration.epoch}",
            KEEP_ALIVE_S,
            (self._topics["state"], will, 1, True),
        )
        return MqttShell(
            *(settings, self._receive, self._credentials.contexts.client, self._connected),
            lambda error, _: self._lost(error),
        )

    def _build_ports(self) -> Ports:
        configuration, units = self._configuration, self._description.units
        rights = self._status.may_command, self._status.has_authority
        commands = Commands(self._status.loads, *rights, units)
        api = self._api = Api(
            *(configuration, self._store, self._host, self._loop, commands, self._exporter),
            self._status.describe,
            units,
        )
        health = Health(self._status.unready, self._status.series)
        identity = self._status.identity
        peers = self._peers = PeerPort(configuration, self._store, units, identity, self._handover)
        tls = self._credentials.contexts.server
        ports = Ports(health.handle, api.handle, peers.handle, tls)
        self._status.peer_refused = (peers.refused, ports.peer_refused)
        return ports

    async def run(self, listening: Listening) -> None:
        """Serve until cancelled; then say goodbye, close and return within two seconds."""
        for channel in ("up", "ctl"):
            await self._broker.subscribe(self._topics[channel])
        try:
            await self._ports.start(listening)
            log.log(
                "info",
                "twin serves",
                device=self._configuration.device,
                epoch=self._configuration.epoch,
                version=__version__,
            )
            self._feed.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._broker.run())
                tasks.create_task(self._loop.run())
                tasks.create_task(self._feed_applications())
                tasks.create_task(self._operator.watch())
                tasks.create_task(self._keeper.run())
                tasks.create_task(self._status.settings.run())
                tasks.create_task(self._status.loads.run())
                tasks.create_task(self._operator.publish())
                tasks.create_task(self._renew_certificate())
                tasks.create_task(self._handover.run())
                for one in (self._speaking, self._ems, self._archive):
                    if one is not None:
                        tasks.create_task(one.run())
        finally:
            await self._close()

    async def _close(self) -> None:
        with contextlib.suppress(NotConnectedError, TimeoutError):
            async with asyncio.timeout(1):
                await self._operator.say_goodbye()
                await self._broker.close()
        await self._ports.close()
        self._store.close()
        log.log("info", "twin stopped")

    async def _receive(self, message: Message) -> None:
        """A message of the broker; returns at once, so that its PUBACK paces the meter."""
        if message.topic == self._topics["up"]:
            self._loop.receive(
                message.payload, retained=bool(message.retain), dup=bool(message.dup)
            )
        elif message.topic == self._topics["ctl"]:
            self._operator.receive(message.payload)
        elif self._ems is not None:
            self._ems.receive(message)

    async def _connected(self) -> None:
        self._status.was_connected = True
        log.log("info", "broker session up", host=self._configuration.broker_host)
        self._loop.connected()
        if self._ems is not None:
            self._ems.connected()
        self._operator.connected()

    def _lost(self, error: Exception) -> None:
        self._loop.disconnected()
        self._operator.lost()
        if isinstance(error, RenewedError):
            log.log("info", "broker session ended for one with the renewed certificate")
        else:
            log.log("warning", "broker session lost", error=type(error).__name__)

    def _link_changed(self) -> None:
        if self._loop.link.is_open:
            self._gate.meet(now_ms())
        self._changed.set()

    def _stored(self) -> None:
        self._feed.set()
        self._keeper.written()

    async def _publish_down(self, payload: bytes) -> None:
        with contextlib.suppress(NotConnectedError):
            await self._broker.publish(self._topics["down"], payload)

    async def _feed_applications(self) -> None:
        """Bring the applications up to date after each commit, at most five times a second."""
        while True:
            await self._feed.wait()
            self._feed.clear()
            if self._archive is not None:
                self._archive.look()
            try:
                while self._handover.may_feed and self._host.step(int(time.time())):
                    await asyncio.sleep(0)
                    self._keeper.written()
            except StoreError as error:
                log.log("error", "applications wait for the store", message=str(error))
            await asyncio.sleep(FEED_PAUSE_S)

    async def _renew_certificate(self) -> None:
        """Look for a renewed certificate; it is for new handshakes and a new broker session."""
        while True:
            await asyncio.sleep(self._configuration.certificate_poll_s)
            if self._credentials.poll(int(time.time())):
                log.log("info", "certificate renewed")
                self._ports.renew(self._credentials.contexts.server)
            await self._broker.renew(self._credentials.contexts.client)
