"""Lists of readings and events as JSON, made piece by piece so that a long list costs no memory.

Neighbour: `api`. A piece is one page of the store; the loop is free between pieces.
"""

import json
from collections.abc import Iterator
from typing import Any

from meter_wire.entries import parse_entry
from meter_wire.portable.tlv import RemoteProtocolError

from .presentation import format_entry
from .queries import format_cursor
from .register_units import Units
from .store import Store
from .store_queries import PAGE_ROWS, Filter, Position, Row, find_start, load_page


def list_entries(
    store: Store,
    name: str,
    wanted: Filter,
    after: Position | None,
    *,
    limit: int,
    units: Units,
    shown: frozenset[str] = frozenset(),
) -> Iterator[bytes]:
    """Yield the document `{name: [...], "next": cursor or null}`.

    Args:
        store: to read.
        name: `readings` or `events`.
        wanted: kind and time window.
        after: cursor, None to start at the window's beginning.
        limit: most entries; `next` is set when there are more.
        units: what the meter described.
        shown: register codes to show, empty for all.
    """
    position = after if after is not None else find_start(store, wanted)
    left = limit
    opening = f'{{"{name}":['
    separator = ""
    more = False
    while left >= 0:
        rows = load_page(store, wanted, position, min(PAGE_ROWS, left + 1))
        more = len(rows) > left
        text = ""
        for row in rows[:left]:
            text += separator + _format(row, units, shown)
            separator = ","
            position = row.position
        yield (opening + text).encode()
        opening = ""
        if more or len(rows) < min(PAGE_ROWS, left + 1):
            break
        left -= len(rows)
    cursor = json.dumps(format_cursor(position) if more else None)
    yield f'{opening}],"next":{cursor}}}'.encode()


def _format(row: Row, units: Units, shown: frozenset[str]) -> str:
    try:
        entry = parse_entry(row.raw)
    except RemoteProtocolError:
        item: dict[str, Any] = {
            "incarnation": row.incarnation.hex(),
            "seq": row.position.seq,
            "time": None,
            "status": ["unreadable"],
        }
    else:
        item = format_entry(row.incarnation, row.position.seq, entry, units)
        if shown and "registers" in item:
            item["registers"] = {
                code: value for code, value in item["registers"].items() if code in shown
            }
    return json.dumps(item, separators=(",", ":"))
