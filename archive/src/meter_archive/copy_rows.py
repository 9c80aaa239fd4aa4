"""Rows of the table `entry` as PostgreSQL's binary COPY has them. Pure.

The registers of a reading come as big-endian two's complement and go as such, so no number is made
of them on the way. Rows that are alike but for some columns are woven column by column. The format
is PostgreSQL's documented one: each column as its length and its octets, NULL as length -1.
Neighbours: `sheets` (what is in the rows), `group` (sends them).
"""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

COLUMNS = (
    "time", "received", "seq", "incarnation", "layout", "epoch",
    "status", "kind", "event", "signed", "values", "raw",
)  # fmt: skip
NULL = b"\xff\xff\xff\xff"
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL = b"\xff\xff"
_COUNT = struct.pack(">hi", len(COLUMNS), 8)
_RECEIVED = struct.Struct(">iqi")
_EPOCH = struct.Struct(">iqi2x")
_KIND = struct.Struct(">ih")
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


class Shared(NamedTuple):
    """What all rows of one build have; `received` in microseconds since 2000."""

    received: int
    incarnation: int
    layout: int | None
    epoch: int


def build_array(elements: Iterable[bytes], count: int, *, has_nulls: bool) -> bytes:
    """Return an array of integers; each element has its length before it, or is `NULL`."""
    body = b"".join(elements)
    return _ARRAY.pack(_ARRAY_HEAD + len(body), 1, has_nulls, _INT8_TYPE, count, 1) + body


def build_integer(value: int | None) -> bytes:
    """Return an element of an array."""
    return (
        NULL if value is None else _LENGTH.pack(_INT8) + value.to_bytes(_INT8, "big", signed=True)
    )


def build_middle(kind: int, event: int | None, *, signed: bool) -> bytes:
    """Return the columns between the status and the values."""
    code = NULL if event is None else _INT4.pack(4, event)
    return _KIND.pack(2, kind) + code + _SIGNED[signed]


def build_length(octets: bytes) -> bytes:
    """Return what stands before a column of octets."""
    return _LENGTH.pack(len(octets))


def build_rows(
    shared: Shared, constants: Sequence[bytes], columns: Sequence[Sequence[bytes]]
) -> bytes:
    """Return rows that differ in their columns only.

    Args:
        shared: the columns that are alike in all rows.
        constants: what stands after the status, and before each column after it.
        columns: a piece of every row each: the time (8 octets), the number (8), the status (2),
            then as many as there are constants.
    """
    layout = NULL if shared.layout is None else _INT4.pack(4, shared.layout)
    before = (
        _COUNT,
        _RECEIVED.pack(8, shared.received, 8),
        _INT4.pack(4, shared.incarnation) + layout + _EPOCH.pack(8, shared.epoch, 4),
        *constants,
    )
    width = 2 * len(before)
    pieces = [b""] * width
    pieces[::2] = before
    pieces *= len(columns[0])
    for place, column in enumerate(columns):
        pieces[2 * place + 1 :: width] = column
    return b"".join(pieces)


def build_copy(rows: Iterable[bytes]) -> bytes:
    """Return a whole COPY."""
    return b"".join((_HEAD, *rows, _TAIL))
