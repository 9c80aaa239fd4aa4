"""What the archive gives back to a twin that lacks it, in pages. Pure.

    GET /v1/entries?since=<UTC seconds>                          what there is, as JSON
    GET /v1/entries/<incarnation>?from=<number>&until=<number>   a page, as bytes

Over mutual TLS: a twin gets what its own meter's twins have given, and nothing else. A page has the
layout of a batch (`archive_batch`) with the number `end` in the place of `stored`: it speaks of the
numbers from `from` to `end`, and one that is neither an entry nor in a hole is not in the archive.
Neighbours: the archive's `entries_port`, the twin's `archive_return` (asks).
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from meter_wire.archive_batch import MOST_HOLES, Numbered, encode_batch, parse_batch
from meter_wire.effects import Hole
from meter_wire.names import MAX_SEQ
from meter_wire.portable.entry import MAX_ENTRY

PATH = "/v1/entries"
PAGE_ENTRIES = 256
PAGE_BYTES = 32_768
"""Of entries with their heads; a page may have `MOST_HOLES` beside them."""
MOST_BODY = PAGE_BYTES + 7 + MOST_HOLES * 9
MOST_HOLDINGS = 16
MOST_SPANS = 32
_INCARNATION = 8

Span = tuple[int, int]
"""First and last number, both included."""


class Holding(NamedTuple):
    """What the archive has of an incarnation, of a time and after it.

    `archived` is the end of the contiguous prefix; `octets` the mean length of an entry; `spans`
    rise and hold every number that is there as an entry or in a hole, and perhaps some others.
    """

    incarnation: bytes
    archived: int
    octets: int
    spans: tuple[Span, ...]


class Page(NamedTuple):
    """Entries and holes of the numbers that were asked for, until `end`."""

    end: int
    holes: tuple[Hole, ...]
    entries: tuple[Numbered, ...]


def encode_page(page: Page) -> bytes:
    """Return the body of an answer."""
    return encode_batch(page.end, page.holes, page.entries)


def parse_page(body: bytes, first: int, until: int) -> Page:
    """Return the page that was asked for by `from` and `until`.

    Raises:
        ValueError: names the part that is wrong; nothing of the page is to be stored.
    """
    end, holes, entries = parse_batch(body)
    if not first <= end <= until:
        raise ValueError(f"end: {end} is not among the numbers {first} to {until}")
    if holes and not (first <= holes[0].first and holes[-1].last <= end):
        raise ValueError(f"holes: one is not among the numbers {first} to {end}")
    if entries and not (first <= entries[0][0] and entries[-1][0] <= end):
        raise ValueError(f"entries: one is not among the numbers {first} to {end}")
    return Page(end, holes, entries)


def encode_holdings(holdings: Iterable[Holding]) -> dict[str, Any]:
    """Return the JSON document of what there is; the oldest incarnation comes first."""
    return {
        "incarnations": [
            {
                "incarnation": one.incarnation.hex(),
                "archived": one.archived,
                "octets": one.octets,
                "held": [list(span) for span in one.spans],
            }
            for one in holdings
        ]
    }


def parse_holdings(document: Any) -> list[Holding]:
    """Return what there is; unknown fields are skipped.

    Raises:
        ValueError: names the field that is wrong.
    """
    rows = document.get("incarnations") if isinstance(document, dict) else None
    if not isinstance(rows, list) or len(rows) > MOST_HOLDINGS:
        raise ValueError(f"incarnations: is no list of at most {MOST_HOLDINGS}")
    found = [_parse_holding(row) for row in rows]
    if len({one.incarnation for one in found}) != len(found):
        raise ValueError("incarnations: one is there twice")
    return found


def _parse_holding(row: Any) -> Holding:
    values: dict[str, Any] = row if isinstance(row, dict) else {}
    name: Any = values.get("incarnation")
    held = values.get("held")
    try:
        incarnation = bytes.fromhex(name)
    except (TypeError, ValueError):
        incarnation = b""
    if len(incarnation) != _INCARNATION:
        raise ValueError(f"incarnation: {name!r} is not {_INCARNATION} bytes in hexadecimal digits")
    if not isinstance(held, list) or len(held) > MOST_SPANS:
        raise ValueError(f"held: is no list of at most {MOST_SPANS} ranges")
    archived = _number(values, "archived", 0, MAX_SEQ)
    octets = _number(values, "octets", 1, MAX_ENTRY)
    return Holding(incarnation, archived, octets, tuple(_parse_spans(held)))


def _number(values: dict[str, Any], name: str, least: int, most: int) -> int:
    value = values.get(name)
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name}: {value!r} is no number from {least} to {most}")
    return value


def _parse_spans(rows: list[Any]) -> Iterable[Span]:
    before = 0
    for row in rows:
        match row:
            case [int(first), int(last)] if before < first <= last <= MAX_SEQ:
                yield first, last
                before = last
            case _:
                raise ValueError(f"held: {row!r} is no range, or not in rising order")
