"""Readings like one before: a meter gives the same registers again and again. Pure.

A shape is where the values of a reading lie, once it was taken apart. Another reading of the same
shape has the same octets everywhere else, which one comparison shows. The values of all of them
are then cut out column by column. Neighbours: `rows` (takes any reading apart), `sheets` (the
readings of one shape in a batch), `copy_rows` (the array).
"""

from collections.abc import Sequence
from operator import ge
from struct import Struct
from typing import NamedTuple

from meter_archive.copy_rows import WIDENED, build_array

_HEADER = 13
_MOST_OF_A_SIZE = 8
_POSITIVE = b"\0"
_SIGN = 0x80
_SHORTEST = {0: b"", 1: b"\x01"}
"""By octets of a value: the least that they begin with, as a shorter form has what is below."""


class Cut(NamedTuple):
    """Readings as columns, each with one piece of every reading, in their order."""

    statuses: Sequence[bytes]
    times: Sequence[bytes]
    values: Sequence[Sequence[bytes]]


class Shape(NamedTuple):
    """Readings whose bytes under `mask` are `fixed`; a value with its sign bit set is in none."""

    codes: bytes
    mask: int
    fixed: int
    parts: Struct
    least: tuple[bytes, ...]
    heads: tuple[bytes, ...]
    """What the array of a reading has before each value."""

    def fits(self, raw: bytes) -> bool:
        """Tell whether an entry of the same length is a reading of this shape."""
        return int.from_bytes(raw, "big") & self.mask == self.fixed

    def cut(self, raws: Sequence[bytes]) -> Cut | None:
        """Return readings that fit as columns; None if a value of one has a shorter form."""
        statuses, times, *values = zip(*self.parts.iter_unpack(b"".join(raws)), strict=True)
        if all(map(ge, map(min, values), self.least)):
            return Cut(statuses, times, values)
        return None


def make_shape(raw: bytes, codes: bytes) -> Shape | None:
    """Return the shape of a reading, None if one of its values is negative.

    Args:
        raw: a reading of short codes and integers of eight octets at most.
        codes: the full OBIS codes of its registers.
    """
    start = _HEADER + 2 + (raw[_HEADER + 1] >> 7)
    mask = bytearray(b"\xff" * len(raw))
    mask[1:_HEADER] = bytes(_HEADER - 1)  # status, time, uptime and boot
    form_of, layout, at = [], f"x2s4s{start - 7}x", start
    while at < len(raw):
        form = raw[at]
        form_of.append(form)
        layout += f"4x{form}s"
        if form:
            if raw[at + 4] & _SIGN:
                return None
            mask[at + 4 : at + 4 + form] = bytes([_SIGN]) + bytes(form - 1)
        at += 4 + form
    free = int.from_bytes(mask, "big")
    heads = [WIDENED[form][_POSITIVE] for form in form_of]
    whole = build_array([head + bytes(form) for head, form in zip(heads, form_of, strict=True)],
                        len(heads), has_nulls=False)  # fmt: skip
    length = sum(len(head) + form for head, form in zip(heads, form_of, strict=True))
    heads[0] = whole[: len(whole) - length] + heads[0]
    least = tuple(_SHORTEST.get(form, b"\0\x80") for form in form_of)
    fixed = int.from_bytes(raw, "big") & free
    return Shape(codes, free, fixed, Struct(layout), least, tuple(heads))


class Shapes:
    """Those seen of late, by the length of the reading."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[int, list[Shape]] = {}

    def find(self, raw: bytes) -> Shape | None:
        """Return the shape that a reading fits."""
        for shape in self._known.get(len(raw), ()):
            if shape.fits(raw):
                return shape
        return None

    def learn(self, raw: bytes, codes: bytes) -> Shape | None:
        """Know the shape of a reading and return it; arguments as `make_shape`."""
        shape = make_shape(raw, codes)
        if shape is not None:
            known = self._known.setdefault(len(raw), [])
            if len(known) >= _MOST_OF_A_SIZE:
                known.clear()
            known.append(shape)
        return shape
