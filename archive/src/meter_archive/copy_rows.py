"""Rows of the table `entry` as PostgreSQL's binary COPY has them. Pure.

The registers of a reading come as big-endian two's complement and go as such, so no number is made
of them on the way: half of an ingest's processor time. The format is PostgreSQL's documented one:
each column as its length and its octets, NULL as length -1. Neighbours: `rows` (what is in a row),
`group` (sends them).
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

COLUMNS = (
    "time", "received", "seq", "incarnation", "layout", "epoch",
    "status", "kind", "event", "signed", "values", "raw",
)  # fmt: skip
NULL = b"\xff\xff\xff\xff"
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL = b"\xff\xff"
_FIRST = struct.Struct(">hiqiqiqii")
_MIDDLE = struct.Struct(">iqiiih")
_INT4 = struct.Struct(">ii")
_LENGTH = struct.Struct(">i")
_ARRAY = struct.Struct(">iiiiii")
_SIGNED = {value: struct.pack(">i?", 1, value) for value in (False, True)}
_INT8_TYPE = 20
_INT8 = 8
_ARRAY_HEAD = 20
WIDENED = tuple(
    {sign: _LENGTH.pack(_INT8) + sign * (_INT8 - octets) for sign in (b"\0", b"\xff")}
    for octets in range(_INT8 + 1)
)
"""By octets of a value and what its sign fills: the length and the octets that are missing."""


class Columns(NamedTuple):
    """What a row has beside its identity; `array` is the column `values`, with its length."""

    instant: int
    """Microseconds since 2000, as PostgreSQL counts."""
    kind: int
    status: int
    event: int | None
    signed: bool
    array: bytes


def build_array(elements: Iterable[bytes], count: int, *, has_nulls: bool) -> bytes:
    """Return an array of integers; each element has its length before it, or is `NULL`."""
    body = b"".join(elements)
    return _ARRAY.pack(_ARRAY_HEAD + len(body), 1, has_nulls, _INT8_TYPE, count, 1) + body


def build_integer(value: int | None) -> bytes:
    """Return an element of an array."""
    return (
        NULL if value is None else _LENGTH.pack(_INT8) + value.to_bytes(_INT8, "big", signed=True)
    )


def build_record(
    columns: Columns, received: int, seq: int, incarnation: int, layout: int | None,
    epoch: int, raw: bytes,
) -> bytes:  # fmt: skip
    """Return the octets of one row; `received` counts as `Columns.instant`."""
    return b"".join((
        _FIRST.pack(
            len(COLUMNS), 8, columns.instant, 8, received, 8, seq, 4, incarnation,
        ),
        NULL if layout is None else _INT4.pack(4, layout),
        _MIDDLE.pack(8, epoch, 4, columns.status, 2, columns.kind),
        NULL if columns.event is None else _INT4.pack(4, columns.event),
        _SIGNED[columns.signed],
        columns.array,
        _LENGTH.pack(len(raw)),
        raw,
    ))  # fmt: skip


def build_copy(records: Iterable[bytes]) -> bytes:
    """Return a whole COPY of rows."""
    return b"".join((_HEAD, *records, _TAIL))
