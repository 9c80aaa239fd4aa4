"""Carries out orders that the utility signed: supply relay, calendar and large clock steps.

The link has checked the signature; format and judgement are `meter_wire.portable.order`. The
counter is on the flash before anything moves, so no power cut makes an order valid again.
Neighbour: `commands`, whose parts these are.
"""

from meter_wire.portable.order import (
    ACTION_ARM,
    ACTION_DISCONNECT,
    ACTION_SET_CALENDAR,
    ACTION_SET_CLOCK,
    Order,
    judge,
)
from meter_wire.portable.tlv import RemoteProtocolError

_OK = 0
_EXPIRED = 2
_REFUSED = 3
_REPEATED = 4
_CODES = {"": _OK, "expired": _EXPIRED, "repeated": _REPEATED}


_PAUSE_MS = 60000


class Gate:
    """Verifies signatures, but none for a minute after a false one.

    A verification costs a board seconds in which it does nothing else, so a twin that sends
    forged orders without end must not get one each time.
    """

    def __init__(self, verify, uptime_ms) -> None:
        """`verify`: (order, signature) → genuine; `uptime_ms`: () → milliseconds since boot."""
        self._verify = verify
        self._uptime_ms = uptime_ms
        self._closed_until_ms = 0

    def __call__(self, order: bytes, signature: bytes) -> bool:
        """Tell whether the order is genuine; while the gate is closed none is."""
        if self._uptime_ms() < self._closed_until_ms:
            return False
        if self._verify(order, signature):
            return True
        self._closed_until_ms = self._uptime_ms() + _PAUSE_MS
        return False


def carry_out(data: bytes, parts) -> int:
    """Judge a genuine order and do what it says; return the answer's code.

    A refusal is counted by its name (`tables.REFUSALS`); `parts` is `commands.Commands`.
    """
    try:
        refusal = _carry_out(Order(data), parts)
    except RemoteProtocolError as error:
        refusal = error.args[0]
    if refusal:
        parts.link.count(refusal)
    return _CODES.get(refusal, _REFUSED)


def _carry_out(order, parts) -> str:
    utc_s, _ms = parts.timekeeper.utc()
    link = parts.link
    refusal = judge(
        order, link.device, parts.supply.counter, link.ring.incarnation,
        parts.timekeeper.judging_utc_s(), link.info.boot & 0xFFFF,
        parts.timekeeper.uptime_ms() // 1000,
    )  # fmt: skip
    if refusal:
        return refusal
    if order.action == ACTION_SET_CLOCK:
        parts.supply.counter = order.counter
        parts.keep_supply()
        parts.record_order(order)
        parts.set_clock(order.utc_ms, True)
    elif order.action == ACTION_SET_CALENDAR:
        parts.take_calendar(order, utc_s)
        parts.supply.counter = order.counter
        parts.keep_supply()
        parts.record_order(order)
    elif order.action not in (ACTION_DISCONNECT, ACTION_ARM):
        return "order"
    elif not parts.supply.order(order.action == ACTION_ARM, order.counter):
        return "order"
    else:
        parts.keep_supply()
        parts.record_order(order)
        parts.apply_supply(order.reason)
    return ""
