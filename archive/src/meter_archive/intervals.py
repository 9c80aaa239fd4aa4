"""What each bucket of a question holds: energy with its quality, or statistics of a value. Pure.

The energy of a bucket is the difference of the two snapshots exactly at its boundaries (IEC 62056
load profile, captured at interval end). A cumulative register is never interpolated: without one of
the two the energy is missing, or estimated if somebody gave an estimated register there. So the
energies of neighbouring buckets sum to what the register moved. Neighbours: `snapshots` (which
reading counts), `periods` (boundaries), `estimation`.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from meter_wire.tables import STATUS, number_of

from meter_archive.snapshots import Series, Snapshot, find_decrease

_ESTIMATED = number_of(STATUS, "estimated")
_NO_ESTIMATES: Mapping[int, int] = {}

Quality = Literal["metered", "estimated", "missing"]


class Bucket(NamedTuple):
    """One bucket of a cumulative register: after `start_s`, up to `end_s`, UTC.

    `energy`: the register's own integer unit, None if it is missing. `flags`: union of the status
    bits of all readings in it. `readings`: capture boundaries in it that have a snapshot, of
    `expected`. `reason`: why energy is missing, else empty: `missing_snapshot`, `new_incarnation`
    or `register_decreased`.
    """

    start_s: int
    end_s: int
    energy: int | None
    quality: Quality
    flags: int
    readings: int
    expected: int
    reason: str = ""


class ValueBucket(NamedTuple):
    """One bucket of an instantaneous register or a maximum, its values in their own integer unit.

    The mean is rounded to the nearest integer, halves up. All three are None without a reading.
    """

    start_s: int
    end_s: int
    least: int | None
    mean: int | None
    largest: int | None
    flags: int
    readings: int
    expected: int


class Stretch(NamedTuple):
    """Adjoining buckets: UTC seconds, and how many there are."""

    start_s: int
    end_s: int
    length: int


class _Within(NamedTuple):
    """What is counted in a bucket, whatever its values mean."""

    flags: int
    readings: int
    expected: int


def build_buckets(
    series: Series,
    boundaries: Sequence[int],
    capture_s: int,
    estimated: Mapping[int, int] = _NO_ESTIMATES,
) -> tuple[Bucket, ...]:
    """Return the buckets of a cumulative register.

    Args:
        series: of one register of one device.
        boundaries: rising UTC seconds, one more than there are buckets.
        capture_s: the meter's capture period; its boundaries are multiples of it in UTC.
        estimated: register at UTC seconds (`estimation.estimated_registers`); where there is a
            reading of that second, it is the reading that counts.
    """
    return tuple(
        _bucket(series, start_s, end_s, capture_s, estimated)
        for start_s, end_s in pairwise(boundaries)
    )


def build_value_buckets(
    series: Series, boundaries: Sequence[int], capture_s: int
) -> tuple[ValueBucket, ...]:
    """Return the buckets of an instantaneous register or a maximum; arguments as above."""
    return tuple(
        _value_bucket(series, start_s, end_s, capture_s) for start_s, end_s in pairwise(boundaries)
    )


def stretches(buckets: Iterable[Bucket], wanted: Callable[[Bucket], bool]) -> list[Stretch]:
    """Return the longest stretches of adjoining buckets that are wanted; buckets come in order."""
    found: list[Stretch] = []
    for bucket in buckets:
        if not wanted(bucket):
            continue
        if found and found[-1].end_s == bucket.start_s:
            found[-1] = Stretch(found[-1].start_s, bucket.end_s, found[-1].length + 1)
        else:
            found.append(Stretch(bucket.start_s, bucket.end_s, 1))
    return found


def count_expected(start_s: int, end_s: int, capture_s: int) -> int:
    """Return how many capture boundaries lie after a second, up to another."""
    return end_s // capture_s - start_s // capture_s


def _bucket(
    series: Series, start_s: int, end_s: int, capture_s: int, estimated: Mapping[int, int]
) -> Bucket:
    inside = series.between(start_s, end_s)
    first = inside[0] if inside and inside[0].time_s == start_s else None
    last = inside[-1] if inside and inside[-1].time_s == end_s else None
    within = _count(series, inside, start_s, end_s, capture_s)
    first = first or _estimate_at(series, start_s, estimated)
    last = last or _estimate_at(series, end_s, estimated)
    if first is None or last is None:
        return Bucket(start_s, end_s, None, "missing", *within, "missing_snapshot")
    reason = find_decrease((first, *inside, last))
    if reason:
        return Bucket(start_s, end_s, None, "missing", *within, reason)
    guessed = (first.status | last.status) & _ESTIMATED
    quality: Quality = "estimated" if guessed else "metered"
    return Bucket(start_s, end_s, last.value - first.value, quality, *within)


def _estimate_at(series: Series, time_s: int, estimated: Mapping[int, int]) -> Snapshot | None:
    if time_s not in estimated:
        return None
    # it has the state of the reading before, so that a decrease after it has its true reason
    before = series.find_last(time_s)
    incarnation = before.incarnation if before is not None else 0
    return Snapshot(time_s, estimated[time_s], _ESTIMATED, 0, incarnation, 0)


def _value_bucket(series: Series, start_s: int, end_s: int, capture_s: int) -> ValueBucket:
    inside = series.between(start_s + 1, end_s)
    within = _count(series, inside, start_s, end_s, capture_s)
    values = [snapshot.value for snapshot in inside]
    if not values:
        return ValueBucket(start_s, end_s, None, None, None, *within)
    mean = (2 * sum(values) + len(values)) // (2 * len(values))
    return ValueBucket(start_s, end_s, min(values), mean, max(values), *within)


def _count(
    series: Series, inside: tuple[Snapshot, ...], start_s: int, end_s: int, capture_s: int
) -> _Within:
    seconds, statuses = series.dated
    flags = 0
    for status in statuses[bisect_right(seconds, start_s) : bisect_right(seconds, end_s)]:
        flags |= status
    readings = len([1 for one in inside if one.time_s % capture_s == 0 and one.time_s > start_s])
    return _Within(flags, readings, count_expected(start_s, end_s, capture_s))
