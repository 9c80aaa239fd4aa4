"""Readings like one before: a meter gives the same registers again and again. Pure.

A shape is where the values of a reading lie, once it was taken apart. Another reading of the same
shape has the same octets everywhere else, which one comparison shows, and its values are cut out
by one call. Neighbours: `rows` (takes any reading apart), `copy_rows` (the array).
"""

from operator import lt
from struct import Struct
from typing import NamedTuple

from meter_archive.copy_rows import WIDENED, build_array

_HEADER = 13
_MOST_OF_A_SIZE = 8
_POSITIVE = b"\0"
_SIGN = 0x80
_SHORTEST = {0: b"", 1: b"\x01"}
"""By octets of a value: the least that they begin with, as a shorter form has what is below."""


class Shape(NamedTuple):
    """Readings whose bytes under `mask` are `fixed`; a value with its sign bit set is in none."""

    codes: bytes
    mask: int
    fixed: int
    cut: Struct
    least: tuple[bytes, ...]
    parts: list[bytes]

    def read(self, raw: bytes) -> bytes | None:
        """Return the array of a reading's values, None if it is of another shape."""
        if int.from_bytes(raw, "big") & self.mask != self.fixed:
            return None
        pieces = self.cut.unpack(raw)
        if any(map(lt, pieces, self.least)):
            return None
        parts = self.parts.copy()
        parts[1::2] = pieces
        return b"".join(parts)


def make_shape(raw: bytes, codes: bytes) -> Shape | None:
    """Return the shape of a reading, None if one of its values is negative.

    Args:
        raw: a reading of short codes and integers of eight octets at most.
        codes: the full OBIS codes of its registers.
    """
    start = _HEADER + 2 + (raw[_HEADER + 1] >> 7)
    mask = bytearray(b"\xff" * len(raw))
    mask[1:_HEADER] = bytes(_HEADER - 1)  # status, time, uptime and boot
    form_of, layout, at = [], f"{start}x", start
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
    parts = [part for head in heads for part in (head, b"")]
    least = tuple(_SHORTEST.get(form, b"\0\x80") for form in form_of)
    return Shape(codes, free, int.from_bytes(raw, "big") & free, Struct(layout), least, parts)


class Shapes:
    """Those seen of late, by the length of the reading."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[int, list[Shape]] = {}

    def find(self, raw: bytes) -> tuple[bytes, bytes] | None:
        """Return the codes and the array of a reading whose shape is known."""
        for shape in self._known.get(len(raw), ()):
            array = shape.read(raw)
            if array is not None:
                return shape.codes, array
        return None

    def learn(self, raw: bytes, codes: bytes) -> None:
        """Know the shape of a reading; arguments as `make_shape`."""
        shape = make_shape(raw, codes)
        if shape is not None:
            known = self._known.setdefault(len(raw), [])
            if len(known) >= _MOST_OF_A_SIZE:
                known.clear()
            known.append(shape)
