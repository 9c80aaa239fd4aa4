"""The entries of a batch, those of one shape together, and their rows as COPY has them. Pure.

Most readings of a batch are of very few shapes. A sheet has the readings of one as columns, which
become rows at once: a third of the time of one reading after the other. Neighbours: `shapes` (which
belong together), `rows` (one that is of no shape), `copy_rows` (the format).
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import NamedTuple

from meter_wire.archive_batch import Numbered

from meter_archive.copy_rows import Shared, build_length, build_middle, build_rows
from meter_archive.rows import READING, build_instant, build_row, read_plainly, time_octets
from meter_archive.shapes import Shape, Shapes

_SHAPES = Shapes()
_build_number = Struct(">q").pack
_READING = build_middle(READING, None, signed=False)


class Sheet(NamedTuple):
    """Entries whose rows differ only in `columns`; see `copy_rows.build_rows` for the other two.

    `codes` are the six-byte OBIS codes of the registers of each, one after the other.
    """

    codes: bytes | None
    constants: tuple[bytes, ...]
    columns: tuple[Sequence[bytes], ...]

    def build(self, shared: Shared) -> bytes:
        """Return the rows."""
        return build_rows(shared, self.constants, self.columns)


def sort_entries(entries: Iterable[Numbered]) -> list[Sheet]:
    """Return entries as sheets; each is in one of them, once."""
    alike: dict[int, tuple[Shape, list[Numbered]]] = {}
    sheets = []
    for one in entries:
        shape = _SHAPES.find(one[1]) or _learn(one[1])
        if shape is None:
            sheets.append(_lone_sheet(one))
        elif id(shape) in alike:
            alike[id(shape)][1].append(one)
        else:
            alike[id(shape)] = shape, [one]
    for shape, listed in alike.values():
        sheets += _make_sheets(shape, listed)
    return sheets


def _learn(raw: bytes) -> Shape | None:
    row = read_plainly(raw)
    return None if row is None else _SHAPES.learn(raw, row.codes or b"")


def _make_sheets(shape: Shape, listed: Sequence[Numbered]) -> list[Sheet]:
    seqs, raws = zip(*listed, strict=True)
    cut = shape.cut(raws)
    if cut is None:  # a value that has a shorter form: only the parser knows what that is
        return [_lone_sheet(one) for one in listed]
    first, *heads = shape.heads
    constants = (_READING + first, *heads, build_length(raws[0]))
    instants = tuple(map(build_instant, cut.times))
    numbers = tuple(map(_build_number, seqs))
    columns = (instants, numbers, cut.statuses, *cut.values, raws)
    return [Sheet(shape.codes, constants, columns)]


def _lone_sheet(one: Numbered) -> Sheet:
    seq, raw = one
    row = build_row(raw)
    before = build_middle(row.kind, row.event, signed=row.signed) + row.array + build_length(raw)
    columns = ([build_instant(time_octets(raw))], [_build_number(seq)], [row.status], [raw])
    return Sheet(row.codes, (before,), columns)
