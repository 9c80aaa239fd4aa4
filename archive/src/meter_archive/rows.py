"""The columns of an entry beside its bytes: when, what, and the values of its registers. Pure.

Nothing is refused here: what a twin has stored is genuine, and an entry that is not understood is
kept as bytes alone. A reading of plain integers, as nearly all are, is taken apart by
`read_plainly`, in a third of the time of the parser that knows everything, and one like another
before (`shapes`) in a tenth. Neighbours: `intake` (which entries), `copy_rows` (how they go to the
database).
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from meter_wire.entries import Entry, RegisterValue, parse_entry
from meter_wire.portable.tlv import RemoteProtocolError
from meter_wire.tables import ENTRY_TAGS, number_of

from meter_archive.copy_rows import NULL, WIDENED, Columns, build_array, build_integer
from meter_archive.shapes import Shapes

UNDATED = datetime(1, 1, 1, tzinfo=UTC)
"""The time of an entry whose meter had none: before all others, in the default partition."""
_UNREADABLE = 0
_READING = 1
_HEADER = 13
_REGISTERS = number_of(ENTRY_TAGS, "registers")
_INT8 = 1 << 63
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHAPES = Shapes()


class Row(NamedTuple):
    """What is derived from the bytes of an entry.

    `codes` are the six-byte OBIS codes of its registers, one after the other; the array of
    `columns` has their values in the same order, NULL where a register holds octets or more than
    63 bits: the bytes have it.
    """

    time: datetime
    codes: bytes | None
    columns: Columns


def build_row(raw: bytes) -> Row:
    """Return the columns of an entry; kind 0 if its bytes are not understood."""
    known = _SHAPES.find(raw)
    if known is not None:
        return _plain_row(raw, *known)
    row = read_plainly(raw)
    if row is None:
        return read_anything(raw)
    _SHAPES.learn(raw, row.codes or b"")
    return row


def read_plainly(raw: bytes) -> Row | None:
    """Return the row of a reading of short codes and integers alone, None for anything else."""
    size = len(raw)
    if size <= _HEADER + 2 or raw[0] != _READING or raw[_HEADER] != _REGISTERS:
        return None
    length, at = raw[_HEADER + 1], _HEADER + 2
    if length & 0x80:
        length, at = length & 0x7F | raw[at] << 7, at + 1
        if length < 0x80:  # noqa: PLR2004 - it had a shorter form
            return None
    if at + length != size:
        return None
    codes: list[bytes] = []
    values: list[bytes] = []
    while at < size:
        form = raw[at]
        value_at = at + 4
        end = value_at + form
        if form > 8 or end > size:  # noqa: PLR2004 - octets, a long code, a time, many bits
            return None
        codes.append(raw[at + 1 : value_at])
        if not form:
            values.append(WIDENED[0][b"\0"])
        else:
            sign = b"\xff" if raw[value_at] & 0x80 else b"\0"
            second = raw[value_at + 1] if form > 1 else 0
            if raw[value_at] == sign[0] and (second ^ sign[0]) < 0x80 and (form > 1 or not sign[0]):  # noqa: PLR2004
                return None  # a byte too many
            values.append(WIDENED[form][sign])
            values.append(raw[value_at:end])
        at = end
    array = build_array(values, len(codes), has_nulls=False)
    return _plain_row(raw, _full_codes(b"".join(codes)), array)


def _plain_row(raw: bytes, codes: bytes, array: bytes) -> Row:
    time, instant = _moment_of(int.from_bytes(raw[3:7], "big"))
    status = int.from_bytes(raw[1:3], "big")
    return Row(time, codes, Columns(instant, _READING, status, None, False, array))


@lru_cache(maxsize=1024)
def _full_codes(codes: bytes) -> bytes:
    """Return codes of six bytes for those of three; the meters of a fleet have few kinds."""
    parts = (codes[at : at + 3] for at in range(0, len(codes), 3))
    return b"".join(b"\x01\x00" + part + b"\xff" for part in parts)


def read_anything(raw: bytes) -> Row:
    """Return the row of any entry."""
    try:
        entry = parse_entry(raw)
    except RemoteProtocolError:
        time_s = int.from_bytes(raw[3:7], "big") if len(raw) >= _HEADER else 0
        return _row(Entry(_UNREADABLE, 0, time_s, 0, 0))
    return _row(entry)


def _row(entry: Entry) -> Row:
    time, instant = _moment_of(entry.time_s)
    codes, array = None, NULL
    if not entry.is_event and entry.registers:
        codes = b"".join([register.code for register in entry.registers])
        values = [_integer(register) for register in entry.registers]
        array = build_array(map(build_integer, values), len(values), has_nulls=None in values)
    event = entry.event_code if entry.is_event or not entry.registers else None
    is_signed = entry.signature is not None
    columns = Columns(instant, entry.kind, entry.status, event, is_signed, array)
    return Row(time, codes, columns)


def _integer(register: RegisterValue) -> int | None:
    value = register.value
    return value if isinstance(value, int) and -_INT8 <= value < _INT8 else None


def instant_of(time: datetime) -> int:
    """Return the microseconds since 2000, as PostgreSQL counts."""
    return (time - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=4096)
def _moment_of(time_s: int) -> tuple[datetime, int]:
    """Return the instant of a UTC second, `UNDATED` for 0; many meters share their boundaries."""
    time = datetime.fromtimestamp(0, UTC) + timedelta(seconds=time_s) if time_s else UNDATED
    return time, instant_of(time)
