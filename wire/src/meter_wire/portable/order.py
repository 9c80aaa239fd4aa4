"""Orders that the utility signed: the only way to supply relay, tariff and large clock steps.

An order is version 1 and fields with tags of their own; the signature is ECDSA P-256 with SHA-256
over `LABEL` and the order. Parsed and judged here, on the meter; the utility's tooling encodes
with `meter_wire.utility_order`, and the twin only passes on. Neighbours: `p256`,
`tariff_calendar` (what an order brings).
"""

from .constant import const
from .frame import find_uint, need, need_uint
from .p256 import verify
from .tlv import RemoteProtocolError, parse_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LABEL = b"metertwin/v1 order"
"""What the signature covers before the order, so that it is valid for nothing else."""

ACTION_DISCONNECT = const(1)
ACTION_ARM = const(2)
ACTION_SET_CLOCK = const(3)
ACTION_SET_CALENDAR = const(4)

_VERSION = const(1)
_ORDER_DEVICE = const(1)
_ORDER_ACTION = const(2)
_ORDER_REASON = const(3)
_ORDER_OPERATOR = const(4)
_ORDER_NOT_AFTER = const(5)
_ORDER_COUNTER = const(6)
_ORDER_UTC_MS = const(7)
_ORDER_INCARNATION = const(8)
_ORDER_BOOT = const(9)
_ORDER_UPTIME_S = const(10)
_ORDER_ACTIVATES = const(11)
_ORDER_CALENDAR = const(12)
_MOST_OPERATOR = const(64)


class Order:
    """A parsed order, not yet judged; who parsed it has checked the signature."""

    def __init__(self, data: bytes) -> None:
        """Parse.

        Raises:
            RemoteProtocolError: `malformed` or `version`.
        """
        if data[:1] != bytes([_VERSION]):
            raise RemoteProtocolError("version")
        fields = parse_fields(data, 1, _ORDER_CALENDAR)
        operator = need(fields, _ORDER_OPERATOR)
        try:
            self.device = need(fields, _ORDER_DEVICE).decode()
            self.operator = operator.decode()
        except ValueError:  # UnicodeError is one on both Pythons
            raise RemoteProtocolError("malformed") from None
        self.action = need_uint(fields, _ORDER_ACTION, 1)
        self.reason = need_uint(fields, _ORDER_REASON, 2)
        self.not_after_s = need_uint(fields, _ORDER_NOT_AFTER)
        self.counter = need_uint(fields, _ORDER_COUNTER)
        self.utc_ms = find_uint(fields, _ORDER_UTC_MS, 8)
        self.incarnation = fields.get(_ORDER_INCARNATION, b"")
        self.boot = need_uint(fields, _ORDER_BOOT, 2) if _ORDER_BOOT in fields else None
        self.uptime_s = need_uint(fields, _ORDER_UPTIME_S) if self.boot is not None else 0
        self.calendar = fields.get(_ORDER_CALENDAR, b"")
        self.activates_s = need_uint(fields, _ORDER_ACTIVATES) if self.calendar else 0
        if (
            not 0 < len(operator) <= _MOST_OPERATOR
            or self.counter == 0
            or (self.action == ACTION_SET_CLOCK) != (self.utc_ms > 0)
            or len(self.incarnation) not in (0, 8)
            or (self.boot is None and _ORDER_UPTIME_S in fields)
            or (self.action == ACTION_SET_CALENDAR) != (self.calendar != b"")
            or (not self.calendar and _ORDER_ACTIVATES in fields)
        ):
            raise RemoteProtocolError("malformed")


def judge(
    order: Order,
    device: str,
    last_counter: int,
    incarnation: bytes,
    utc_s: "int | None",
    boot: int,
    uptime_s: int,
) -> str:
    """Return why a meter must not carry out a genuine order, "" if it may.

    Args:
        order: parsed, its signature checked.
        device: the meter's device id.
        last_counter: counter of the last order that was carried out, from flash.
        incarnation: of the meter's ring.
        utc_s: the meter's time, None while its clock is invalid: then only the uptime is judged,
            and an order without it has expired.
        boot: the low 16 bits of the boot number, as in entries.
        uptime_s: the meter's uptime.
    """
    if order.device != device or order.incarnation not in (b"", incarnation):
        return "device"
    if order.counter <= last_counter:
        return "repeated"
    if order.boot is None:
        if order.action == ACTION_SET_CLOCK:
            return "unlimited"  # a twin could hold it back and set the clock late
    elif order.boot != boot or uptime_s > order.uptime_s:
        return "expired"
    if order.action != ACTION_SET_CLOCK:
        if utc_s is None:
            return "expired" if order.boot is None else ""
        if utc_s > order.not_after_s:
            return "expired"
    return ""


def verifier(key: bytes) -> "Callable[[bytes, bytes], bool]":
    """Return (order, signature) → genuine, for one public key (x and y, 64 bytes)."""
    return lambda order, signature: verify(key, LABEL + order, signature)
