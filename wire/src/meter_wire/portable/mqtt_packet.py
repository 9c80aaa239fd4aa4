"""MQTT 3.1.1 packets: bytes to fields and back, without state.

Why: the meter (MicroPython, 38 KB heap) and the twin (CPython) speak MQTT through one source.
Nothing here knows about order, time or sockets; that is `mqtt.py`, the neighbour.
Source: OASIS MQTT 3.1.1, whose clauses are named as [MQTT-x.y.z-n].
"""


class ProtocolError(Exception):
    """MQTT was not kept to."""


class LocalProtocolError(ProtocolError):
    """This side asked for what MQTT or a limit forbids: a bug of the caller."""


class RemoteProtocolError(ProtocolError):
    """The peer broke MQTT, or was silent too long: drop the connection, keep the data."""


class RefusedError(RemoteProtocolError):
    """The broker refused the connection (3.2.2.3); `code` is 1 to 5."""

    def __init__(self, code: int) -> None:
        super().__init__("refused: code %d" % code)  # noqa: UP031 - half the bytecode
        self.code = code


def encode(first: int, *parts: "bytes | bytearray | memoryview") -> bytearray:
    """Return a packet of first byte `first` and the concatenation of `parts` (2.2)."""
    length = sum([len(part) for part in parts])  # noqa: C419 - a list is smaller on the meter
    packet = bytearray((first,))
    while length > 127:
        packet.append(length & 127 | 128)
        length >>= 7
    packet.append(length)
    for part in parts:
        packet += part
    return packet


def field(data: "bytes | bytearray | memoryview") -> bytes:
    """Return `data` behind its 16-bit length (1.5.3).

    Raises:
        LocalProtocolError: longer than 65,535 bytes.
    """
    if len(data) > 65535:
        raise LocalProtocolError("field too long")
    return len(data).to_bytes(2, "big") + bytes(data)


def text(value: str) -> bytes:
    """Return `value` as an UTF-8 field (1.5.3), without U+0000 [MQTT-1.5.3-2].

    Raises:
        LocalProtocolError: no UTF-8 (a surrogate), U+0000, or too long.
    """
    try:
        data = value.encode()
    except UnicodeError:
        data = b"\0"
    if bad_text(data):
        raise LocalProtocolError("bad text")
    return field(data)


def check_qos(level: int) -> int:
    """Return the QoS.

    Raises:
        LocalProtocolError: it is not 0 or 1.
    """
    if level not in (0, 1):
        raise LocalProtocolError("QoS")
    return level


def encode_connect(
    client_id: str,
    keep_alive_s: int,
    will: "tuple[str, bytes, int, bool] | None",
    username: "str | None",
    password: "bytes | None",
) -> bytearray:
    """Return CONNECT of a clean session (3.1); arguments as in `mqtt.Connection`.

    Raises:
        LocalProtocolError: a field out of its bounds, or a password without a user name.
    """
    if not 0 <= keep_alive_s <= 65535:
        raise LocalProtocolError("keep-alive")
    flags = 2  # clean session
    parts = [text(client_id)]
    if will:
        flags |= 4 | check_qos(will[2]) << 3 | bool(will[3]) << 5
        parts += [topic(will[0]), field(will[1])]
    if username is not None:
        flags |= 0x80
        parts.append(text(username))
    if password is not None:
        if username is None:
            raise LocalProtocolError("no user")
        flags |= 0x40
        parts.append(field(password))
    head = bytes((4, flags, keep_alive_s >> 8, keep_alive_s & 255))
    return encode(0x10, field(b"MQTT"), head, *parts)


def topic(name: str) -> bytes:
    """Return the field of a topic to publish on: not empty, no wildcard [MQTT-3.3.2-2].

    Raises:
        LocalProtocolError: not such a topic.
    """
    if not name or "#" in name or "+" in name:
        raise LocalProtocolError("bad topic")
    return text(name)


def topic_filter(name: str) -> bytes:
    """Return the field of a filter: wildcards fill a level, `#` the last [MQTT-4.7.1-2, -3].

    Raises:
        LocalProtocolError: not such a filter.
    """
    levels = name.split("/")
    for level in levels:
        if len(level) > 1 and ("#" in level or "+" in level):
            name = ""
    if not name or "#" in levels[:-1]:
        raise LocalProtocolError("bad filter")
    return text(name)


def bad_text(data: "bytes | bytearray") -> bool:
    """Tell whether `data` holds U+0000 or a surrogate, which MicroPython's decoder lets pass."""
    before = 0
    for byte in data:
        if not byte or (before == 0xED and byte > 0x9F):
            return True
        before = byte
    return False


def parse_header(buffer: bytearray, limit: int) -> "tuple[int, int] | None":
    """Return (offset of the body, end of the packet), or None while bytes are missing (2.2.3).

    Raises:
        RemoteProtocolError: a length of over four bytes, or a packet over `limit` bytes.
    """
    length = 0
    for index in range(1, min(len(buffer), 5)):
        length |= (buffer[index] & 127) << 7 * (index - 1)
        if length + index >= limit:
            raise RemoteProtocolError("packet over limit")
        if buffer[index] < 128:
            return index + 1, index + 1 + length
    if len(buffer) > 4:
        raise RemoteProtocolError("packet over limit")
    return None


def parse_publish(first: int, body: bytearray) -> "tuple[str, int, int]":
    """Return (topic, packet id or 0, offset of the payload) of a PUBLISH (3.3).

    Raises:
        RemoteProtocolError: malformed, or QoS 2, which this client never asks for.
    """
    qos = first >> 1 & 3
    if qos > 1 or (first & 8 and not qos):  # [MQTT-3.3.1-2], [MQTT-3.3.1-4]
        raise RemoteProtocolError("bad publish")
    start = (body[0] << 8 | body[1]) + 2 if len(body) > 1 else 0
    end = start + 2 * qos
    name = bytes(body[2:start])
    if not name or end > len(body) or bad_text(name) or b"#" in name or b"+" in name:
        raise RemoteProtocolError("bad publish")
    packet_id = body[start] << 8 | body[start + 1] if qos else 0
    if qos and not packet_id:  # [MQTT-2.3.1-1]
        raise RemoteProtocolError("bad publish")
    try:
        return name.decode(), packet_id, end
    except UnicodeError:
        raise RemoteProtocolError("bad publish") from None
