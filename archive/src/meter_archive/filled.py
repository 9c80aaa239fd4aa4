"""Intervals with their gaps filled: metered, estimated or missing, each says which. Pure.

What fills a gap is computed from the readings there are and kept nowhere. Neighbours: `estimation`
(the methods), `intervals` (what was metered), `gaps`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from meter_archive.estimation import Estimate, estimate_gap
from meter_archive.gaps import Gap
from meter_archive.intervals import Bucket
from meter_archive.like_days import History


class Filled(NamedTuple):
    """An interval, and by which method in which version its energy was estimated.

    Without a method an interval is as the readings make it; it may be `estimated` all the same, if
    the meter said so of its own reading.
    """

    bucket: Bucket
    method: str = ""
    version: int = 0


def estimate_gaps(gaps: Iterable[Gap], capture_s: int, history: History) -> dict[int, Estimate]:
    """Return an estimate of each interval of gaps that a method serves, by its start."""
    return {one.start_s: one for gap in gaps for one in estimate_gap(gap, capture_s, history)}


def fill(buckets: Sequence[Bucket], estimates: Mapping[int, Estimate]) -> list[Filled]:
    """Return the intervals; an estimate takes the place of what was not metered.

    Args:
        buckets: intervals of the length of the estimates, in order.
        estimates: by the start of their interval.
    """
    filled = []
    for bucket in buckets:
        estimate = estimates.get(bucket.start_s)
        if estimate is None:
            filled.append(Filled(bucket))
            continue
        row = bucket._replace(energy=estimate.energy, quality=estimate.quality, reason="")
        filled.append(Filled(row, estimate.method, estimate.version))
    return filled
