"""Parses entries of the meter's ring; `portable.entry` encodes them."""

from collections.abc import Iterator
from typing import NamedTuple

from meter_wire.portable.entry import MAX_ENTRY
from meter_wire.portable.tlv import RemoteProtocolError, parse_fields
from meter_wire.tables import ENTRY_TAGS, FORM_BITS, STATUS, TAGS, number_of

_HEADER = 13
_REGISTERS = number_of(ENTRY_TAGS, "registers")
_EVENT_CODE = number_of(ENTRY_TAGS, "event_code")
_EVENT_ARGUMENTS = number_of(ENTRY_TAGS, "event_arguments")
_SIGNATURE = number_of(ENTRY_TAGS, "signature")
_LONG = number_of(FORM_BITS, "long")
_OCTETS = number_of(FORM_BITS, "octets")
_TIMED = number_of(FORM_BITS, "timed")
_LENGTH = number_of(FORM_BITS, "length")


class RegisterValue(NamedTuple):
    """One register: six-byte OBIS code, signed integer or octets, its own UTC time if it has."""

    code: bytes
    value: int | bytes
    at_s: int | None = None


class Signature(NamedTuple):
    """Source signature: algorithm as in `tables.SIGNATURES`, and its bytes."""

    algorithm: int
    value: bytes


class Entry(NamedTuple):
    """A reading or an event."""

    kind: int
    status: int
    time_s: int
    uptime_s: int
    boot: int
    registers: tuple[RegisterValue, ...] = ()
    event_code: int | None = None
    arguments: tuple[int | bytes, ...] = ()
    signature: Signature | None = None

    @property
    def is_event(self) -> bool:
        """Whether this is an event rather than a reading."""
        return self.kind == 2  # noqa: PLR2004


def parse_entry(data: bytes) -> Entry:
    """Return an entry.

    Raises:
        RemoteProtocolError: `malformed`; a kind that is not known is returned, with what it has.
    """
    if not _HEADER <= len(data) <= MAX_ENTRY:
        raise RemoteProtocolError("malformed")
    fields = parse_fields(data, _HEADER, _SIGNATURE)
    event_code = fields.get(_EVENT_CODE)
    if event_code is not None and len(event_code) != 2:  # noqa: PLR2004
        raise RemoteProtocolError("malformed")
    return Entry(
        kind=data[0],
        status=int.from_bytes(data[1:3], "big"),
        time_s=int.from_bytes(data[3:7], "big"),
        uptime_s=int.from_bytes(data[7:11], "big"),
        boot=int.from_bytes(data[11:13], "big"),
        registers=tuple(_parse_registers(fields.get(_REGISTERS, b""))),
        event_code=None if event_code is None else int.from_bytes(event_code, "big"),
        arguments=tuple(_parse_arguments(fields.get(_EVENT_ARGUMENTS, b""))),
        signature=_parse_signature(data, fields.get(_SIGNATURE)),
    )


def _parse_signature(data: bytes, field: bytes | None) -> Signature | None:
    if field is None:
        return None
    if not field or not data.endswith(field):
        raise RemoteProtocolError("malformed")
    return Signature(field[0], field[1:])


def _parse_value(form: int, octets: bytes) -> int | bytes:
    if form & _OCTETS:
        return octets
    value = int.from_bytes(octets, "big", signed=True)
    if len(octets) != _octets_of(value):
        raise RemoteProtocolError("malformed")
    return value


def _octets_of(value: int) -> int:
    """Return how many bytes an integer has as minimal two's complement; zero has none."""
    return (value if value >= 0 else ~value).bit_length() // 8 + 1 if value else 0


def _parse_arguments(data: bytes) -> Iterator[int | bytes]:
    rest = _Cursor(data)
    while rest.left:
        form = rest.take(1)[0]
        if form & (_LONG | _TIMED):
            raise RemoteProtocolError("malformed")
        yield _parse_value(form, rest.take(form & _LENGTH))


def _parse_registers(data: bytes) -> Iterator[RegisterValue]:
    """Yield registers; without a `_Cursor`, as an archive takes millions of them apart."""
    end = len(data)
    at = 0
    while at < end:
        form = data[at]
        value_at = at + (7 if form & _LONG else 4)
        time_at = value_at + (form & _LENGTH)
        code = data[at + 1 : value_at]
        at_s = None
        at = time_at
        if form & _TIMED:
            at += 4
            at_s = int.from_bytes(data[time_at:at], "big")
        if at > end:
            raise RemoteProtocolError("malformed")
        yield RegisterValue(_full_code(code), _parse_value(form, data[value_at:time_at]), at_s)


def _full_code(code: bytes) -> bytes:
    """Return the six bytes of an OBIS code that has three or six on the wire."""
    if len(code) == 3:  # noqa: PLR2004 - C, D, E
        return b"\x01\x00" + code + b"\xff"
    if code[0] == 1 and code[1] == 0 and code[5] == 255:  # noqa: PLR2004 - it has a short form
        raise RemoteProtocolError("malformed")
    return code


class _Cursor:
    """Takes a byte string apart."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._position

    def take(self, length: int) -> bytes:
        if length > self.left:
            raise RemoteProtocolError("malformed")
        self._position += length
        return self._data[self._position - length : self._position]

    def code(self, form: int) -> bytes:
        return _full_code(self.take(6 if form & _LONG else 3))


def parse_description(body: bytes) -> tuple[str, str, tuple[tuple[bytes, int, int], ...]]:
    """Return (serial, firmware, ((code, DLMS unit code, scaler), ...)) of a DESCRIBE body.

    Raises:
        RemoteProtocolError: `malformed`.
    """
    fields = parse_fields(body, 0, number_of(TAGS, "item_limit"))
    rest = _Cursor(fields.get(number_of(TAGS, "registers"), b""))
    rows = []
    while rest.left:
        form = rest.take(1)[0]
        if form not in (0, _LONG):
            raise RemoteProtocolError("malformed")
        code = rest.code(form)
        unit, scaler = rest.take(2)
        rows.append((code, unit, scaler - 256 if scaler & 0x80 else scaler))
    serial = parse_text(fields.get(number_of(TAGS, "serial"), b""))
    return serial, parse_text(fields.get(number_of(TAGS, "firmware"), b"")), tuple(rows)


def parse_text(value: bytes) -> str:
    """Return UTF-8 text.

    Raises:
        RemoteProtocolError: `malformed`.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("malformed") from None


def status_names(status: int) -> list[str]:
    """Return the names of the set bits, as in `tables.STATUS` (`clock_adjusted`, ...)."""
    return [row.name for row in STATUS if status & row.number]
