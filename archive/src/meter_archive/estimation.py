"""What an interval without a reading probably held: named methods, each with its version. Pure.

An estimate never alters a reading, and is never kept as one: it is computed from the readings there
are. So a reading that comes late takes its place, as there is no gap any more.

The rule that chooses is that of the California "Standards for Validating, Editing, and Estimating
Monthly and Interval Data", section A, 4: up to two hours linear, longer by reference days. With
cumulative registers the sum over a gap is known exactly, so both methods only share it out.
Neighbours: `gaps`, `like_days`, `intervals` (which takes `estimated_registers`).
"""

from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from meter_archive.gaps import Gap
from meter_archive.intervals import Quality
from meter_archive.like_days import History, LocalQuarter

LINEAR = ("linear-between-registers", 1)
LIKE_DAYS = ("like-days", 1)
UNANCHORED = ("like-days-unanchored", 1)
LONGEST_LINEAR_S = 2 * 3600
LEAST_LIKE_DAYS = 3


class Estimate(NamedTuple):
    """An estimated interval: UTC seconds, energy in the register's unit, and how it came about."""

    start_s: int
    end_s: int
    energy: int
    method: str
    version: int
    quality: Quality = "estimated"


def estimate_gap(gap: Gap, capture_s: int, history: History) -> tuple[Estimate, ...]:
    """Return an estimate of each interval of a gap, by the method that the rule chooses.

    - Up to two hours between the snapshots: `linear-between-registers`.
    - Longer, with three like days or more for each of its days: `like-days`, else linear.
    - Without a known advance: `like-days-unanchored`, or nothing if there are too few like days.

    Args:
        gap: as of `find_gaps`.
        capture_s: length of an interval, that of the history's.
        history: metered intervals of the register.

    Raises:
        ValueError: the advance is negative, or the gap is no multiple of the interval.
    """
    if (gap.end_s - gap.start_s) % capture_s:
        raise ValueError(f"gap: {gap.end_s - gap.start_s} s are no multiple of {capture_s} s")
    starts = range(gap.start_s, gap.end_s, capture_s)
    if gap.advance is None:
        means = _mean_of_like_days(starts, history)
        return _estimates(starts, round_carrying(means), capture_s, UNANCHORED) if means else ()
    if gap.advance < 0:
        raise ValueError(f"gap: an advance of {gap.advance} cannot be shared out")
    if gap.end_s - gap.start_s > LONGEST_LINEAR_S:
        means = _mean_of_like_days(starts, history)
        if any(means):
            energies = share_by_weight(gap.advance, means)
            return _estimates(starts, energies, capture_s, LIKE_DAYS)
    return _estimates(starts, share_equally(gap.advance, len(starts)), capture_s, LINEAR)


def estimated_registers(first: int, estimates: Iterable[Estimate]) -> dict[int, int]:
    """Return what the register would have shown at the end of each estimated interval.

    Args:
        first: register at the beginning of the first; before the meter's first reading, what that
            shows less all estimates.
        estimates: of one gap, in order.
    """
    registers = {}
    for estimate in estimates:
        first += estimate.energy
        registers[estimate.end_s] = first
    return registers


def share_equally(advance: int, count: int) -> list[int]:
    """Return `count` integers that differ by 1 at most and sum to the advance exactly."""
    return [advance * (place + 1) // count - advance * place // count for place in range(count)]


def share_by_weight(advance: int, weights: Sequence[Fraction]) -> list[int]:
    """Return integers in proportion to weights that sum to the advance exactly.

    What rounding down leaves over goes to the largest remainders (Hamilton's method), to the
    earliest of equal ones.

    Args:
        advance: not negative.
        weights: not negative, at least one above 0.
    """
    scale = lcm(*(weight.denominator for weight in weights))
    parts = [advance * weight.numerator * (scale // weight.denominator) for weight in weights]
    total = sum(parts) // advance if advance else 1
    shares = [part // total for part in parts]
    order = sorted(range(len(parts)), key=lambda place: (-(parts[place] % total), place))
    for place in order[: advance - sum(shares)]:
        shares[place] += 1
    return shares


def round_carrying(values: Sequence[Fraction]) -> list[int]:
    """Return integers whose sums from the beginning are those of the values, rounded down."""
    rounded = []
    exact, given = Fraction(0), 0
    for value in values:
        exact += value
        rounded.append(int(exact) - given)
        given = int(exact)
    return rounded


def _mean_of_like_days(starts: Sequence[int], history: History) -> list[Fraction]:
    """Return the mean of like days for each interval, empty if a day of the gap has too few.

    A like day serves if it has all the minutes that the gap has of its day.
    """
    by_day: dict[date, list[LocalQuarter]] = {}
    for start_s in starts:
        place = history.place(start_s)
        by_day.setdefault(place.day, []).append(place)
    means = []
    for day, places in by_day.items():
        minutes = {place.minute for place in places}
        serving = [values for values in history.like(day) if minutes <= values.keys()]
        if len(serving) < LEAST_LIKE_DAYS:
            return []
        sums = {minute: sum(values[minute] for values in serving) for minute in minutes}
        means += [Fraction(sums[place.minute], len(serving)) for place in places]
    return means


def _estimates(
    starts: Sequence[int], energies: Sequence[int], capture_s: int, method: tuple[str, int]
) -> tuple[Estimate, ...]:
    return tuple(
        Estimate(start_s, start_s + capture_s, energy, *method)
        for start_s, energy in zip(starts, energies, strict=True)
    )
