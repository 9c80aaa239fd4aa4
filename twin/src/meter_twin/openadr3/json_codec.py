"""JSON as a VTN sends it: every value is checked where it is read, nothing else is believed.

Raises `JsonError` and nothing else. Source: OpenADR 3.1.0, OpenAPI (objectID, dateTime, duration);
RFC 3986 for `quote`. Neighbours: the codecs of each object.
"""

import json
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from meter_twin.openadr2.times import parse_duration

MOST_OCTETS = 1 << 18
"""Of an answer: objects of Python take up to thirty times as much for a moment."""
MOST_TEXT = 128
MOST_NAMES = 50
FOREVER_S = 100 * 365 * 86_400
"""A duration from here on is for ever (P9999Y; User Guide 7.3, intervalPeriod.duration)."""
_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Row = dict[str, Any]


class JsonError(ValueError):
    """An answer is no JSON, or not what the OpenAPI says."""


def decode(octets: bytes) -> Any:
    """Return the value of an answer.

    Raises:
        JsonError: no JSON, too long or nested too deeply.
    """
    if len(octets) > MOST_OCTETS:
        raise JsonError(f"longer than {MOST_OCTETS} octets")
    try:
        return json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise JsonError("is no JSON") from error


def encode(value: Any) -> bytes:
    """Return a value as the body of a request."""
    return json.dumps(value, separators=(",", ":")).encode()


def decode_rows(octets: bytes) -> list[Row]:
    """Return the objects of an answer that is a list."""
    return get_rows({"answer": decode(octets)}, "answer")


def get_row(value: Any) -> Row:
    """Return an object."""
    if not isinstance(value, dict):
        raise JsonError("an object is expected")
    return value


def get_rows(row: Row, name: str) -> list[Row]:
    """Return a list of objects; none, or null, is empty."""
    found = row.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise JsonError(f"{name} is no list")
    return [get_row(one) for one in found]


def get_id(row: Row, name: str) -> str:
    """Return an object's id, which may be part of a path (OpenAPI, objectID)."""
    found = row.get(name)
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise JsonError(f"{name} is no object id")
    return found


def find_text(row: Row, name: str) -> str:
    """Return a text, cut to what is shown; empty without one."""
    found = row.get(name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise JsonError(f"{name} is no text")
    return found[:MOST_TEXT]


def find_names(row: Row, name: str) -> tuple[str, ...]:
    """Return a list of texts, such as targets."""
    found = row.get(name)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise JsonError(f"{name} is no list of texts")
    return tuple(one[:MOST_TEXT] for one in found[:MOST_NAMES])


def find_number(row: Row, name: str, default: int | None) -> int | None:
    """Return an integer of 32 bits."""
    found = row.get(name)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, int) or abs(found) >= 1 << 31:
        raise JsonError(f"{name} is no integer")
    return found


def get_float(value: Any) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise JsonError("a value is no number")
    try:
        found = float(value)
    except OverflowError as error:
        raise JsonError("a value is out of bounds") from error
    if not math.isfinite(found):
        raise JsonError("a value is out of bounds")
    return found


def find_micros(row: Row, name: str) -> int | None:
    """Return a moment in microseconds of UTC; without a zone it is UTC, before 1970 it is 0."""
    text = find_text(row, name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise JsonError(f"{name} is no moment") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - _EPOCH) // _MICROSECOND, 0)


def find_span(row: Row, name: str) -> int | None:
    """Return a duration in seconds, `FOREVER_S` for all that is longer."""
    text = find_text(row, name)
    if not text:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise JsonError(f"{name} is no duration") from error
    return min(seconds, FOREVER_S)


def quote(text: str) -> str:
    """Return a text as a part of a query or form (RFC 3986, 2.3)."""
    return "".join(chr(one) if one in _PLAIN else f"%{one:02X}" for one in text.encode())


def build_query(path: str, parameters: Iterable[tuple[str, str | int]]) -> str:
    """Return a path with a query; a list is its name repeated."""
    pairs = "&".join(f"{name}={quote(str(value))}" for name, value in parameters)
    return f"{path}?{pairs}" if pairs else path
