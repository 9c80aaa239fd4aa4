"""What a house would have used without an event: the mean of like days before, adjusted to the day.

`10-of-10`: the last ten like days (CAISO Day-Ahead Baseline, "10 in 10"); `high-4-of-5`: of the
last five the four with the most energy in the event's hours (PJM economic CBL). Like days are of
the same kind (weekday; weekend or holiday). Left out are days with an event or test event and days
of which a quarter hour is missing or bad. The adjustment is the day's own use in three hours that
end one hour before the event, against the same hours of those days, within a cap (CAISO: 20 %).
Too few days are *insufficient*, never a guess. Integers in Wh, rounded once, half up.
Neighbour: `delivery`, which brings the days.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

QUARTER_S, DAY_S = 900, 86_400
LOOK_BACK_DAYS = 45
"""A like day is no older: the season changes."""
ADJUSTED_FROM_S, ADJUSTED_TO_S = 4 * 3600, 3600
"""Before the event: where the hours of the adjustment begin and end."""
CAP_PERCENT = 20


class Method(NamedTuple):
    """How many days are looked at, and how many of them, those with the most energy, are used."""

    days: int
    highest: int


METHODS = {"10-of-10": Method(10, 10), "high-4-of-5": Method(5, 4)}


class Day(NamedTuple):
    """A local day: Wh by second of the day at which a good quarter hour begins."""

    kind: str
    energies: Mapping[int, int]
    is_excluded: bool = False
    """It had an event, or a test event."""


class Baseline(NamedTuple):
    """Wh of each quarter hour of the event; the days it is of, by number; the factor applied."""

    energies: tuple[int, ...]
    days: tuple[int, ...]
    adjustment: tuple[int, int] | None
    """Numerator and denominator, as `fractions` costs a twin 0.5 MiB (it loads `decimal`).

    None: the day's own hours before the event are missing, or nothing was used in them.
    """


class Insufficient(NamedTuple):
    """There are not enough like days."""

    found: int
    needed: int


def compute_baseline(
    method: str,
    days: Mapping[int, Day],
    event_day: int,
    seconds: Sequence[int],
    cap_percent: int = CAP_PERCENT,
) -> Baseline | Insufficient:
    """Return the baseline of an event.

    Args:
        method: one of METHODS.
        days: local days by number; that of the event among them.
        event_day: the number of the day on which it begins.
        seconds: the quarter hours of the event, as seconds of that day; from 86,400 on of the next.
        cap_percent: the most that the adjustment may change; 0 for none.

    Raises:
        KeyError: no such method.
    """
    chosen = METHODS[method]
    candidates = _list_like_days(days, event_day, seconds)[: chosen.days]
    if len(candidates) < chosen.days:
        return Insufficient(len(candidates), chosen.days)
    # Of equal days the later one counts as the higher.
    candidates.sort(key=lambda number: _sum(days, number, seconds) or 0, reverse=True)
    used = sorted(candidates[: chosen.highest])
    factor = _adjust(days, event_day, used, seconds[0], cap_percent)
    sums = [sum(_get(days, number, second) for number in used) for second in seconds]
    above, below = factor or (1, 1)
    energies = tuple(_round(total * above, len(used) * below) for total in sums)
    return Baseline(energies, tuple(used), factor)


def _list_like_days(days: Mapping[int, Day], event_day: int, seconds: Sequence[int]) -> list[int]:
    """Return the like days before an event, the last one first."""
    kind = days[event_day].kind
    return [
        number
        for number in range(event_day - 1, event_day - 1 - LOOK_BACK_DAYS, -1)
        if number in days
        and days[number].kind == kind
        and not days[number].is_excluded
        and number + seconds[-1] // DAY_S < event_day  # all of it was before
        and _sum(days, number, seconds) is not None
    ]


def _find(days: Mapping[int, Day], number: int, second: int) -> int | None:
    day = days.get(number + second // DAY_S)
    return None if day is None else day.energies.get(second % DAY_S)


def _get(days: Mapping[int, Day], number: int, second: int) -> int:
    found = _find(days, number, second)
    assert found is not None
    return found


def _sum(days: Mapping[int, Day], number: int, seconds: Sequence[int]) -> int | None:
    """Return the energy of a day in these quarter hours, None if one is missing."""
    total = 0
    for second in seconds:
        found = _find(days, number, second)
        if found is None:
            return None
        total += found
    return total


def _adjust(
    days: Mapping[int, Day], event_day: int, used: Sequence[int], start: int, cap_percent: int
) -> tuple[int, int] | None:
    if not cap_percent:
        return None
    seconds = range(start - ADJUSTED_FROM_S, start - ADJUSTED_TO_S, QUARTER_S)
    actual = _sum(days, event_day, seconds)
    others = [_sum(days, number, seconds) for number in used]
    known = [one for one in others if one is not None]
    if actual is None or len(known) < len(others) or sum(known) <= 0:
        return None
    above, below = actual * len(known), sum(known)
    if above * 100 < (100 - cap_percent) * below:
        return 100 - cap_percent, 100
    if above * 100 > (100 + cap_percent) * below:
        return 100 + cap_percent, 100
    return above, below


def _round(above: int, below: int) -> int:
    """Return a quotient of a positive divisor, half up."""
    return (2 * above + below) // (2 * below)
