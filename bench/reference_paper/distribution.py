"""Delays in numbers: one way of a round trip, the distribution, what a series has missed. Pure."""

from collections.abc import Iterable, Mapping, Sequence


def to_one_way_ms(round_trips_s: Iterable[float | None]) -> list[float]:
    """Return half of each round trip that came back, in ms, as the paper has it."""
    return [one * 500 for one in round_trips_s if one is not None]


def find_cdf(values: Sequence[float], most: int) -> list[tuple[float, float]]:
    """Return at most `most` points (value, share of all that are not above), the ends included.

    Raises:
        ValueError: there are no values, or fewer than two points are wanted.
    """
    if not values or most < 2:  # noqa: PLR2004 - both ends
        raise ValueError("a distribution needs values and two points")
    ordered = sorted(values)
    count = len(ordered)
    steps = min(most, count)
    ranks = sorted({round(step * (count - 1) / max(steps - 1, 1)) for step in range(steps)})
    return [(ordered[rank], (rank + 1) / count) for rank in ranks]


def find_delays(
    arrivals: Mapping[int, float], first_s: int, last_s: int, period_s: int
) -> list[float | None]:
    """Return how late each reading of a series was, None for one that never came.

    Args:
        arrivals: time of a reading in UTC seconds → when it was seen.
        first_s: the first reading that counts, a multiple of the period.
        last_s: the last one.
        period_s: between readings.
    """
    found: list[float | None] = []
    for moment in range(first_s, last_s + 1, period_s):
        arrived = arrivals.get(moment)
        found.append(None if arrived is None else max(0.0, arrived - moment))
    return found
