"""Why readings of a gap are not there, as far as the numbers of entries tell. Pure.

`gaps` says what holes and status bits tell; this adds what the archive knows of numbers that it has
and of those that are still to come. Neighbours: `gaps`, `numbers`.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meter_wire.tables import HOLES, name_of

from meter_archive.gaps import Gap
from meter_archive.numbers import Numbers, join, subtract
from meter_archive.snapshots import Series


class Incarnation(NamedTuple):
    """Numbers of an incarnation: `held` are archived, `lost` will not come, by their reason."""

    identity: bytes
    held: Numbers
    lost: tuple[tuple[int, Numbers], ...]

    def absent(self) -> Numbers:
        """Return the numbers below the highest that are neither archived nor known to be lost."""
        known = join([*self.held, *(span for _, spans in self.lost for span in spans)])
        return subtract(((1, known[-1][1]),), known) if known else ()


class MissingNumbers(NamedTuple):
    """Numbers of an incarnation that are not there, first and last, and why."""

    incarnation: int
    first: int
    last: int
    reason: str


def explain_gap(gap: Gap, series: Series, incarnations: Mapping[int, Incarnation]) -> str:
    """Return a gap's own reason, else one of these.

    - `before_first_reading`: there is no earlier reading.
    - `not_arrived`: no later reading has come, or numbers between the readings on both sides have
      not: the meter or its twin may still give them.
    - `not_captured`: all numbers between are there, and none is a reading of that time.
    """
    if gap.reason:
        return gap.reason
    before, after = series.find_last(gap.first_s), series.find_first(gap.last_s)
    if before is None and after is not None:
        return "before_first_reading"
    if before is None or after is None:
        return "not_arrived"
    known = incarnations.get(before.incarnation)
    if known is None or before.incarnation != after.incarnation:
        return "not_captured"
    between = (before.seq + 1, after.seq - 1)
    absent = known.absent() if between[0] <= between[1] else ()
    inside = any(first <= between[1] and between[0] <= last for first, last in absent)
    return "not_arrived" if inside else "not_captured"


def list_missing(
    incarnations: Mapping[int, Incarnation], seen: Iterable[tuple[int, int]]
) -> list[MissingNumbers]:
    """Return the numbers that are missing between what is seen, in order.

    Args:
        incarnations: by the number of their row.
        seen: (incarnation, number) of the readings in the question's time. Numbers outside them are
            left out: they may be another tenant's.
    """
    edges: dict[int, tuple[int, int]] = {}
    for incarnation, seq in seen:
        low, high = edges.get(incarnation, (seq, seq))
        edges[incarnation] = min(low, seq), max(high, seq)
    found = []
    for incarnation, (low, high) in edges.items():
        one = incarnations[incarnation]
        lost = [(name_of(HOLES, reason), spans) for reason, spans in one.lost]
        for reason, spans in (*lost, ("not_arrived", one.absent())):
            for first, last in spans:
                if first <= high and low <= last:
                    row = MissingNumbers(incarnation, max(first, low), min(last, high), reason)
                    found.append(row)
    return sorted(found)
