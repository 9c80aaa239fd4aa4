"""The utility's side of orders: the bytes to sign, and what a signature looks like on the wire.

The private key stays in the utility's hardware or tool: `encode_utility_order` makes the order,
`build_signed_message` what is signed (ECDSA P-256, SHA-256), `pack_signature` turns the usual DER
signature into the wire's. Order and signature then travel as `commands.Order`; the twin passes
them on and cannot change them. The meter's side is `portable.order`.
"""

from dataclasses import dataclass

from meter_wire.names import check_device
from meter_wire.portable.order import LABEL
from meter_wire.portable.order import Order as ParsedOrder
from meter_wire.portable.tariff_calendar import parse_calendar
from meter_wire.portable.tlv import RemoteProtocolError, encode_uint, field
from meter_wire.tables import ORDER_ACTIONS, ORDER_TAGS, name_of, number_of

LAST_ACTIVATION_S = 0xFFFFFFFF // 900 * 900
"""The last quarter hour of a meter's clock, 2106-02-07T06:15:00Z."""
_HALF = 32
_MOST_OPERATOR = 64
_OCTETS = {
    "reason": 2, "not_after": 4, "counter": 4, "utc_ms": 8, "boot": 2, "uptime_s": 4,
    "activates": 4,
}  # fmt: skip
_DER_SEQUENCE = 0x30
_DER_INTEGER = 0x02


@dataclass(frozen=True, slots=True)
class UtilityOrder:
    """One order to one meter; field by field as in `tables.ORDER_TAGS`."""

    device: str
    action: str
    """A name of `tables.ORDER_ACTIONS`."""
    reason: int
    operator: str
    not_after: int
    """UTC seconds."""
    counter: int
    utc_ms: int | None = None
    incarnation: bytes | None = None
    boot: int | None = None
    """Low 16 bits of the boot number, as in entries; with it `uptime_s`. Needed by set_clock."""
    uptime_s: int | None = None
    activates: int | None = None
    """UTC seconds from which the calendar is to be in force, 0 for at once; with set_calendar."""
    calendar: bytes | None = None
    """Of `utility_calendar.encode_calendar`; with set_calendar."""


def _check(order: UtilityOrder) -> None:
    check_device(order.device)
    if order.action not in {row.name for row in ORDER_ACTIONS}:
        names = ", ".join(row.name for row in ORDER_ACTIONS)
        raise ValueError(f"action: {order.action!r} is none of {names}")
    if not 0 < len(order.operator.encode()) <= _MOST_OPERATOR:
        raise ValueError(f"operator: {order.operator!r} is not 1 to {_MOST_OPERATOR} bytes")
    for name, octets in _OCTETS.items():
        value = getattr(order, name)
        least = int(name in ("counter", "utc_ms"))
        most = LAST_ACTIVATION_S if name == "activates" else (1 << 8 * octets) - 1
        if value is not None and not least <= value <= most:
            raise ValueError(f"{name}: {value} is not {least} to {most}")
    if (order.action == "set_clock") != (order.utc_ms is not None):
        raise ValueError("utc_ms: goes with the action set_clock, and with no other")
    if order.incarnation is not None and len(order.incarnation) != 8:  # noqa: PLR2004
        raise ValueError("incarnation: is not 8 bytes")
    if (order.boot is None) != (order.uptime_s is None):
        raise ValueError("uptime_s: goes with boot, and boot with uptime_s")
    if order.action == "set_clock" and order.boot is None:
        raise ValueError("boot: set_clock needs boot and uptime_s, the newest entry has both")
    _check_calendar(order)


def _check_calendar(order: UtilityOrder) -> None:
    for name in ("activates", "calendar"):
        if (order.action == "set_calendar") != (getattr(order, name) is not None):
            raise ValueError(f"{name}: goes with the action set_calendar, and with no other")
    if order.calendar is not None:
        try:
            parse_calendar(order.calendar)
        except RemoteProtocolError as error:
            raise ValueError(f"calendar: is {error}; encode it with encode_calendar") from None


def encode_utility_order(order: UtilityOrder) -> bytes:
    """Return the unsigned bytes of an order.

    Raises:
        ValueError: naming the field that is out of range.
    """
    _check(order)
    encoded = bytes([1])
    for row in ORDER_TAGS:
        value = getattr(order, row.name)
        if value is None:
            continue
        if row.name == "action":
            value = number_of(ORDER_ACTIONS, value)
        if isinstance(value, int):
            value = encode_uint(value)
        encoded += field(row.number, value.encode() if isinstance(value, str) else value)
    return encoded


def parse_utility_order(data: bytes) -> UtilityOrder:
    """Return what an order says, for logs and tools; whether it is genuine is the meter's to say.

    Raises:
        RemoteProtocolError: `malformed` or `version`.
    """
    parsed = ParsedOrder(data)
    timed = parsed.boot is not None
    return UtilityOrder(
        parsed.device,
        name_of(ORDER_ACTIONS, parsed.action),
        parsed.reason,
        parsed.operator,
        parsed.not_after_s,
        parsed.counter,
        parsed.utc_ms or None,
        parsed.incarnation or None,
        parsed.boot,
        parsed.uptime_s if timed else None,
        parsed.activates_s if parsed.calendar else None,
        parsed.calendar or None,
    )


def build_signed_message(order: bytes) -> bytes:
    """Return what the utility signs with ECDSA P-256 and SHA-256."""
    return LABEL + order


def pack_signature(der: bytes) -> bytes:
    """Return r and s, 64 bytes, of a DER signature (RFC 3279, 2.2.3).

    Raises:
        ValueError: it is no such signature.
    """
    body = der[2:]
    if len(der) < 2 or der[0] != _DER_SEQUENCE or der[1] != len(body):  # noqa: PLR2004
        raise ValueError("signature: is no DER sequence")
    packed = b""
    for _ in range(2):
        if len(body) < 2 or body[0] != _DER_INTEGER or len(body) < 2 + body[1]:  # noqa: PLR2004
            raise ValueError("signature: holds no two DER integers")
        number = int.from_bytes(body[2 : 2 + body[1]], "big", signed=True)
        if not 0 < number < 1 << 8 * _HALF:
            raise ValueError("signature: is none of P-256")
        packed += number.to_bytes(_HALF, "big")
        body = body[2 + body[1] :]
    if body:
        raise ValueError("signature: has bytes after it")
    return packed
