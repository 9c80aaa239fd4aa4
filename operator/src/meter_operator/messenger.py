"""One broker connection for the whole fleet: says who owns what, hears states and hellos.

What the broker has to hold is derived again from status whenever it may be lost: on connect, on a
decision, on a hello whose epoch or counter differs. Neighbours: `owner` (the bytes), `reconciler`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import aiomqtt
from meter_wire.names import MAX_EPOCH, OPERATOR_USER, build_topic, parse_topic
from meter_wire.owner_record import OwnerHello

from meter_operator import hellos
from meter_operator.broker_errors import RivalError, describe_error
from meter_operator.broker_tls import build_context
from meter_operator.cache import Cache
from meter_operator.desired import Key, Meter
from meter_operator.fleet import Fleet
from meter_operator.observed import Witness, parse_state
from meter_operator.outbox import Outbox
from meter_operator.owner import Message, build_removal
from meter_operator.renewals import RenewalError, Renewals
from meter_operator.settings import Settings

log = logging.getLogger(__name__)
SUBSCRIPTIONS = {"mt/+/+/state": 1, "mt/+/hello": 1, "mt/+/owner": 1, "mt/+/renew": 0}
"""Filter → QoS. Strangers may fill the last one; at QoS 0 it takes no place from a hello."""
RETRY_S = (0.5, 1, 2, 5, 10)
STABLE_S = 30
# A broker that restarts ends one session; so does one short visit under our name.
SHORT_SESSIONS = 6
OLD_EPOCHS = 64
PACE_S = 1.0


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
        retry_s: tuple[float, ...] = RETRY_S,
        clock: Callable[[], float] = time.monotonic,
        raise_term: Callable[[int], None] = lambda _: None,
        renewed: Callable[[Meter, datetime], None] = lambda *_: None,
    ) -> None:
        """Keep the parts; `run` connects. `raise_term`: the Lease's has to be above this one.

        `renewed`: a meter is given a certificate, and until when that lasts.
        """
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
        self._retry_s = retry_s
        self._accepted = False
        self._outbox = Outbox()
        self._complained: set[str] = set()
        self._clock = clock
        self._pace = hellos.HelloPace()
        self._terms = hellos.TermWitness(raise_term)
        self._renewals = Renewals(fleet, settings.message_size_limit_bytes)
        self._renewed = renewed

    async def publish(self, messages: list[Message]) -> None:
        """Hand over messages; each says whether the broker keeps it."""
        self._outbox.add(messages)

    async def renew(self, term: int) -> None:
        """Say everything again, in a higher term."""
        self.term = term
        await self._publish_all()

    async def forget(self, meter: Meter) -> None:
        """Remove every retained message of a deleted meter.

        Its floor stays in memory, so that a resource of the same device begins above it at once;
        after a restart of this process the meter's own hello says it (contracts.md, Deletion).
        """
        epochs = set(self._cache.states.get(meter.device, {}))
        floor = self._cache.witnesses.get(meter.device, Witness())
        await self._forget_device(meter.device, epochs, meter.highest_epoch)
        self._cache.raise_witness(meter.device, floor.epoch, floor.counter)
        self._cache.raise_witness(meter.device, meter.highest_epoch, meter.owner_counter)

    async def _forget_device(self, device: str, epochs: set[int], highest: int) -> None:
        highest = min(highest, MAX_EPOCH)
        epochs |= set(range(max(1, highest - OLD_EPOCHS), highest + 1))
        self._cache.forget_device(device)
        await self.publish(build_removal(device, sorted(epochs)))

    async def run(self) -> None:
        """Stay connected for ever; each connection publishes everything again.

        Raises:
            LeaseLostError: the connection ended because another replica has taken over.
            RivalError: somebody else uses our name at the broker, and does not stop.
        """
        failures = short = 0
        while True:
            begun, self._accepted = time.monotonic(), False
            try:
                await self._session()
            except* (aiomqtt.MqttError, OSError) as errors:
                broker = f"{self._settings.broker_host}:{self._settings.broker_port}"
                log.warning("%s", describe_error(errors, broker, connected=self._accepted))
            self.connected.clear()
            stable = time.monotonic() - begun > STABLE_S
            failures = 0 if stable else failures + 1
            short = short + 1 if self._accepted and not stable else 0
            await self._confirm()
            if short >= SHORT_SESSIONS:
                raise RivalError(short)
            await asyncio.sleep(self._retry_s[min(failures, len(self._retry_s) - 1)])

    async def _session(self) -> None:
        async with aiomqtt.Client(
            self._settings.broker_host,
            self._settings.broker_port,
            identifier=OPERATOR_USER,
            tls_context=build_context(self._settings),
            keepalive=20,
        ) as client:
            self._accepted = True
            client.pending_calls_threshold = 1000
            for topic, qos in SUBSCRIPTIONS.items():
                await client.subscribe(topic, qos=qos)
            self.connected.set()
            log.info("connected to the broker")
            await self.synced.wait()
            self._outbox.wake()
            await self._publish_all()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.send(client))
                group.create_task(self._receive(client))
                group.create_task(self._answer_later())

    async def _publish_all(self) -> None:
        """Publish for every meter; one whose status cannot be said hinders no other."""
        for meter in list(self._cache.meters.values()):
            if not meter.epoch or not self._is_owner(meter):
                continue
            try:
                await self.publish(self._messages_of(meter, b""))
            except ValueError as error:
                self._refuse(error)
                self._say_once(meter.device, meter.key.name, f"not published: {error}")

    def _refuse(self, error: Exception) -> None:
        reason = type(error).__name__
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def _say_once(self, about: str, name: str, text: str) -> None:
        if about not in self._complained:
            self._complained.add(about)
            log.error("%s", text, extra={"meter": name})

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else b""
            try:
                await self._hear(str(message.topic), payload)
            except Exception as error:  # noqa: BLE001 - counted by its type; ends no operator
                self._refuse(error)

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
                self._terms.hear(state.order, (self.term, meter.owner_counter), self._clock())
                self._look(meter.key)
        elif found.channel == "hello" and meter is not None:
            hello = hellos.open_hello(self._fleet, meter, payload)
            self._check_near(meter.device, meter, hello.highest, hello.owner_counter)
            await self._answer(meter, hello)
        elif found.channel == "renew":
            await self._renew_certificate(found.device, meter, payload)

    async def _renew_certificate(self, device: str, meter: Meter | None, payload: bytes) -> None:
        now = datetime.now(UTC)
        try:
            answer = self._renewals.answer(device, meter, payload, self._clock(), now)
        except RenewalError as error:
            if meter is not None:  # strangers have many names
                self._say_once(f"{type(error).__name__} {device}", meter.key.name, str(error))
            raise
        await self.publish([answer.message])
        if meter is not None:
            self._renewed(meter, answer.until)

    async def _is_deleted(self, device: str) -> bool:
        """Whether no resource has a device; certain only when everything was listed once."""
        await self.synced.wait()
        return self._cache.owner_of(device) is None

    def _check_near(self, device: str, meter: Meter | None, epoch: int, counter: int) -> None:
        try:
            hellos.check_near(device, meter, epoch, counter)
        except hellos.FarAheadError as error:
            self._say_once(device, meter.key.name if meter else device, f"refused: {error}")
            raise

    async def _answer(self, meter: Meter, hello: OwnerHello) -> None:
        """Publish the owner record with the meter's nonce, so that it can trust its freshness.

        A hello that knows more than status is a witness of a restored cluster: the next look
        decides on an epoch above it (design rule 4), and that decision is the answer. One that
        comes too early is kept for later.
        """
        self._cache.nonces[meter.device] = hello.nonce
        known = self._cache.witnesses.get(meter.device, Witness())
        known = known.raised(meter.highest_epoch, meter.owner_counter)
        raises = known.raised(hello.highest, hello.owner_counter) != known
        if not self._pace.admit(hello, self._clock(), raises=raises):
            return
        self._cache.raise_witness(meter.device, hello.highest, hello.owner_counter)
        ahead = hello.highest > meter.highest_epoch or hello.owner_counter > meter.owner_counter
        if ahead or not meter.epoch:
            self._look(meter.key)
        else:
            await self.publish(self._messages_of(meter, hello.nonce))

    async def _answer_later(self) -> None:
        while True:
            await self._answer_waiting()
            await asyncio.sleep(PACE_S)

    async def _answer_waiting(self) -> None:
        """Answer the hellos whose pause is over."""
        for hello in self._pace.take_due(self._clock()):
            meter = self._cache.owner_of(hello.device)
            if meter is None:
                continue
            try:
                await self._answer(meter, hello)
            except ValueError as error:
                self._refuse(error)

    async def _check_retained(self, device: str, meter: Meter | None, payload: bytes) -> None:
        """Compare the broker's copy of an owner record with ours (design rule 3)."""
        await self.synced.wait()
        meter = self._cache.owner_of(device)
        if meter is None:
            if payload:
                orphan = hellos.open_orphan(self._fleet, device, payload)
                log.info("retained record of a deleted meter removed", extra={"meter": device})
                await self._forget_device(device, set(), orphan.highest)
                self._check_near(device, None, orphan.highest, orphan.counter)
                self._cache.raise_witness(device, orphan.highest, orphan.counter)
            return
        record = None
        if payload:
            record = hellos.open_record(self._fleet, device, meter.key_version, payload)
        if record is not None:
            self._check_near(device, meter, record.highest, record.counter)
            # Before anything else: ours may stand in the line to replace this very copy.
            self._cache.raise_witness(device, record.highest, record.counter)
            ahead = record.highest > meter.highest_epoch or record.counter > meter.owner_counter
            if ahead or not meter.epoch:
                self._look(meter.key)
                return
            if (record.active, record.counter) == (meter.epoch, meter.owner_counter):
                return
        if meter.epoch and build_topic(device, "owner") not in self._outbox.pending:
            await self.publish(self._messages_of(meter, b""))

    def _is_owner(self, meter: Meter) -> bool:
        owner = self._cache.owner_of(meter.device)
        return owner is not None and owner.uid == meter.uid
