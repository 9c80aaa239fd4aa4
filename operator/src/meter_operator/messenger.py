"""One broker connection for the whole fleet: says who owns what, hears states and hellos.

What the broker has to hold is derived again from status whenever it may be lost: on connect, on a
decision, on a hello whose epoch or counter differs. Neighbours: `owner` (the bytes), `reconciler`.
"""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from itertools import islice

import aiomqtt
from meter_wire.names import OPERATOR_USER, build_topic, parse_topic
from meter_wire.owner_record import (
    OwnerHello,
    OwnerRecord,
    claimed_device,
    parse_owner_hello,
    parse_owner_record,
)
from meter_wire.portable.keys import derive_key
from meter_wire.portable.tlv import RemoteProtocolError

from meter_operator.cache import Cache
from meter_operator.desired import Key, Meter
from meter_operator.fleet import Fleet
from meter_operator.observed import TwinState
from meter_operator.owner import Message, build_removal
from meter_operator.settings import Settings

log = logging.getLogger(__name__)
SUBSCRIPTIONS = ("mt/+/+/state", "mt/+/hello", "mt/+/owner")
RETRY_S = (0.5, 1, 2, 5, 10)
STABLE_S = 30
OLD_EPOCHS = 64
BATCH = 64


class Messenger:
    """The operator's end of the broker."""

    def __init__(
        self,
        settings: Settings,
        cache: Cache,
        fleet: Fleet,
        term: int,
        messages_of: Callable[[Meter, bytes], list[Message]],
        look: Callable[[Key], None],
        confirm: Callable[[], Awaitable[None]],
    ) -> None:
        """Keep the parts; `run` connects."""
        self.term = term
        self.refused: dict[str, int] = {}
        self.connected = asyncio.Event()
        self.synced = asyncio.Event()
        self._confirm = confirm
        self._settings = settings
        self._cache = cache
        self._fleet = fleet
        self._messages_of = messages_of
        self._look = look
        self._pending: dict[str, bytes] = {}
        self._wake = asyncio.Event()

    async def publish(self, messages: list[Message]) -> None:
        """Hand retained messages to the connection; the newest of a topic wins."""
        for message in messages:
            self._pending[message.topic] = message.payload
        self._wake.set()

    async def forget(self, meter: Meter) -> None:
        """Remove every retained message of a deleted meter."""
        epochs = set(self._cache.states.get(meter.device, {}))
        await self._forget_device(meter.device, epochs, meter.highest_epoch)

    async def _forget_device(self, device: str, epochs: set[int], highest: int) -> None:
        epochs |= set(range(max(1, highest - OLD_EPOCHS), highest + 1))
        self._cache.forget_device(device)
        await self.publish(build_removal(device, sorted(epochs)))

    async def run(self) -> None:
        """Stay connected for ever; each connection publishes everything again.

        Raises:
            LeaseLostError: the connection ended because another replica has taken over.
        """
        failures = 0
        while True:
            lasting = time.monotonic()
            try:
                await self._session()
            except* (aiomqtt.MqttError, OSError) as errors:
                log.warning("broker connection lost: %s", errors.exceptions[0])
            self.connected.clear()
            failures = 0 if time.monotonic() - lasting > STABLE_S else failures + 1
            await self._confirm()
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])

    async def _session(self) -> None:
        async with aiomqtt.Client(
            self._settings.broker_host,
            self._settings.broker_port,
            identifier=OPERATOR_USER,
            tls_context=_tls(self._settings),
            keepalive=20,
        ) as client:
            client.pending_calls_threshold = 1000
            for topic in SUBSCRIPTIONS:
                await client.subscribe(topic, qos=1)
            self.connected.set()
            log.info("connected to the broker")
            await self.synced.wait()
            self._wake.set()
            for meter in list(self._cache.meters.values()):
                if meter.epoch and self._is_owner(meter):
                    await self.publish(self._messages_of(meter, b""))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send(client))
                group.create_task(self._receive(client))

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                batch = list(islice(self._pending.items(), BATCH))
                await asyncio.gather(
                    *(
                        client.publish(topic, payload, qos=1, retain=True)
                        for topic, payload in batch
                    )
                )
                for topic, payload in batch:
                    if self._pending.get(topic) == payload:
                        del self._pending[topic]

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else b""
            try:
                await self._hear(str(message.topic), payload)
            except (ValueError, RemoteProtocolError) as error:
                reason = type(error).__name__
                self.refused[reason] = self.refused.get(reason, 0) + 1

    async def _hear(self, topic: str, payload: bytes) -> None:
        found = parse_topic(topic)
        meter = self._cache.owner_of(found.device)
        if found.channel == "owner":
            await self._check_retained(found.device, meter, payload)
        elif found.channel == "state" and found.epoch is not None:
            if not payload:
                self._cache.states.get(found.device, {}).pop(found.epoch, None)
                return
            if meter is None and await self._is_deleted(found.device):
                # Its twin spoke after the removal: a farewell on SIGTERM, or its last will.
                await self.publish([Message(topic, b"")])
                return
            meter = self._cache.owner_of(found.device)
            state = parse_state(found.epoch, payload)
            self._cache.states.setdefault(found.device, {})[found.epoch] = state
            if meter is not None:
                self._look(meter.key)
        elif found.channel == "hello" and meter is not None:
            await self._answer(meter, self._check_hello(meter, payload))

    async def _is_deleted(self, device: str) -> bool:
        """Whether no resource has a device; certain only when everything was listed once."""
        await self.synced.wait()
        return self._cache.owner_of(device) is None

    def _check_hello(self, meter: Meter, payload: bytes) -> OwnerHello:
        if claimed_device(payload) != meter.device:
            raise ValueError("hello: names another device")
        key = self._fleet.meter_key(meter.device, meter.key_version)
        return parse_owner_hello(payload, derive_key(key, "hello", meter.device))

    async def _answer(self, meter: Meter, hello: OwnerHello) -> None:
        """Publish the owner record with the meter's nonce, so that it can trust its freshness.

        A hello that knows more than status is a witness of a restored cluster: the next look
        decides on an epoch above it (design rule 4), and that decision is the answer.
        """
        self._cache.nonces[meter.device] = hello.nonce
        self._cache.raise_witness(meter.device, hello.highest, hello.owner_counter)
        ahead = hello.highest > meter.highest_epoch or hello.owner_counter > meter.owner_counter
        if ahead or not meter.epoch:
            self._look(meter.key)
        else:
            await self.publish(self._messages_of(meter, hello.nonce))

    async def _check_retained(self, device: str, meter: Meter | None, payload: bytes) -> None:
        """Compare the broker's copy of an owner record with ours (design rule 3)."""
        await self.synced.wait()
        meter = self._cache.owner_of(device)
        if meter is None:
            if payload:
                record = self._open_record(device, 1, payload)
                log.info("retained record of a deleted meter removed", extra={"meter": device})
                await self._forget_device(device, set(), record.highest)
            return
        ours = self._messages_of(meter, b"") if meter.epoch else []
        topic = build_topic(device, "owner")
        if topic in self._pending or any(payload == message.payload for message in ours):
            return
        if payload:
            record = self._open_record(device, meter.key_version, payload)
            self._cache.raise_witness(device, record.highest, record.counter)
            if (record.active, record.counter) == (meter.epoch, meter.owner_counter):
                return
        self._look(meter.key)
        await self.publish(ours)

    def _open_record(self, device: str, key_version: int, payload: bytes) -> OwnerRecord:
        key = self._fleet.meter_key(device, key_version)
        return parse_owner_record(payload, derive_key(key, "owner", device))

    def _is_owner(self, meter: Meter) -> bool:
        owner = self._cache.owner_of(meter.device)
        return owner is not None and owner.uid == meter.uid


def parse_state(epoch: int, payload: bytes) -> TwinState:
    """Return a twin's retained state.

    Raises:
        ValueError: it is no JSON object.
    """
    found = json.loads(payload)
    if not isinstance(found, dict):
        raise ValueError("state: is no object")  # noqa: TRY004 - one error for bad input
    return TwinState(
        epoch=epoch,
        online=found.get("online") is True,
        meter=str(found.get("meter", "never"))[:16],
        last_seen=str(found.get("lastSeen") or "")[:32],
        version=str(found.get("version") or "")[:64],
    )


def _tls(settings: Settings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(settings.trust)
    context.load_cert_chain(settings.identity / "tls.crt", settings.identity / "tls.key")
    return context
