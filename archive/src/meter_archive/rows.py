"""The columns of an entry beside its bytes: when, what, and the values of its registers. Pure.

Nothing is refused here: what a twin has stored is genuine, and an entry that is not understood is
kept as bytes alone. Neighbours: `intake` (which entries), `writer` (puts them into the table).
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from meter_wire.entries import RegisterValue, parse_entry
from meter_wire.portable.tlv import RemoteProtocolError
from meter_wire.tables import STATUS, number_of

UNDATED = datetime(1, 1, 1, tzinfo=UTC)
"""The time of an entry whose meter had none: before all others, in the default partition."""
_UNREADABLE = 0
_HEADER = 13
_CLOCK_INVALID = number_of(STATUS, "clock_invalid")
_INT8 = 1 << 63


class Row(NamedTuple):
    """What is derived from the bytes of an entry.

    `codes` are the six-byte OBIS codes of its registers, one after the other; `values` in the same
    order, None where a register holds octets or more than 63 bits: the bytes have it.
    """

    time: datetime
    kind: int
    status: int
    event: int | None
    codes: bytes | None
    values: list[int | None] | None
    signed: bool


def build_row(raw: bytes) -> Row:
    """Return the columns of an entry; kind 0 if its bytes are not understood."""
    try:
        entry = parse_entry(raw)
    except RemoteProtocolError:
        time_s = int.from_bytes(raw[3:7], "big") if len(raw) >= _HEADER else 0
        return Row(moment_of(time_s), _UNREADABLE, 0, None, None, None, False)
    signed = entry.signature is not None
    time = moment_of(entry.time_s)
    if entry.is_event or not entry.registers:
        return Row(time, entry.kind, entry.status, entry.event_code, None, None, signed)
    codes = b"".join([register.code for register in entry.registers])
    values = [_integer(register) for register in entry.registers]
    return Row(time, entry.kind, entry.status, None, codes, values, signed)


def _integer(register: RegisterValue) -> int | None:
    value = register.value
    return value if isinstance(value, int) and -_INT8 <= value < _INT8 else None


@lru_cache(maxsize=4096)
def moment_of(time_s: int) -> datetime:
    """Return the instant of a UTC second, `UNDATED` for 0; many meters share their boundaries."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=time_s) if time_s else UNDATED
