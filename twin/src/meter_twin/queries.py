"""Parameters of the local API: times, limits, cursors; each mistake names field and remedy.

Pure; used by `api` and the applications.
"""

import re
from datetime import datetime

from .application import QueryError
from .store_queries import START, Position

# compiled at the first query: `re` keeps what it has compiled
_AGO = r"(\d{1,6})(s|m|h|d)"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_CURSOR = r"(\d{1,10})-(\d{1,10})"
_RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)"


def parse_time(text: str, field: str, now_s: int) -> int:
    """Return UTC seconds of an RFC 3339 time or of a span back from now (`90s`, `1h`, `7d`).

    Raises:
        QueryError: it is neither.
    """
    ago = re.fullmatch(_AGO, text)
    if ago:
        return now_s - int(ago[1]) * _SECONDS[ago[2]]
    # in a query a "+" of the offset arrives as a space
    absolute = re.fullmatch(_RFC3339, text.replace(" ", "+"))
    if absolute:
        try:
            seconds = datetime.fromisoformat(absolute[0]).timestamp()
        except (ValueError, OverflowError):
            seconds = -1
        if seconds >= 0:
            return int(seconds)
    raise QueryError(
        field, "is not a time", "give RFC 3339 such as 2026-01-01T00:00:00Z, or a span such as 1h"
    )


def find_time(parameters: dict[str, str], field: str, now_s: int) -> int | None:
    """Return the time of a parameter, None if it is absent."""
    text = parameters.get(field)
    return None if text is None else parse_time(text, field, now_s)


def parse_integer(
    parameters: dict[str, str], field: str, default: int, lowest: int, highest: int
) -> int:
    """Return an integer parameter within its bounds.

    Raises:
        QueryError: it is no integer or out of bounds.
    """
    text = parameters.get(field)
    if text is None:
        return default
    digits = max(9, len(str(highest)))
    if not re.fullmatch(rf"\d{{1,{digits}}}", text) or not lowest <= int(text) <= highest:
        raise QueryError(field, "is out of bounds", f"give {lowest} to {highest}")
    return int(text)


def parse_cursor(text: str | None) -> Position | None:
    """Return the position of an `after` parameter, None if it is absent.

    Raises:
        QueryError: it is not a cursor.
    """
    if text is None:
        return None
    found = re.fullmatch(_CURSOR, text)
    if found is None:
        raise QueryError("after", "is not a cursor", "give `next` of the answer before")
    return Position(int(found[1]), int(found[2]))


def format_cursor(position: Position) -> str:
    """Return the text of a position, for `next`."""
    return f"{position.incarnation}-{position.seq}"


def check_names(parameters: dict[str, str], known: str) -> None:
    """Refuse parameters that nobody reads.

    Raises:
        QueryError: for the first unknown one.
    """
    for name in parameters:
        if name not in known.split():
            raise QueryError(name[:32], "is unknown", f"known are: {known}")


__all__ = [
    "START",
    "check_names",
    "find_time",
    "format_cursor",
    "parse_cursor",
    "parse_integer",
    "parse_time",
]
