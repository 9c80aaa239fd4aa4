"""One MQTT 3.1.1 client connection as a state machine without I/O or clock.

Bytes and the time go in, events and bytes to write come out (h11 is the model): feed
`receive_data`, drain `next_event` until None, write what the other methods return, and call
`poll` at least every quarter of the keep-alive. Sessions are clean, QoS is 0 or 1, and nothing is
retransmitted: durability is the link's; QoS 1 only paces. An inbound QoS 1 message is acknowledged
by the caller (`acknowledge`) when it has done with it. One object serves one connection.

The same source runs on the meter (MicroPython) and in the twin; packets are in `mqtt_packet.py`,
events in `mqtt_event.py`.
Source: OASIS MQTT 3.1.1.
"""

from .constant import const
from .mqtt_event import REFUSED as REFUSED  # noqa: PLC0414 - part of this module's interface
from .mqtt_event import Answer, Connected, Message, Pong, build_answer
from .mqtt_packet import (
    LocalProtocolError,
    RefusedError,
    RemoteProtocolError,
    check_qos,
    encode,
    encode_connect,
    parse_header,
    parse_publish,
    topic,
    topic_filter,
)

IDLE = const(0)
CONNECTING = const(1)
CONNECTED = const(2)
CLOSED = const(3)
ERROR = const(4)

_TICKS = const(0x3FFFFFFF)  # MicroPython's ticks wrap at 2^30 where small ints have 31 bits


def elapsed_ms(now_ms: int, then_ms: int) -> int:
    """Return `now_ms - then_ms` for clocks that wrap at 2^30 or a multiple; never negative."""
    passed = (now_ms - then_ms) & _TICKS
    return passed if passed < 0x20000000 else 0


class Connection:
    """The client's end of one MQTT connection.

    Args:
        client_id: may be empty, then the broker makes one up.
        keep_alive_s: 0 turns pings and the detection of silence off.
        will: (topic, payload, qos, retain) that the broker publishes when this end is lost.
        username: optional.
        password: optional, only with a user name [MQTT-3.1.2-22].
        max_packet: bytes of the largest packet, in both directions.
        max_in_flight: publishes and subscriptions that may wait for their answer.

    After a RemoteProtocolError `state` is ERROR for good, and each `next_event` and `poll` raises
    the same error again.
    """

    def __init__(
        self,
        client_id: str,
        keep_alive_s: int = 60,
        will: "tuple[str, bytes, int, bool] | None" = None,
        username: "str | None" = None,
        password: "bytes | None" = None,
        max_packet: int = 2048,
        max_in_flight: int = 8,
    ) -> None:
        self._connect = encode_connect(client_id, keep_alive_s, will, username, password)
        self.state = IDLE
        self.max_packet = max_packet
        self._max_in_flight = max_in_flight
        self._keep_alive_ms = keep_alive_s * 1000
        self._buffer = bytearray()
        self._waiting: "dict[int, tuple[int, tuple[str, ...], bytes]]" = {}
        self.last_id = 0
        self._error: "RemoteProtocolError | None" = None
        self._sent_ms = self._heard_ms = self._fed_ms = self._asked_ms = 0
        self._asked = False  # a CONNECT or PINGREQ waits for its answer

    def connect(self, now_ms: int) -> bytearray:
        """Return CONNECT, the first packet of a connection [MQTT-3.1.0-1].

        Raises:
            LocalProtocolError: called twice [MQTT-3.1.0-2].
        """
        self._must_be(IDLE)
        self.state = CONNECTING
        self._heard_ms = self._asked_ms = now_ms
        self._asked = True
        return self._send(self._connect, now_ms)

    def publish(
        self,
        name: str,
        payload: "bytes | bytearray | memoryview",
        qos: int,
        retain: bool,
        now_ms: int,
    ) -> bytearray:
        """Return PUBLISH (3.3); with QoS 1 `last_id` is its id until `Published` brings it back.

        Raises:
            LocalProtocolError: not connected, bad topic or QoS, too large, or window full.
        """
        self._must_be(CONNECTED)
        first = 0x30 | check_qos(qos) << 1 | bool(retain)
        if qos:
            return self._ask(first, 4, (name,), b"", [topic(name), payload], now_ms)
        return self._send(encode(first, topic(name), payload), now_ms)

    def acknowledge(self, packet_id: int, now_ms: int) -> bytearray:
        """Return PUBACK of an inbound message of QoS 1 [MQTT-3.3.4-1].

        Raises:
            LocalProtocolError: not connected, or no packet id.
        """
        self._must_be(CONNECTED)
        if not 0 < packet_id < 65536:
            raise LocalProtocolError("packet id")
        return self._send(encode(0x40, packet_id.to_bytes(2, "big")), now_ms)

    def subscribe(self, topics: "tuple[tuple[str, int], ...]", now_ms: int) -> bytearray:
        """Return SUBSCRIBE of (filter, QoS) pairs (3.8), at least one [MQTT-3.8.3-3].

        Raises:
            LocalProtocolError: not connected, no or a bad filter, bad QoS, or window full.
        """
        parts: "list[bytes | bytearray | memoryview]" = []
        for name, qos in topics:
            parts += [topic_filter(name), bytes((check_qos(qos),))]
        codes = bytes([qos for _, qos in topics])
        return self._ask(0x82, 9, tuple([name for name, _ in topics]), codes, parts, now_ms)

    def unsubscribe(self, topics: "tuple[str, ...]", now_ms: int) -> bytearray:
        """Return UNSUBSCRIBE of filters (3.10), at least one [MQTT-3.10.3-2].

        Raises:
            LocalProtocolError: not connected, no or a bad filter, or window full.
        """
        parts: "list[bytes | bytearray | memoryview]" = [topic_filter(name) for name in topics]
        return self._ask(0xA2, 11, topics, b"", parts, now_ms)

    def disconnect(self) -> bytearray:
        """Return DISCONNECT, after which nothing is sent or received [MQTT-3.14.4-2].

        Raises:
            LocalProtocolError: not connected.
        """
        self._must_be(CONNECTED)
        self.state = CLOSED
        self._buffer = bytearray()
        return encode(0xE0)

    def poll(self, now_ms: int) -> bytearray:
        """Return PINGREQ when one is due, else nothing: after half a keep-alive without traffic.

        Raises:
            RemoteProtocolError: CONNECT or PINGREQ without an answer, and nothing else heard, for
                a quarter of the keep-alive; or an earlier error.
        """
        if self._error:
            raise self._error
        quarter = self._keep_alive_ms // 4
        unsent, unheard = elapsed_ms(now_ms, self._sent_ms), elapsed_ms(now_ms, self._heard_ms)
        if quarter and self.state in (CONNECTING, CONNECTED):
            if self._asked:
                if elapsed_ms(now_ms, self._asked_ms) >= quarter and unheard >= quarter:
                    raise self._fail(RemoteProtocolError("silent peer"))
            elif unsent >= 2 * quarter or unheard >= 2 * quarter:  # [MQTT-3.1.2-23]
                self._asked = True
                self._asked_ms = now_ms
                return self._send(encode(0xC0), now_ms)
        return bytearray()

    def unacknowledged(self) -> "list[int]":
        """Return the ids of the publishes of QoS 1 that wait for PUBACK, oldest first."""
        ids = [packet_id for packet_id in self._waiting if self._waiting[packet_id][0] == 4]
        ids.sort(key=lambda packet_id: (packet_id - self.last_id - 1) & 65535)
        return ids

    def window(self) -> int:
        """Return how many packets may be sent now that wait for an answer."""
        return self._max_in_flight - len(self._waiting)

    def receive_data(self, data: "bytes | bytearray | memoryview", now_ms: int) -> None:
        """Take bytes of the peer; `next_event` must be drained after each call.

        Raises:
            LocalProtocolError: over twice `max_packet` would be held: chunks too large or not
                drained.
        """
        if self.state in (CONNECTING, CONNECTED):
            if len(self._buffer) + len(data) > 2 * self.max_packet:
                raise LocalProtocolError("not drained")
            self._buffer += data
            self._fed_ms = now_ms

    def next_event(self) -> "Message | Answer | None":
        """Return the next event, or None when more bytes are needed.

        Raises:
            RemoteProtocolError: the peer broke MQTT, now or earlier.
            RefusedError: CONNACK with code 1 to 5.
        """
        if self._error:
            raise self._error
        try:
            header = parse_header(self._buffer, self.max_packet)
            if header is None or header[1] > len(self._buffer):
                return None
            event = self._event(self._buffer[0], self._buffer[header[0] : header[1]])
        except RemoteProtocolError as error:
            raise self._fail(error) from None
        self._buffer[: header[1]] = b""
        self._heard_ms = self._fed_ms
        return event

    def _event(self, first: int, body: bytearray) -> "Message | Answer":
        if (self.state == CONNECTING) != (first == 0x20):  # [MQTT-3.2.0-1]
            raise RemoteProtocolError("unexpected")
        if first >> 4 == 3:
            name, packet_id, start = parse_publish(first, body)
            return Message(name, bytes(body[start:]), first, packet_id)
        if first == 0x20:
            return self._connack(body)
        if first == 0xD0 and not body and self._asked:
            self._asked = False
            return Pong(0, (), b"")
        return self._answer(first, body)

    def _connack(self, body: bytearray) -> Connected:
        if len(body) != 2 or body[0] or body[1] > 5:  # [MQTT-3.2.2-1], [MQTT-3.2.2-4]
            raise RemoteProtocolError("unexpected")
        if body[1]:
            raise RefusedError(body[1])
        self.state = CONNECTED
        self._asked = False
        return Connected(0, (), b"")

    def _answer(self, first: int, body: bytearray) -> Answer:
        packet_id = body[0] << 8 | body[1] if len(body) > 1 else 0
        kind, topics, asked = self._waiting.get(packet_id, (0, (), b""))
        if not kind or first != kind << 4:
            raise RemoteProtocolError("unexpected")
        event = build_answer(kind, packet_id, topics, bytes(body[2:]), asked)
        del self._waiting[packet_id]
        return event

    def _ask(
        self,
        first: int,
        kind: int,
        topics: "tuple[str, ...]",
        codes: bytes,
        parts: "list[bytes | bytearray | memoryview]",
        now_ms: int,
    ) -> bytearray:
        self._must_be(CONNECTED)
        if not topics or len(self._waiting) >= self._max_in_flight:
            raise LocalProtocolError("window")
        packet_id = self.last_id % 65535 + 1
        while packet_id in self._waiting:
            packet_id = packet_id % 65535 + 1
        ident = packet_id.to_bytes(2, "big")
        parts.insert(1 if kind == 4 else 0, ident)
        packet = self._send(encode(first, *parts), now_ms)
        self._waiting[packet_id] = (kind, topics, codes)
        self.last_id = packet_id
        return packet

    def _send(self, packet: bytearray, now_ms: int) -> bytearray:
        if len(packet) > self.max_packet:
            raise LocalProtocolError("packet over limit")
        self._sent_ms = now_ms
        return packet

    def _must_be(self, state: int) -> None:
        if self.state != state:
            raise LocalProtocolError("in state %d" % self.state)

    def _fail(self, error: RemoteProtocolError) -> RemoteProtocolError:
        self.state = ERROR
        self._error = error
        self._buffer = bytearray()
        return error
