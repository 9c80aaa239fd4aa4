"""Frames of link version 1: version, type, counter, fields, and a MAC over all of it.

MAC input is meter nonce, twin nonce, frame without MAC, under the key of the direction; a nonce
that is not known yet is eight zero bytes. Used by both links; items longer than a frame are
the business of `segments`.
"""

from .constant import const
from .keys import mac16, same
from .tlv import RemoteProtocolError, parse_fields, parse_uint

NO_NONCE = bytes(8)
MIN_LIMIT = const(768)

_VERSION = const(1)
_HEADER = const(6)
_OVERHEAD = const(22)
_HIGHEST_TAG = const(53)


def seal(key: bytes, nonces: bytes, kind: int, counter: int, *body: bytes) -> bytes:
    """Return a frame; `nonces` are the meter's and the twin's, 16 bytes.

    The body comes in parts, so that a meter never holds it twice.
    """
    head = build_head(kind, counter)
    mac = mac16(key, nonces, head, *body)
    return b"".join((head,) + body + (mac,))


def build_head(kind: int, counter: int) -> bytes:
    """Return the six bytes before a frame's fields."""
    return bytes([_VERSION, kind]) + counter.to_bytes(4, "big")


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
    return parse_fields(payload, _HEADER, _HIGHEST_TAG, len(payload) - 16)


def check_mac(key: bytes, nonces: bytes, payload: bytes) -> None:
    """Refuse a frame that the holder of the key did not make in this session.

    Raises:
        RemoteProtocolError: `mac`.
    """
    if not same(mac16(key, nonces, memoryview(payload)[:-16]), payload[-16:]):
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
