"""The columns of an entry beside its bytes: when, what, and the values of its registers. Pure.

Nothing is refused here: what a twin has stored is genuine, and an entry that is not understood is
kept as bytes alone. A reading of plain integers, as nearly all are, is taken apart by
`read_plainly`, in a third of the time of the parser that knows everything. Neighbours: `sheets`
(many readings alike at once), `copy_rows` (how they go to the database).
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from meter_wire.entries import Entry, RegisterValue, parse_entry
from meter_wire.portable.tlv import RemoteProtocolError
from meter_wire.tables import ENTRY_TAGS, number_of

from meter_archive.copy_rows import NULL, WIDENED, build_array, build_integer

UNDATED = datetime(1, 1, 1, tzinfo=UTC)
"""The time of an entry whose meter had none: before all others, in the default partition."""
READING = 1
_UNREADABLE = 0
_HEADER = 13
_REGISTERS = number_of(ENTRY_TAGS, "registers")
_INT8 = 1 << 63
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Row(NamedTuple):
    """What is derived from the bytes of an entry beside its time.

    `codes` are the six-byte OBIS codes of its registers, one after the other; `array` is the column
    `values` with its length, in the same order, NULL where a register holds octets or more than
    63 bits: the bytes have it.
    """

    status: bytes
    kind: int
    event: int | None
    signed: bool
    codes: bytes | None
    array: bytes


def build_row(raw: bytes) -> Row:
    """Return the columns of an entry; kind 0 if its bytes are not understood."""
    return read_plainly(raw) or read_anything(raw)


def read_plainly(raw: bytes) -> Row | None:
    """Return the row of a reading of short codes and integers alone, None for anything else."""
    size = len(raw)
    if size <= _HEADER + 2 or raw[0] != READING or raw[_HEADER] != _REGISTERS:
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
    return Row(raw[1:3], READING, None, False, _full_codes(b"".join(codes)), array)


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
        entry = Entry(_UNREADABLE, 0, 0, 0, 0)
    codes, array = None, NULL
    if not entry.is_event and entry.registers:
        codes = b"".join([register.code for register in entry.registers])
        values = [_integer(register) for register in entry.registers]
        array = build_array(map(build_integer, values), len(values), has_nulls=None in values)
    event = entry.event_code if entry.is_event or not entry.registers else None
    status = entry.status.to_bytes(2, "big")
    return Row(status, entry.kind, event, entry.signature is not None, codes, array)


def _integer(register: RegisterValue) -> int | None:
    value = register.value
    return value if isinstance(value, int) and -_INT8 <= value < _INT8 else None


def time_octets(raw: bytes) -> bytes:
    """Return where an entry says its time: a UTC second of four octets, 0 if it has none."""
    return raw[3:7] if len(raw) >= _HEADER else bytes(4)


@lru_cache(maxsize=4096)
def time_of(octets: bytes) -> datetime:
    """Return the instant of `time_octets`, `UNDATED` for 0; many meters share their boundaries."""
    time_s = int.from_bytes(octets, "big")
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=time_s) if time_s else UNDATED


def instant_of(time: datetime) -> int:
    """Return the microseconds since 2000, as PostgreSQL counts."""
    return (time - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=4096)
def build_instant(octets: bytes) -> bytes:
    """Return the column of `time_octets`."""
    return instant_of(time_of(octets)).to_bytes(8, "big", signed=True)
