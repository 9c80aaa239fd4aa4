"""The largest mean power of a register over periods of its demand, with its time. Pure.

Demand periods are multiples of their length in UTC, as the meter's own demand register has them
(OBIS group D = 6). A period without both its snapshots has no demand: a power that was not measured
sets no charge. Neighbours: `intervals`, `snapshots`.
"""

from typing import NamedTuple

from meter_archive.intervals import build_buckets
from meter_archive.snapshots import Series

_HOUR_S = 3600


class Demand(NamedTuple):
    """Mean power over a period: the register's unit per hour (Wh gives W), UTC seconds."""

    power: int
    start_s: int
    end_s: int


class DemandMaximum(NamedTuple):
    """The largest demand, None without any, and how many of the periods have one."""

    largest: Demand | None
    known: int
    expected: int


def find_demand_maximum(
    series: Series, from_s: int, to_s: int, period_s: int = 900
) -> DemandMaximum:
    """Return the largest demand of the whole periods between two seconds, the earliest of equals.

    Args:
        series: a cumulative register of one device.
        from_s: UTC second; a period that begins before is left out.
        to_s: UTC second; a period that ends after it is left out.
        period_s: length of a demand period; a power that is no integer is rounded down.
    """
    first_s = -(-from_s // period_s) * period_s
    boundaries = range(first_s, to_s + 1, period_s)
    demands = [
        Demand(bucket.energy * _HOUR_S // period_s, bucket.start_s, bucket.end_s)
        for bucket in build_buckets(series, boundaries, period_s)
        if bucket.energy is not None and bucket.quality == "metered"
    ]
    largest = max(demands, key=lambda one: (one.power, -one.start_s), default=None)
    return DemandMaximum(largest, len(demands), max(0, len(boundaries) - 1))
