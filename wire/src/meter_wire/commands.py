"""Commands that a twin sends to its meter. Times to live are given when they are issued."""

from typing import NamedTuple

from meter_wire.portable.entry import encode_code
from meter_wire.portable.tlv import encode_int, field, number
from meter_wire.tables import FRAME_TYPES, TAGS, TARGETS, number_of

_TAGS = {row.name: row.number for row in TAGS}


class Read(NamedTuple):
    """Ask for registers now; no codes: all of them."""

    codes: tuple[bytes, ...] = ()


class Subscribe(NamedTuple):
    """Ask for live readings every `period_s` during `duration_s`; duration 0 ends it."""

    codes: tuple[bytes, ...]
    period_s: int
    duration_s: int


class Write(NamedTuple):
    """Set a target of `tables.TARGETS`: `capture_period`, `report_spread` or `load`."""

    target: str
    value: int
    index: int = 0  # type: ignore[assignment]
    seconds: int = 0


class Order(NamedTuple):
    """Pass an order that the utility signed (supply, large clock step), unchanged."""

    order: bytes
    signature: bytes


class Forward(NamedTuple):
    """Hand opaque bytes (at most 512) to the EMS port, at most once."""

    data: bytes


class SetTime(NamedTuple):
    """Set the meter's clock to UTC; steps over 60 s need an `Order`."""

    utc_ms: int


class PassOwner(NamedTuple):
    """Hand an owner record to the meter, the fast path of flows 6 and 7."""

    record: bytes


Command = Read | Subscribe | Write | Order | Forward | SetTime | PassOwner

_MAX_DATA = 512
_MAX_CODES = 100


def _codes(codes: tuple[bytes, ...]) -> bytes:
    if len(codes) > _MAX_CODES or any(len(code) != 6 for code in codes):  # noqa: PLR2004
        raise ValueError(f"codes: at most {_MAX_CODES} OBIS codes of six bytes")
    return field(_TAGS["codes"], b"".join(map(encode_code, codes))) if codes else b""


def _uint(name: str, value: int, least: int = 0, octets: int = 4) -> bytes:
    if not least <= value < 1 << 8 * octets:
        raise ValueError(f"{name}: {value} is not {least} to {(1 << 8 * octets) - 1}")
    return number(_TAGS[name], value)


def _write(command: Write) -> bytes:
    try:
        target = number_of(TARGETS, command.target)
    except KeyError:
        names = ", ".join(row.name for row in TARGETS)
        raise ValueError(f"target: {command.target!r} is none of {names}") from None
    return (
        number(_TAGS["target"], target)
        + _uint("index", command.index, octets=1)
        + field(_TAGS["value"], encode_int(command.value))
        + _uint("seconds", command.seconds)
    )


def encode_command(command: Command) -> tuple[int, bytes]:
    """Return (frame type, fields) of a command, without id and deadline.

    Raises:
        ValueError: naming the field that is out of range.
    """
    match command:
        case Read(codes):
            name, body = "read", _codes(codes)
        case Subscribe(codes, period_s, duration_s):
            body = _uint("period", period_s, 1) + _uint("duration", duration_s)
            name, body = "subscribe", _codes(codes) + body
        case Write():
            name, body = "write", _write(command)
        case Order(order, signature):
            body = field(_TAGS["order"], order) + field(_TAGS["signature"], signature)
            name = "order"
        case Forward(data):
            if len(data) > _MAX_DATA:
                raise ValueError(f"data: {len(data)} bytes are more than {_MAX_DATA}")
            name, body = "forward", field(_TAGS["data"], data)
        case SetTime(utc_ms):
            name, body = "time", _uint("utc_ms", utc_ms, 1, 8)
        case PassOwner(record):
            name, body = "owner", field(_TAGS["record"], record)
    return number_of(FRAME_TYPES, name), body
