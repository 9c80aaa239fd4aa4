"""What a twin that lacks entries is told and given, out of what the rows have. Pure.

Neighbours: `meter_wire.archive_page` (how it is said), `given_pages` (the rows).
"""

from collections.abc import Iterable, Sequence

from meter_wire.archive_batch import MOST_HOLES, Numbered
from meter_wire.archive_page import (
    MOST_SPANS,
    PAGE_BYTES,
    PAGE_ENTRIES,
    Holding,
    Page,
)
from meter_wire.effects import Hole

from meter_archive.intake import State
from meter_archive.numbers import Numbers, Span, join, subtract

Lost = tuple[tuple[int, Numbers], ...]
"""Holes by their reason."""
_HEAD = 6


def build_holding(
    identity: bytes, held: Numbers, lost: Lost, first: int, octets: int | None
) -> Holding:
    """Return what there is of an incarnation from a number on, until its last entry."""
    known = join([*held, *(span for _, spans in lost for span in spans)])
    spans = _shorten(_clip(known, first, held[-1][1]) if held else ())
    return Holding(identity, State(held, lost).archived, max(octets or 0, 1), spans)


def _shorten(spans: Numbers) -> Numbers:
    """Return ranges that hold at least these numbers: of too many, the oldest become one."""
    if len(spans) <= MOST_SPANS:
        return spans
    joined = (spans[0][0], spans[-MOST_SPANS][1])
    return (joined, *spans[1 - MOST_SPANS :])


def find_end(held: Numbers, first: int, until: int) -> int:
    """Return until where a page may go: where there is nothing, it goes as far as that is so."""
    end = min(until, first + PAGE_ENTRIES - 1)
    if any(low <= end and high >= first for low, high in held):
        return end
    return min([until, *(low - 1 for low, _ in held if low > end)])


def build_page(rows: Sequence[Numbered], lost: Lost, first: int, end: int) -> Page:
    """Return as much of the numbers from `first` to `end` as a page holds, one entry at least."""
    size = 0
    entries: list[Numbered] = []
    for seq, raw in rows:
        size += _HEAD + len(raw)
        if entries and size > PAGE_BYTES:
            end = seq - 1
            break
        entries.append((seq, raw))
    holes = list(_find_holes(lost, entries, first, end))
    if len(holes) > MOST_HOLES:
        holes = holes[:MOST_HOLES]
        end = holes[-1].last
        entries = [one for one in entries if one[0] <= end]
    return Page(end, tuple(holes), tuple(entries))


def _find_holes(lost: Lost, entries: Sequence[Numbered], first: int, end: int) -> Iterable[Hole]:
    """Return the holes between two numbers in rising order; of two reasons the lower one counts."""
    taken: Numbers = join((seq, seq) for seq, _ in entries)
    found: list[Hole] = []
    for reason, spans in lost:
        free = subtract(_clip(spans, first, end), taken)
        found += [Hole(low, high, reason) for low, high in free]
        taken = join([*taken, *free])
    return sorted(found)


def _clip(spans: Iterable[Span], first: int, last: int) -> Numbers:
    """Return what of rising ranges lies between two numbers."""
    return tuple(
        (max(low, first), min(high, last)) for low, high in spans if high >= first and low <= last
    )
