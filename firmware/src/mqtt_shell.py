"""The meter's MQTT connection on MicroPython's asyncio: one session, its loss is an exception.

Why: the codec (`meter_wire.portable.mqtt`) has no socket and no clock. The supervisor makes a new
MqttShell with back-off after each loss; what was in flight is repeated by the link.
Neighbour in the twin: `meter_twin/mqtt_shell.py`. Runs on CPython too, for the tests.
"""

import asyncio
import select
import socket
import time

from meter_wire.portable import mqtt, mqtt_event

CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 30
"""A broker that leaves a publish or subscribe unanswered so long is lost, though it may ping."""

_PAUSE_S = 0.01
"""How often an answer is looked for: asyncio's Event, Lock and wait_for take 1.3 KB of heap."""
_ERROR_QUEUE = 0x2000
_MOST_ERRORS = 4

if hasattr(time, "ticks_ms"):
    now_ms = time.ticks_ms
else:

    def now_ms():
        """Return milliseconds of a clock that never steps."""
        return time.monotonic_ns() // 1000000  # type: ignore


def _no_delay(stream):
    """Switch Nagle's algorithm off where the port can: 44 ms less a QoS 1 round trip.

    Linux may keep the refusal of an earlier SYN on a connection that came about (tcp_v4_err), and
    would wake each poll with it for ever: it is read.
    """
    raw = stream.s if hasattr(stream, "s") else stream.get_extra_info("socket")
    try:
        raw.setsockopt(6, getattr(socket, "TCP_NODELAY", 1), 1)
        for _ in range(_MOST_ERRORS):
            raw.recv(1, _ERROR_QUEUE)
    except (AttributeError, OSError, TypeError):
        pass  # a port without it, or nothing is left


async def _cancel_after(task, seconds, fired):
    await asyncio.sleep(seconds)
    fired.append(True)
    task.cancel()


async def _within(work, seconds):
    """Wait for work as asyncio.wait_for does; a cancellation in that very moment is a timeout."""
    fired = []
    timer = asyncio.create_task(_cancel_after(asyncio.current_task(), seconds, fired))
    try:
        await work
    except asyncio.CancelledError:
        if not fired:
            raise
        if hasattr(asyncio, "timeout"):  # CPython counts cancellations
            asyncio.current_task().uncancel()  # type: ignore
        raise asyncio.TimeoutError
    finally:
        timer.cancel()


async def _open_stream(host, port, tls, server_name):
    """Return (reader, writer) of a connection, with TLS if `tls` is a context.

    TLS comes over a connection that is there: MicroPython's TLS socket takes no option of TCP.
    """
    reader, writer = await asyncio.open_connection(host, port)
    _no_delay(writer)
    if tls is None:
        return reader, writer
    if hasattr(writer, "start_tls"):  # CPython
        await writer.start_tls(tls, server_hostname=server_name)  # type: ignore
        return reader, writer
    plain = writer.s  # type: ignore - MicroPython's
    poll = select.poll()
    poll.register(plain, select.POLLOUT)
    for _plain, found in poll.poll(0):
        if found & ~select.POLLOUT:  # its open_connection returns a connection that was refused
            plain.close()
            raise OSError(111)  # ECONNREFUSED
    try:  # as MicroPython's open_connection: the first writes shake hands
        raw = tls.wrap_socket(plain, server_hostname=server_name, do_handshake_on_connect=False)
        raw.setblocking(False)
    except (OSError, ValueError):
        plain.close()
        raise
    stream = asyncio.StreamWriter(raw, {})
    return stream, stream


class MqttShell:
    """One session with the broker: `connect`, then `run` until it raises.

    Args:
        on_message: called (not awaited) with each message; then a QoS 1 message is acknowledged.
        options: those of `mqtt.Connection`, as keywords.
    """

    def __init__(self, client_id, on_message, **options):
        self._connection = mqtt.Connection(client_id, **options)
        self._on_message = on_message
        self._reader = self._writer = None
        self._writing = False
        self._error = None
        self.reached = False
        self._answers = {}
        self._waited_s = 0

    async def connect(self, host, port, tls=None, server_name=None):
        """Open the connection and wait for CONNACK.

        Raises:
            OSError: not reached, TLS failed, or closed.
            mqtt.RemoteProtocolError: refused (mqtt.RefusedError), or no MQTT.
            asyncio.TimeoutError: no answer.
        """
        await _within(self._open(host, port, tls, server_name), CONNECT_TIMEOUT_S)

    async def _open(self, host, port, tls, server_name):
        self._reader, self._writer = await _open_stream(host, port, tls, server_name or host)
        self.reached = True
        await self._write(self._connection.connect(now_ms()))
        while self._connection.state != mqtt.CONNECTED:
            await self._read()

    async def run(self):
        """Read, deliver and ping until the session is lost; always ends in an exception.

        Raises:
            OSError: closed.
            mqtt.RemoteProtocolError: the broker broke MQTT or is silent.
        """
        ping = None
        try:
            ping = asyncio.create_task(self._ping(asyncio.current_task()))
            while True:
                await self._read()
        except asyncio.CancelledError:
            if self._error:
                raise self._error
            raise
        finally:
            self.abort()
            if ping:
                ping.cancel()

    async def publish(self, name, payload, qos=1, retain=False):
        """Publish; with QoS 1 return after PUBACK, which is pace and no promise.

        Raises:
            OSError: the session was lost meanwhile.
            mqtt.LocalProtocolError: no session, bad topic, or packet too large.
        """
        if qos:
            await self._room()
        packet = self._connection.publish(name, payload, qos, retain, now_ms())
        if qos:
            await self._ask(packet)
        else:
            await self._write(packet)

    async def subscribe(self, *topics):
        """Subscribe to (filter, qos) pairs.

        Raises:
            OSError: the session was lost meanwhile, or the broker refuses (EACCES, 13).
        """
        await self._room()
        answer = await self._ask(self._connection.subscribe(topics, now_ms()))
        if isinstance(answer, mqtt_event.SubscribeRefused):
            raise OSError(13)

    async def unsubscribe(self, *topics):
        """Unsubscribe from filters.

        Raises:
            OSError: the session was lost meanwhile.
        """
        await self._room()
        await self._ask(self._connection.unsubscribe(topics, now_ms()))

    async def close(self):
        """Say DISCONNECT, so that the last will is not published, and close."""
        if self._connection.state == mqtt.CONNECTED:
            await self._write(self._connection.disconnect())
        self.abort()

    def abort(self):
        """Close without a word; whoever waits for an answer gets OSError."""
        if self._writer:
            # MicroPython's close() does nothing, and the socket is its attribute
            getattr(self._writer, "s", self._writer).close()
            self._writer = None

    def unacknowledged(self):
        """Return the ids of the publishes that wait for PUBACK, oldest first."""
        return self._connection.unacknowledged()

    async def _room(self):
        while self._writer and self._connection.window() <= 0:
            await asyncio.sleep(_PAUSE_S)

    async def _ask(self, packet):
        packet_id = self._connection.last_id
        self._answers[packet_id] = None
        self._waited_s = 0
        try:
            await self._write(packet)
            while self._answers[packet_id] is None:
                if self._writer is None:
                    raise OSError(104)  # ECONNRESET
                await asyncio.sleep(_PAUSE_S)
            return self._answers[packet_id]
        finally:
            del self._answers[packet_id]

    async def _read(self):
        data = await self._reader.read(256)  # type: ignore - connected
        if not data:
            raise OSError(104)
        self._connection.receive_data(data, now_ms())
        event = self._connection.next_event()
        while event is not None:
            if isinstance(event, mqtt_event.Message):
                self._on_message(event)
                if event.packet_id and self._connection.state == mqtt.CONNECTED:
                    await self._write(self._connection.acknowledge(event.packet_id, now_ms()))
            elif event.packet_id in self._answers:
                self._answers[event.packet_id] = event
            event = self._connection.next_event()

    async def _ping(self, runner):
        while True:
            await asyncio.sleep(1)
            self._waited_s += 1
            try:
                if self._answers and self._waited_s > ANSWER_TIMEOUT_S:
                    raise OSError(110)  # ETIMEDOUT
                packet = self._connection.poll(now_ms())
                if packet:
                    await _within(self._write(packet), CONNECT_TIMEOUT_S)
            except Exception as error:  # a MemoryError too: nobody else sees a silent broker
                self._error = error
                runner.cancel()
                return

    async def _write(self, packet):
        while self._writing:  # MicroPython's drain takes one task at a time
            await asyncio.sleep(_PAUSE_S)
        self._writing = True
        try:
            if self._writer is None:
                raise OSError(104)
            self._writer.write(packet)
            await self._writer.drain()
        finally:
            self._writing = False
