"""Golden orders of the utility for wire/vectors/link-v1.json: bytes, signatures, verdicts.

The signatures are deterministic (RFC 6979), so that the file is the same each time. The private
key is published here on purpose: it signs nothing but these vectors. Neighbour: `link_vectors`.
"""

import dataclasses
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from meter_wire.portable.order import Order, judge, verifier
from meter_wire.portable.tariff_calendar import parse_calendar
from meter_wire.portable.tlv import RemoteProtocolError, field, number
from meter_wire.utility_calendar import UtilityCalendar, encode_calendar
from meter_wire.utility_order import (
    UtilityOrder,
    build_signed_message,
    encode_utility_order,
    pack_signature,
)

_PRIVATE = ec.derive_private_key(int.from_bytes(b"metertwin vectors".ljust(32)), ec.SECP256R1())
_POINT = _PRIVATE.public_key().public_numbers()
PUBLIC_KEY = _POINT.x.to_bytes(32, "big") + _POINT.y.to_bytes(32, "big")
NOW_S = 1_800_000_000
INCARNATION = b"incarnat"
METER = {
    "last_counter": 41,
    "incarnation": INCARNATION.hex(),
    "utc_s": NOW_S,
    "boot": 7,
    "uptime_s": 5000,
}
"""What the judging meter has and knows."""


def sign(order: bytes) -> bytes:
    """Return r and s of a deterministic signature."""
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    return pack_signature(_PRIVATE.sign(build_signed_message(order), algorithm))


DAY_NIGHT = encode_calendar(
    UtilityCalendar(
        "day-night",
        [["12345", "07:00", 1], ["12345", "22:00", 2], ["67", "00:00", 2]],
        [[0, 3600], [1806195600, 7200], [1824944400, 3600]],
    )
)


def calendar_order(device: str) -> UtilityOrder:
    """Return an order with a calendar that activates at a quarter hour."""
    return UtilityOrder(
        device, "set_calendar", 7, "dso.example", NOW_S + 600, 42,
        activates=NOW_S + 86400, calendar=DAY_NIGHT,
    )  # fmt: skip


def build_calendar_vectors() -> list[list[Any]]:
    """Return rows of name, bytes, and what a meter makes of them or its refusal."""
    widest = UtilityCalendar(
        "~" * 16, [["1234567", "23:45", 4]], [[0, -50400], [900 * ((1 << 24) - 1), 50400]]
    )
    rows = {
        "day and night": DAY_NIGHT,
        "no switch, no offset": encode_calendar(UtilityCalendar("x", [], [])),
        "the ends of every field": encode_calendar(widest),
        "two switches at one moment": b"\x01\x01x\x02\x00\x04\x00\x05\x00",
        "descending switches": b"\x01\x01x\x02\x02\x04\x00\x05\x00",
        "a switch on no weekday": b"\x01\x01x\x01\x00\x00\x00",
        "a switch at 24:00": b"\x01\x01x\x01\xc0\x04\x00",
        "an offset beyond 14 h": b"\x01\x01x\x00\x01\x00\x00\x00\x39",
        "equal offsets": b"\x01\x01x\x00\x02\x00\x00\x01\x00\x00\x00\x01\x04",
        "a name with a space": b"\x01\x02x \x00\x00",
        "no name": b"\x01\x00\x00\x00",
        "a name of 17": b"\x01\x11" + b"x" * 17 + b"\x00\x00",
        "a byte too many": b"\x01\x01x\x00\x00\x00",
        "a byte too few": b"\x01\x01x\x00",
        "version 2": b"\x02\x01x\x00\x00",
        "49 switches": _rows(49, 0),
        "41 offsets": _rows(0, 41),
        "48 switches, 40 offsets": _rows(48, 40),
    }
    return [[name, data.hex(), _parsed(data)] for name, data in rows.items()]


def _rows(switches: int, offsets: int) -> bytes:
    rows = [(quarter << 9 | 1 << 2).to_bytes(2, "big") for quarter in range(switches)]
    changes = [(start + 1).to_bytes(3, "big") + b"\x04" for start in range(offsets)]
    counted = (bytes([len(found)]) + b"".join(found) for found in (rows, changes))
    return b"\x01\x01x" + b"".join(counted)


def _parsed(data: bytes) -> Any:
    try:
        name, switches, offsets = parse_calendar(data)
    except RemoteProtocolError as error:
        return str(error)
    return [name.hex(), [list(row) for row in switches], [list(row) for row in offsets]]


def _orders(device: str) -> list[tuple[str, UtilityOrder]]:
    def build(action: str, counter: int, not_after: int, **more: Any) -> UtilityOrder:
        who = more.pop("device", device)
        return UtilityOrder(who, action, 7, "dso.example", not_after, counter, **more)

    late, soon = NOW_S - 1, NOW_S + 600
    return [
        ("disconnect", build("disconnect", 42, soon)),
        ("disconnect in its last second", build("disconnect", 42, NOW_S)),
        ("disconnect, expired", build("disconnect", 42, late)),
        ("disconnect, counter of an earlier order", build("disconnect", 41, soon)),
        ("disconnect another meter", build("disconnect", 42, soon, device="house-2")),
        ("arm, in this incarnation only", build("arm", 300, soon, incarnation=INCARNATION)),
        ("arm, in another incarnation", build("arm", 300, soon, incarnation=b"elsewher")),
        ("arm, in time by the uptime", build("arm", 42, soon, boot=7, uptime_s=5000)),
        ("arm, late by the uptime", build("arm", 42, soon, boot=7, uptime_s=4999)),
        ("arm, of an earlier boot", build("arm", 42, soon, boot=6, uptime_s=9999)),
        ("set the clock",
         build("set_clock", 42, late, utc_ms=1_800_086_400_123, boot=7, uptime_s=5000)),
        ("set the clock, late by the uptime",
         build("set_clock", 42, soon, utc_ms=1_800_086_400_123, boot=7, uptime_s=4999)),
    ]  # fmt: skip


def build_order_vectors(device: str) -> dict[str, Any]:
    """Return public key, the meter's state, and rows of name, order, signature, verdict.

    The verdict is "" for an order that is carried out, else the refusal's name.
    """
    genuine = verifier(PUBLIC_KEY)
    rows = []
    for name, order in _orders(device):
        data = encode_utility_order(order)
        assert genuine(data, sign(data))
        verdict = judge(Order(data), device, 41, INCARNATION, NOW_S, 7, 5000)
        rows.append([name, data.hex(), sign(data).hex(), verdict])
    data = encode_utility_order(_orders(device)[0][1])
    signature = sign(data)
    changed = data[:-1] + bytes([data[-1] ^ 1])
    rows.append(["another counter under the signature", changed.hex(), signature.hex(), "unsigned"])
    limits = number(9, 7) + number(10, 5000)
    data_of_clock = encode_utility_order(dict(_orders(device))["set the clock"])
    assert data_of_clock.endswith(limits)
    unlimited = data_of_clock[: -len(limits)]
    rows.append(["set the clock without its limits", unlimited.hex(), sign(unlimited).hex(),
                 judge(Order(unlimited), device, 41, INCARNATION, NOW_S, 7, 5000)])  # fmt: skip
    swapped = signature[32:] + signature[:32]
    rows.append(["s before r", data.hex(), swapped.hex(), "unsigned"])
    return _with_calendars(device, rows)


def _with_calendars(device: str, rows: list[list[str]]) -> dict[str, Any]:
    """Append orders that bring a calendar, which older meters refuse as `order`."""
    order = calendar_order(device)
    encoded = {
        "set a calendar": encode_utility_order(order),
        "set a calendar at once": encode_utility_order(dataclasses.replace(order, activates=0)),
    }
    data = encoded["set a calendar"]
    encoded["set a calendar without one"] = data[: data.index(field(12, DAY_NIGHT))]
    action = number(2, 4)
    encoded["a calendar for another action"] = data.replace(action, number(2, 2), 1)
    for name, bytes_ in encoded.items():
        try:
            verdict = judge(Order(bytes_), device, 41, INCARNATION, NOW_S, 7, 5000)
        except RemoteProtocolError as error:
            verdict = str(error)
        rows.append([name, bytes_.hex(), sign(bytes_).hex(), verdict])
    return {"public_key": PUBLIC_KEY.hex(), "meter": METER, "rows": rows}
