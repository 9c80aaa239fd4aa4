"""Owner records and owner hello: how a meter learns which epoch is active.

The record is the operator's signed word on `mt/<device>/owner` (design rules 1, 3 and 11). The
meter parses and judges here; the operator encodes with `meter_wire.owner_record`.

payload = version u8, fields, mac16 under K_owner (record) or K_hello (hello).
"""

from .constant import const
from .frame import find_uint, need, need_uint
from .keys import mac16, same
from .tlv import RemoteProtocolError, pack, parse_fields

_VERSION = const(1)
_OWNER_DEVICE = const(1)
_OWNER_ACTIVE = const(2)
_OWNER_ACTIVE_ID = const(3)
_OWNER_CANDIDATE = const(4)
_OWNER_CANDIDATE_ID = const(5)
_OWNER_HIGHEST = const(6)
_OWNER_BROKER = const(7)
_OWNER_COUNTER = const(8)
_OWNER_NONCE = const(9)
_OWNER_HELLO_DEVICE = const(1)
_OWNER_HELLO_NONCE = const(2)
_OWNER_HELLO_FLOOR = const(3)
_OWNER_HELLO_HIGHEST = const(4)
_OWNER_HELLO_OWNER_COUNTER = const(5)
_OWNER_HELLO_INCARNATION = const(6)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except ValueError:  # UnicodeError is one on both Pythons
        raise RemoteProtocolError("malformed") from None


class Owner:
    """A parsed and authenticated owner record."""

    def __init__(self, fields: dict[int, bytes], content: bytes) -> None:
        """`content`: the signed bytes before the nonce.

        Raises:
            RemoteProtocolError: `malformed`.
        """
        self.content = content
        self.device = _text(need(fields, _OWNER_DEVICE))
        self.active = need_uint(fields, _OWNER_ACTIVE)
        self.active_id = need(fields, _OWNER_ACTIVE_ID, 16)
        self.candidate = find_uint(fields, _OWNER_CANDIDATE)
        self.candidate_id = need(fields, _OWNER_CANDIDATE_ID, 16) if self.candidate else b""
        self.highest = need_uint(fields, _OWNER_HIGHEST)
        self.broker = _text(fields.get(_OWNER_BROKER, b""))
        self.counter = need_uint(fields, _OWNER_COUNTER)
        self.nonce = fields.get(_OWNER_NONCE, b"")
        if (
            not 0 < self.active <= self.highest
            or self.counter == 0
            or (self.candidate and not self.active < self.candidate <= self.highest)
        ):
            raise RemoteProtocolError("malformed")


def parse_signed(payload: bytes, key: bytes, highest: int) -> dict[int, bytes]:
    """Return the fields of an authentic record or hello.

    Raises:
        RemoteProtocolError: `malformed`, `version` or `mac`.
    """
    if len(payload) < 17:
        raise RemoteProtocolError("malformed")
    if payload[0] != _VERSION:
        raise RemoteProtocolError("version")
    if not same(mac16(key, payload[:-16]), payload[-16:]):
        raise RemoteProtocolError("mac")
    return parse_fields(payload, 1, highest, len(payload) - 16)


def parse_owner(payload: bytes, key: bytes) -> Owner:
    """Return the record of an authentic payload of `mt/<device>/owner`; key is K_owner.

    Raises:
        RemoteProtocolError: `malformed`, `version` or `mac`.
    """
    fields = parse_signed(payload, key, _OWNER_NONCE)
    end = len(payload) - 16
    if _OWNER_NONCE in fields:
        end -= 10
        if need(fields, _OWNER_NONCE, 8) != payload[end + 2 : -16]:
            raise RemoteProtocolError("malformed")
    return Owner(fields, payload[:end])


def refusal(owner: Owner, device: str, current: "Owner | None", nonce: bytes) -> "str | None":
    """Return why the meter must not accept an authentic record, None if it may.

    `current` is the one in flash, `nonce` that of the meter's last owner hello. An equal counter
    with equal content is `repeated`, not a fault.
    """
    if owner.device != device:
        return "device"
    if current is None:
        return None if nonce and owner.nonce == nonce else "nonce"
    if owner.counter < current.counter:
        return "counter"
    if owner.counter == current.counter:
        return "repeated" if owner.content == current.content else "conflict"
    if owner.active < current.active or owner.highest < current.highest:
        return "floor"
    for epoch, epoch_id in (
        (current.active, current.active_id),
        (current.candidate, current.candidate_id),
    ):
        if epoch == owner.active and epoch_id != owner.active_id:
            return "conflict"
        if epoch and epoch == owner.candidate and epoch_id != owner.candidate_id:
            return "conflict"
    return None


def encode_owner_hello(
    key: bytes, device: str, nonce: bytes, incarnation: bytes, current: "Owner | None"
) -> bytes:
    """Return the payload for `mt/<device>/hello`; key is K_hello."""
    content = bytes([_VERSION]) + pack(
        _OWNER_HELLO_DEVICE, device.encode(), _OWNER_HELLO_NONCE, nonce,
        _OWNER_HELLO_FLOOR, current.active if current else 0,
        _OWNER_HELLO_HIGHEST, current.highest if current else 0,
        _OWNER_HELLO_OWNER_COUNTER, current.counter if current else 0,
        _OWNER_HELLO_INCARNATION, incarnation,
    )  # fmt: skip
    return content + mac16(key, content)
