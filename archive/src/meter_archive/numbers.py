"""Sets of entry numbers as rising ranges, as PostgreSQL's int8multirange keeps them. Pure.

What an incarnation has in the archive is nearly always one range, so this stays short however long
a meter lives. Neighbour: `intake`, which decides with it.
"""

from collections.abc import Iterable

Span = tuple[int, int]
"""First and last number, both included."""
Numbers = tuple[Span, ...]
"""Rising, apart from each other by one number at least."""


def join(spans: Iterable[Span]) -> Numbers:
    """Return the union of ranges in any order."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def subtract(spans: Numbers, taken: Numbers) -> Numbers:
    """Return what is in `spans` and not in `taken`."""
    left: list[Span] = []
    rest = list(reversed(spans))
    at = 0
    while rest:
        first, last = rest.pop()
        while at < len(taken) and taken[at][1] < first:
            at += 1
        if at == len(taken) or taken[at][0] > last:
            left.append((first, last))
            continue
        low, high = taken[at]
        if first < low:
            left.append((first, low - 1))
        if high < last:
            rest.append((high + 1, last))
    return tuple(left)


def contains(spans: Numbers, number: int) -> bool:
    """Whether a number is in one of the ranges."""
    low, high = 0, len(spans)
    while low < high:
        middle = (low + high) // 2
        if spans[middle][1] < number:
            low = middle + 1
        else:
            high = middle
    return low < len(spans) and spans[low][0] <= number


def end_of_prefix(spans: Numbers) -> int:
    """Return the last number of the range that begins at 1, 0 if none does."""
    return spans[0][1] if spans and spans[0][0] <= 1 else 0


def spans_of(numbers: Iterable[int]) -> Numbers:
    """Return the ranges of single numbers that rise."""
    spans: list[Span] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return tuple(spans)
