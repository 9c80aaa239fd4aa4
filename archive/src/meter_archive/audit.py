"""What is noted of a question and its answer: never a token, never a reading. Pure.

Neighbours: `audit_table` (keeps it), `query_port` (gives no answer that is not noted).
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from meter_archive.tokens import hide_tokens

MOST_TEXT = 2000
"""Characters that are kept of a question."""
MOST_POINTS = 1000
"""Metering points that are kept by name of an answer."""
_MOST_PART = 200
_NAMES = {"device", "meteringPoint"}


class Shown(NamedTuple):
    """What an answer shows: how many devices and objects, and which metering points."""

    devices: int = 0
    rows: int = 0
    points: tuple[str, ...] = ()


class Note(NamedTuple):
    """A line of the audit; `who` is empty if the asker is unknown."""

    time: datetime
    who: str
    address: str
    route: str
    parameters: str
    status: int = 0
    shown: Shown = Shown()


def describe_parameters(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return parameters as a bounded text of ASCII, tokens left out."""
    kept = [f"{_bound(name)}={_bound(value)}" for name, value in list(pairs)[:64]]
    return _cut(" ".join(kept), MOST_TEXT)


def describe_route(method: str, path: str) -> str:
    """Return method and path, bounded, as they came."""
    return f"{method[:16]} {_bound(path)}"


def _bound(value: Any) -> str:
    # The start of a token that the bound cuts would not be known as one: hide first.
    text = hide_tokens(value if isinstance(value, str) else json.dumps(value))
    return _cut(text.encode("unicode_escape").decode("ascii"), _MOST_PART)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "..."


def find_shown(document: Any) -> Shown:
    """Return what a document shows: values of `device` and `meteringPoint`, objects in lists."""
    devices: set[str] = set()
    points: dict[str, None] = {}
    rows = 0
    for name, value in _walk(document):
        rows += not name
        if name == "device":
            devices.add(value)
        elif name == "meteringPoint":
            points[value] = None
    return Shown(len(devices), rows, tuple(points)[:MOST_POINTS])


def _walk(document: Any) -> Iterator[tuple[str, str]]:
    """Yield names with their texts, and ("", "") for each object of a list."""
    if isinstance(document, dict):
        for name, value in document.items():
            if isinstance(value, str):
                if name in _NAMES and value:
                    yield name, value
            elif isinstance(value, dict | list):
                yield from _walk(value)
    elif isinstance(document, list):
        for one in document:
            if isinstance(one, dict):
                yield "", ""
                yield from _walk(one)
