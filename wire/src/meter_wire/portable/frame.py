"""Frames of link version 1: version, type, counter, fields, and a MAC over all of it.

MAC input is meter nonce, twin nonce, frame without MAC, under the key of the direction; a nonce
that is not known yet is eight zero bytes. Long items travel as segments. Used by both links.
"""

from .constant import const
from .keys import mac16, same
from .tlv import RemoteProtocolError, pack, parse_fields, parse_uint

NO_NONCE = bytes(8)
MIN_LIMIT = const(768)

_VERSION = const(1)
_HEADER = const(6)
_OVERHEAD = const(22)
_HIGHEST_TAG = const(52)
_TAG_DATA = const(39)
_TAG_ITEM = const(48)
_TAG_INDEX_OF = const(49)
_TAG_COUNT_OF = const(50)
_TAG_TYPE_OF = const(51)
_SEGMENT_ROOM = const(18)
_MAX_ITEM = const(4096)
_ITEM_TIMEOUT_MS = const(30000)


def seal(key: bytes, nonces: bytes, kind: int, counter: int, body: bytes) -> bytes:
    """Return a frame; `nonces` are the meter's and the twin's, 16 bytes."""
    frame = bytes([_VERSION, kind]) + counter.to_bytes(4, "big") + body
    return frame + mac16(key, nonces, frame)


def check_frame(payload: bytes, limit: int) -> tuple[int, int]:
    """Return (type, counter) of a frame that is not yet known to be authentic.

    Raises:
        RemoteProtocolError: `oversized`, `malformed` or `version`.
    """
    if len(payload) > limit:
        raise RemoteProtocolError("oversized")
    if len(payload) < _OVERHEAD:
        raise RemoteProtocolError("malformed")
    if payload[0] != _VERSION:
        raise RemoteProtocolError("version")
    return payload[1], int.from_bytes(payload[2:_HEADER], "big")


def fields_of(payload: bytes) -> dict[int, bytes]:
    """Return the fields of a frame.

    Raises:
        RemoteProtocolError: `malformed`.
    """
    return parse_fields(payload[:-16], _HEADER, _HIGHEST_TAG)


def check_mac(key: bytes, nonces: bytes, payload: bytes) -> None:
    """Refuse a frame that the holder of the key did not make in this session.

    Raises:
        RemoteProtocolError: `mac`.
    """
    if not same(mac16(key, nonces, payload[:-16]), payload[-16:]):
        raise RemoteProtocolError("mac")


def need(fields: dict[int, bytes], tag: int, length: int = -1) -> bytes:
    """Return a field that must be there, of `length` bytes if that is given.

    Raises:
        RemoteProtocolError: `malformed`.
    """
    value = fields.get(tag)
    if value is None or (length >= 0 and len(value) != length):
        raise RemoteProtocolError("malformed")
    return value


def need_uint(fields: dict[int, bytes], tag: int, octets: int = 4) -> int:
    """Return an unsigned integer that must be there.

    Raises:
        RemoteProtocolError: `malformed`.
    """
    return parse_uint(need(fields, tag), octets)


def find_uint(fields: dict[int, bytes], tag: int, octets: int = 4) -> int:
    """Return an unsigned integer, 0 if it is absent.

    Raises:
        RemoteProtocolError: `malformed`.
    """
    return parse_uint(fields.get(tag, b""), octets)


def split(kind: int, body: bytes, limit: int, item: int) -> list[bytes]:
    """Return the bodies of the segments of a body that does not fit into a frame of `limit`."""
    size = limit - _OVERHEAD - _SEGMENT_ROOM
    count = (len(body) + size - 1) // size
    return [
        pack(
            _TAG_ITEM,
            item,
            _TAG_INDEX_OF,
            index,
            _TAG_COUNT_OF,
            count,
            _TAG_TYPE_OF,
            kind,
            _TAG_DATA,
            body[index * size : (index + 1) * size],
        )  # fmt: skip
        for index in range(count)
    ]


class Assembler:
    """Puts segments together; one item at a time, in order, within 30 s of its first."""

    def __init__(self, limit: int = _MAX_ITEM) -> None:
        """`limit`: longest item in bytes."""
        self._limit = limit
        self._clear()

    def _clear(self) -> None:
        self._item = self._kind = self._count = -1
        self._since_ms = self._index = self._length = 0
        self._parts: list[bytes] = []

    def feed(self, fields: dict[int, bytes], now_ms: int) -> tuple[int, bytes] | None:
        """Take a segment; return (frame type, body) with the last one of an item.

        Raises:
            RemoteProtocolError: `malformed`, `segment` or `oversized`; the item is dropped.
        """
        item = need_uint(fields, _TAG_ITEM, 2)
        index = need_uint(fields, _TAG_INDEX_OF, 1)
        count = need_uint(fields, _TAG_COUNT_OF, 1)
        kind = need_uint(fields, _TAG_TYPE_OF, 1)
        data = need(fields, _TAG_DATA)
        if index == 0:
            self._clear()
            self._item, self._count, self._kind, self._since_ms = item, count, kind, now_ms
        late = now_ms - self._since_ms > _ITEM_TIMEOUT_MS
        if (item, count, kind, index) != (self._item, self._count, self._kind, self._index) or late:
            self._clear()
            raise RemoteProtocolError("segment")
        self._length += len(data)
        if self._length > self._limit:
            self._clear()
            raise RemoteProtocolError("oversized")
        self._parts.append(data)
        self._index += 1
        if self._index < count:
            return None
        body = b"".join(self._parts)
        self._clear()
        return kind, body
