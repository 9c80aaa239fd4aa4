"""The twin's MQTT connection on asyncio: reconnects, subscribes, hands messages to a callback.

Why: the codec (`meter_wire.portable.mqtt`) has no socket and no clock; this is where it gets both.
A lost connection loses what was in flight: the link repeats it, this shell only tells
(`on_loss`). Neighbours: `dialing` (how it is reached), `mqtt_answers` (who waits for what); on the
meter: `firmware/src/mqtt_shell.py`.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from os import urandom

from meter_wire.portable import mqtt
from meter_wire.portable.mqtt_event import Answer, Connected, Message, Pong, SubscribeRefused
from meter_wire.portable.mqtt_packet import RemoteProtocolError

from .dialing import BrokerSettings, back_off_s, dial, tls_context
from .mqtt_answers import Answers, NotConnectedError, RenewedError

__all__ = [
    "BrokerSettings",
    "MqttShell",
    "NotConnectedError",
    "RenewedError",
    "back_off_s",
    "tls_context",
]

INBOX_MESSAGES, INBOX_OF_QOS_0 = 64, 32
RENEWAL_GRACE_S = 1.0
LOSSES = (OSError, TimeoutError, RemoteProtocolError, NotConnectedError)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class MqttShell:
    """A session with the broker that comes back by itself until `close`.

    Args:
        settings: broker, client id, keep-alive and last will.
        on_message: awaited for each message; a QoS 1 message is acknowledged after it returns.
        tls: the context, or None for a plain connection.
        on_connect: awaited after CONNACK and all subscriptions were granted.
        on_loss: called after each lost session or failed try, with the reason and the packet ids
            that the broker had not acknowledged.
    """

    def __init__(  # noqa: D107 - the class says it
        self,
        settings: BrokerSettings,
        on_message: Callable[[Message], Awaitable[None]],
        tls: ssl.SSLContext | None = None,
        on_connect: Callable[[], Awaitable[None]] | None = None,
        on_loss: Callable[[Exception, list[int]], None] | None = None,
    ) -> None:
        self._settings = settings
        self._on_message = on_message
        self._tls = self._session_tls = tls
        self._on_connect = on_connect
        self._on_loss = on_loss
        self._filters: dict[str, int] = {}
        self._connection: mqtt.Connection | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._answers = Answers()
        self._renewing = False
        self._closing = asyncio.Event()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(INBOX_MESSAGES)
        self.dropped_messages = 0  # of QoS 0, when the callback was too slow
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Connect and stay connected until `close`; returns then.

        Raises:
            meter_wire.portable.mqtt.LocalProtocolError: a bug of ours.
        """
        failures = 0
        while not self._closing.is_set():
            error: Exception = NotConnectedError("closed")
            try:
                await self._session()
            except LOSSES as reason:
                error = reason
            finally:
                failures = 0 if self.connected.is_set() else failures + 1
                renewed, self._renewing = self._renewing, False
                self._lose(RenewedError("renewed") if renewed else error)
            if renewed:
                continue
            with contextlib.suppress(TimeoutError):
                pause_s = back_off_s(failures, urandom(1)[0] / 256)
                await asyncio.wait_for(self._closing.wait(), pause_s)

    async def subscribe(self, name: str, qos: int = 1, *, is_lasting: bool = True) -> None:
        """Subscribe now, if connected, and, what `is_lasting`, after each reconnection.

        Raises:
            NotConnectedError: the session ended before the answer.
            PermissionError: the broker refuses.
        """
        if is_lasting:
            self._filters[name] = qos
        if self.connected.is_set():
            await self._subscribe({name: qos})

    async def unsubscribe(self, name: str) -> None:
        """Unsubscribe now and for the sessions to come.

        Raises:
            NotConnectedError: the session ended before the answer.
        """
        self._filters.pop(name, None)
        if self.connected.is_set():
            await self._ask(lambda link: link.unsubscribe((name,), _now_ms()))

    async def publish(
        self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False
    ) -> None:
        """Publish; with QoS 1 return when the broker has acknowledged, which is no promise.

        Raises:
            NotConnectedError: no session, or it ended before PUBACK.
            meter_wire.portable.mqtt.LocalProtocolError: bad topic, or packet too large.
        """
        if qos:
            await self._ask(lambda link: link.publish(topic, payload, qos, retain, _now_ms()))
        else:
            connection = self._require()
            self._write(connection.publish(topic, payload, 0, retain, _now_ms()))
            await self._drain()

    async def close(self) -> None:
        """Say DISCONNECT, so that the last will is not published, and end `run`."""
        self._closing.set()
        if self._connection and self._connection.state == mqtt.CONNECTED:
            await self._say_goodbye(self._connection)
        elif self._writer:
            self._writer.close()

    async def _say_goodbye(self, connection: mqtt.Connection) -> None:
        self._write(connection.disconnect())
        with contextlib.suppress(OSError, NotConnectedError):
            await self._drain()
        if self._writer:
            self._writer.close()

    async def renew(self, tls: ssl.SSLContext) -> None:
        """Use `tls` from now on: end a session with DISCONNECT (no last will) and open the next.

        What waits for the broker's answer gets a moment; the link repeats what is lost even so.
        Nothing happens to a session that has begun with `tls`, so it may be called again.
        """
        self._tls = tls
        if not self.connected.is_set() or self._session_tls is tls:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEWAL_GRACE_S):
                while len(self._answers):
                    await self._answers.wait_for_room()
        if self._connection and self._connection.state == mqtt.CONNECTED:
            self._renewing = True
            await self._say_goodbye(self._connection)

    def use(self, settings: BrokerSettings, tls: ssl.SSLContext | None) -> None:
        """Take these for the sessions to come; the present one goes on."""
        self._settings, self._tls = settings, tls

    async def _session(self) -> None:
        settings = self._settings
        self._session_tls = self._tls
        reader, self._writer = await dial(settings, self._session_tls)
        self._connection = connection = mqtt.Connection(
            settings.client_id,
            settings.keep_alive_s,
            settings.will,
            settings.username,
            settings.password,
            max_packet=settings.max_packet,
            max_in_flight=settings.max_in_flight,
        )
        self._inbox = asyncio.Queue(INBOX_MESSAGES)
        self._write(connection.connect(_now_ms()))
        try:
            async with asyncio.TaskGroup() as tasks:
                deliveries = tasks.create_task(self._deliver(connection))
                pings = tasks.create_task(self._ping(connection))
                tasks.create_task(self._read(reader, connection, tasks, (deliveries, pings)))
        except ExceptionGroup as group:
            losses, bugs = group.split(LOSSES)
            if bugs or not losses:
                raise
            raise losses.exceptions[0] from None

    async def _read(
        self,
        reader: asyncio.StreamReader,
        connection: mqtt.Connection,
        tasks: asyncio.TaskGroup,
        others: tuple[asyncio.Task[None], ...],
    ) -> None:
        while data := await reader.read(self._settings.max_packet):
            connection.receive_data(data, _now_ms())
            while (event := connection.next_event()) is not None:
                if isinstance(event, Message):
                    self._take(event)
                elif isinstance(event, Connected):
                    tasks.create_task(self._start())
                elif not isinstance(event, Pong):
                    self._answers.settle(event)
        if not self._closing.is_set():
            raise NotConnectedError("the broker closed the connection")
        for task in others:
            task.cancel()

    def _take(self, message: Message) -> None:
        # Never wait here: the callback may itself wait for a PUBACK that only the reader sees.
        # Of QoS 1 the broker sends few at a time; a flood without it leaves them their room.
        if self._inbox.qsize() < (INBOX_MESSAGES if message.qos else INBOX_OF_QOS_0):
            self._inbox.put_nowait(message)
        elif message.qos:
            raise NotConnectedError("more messages than the callback handles")
        else:
            self.dropped_messages += 1

    async def _start(self) -> None:
        if self._filters:
            await self._subscribe(dict(self._filters))
        self.connected.set()
        if self._on_connect:
            await self._on_connect()

    async def _deliver(self, connection: mqtt.Connection) -> None:
        while True:
            message = await self._inbox.get()
            await self._on_message(message)
            if message.packet_id and connection.state == mqtt.CONNECTED:
                self._write(connection.acknowledge(message.packet_id, _now_ms()))

    async def _ping(self, connection: mqtt.Connection) -> None:
        while True:
            await asyncio.sleep(self._settings.keep_alive_s / 8 or 1.0)
            self._write(connection.poll(_now_ms()))

    async def _subscribe(self, filters: dict[str, int]) -> None:
        topics = tuple(filters.items())
        answer = await self._ask(lambda link: link.subscribe(topics, _now_ms()))
        if isinstance(answer, SubscribeRefused):
            refused = [
                name
                for name, code in zip(answer.topics, answer.codes, strict=True)
                if code == mqtt.REFUSED
            ]
            raise PermissionError(f"the broker refuses the subscription of {', '.join(refused)}")

    async def _ask(self, send: Callable[[mqtt.Connection], bytearray]) -> Answer:
        connection = self._require()
        while connection.window() <= 0:
            await self._answers.wait_for_room()
            if self._require() is not connection:
                raise NotConnectedError("connection lost")
        packet = send(connection)
        with self._answers.expect(connection.last_id) as answer:
            self._write(packet)
            await self._drain()
            return await answer

    def _lose(self, error: Exception) -> None:
        unacknowledged = self._connection.unacknowledged() if self._connection else []
        self.connected.clear()
        self._connection = None
        if self._writer:
            self._writer.transport.abort()
            self._writer = None
        self._answers.fail(error)
        if self._on_loss and not self._closing.is_set():
            self._on_loss(error, unacknowledged)

    def _require(self) -> mqtt.Connection:
        if self._connection is None or self._connection.state != mqtt.CONNECTED:
            raise NotConnectedError("no session with the broker")
        return self._connection

    def _write(self, packet: bytearray) -> None:
        if packet and self._writer:
            self._writer.write(bytes(packet))

    async def _drain(self) -> None:
        if self._writer:
            try:
                await self._writer.drain()
            except OSError as error:
                raise NotConnectedError(f"connection lost: {error}") from error
