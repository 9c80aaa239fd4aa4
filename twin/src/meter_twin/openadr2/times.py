"""Moments and durations as OpenADR 2.0b writes them (RFC 5545 3.3.5 and 3.3.6, as xCal; ISO 8601).

Moments are UTC seconds, durations seconds. Fractions of a second are cut off: nothing here is
that fine. Neighbour: `message_codec`.
"""

import re
from datetime import UTC, datetime

_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,6})D)?"
    r"(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,10})(?:\.\d{1,9})?S)?)?"
)
_MINUTE_S, _HOUR_S, _DAY_S, _WEEK_S = 60, 3_600, 86_400, 604_800
_MONTH_S, _YEAR_S = 30 * _DAY_S, 365 * _DAY_S
MOST_MOMENT_S = 253_402_300_799
"""The last second of the year 9999."""


def parse_duration(text: str) -> int:
    """Return a duration; a year has 365 days, a month 30, as an interval without a beginning must.

    Raises:
        ValueError: no duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()[1:]):
        raise ValueError(f"no duration: {text[:40]!r}")
    numbers = [int(group or 0) for group in match.groups()[1:]]
    units = (_YEAR_S, _MONTH_S, _WEEK_S, _DAY_S, _HOUR_S, _MINUTE_S, 1)
    seconds = sum(number * unit for number, unit in zip(numbers, units, strict=True))
    return -seconds if match[1] == "-" else seconds


def format_duration(seconds: int) -> str:
    """Return a duration, the shortest way in days, hours, minutes and seconds."""
    sign, rest = ("-" if seconds < 0 else ""), abs(seconds)
    days, rest = divmod(rest, _DAY_S)
    hours, rest = divmod(rest, _HOUR_S)
    minutes, rest = divmod(rest, _MINUTE_S)
    time = "".join(
        f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if number
    )
    date = f"{days}D" if days else ""
    return f"{sign}P{date}{'T' + time if time else ''}" if date or time else "PT0S"


def parse_moment(text: str) -> int:
    """Return UTC seconds; a moment without a zone is UTC, which 2.0b demands (rule 1).

    Raises:
        ValueError: no moment, or before 1970.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(f"no moment: {text[:40]!r}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        seconds = int(moment.timestamp())
    except OverflowError as error:
        raise ValueError(f"no moment: {text[:40]!r}") from error
    if seconds < 0:
        raise ValueError(f"before 1970: {text[:40]!r}")
    return seconds


def format_moment(seconds: int) -> str:
    """Return UTC seconds as xCal writes them: 2026-06-14T09:30:00Z."""
    return datetime.fromtimestamp(min(seconds, MOST_MOMENT_S), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
