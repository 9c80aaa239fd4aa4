"""Entries: what the meter's ring holds, a reading or an event, and the hash chain over them.

entry = kind u8, status u16, time u32 (UTC s, interval end; 0 without a clock), uptime u32 (s),
boot u16 (the low 16 bits of its number), then fields. The meter only encodes;
`meter_wire.entries` parses. Byte by byte in docs/reference/link-v1.md.
"""

from hashlib import sha256

from .constant import const
from .tlv import encode_int, field

KIND_READING = const(1)
KIND_EVENT = const(2)

STATUS_POWER_DOWN = const(0x0001)
STATUS_CLOCK_ADJUSTED = const(0x0002)
STATUS_DAYLIGHT_SAVING = const(0x0004)
STATUS_DATA_NOT_VALID = const(0x0008)
STATUS_CLOCK_INVALID = const(0x0010)
STATUS_ERROR = const(0x0020)
STATUS_ESTIMATED = const(0x0040)
STATUS_COUNTED_ON = const(0x0080)

_ENTRY_REGISTERS = const(1)
_ENTRY_EVENT_CODE = const(2)
_ENTRY_EVENT_ARGUMENTS = const(3)
_FORM_LONG = const(0x80)
_FORM_OCTETS = const(0x40)
_FORM_TIMED = const(0x20)

MAX_ENTRY = const(640)


def encode_code(code: bytes, form: int = 0) -> bytes:
    """Return form byte and code: three bytes C, D, E when A-B is 1-0 and F is 255, else six."""
    if code[0] == 1 and code[1] == 0 and code[5] == 255:
        return bytes([form]) + code[2:5]
    return bytes([form | _FORM_LONG]) + code


def encode_value(value: int | bytes) -> tuple[int, bytes]:
    """Return (form bits, bytes) of an integer or octets of at most 31 bytes.

    Raises:
        ValueError: the value does not fit in 31 bytes.
    """
    octets = encode_int(value) if isinstance(value, int) else value
    if len(octets) > 31:
        raise ValueError("value")
    return len(octets) | (0 if isinstance(value, int) else _FORM_OCTETS), octets


def encode_register(code: bytes, value: int | bytes, at_s: int | None = None) -> bytes:
    """Return one register: its six-byte OBIS code, a signed integer or octets, its own UTC time.

    Raises:
        ValueError: the value does not fit in 31 bytes.
    """
    form, octets = encode_value(value)
    if at_s is None:
        return encode_code(code, form) + octets
    return encode_code(code, form | _FORM_TIMED) + octets + at_s.to_bytes(4, "big")


def _encode_entry(kind: int, status: int, time_s: int, uptime_s: int, boot: int) -> bytes:
    return (
        bytes([kind])
        + status.to_bytes(2, "big")
        + time_s.to_bytes(4, "big")
        + uptime_s.to_bytes(4, "big")
        + (boot & 0xFFFF).to_bytes(2, "big")
    )


def encode_reading(
    status: int, time_s: int, uptime_s: int, boot: int, registers: list[bytes]
) -> bytes:
    """Return a reading; `registers` are results of `encode_register`.

    Raises:
        ValueError: the entry is longer than `MAX_ENTRY`.
    """
    return checked(
        _encode_entry(KIND_READING, status, time_s, uptime_s, boot)
        + field(_ENTRY_REGISTERS, b"".join(registers))
    )


def encode_event(
    status: int,
    time_s: int,
    uptime_s: int,
    boot: int,
    code: int,
    arguments: list[int | bytes],
) -> bytes:
    """Return an event with its code and arguments (integers, or octets of at most 31 bytes).

    Raises:
        ValueError: an argument or the entry is too long.
    """
    encoded = b""
    for argument in arguments:
        form, octets = encode_value(argument)
        encoded += bytes([form]) + octets
    return checked(
        _encode_entry(KIND_EVENT, status, time_s, uptime_s, boot)
        + field(_ENTRY_EVENT_CODE, code.to_bytes(2, "big"))
        + field(_ENTRY_EVENT_ARGUMENTS, encoded)
    )


def checked(entry: bytes) -> bytes:
    """Return the entry.

    Raises:
        ValueError: it is longer than `MAX_ENTRY`.
    """
    if len(entry) > MAX_ENTRY:
        raise ValueError("entry")
    return entry


def chain(anchor: bytes, incarnation: bytes, seq: int, entry: bytes) -> bytes:
    """Return h_seq from h_(seq-1), 16 bytes; h_0 is sixteen zero bytes."""
    return sha256(anchor + incarnation + seq.to_bytes(4, "big") + entry).digest()[:16]


def chain_hole(anchor: bytes, incarnation: bytes, first: int, last: int) -> bytes:
    """Return h_last after a reserved hole: numbers that were never used (kind 0, then first)."""
    return chain(anchor, incarnation, last, b"\0" + first.to_bytes(4, "big"))
