"""Local time of a metering point: zones, days, and the times that a question names. Pure.

A local time may come twice (clocks put back) or never (put forward, or a date that a zone skipped).
A date alone is always clear: it means the beginning of that day. Neighbour: `periods`.
"""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from meter_archive.query_error import QueryError

QUARTER_S = 900
LATEST_S = 4_260_211_200
"""2105-01-01: times on the wire have 32 bits, until 2106, and the end of a bucket fits too."""
_FIRST_YEAR, _LAST_YEAR = 1969, 2105
"""Of local times that may be within the bounds."""
_DATE = r"\d{4}-\d\d-\d\d"
_TIME = re.compile(rf"({_DATE})(?:T(\d\d:\d\d(?::\d\d)?)(?:\.0{{1,6}})?(Z|[+-]\d\d:\d\d)?)?")
_EXAMPLE = "write 2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00:00+01:00"


def get_zone(name: str, field: str) -> ZoneInfo:
    """Return an IANA zone.

    Raises:
        QueryError: no database here has it.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        what = f"{name[:64]!r} is in no time zone database of this image"
        raise QueryError(field, what, "choose one such as Europe/Brussels") from None


def offset_s(time_s: int, zone: ZoneInfo) -> int:
    """Return seconds that local time is ahead of UTC at a UTC second."""
    offset = datetime.fromtimestamp(time_s, zone).utcoffset()
    assert offset is not None
    return offset.days * 86400 + offset.seconds


def local_to_utc(local: datetime, zone: ZoneInfo) -> int:
    """Return the UTC second at which local clocks first show a time, or are put forward over it.

    Args:
        local: without a zone, whole seconds.
        zone: of the metering point.
    """
    earliest, latest = _candidates(local, zone)
    if earliest <= latest:
        return earliest
    # In a gap (PEP 495) the two lie on either side of the transition.
    before, after = latest, earliest
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).replace(tzinfo=None) < local:
            before = middle
        else:
            after = middle
    return after


def start_of_day(day: date, zone: ZoneInfo) -> int:
    """Return the UTC second at which a local day begins, as a quarter hour of UTC.

    Where midnight does not exist the day begins when clocks are put forward. The rounding up
    changes nothing but in zones that were off UTC by odd minutes (Africa/Monrovia until 1972).
    """
    midnight_s = local_to_utc(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001
    return -(-midnight_s // QUARTER_S) * QUARTER_S


def local_date(time_s: int, zone: ZoneInfo) -> date:
    """Return the local date at a UTC second."""
    return datetime.fromtimestamp(time_s, zone).date()


def parse_time(text: str, zone: ZoneInfo, field: str) -> int:
    """Return UTC seconds of a time in ISO 8601: with an offset or Z, a local time, or a local date.

    Args:
        text: a parameter as it came; a space is what a query makes of the "+" of an offset.
        zone: of the metering point, for what has no offset.
        field: the parameter's name, for errors.

    Raises:
        QueryError: no such format or date, before 1970 or after 2104, or a local time that came
            twice or never.
    """
    found = _TIME.fullmatch(text.replace(" ", "+"))
    if found is None:
        raise QueryError(field, "is not a time", _EXAMPLE)
    day, clock, offset = found.groups()
    try:
        local = datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset or ''}")
    except ValueError:
        raise QueryError(field, "is a time that no calendar has", _EXAMPLE) from None
    if not _FIRST_YEAR <= local.year <= _LAST_YEAR:
        seconds = -1
    elif offset:
        seconds = int(local.timestamp())
    elif clock:
        seconds = _parse_local(local, zone, field)
    else:
        seconds = _parse_day(local.date(), zone, field)
    if not 0 <= seconds <= LATEST_S:
        raise QueryError(field, "is out of bounds", "write a time from 1970 to 2104")
    return seconds


def format_local(time_s: int, zone: ZoneInfo) -> str:
    """Return a UTC second as local time with its offset, ISO 8601."""
    return datetime.fromtimestamp(time_s, zone).isoformat()


def _parse_local(local: datetime, zone: ZoneInfo, field: str) -> int:
    earliest, latest = _candidates(local, zone)
    if earliest < latest:
        what = f"came twice in {zone.key}: clocks were put back"
        both = f"{format_local(earliest, zone)} or {format_local(latest, zone)}"
        raise QueryError(field, what, f"write its offset: {both}")
    if earliest > latest:
        what = f"never came in {zone.key}: clocks were put forward over it"
        raise QueryError(field, what, f"write {format_local(local_to_utc(local, zone), zone)}")
    return earliest


def _parse_day(day: date, zone: ZoneInfo, field: str) -> int:
    seconds = start_of_day(day, zone)
    if local_date(seconds, zone) != day:
        following = (day + timedelta(days=1)).isoformat()
        what = f"never came in {zone.key}: the zone skipped this day"
        raise QueryError(field, what, f"write {following}")
    return seconds


def _candidates(local: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """Return UTC by the offset before and after a transition; equal where there is none.

    By PEP 495 the first is the lower one if the time comes twice, the higher one if it never comes.
    """
    first, second = (
        int(local.replace(tzinfo=zone, fold=fold).astimezone(UTC).timestamp()) for fold in (0, 1)
    )
    return first, second
