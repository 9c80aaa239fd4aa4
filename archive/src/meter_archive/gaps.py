"""Stretches of capture boundaries without a snapshot: what is known of why, and of how much. Pure.

Neighbours: `snapshots`, `estimation` (what may be put into a gap), `validation` (reports it).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from meter_wire.effects import Hole
from meter_wire.tables import HOLES, STATUS, name_of, number_of

from meter_archive.snapshots import Series, Snapshot, find_decrease

_POWER_DOWN = number_of(STATUS, "power_down")
_LOST = tuple(number_of(HOLES, name) for name in ("overflow", "released"))
_RESERVED = number_of(HOLES, "reserved")


class IncarnationHole(NamedTuple):
    """Numbers of an incarnation that will not come."""

    incarnation: int
    hole: Hole


class Gap(NamedTuple):
    """Neighbouring capture boundaries without a snapshot, from `first_s` to `last_s`, UTC.

    `start_s` and `end_s` are the boundaries on either side that have a snapshot; on a side without
    one, `first_s` or `last_s` itself. `advance`: what the register moved between them, None if that
    is not known.
    `reason`, what says most first: a hole's `overflow` or `released`, the next reading's
    `power_down`, a hole's `reserved`, `new_incarnation`, `register_decreased`; empty if nothing is
    known.
    """

    first_s: int
    last_s: int
    start_s: int
    end_s: int
    missing: int
    advance: int | None
    reason: str


def find_gaps(
    series: Series,
    from_s: int,
    to_s: int,
    capture_s: int,
    holes: Iterable[IncarnationHole] = (),
) -> tuple[Gap, ...]:
    """Return the gaps among the capture boundaries from a second to another, both included.

    Args:
        series: of one register of one device.
        from_s: UTC second.
        to_s: UTC second.
        capture_s: the meter's capture period.
        holes: of the device, in any order.
    """
    known = tuple(holes)
    missing = [
        at_s
        for at_s in range(-(-from_s // capture_s) * capture_s, to_s + 1, capture_s)
        if series.find(at_s) is None
    ]
    stretches: list[list[int]] = []
    for at_s in missing:
        if stretches and at_s == stretches[-1][-1] + capture_s:
            stretches[-1].append(at_s)
        else:
            stretches.append([at_s])
    return tuple(_gap(series, stretch, capture_s, known) for stretch in stretches)


def _gap(
    series: Series, stretch: list[int], capture_s: int, holes: Sequence[IncarnationHole]
) -> Gap:
    first_s, last_s = stretch[0], stretch[-1]
    before, after = series.find(first_s - capture_s), series.find(last_s + capture_s)
    start_s = first_s if before is None else before.time_s
    end_s = last_s if after is None else after.time_s
    decrease = find_decrease(series.between(start_s, end_s))
    advance = None
    if before is not None and after is not None and not decrease:
        advance = after.value - before.value
    reason = _reason(series.find_last(first_s), series.find_first(last_s), holes) or decrease
    return Gap(first_s, last_s, start_s, end_s, len(stretch), advance, reason)


def _reason(
    before: Snapshot | None, after: Snapshot | None, holes: Sequence[IncarnationHole]
) -> str:
    """Return what the readings on both sides and the holes between them tell."""
    found = {one.hole.reason for one in holes if _lies_between(one, before, after)}
    for reason in _LOST:
        if reason in found:
            return name_of(HOLES, reason)
    if after is not None and after.status & _POWER_DOWN:
        return "power_down"
    if _RESERVED in found:
        return name_of(HOLES, _RESERVED)
    if before is not None and after is not None and after.incarnation != before.incarnation:
        return "new_incarnation"
    return ""


def _lies_between(hole: IncarnationHole, before: Snapshot | None, after: Snapshot | None) -> bool:
    """Return whether a hole's numbers come after one reading and before the other.

    Without a reading on one side nothing bounds the numbers there, and no hole is blamed.
    """
    if before is None or after is None:
        return False
    first, last = (hole.incarnation, hole.hole.first), (hole.incarnation, hole.hole.last)
    return (before.incarnation, before.seq) < first and last < (after.incarnation, after.seq)
