"""The buckets of a question: quarter hours, hours, days or months between two instants. Pure.

All boundaries are quarter hours of UTC, because that is when meters take their snapshots. Days and
months begin at local midnight, so that a day has 92, 96 or 100 quarter hours (94 or 98 on Lord Howe
Island). An hour begins with the first quarter hour of each local hour, and anew where clocks are
changed: so a day whose clocks are put back has two hours that read alike. The first and last bucket
are cut where the question begins and ends. Neighbours: `local_time`, `intervals`.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from meter_archive.local_time import LATEST_S, QUARTER_S, local_date, offset_s, start_of_day
from meter_archive.query_error import QueryError

_HOUR_S = 3600


def parse_every(text: str, field: str = "every") -> str:
    """Return a length of buckets: `15m`, `1h`, `1d` or `1mo`.

    Raises:
        QueryError: another text.
    """
    if text not in _NEXT:
        raise QueryError(field, "is no known length", f"write one of {', '.join(_NEXT)}")
    return text


def quarter_before(time_s: int) -> int:
    """Return the last quarter hour of UTC that is not after a second: an end for "until now"."""
    return time_s // QUARTER_S * QUARTER_S


def build_boundaries(
    from_s: int, to_s: int, every: str, zone: ZoneInfo, most: int
) -> tuple[int, ...]:
    """Return the boundaries of all buckets: rising UTC seconds, one more than there are buckets.

    Args:
        from_s: where the first bucket begins, a quarter hour of UTC.
        to_s: where the last one ends, a quarter hour of UTC.
        every: as of `parse_every`.
        zone: whose hours, days and months.
        most: how many buckets are allowed.

    Raises:
        QueryError: `from` or `to` is no quarter hour or out of bounds, they are not in order, or
            there are more buckets than allowed.
    """
    for field, time_s in (("from", from_s), ("to", to_s)):
        if time_s % QUARTER_S:
            remedy = "write a time whose minutes are 00, 15, 30 or 45 in UTC, without seconds"
            raise QueryError(field, "is no quarter hour, and no meter is read between them", remedy)
        if not 0 <= time_s <= LATEST_S:
            raise QueryError(field, "is out of bounds", "write a time from 1970 to 2104")
    if to_s <= from_s:
        raise QueryError("to", "is not after `from`", "write a later time, or an earlier `from`")
    inner = list(islice(_walk(from_s, to_s, _NEXT[every], zone), most))
    if len(inner) >= most:
        what = f"makes more than {most} buckets of this time"
        raise QueryError("every", what, "ask for longer buckets, or bring `from` and `to` together")
    return (from_s, *inner, to_s)


_Next = Callable[[int, ZoneInfo], int]


def _walk(from_s: int, to_s: int, following: _Next, zone: ZoneInfo) -> Iterator[int]:
    """Yield the boundaries between, without the ends."""
    at_s = following(from_s, zone)
    while at_s < to_s:
        yield at_s
        at_s = following(at_s, zone)


def _next_quarter(at_s: int, _zone: ZoneInfo) -> int:
    return at_s + QUARTER_S


def _next_hour(at_s: int, zone: ZoneInfo) -> int:
    offset = offset_s(at_s, zone)
    full_s = at_s + _HOUR_S - (at_s + offset) % _HOUR_S
    full_s = -(-full_s // QUARTER_S) * QUARTER_S
    if offset_s(full_s, zone) == offset:
        return full_s
    quarters = range(at_s + QUARTER_S, full_s, QUARTER_S)
    return next((one for one in quarters if offset_s(one, zone) != offset), full_s)


def _next_day(at_s: int, zone: ZoneInfo) -> int:
    return _next_start(at_s, zone, lambda day: day + timedelta(days=1))


def _next_month(at_s: int, zone: ZoneInfo) -> int:
    return _next_start(
        at_s, zone, lambda day: (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    )


def _next_start(at_s: int, zone: ZoneInfo, following: Callable[[date], date]) -> int:
    """Return where the next local period begins; one that the zone skipped has no length."""
    day = local_date(at_s, zone)
    while True:
        day = following(day)
        start_s = start_of_day(day, zone)
        if start_s > at_s:
            return start_s


_NEXT: dict[str, _Next] = {
    "15m": _next_quarter,
    "1h": _next_hour,
    "1d": _next_day,
    "1mo": _next_month,
}
