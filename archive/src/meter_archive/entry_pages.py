"""Answers `/v1/readings` and `/v1/events`: entries as the meter gave them, page by page.

A page's `next` is the `after` of the page that follows; it is null on the last one. What arrives
late with an earlier time is on no later page: who needs every entry asks again. Neighbours:
`asking`, `windows`, `entries_table`.
"""

import base64
from datetime import timedelta

from meter_wire.entries import RegisterValue, parse_entry, status_names
from meter_wire.event_names import EVENTS, find_event, get_event_code
from meter_wire.obis import find_register, format_code

from meter_archive.asking import ALL, ONE, Asking, find_span, parse_asking
from meter_archive.cursor import parse_cursor
from meter_archive.database import Pool
from meter_archive.entries_table import READINGS, Stored, events_of, fetch_entries
from meter_archive.local_time import format_local, get_zone
from meter_archive.queries import Asked, Json
from meter_archive.query_error import QueryError
from meter_archive.question import parse_register
from meter_archive.readings_table import find_zone
from meter_archive.windows import find_windows

MOST_ENTRIES = 1000
_LONGEST_ONE, _LONGEST_MANY = timedelta(days=366), timedelta(days=31)
_MOST_CODE = 0xFFFF


async def answer_readings(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/readings`; see `_find_page` for what is raised."""
    asking = parse_asking(asked.parameters, ("register", "after", "limit", "raw"))
    wanted = {parse_register(one) for one in asking.text("register").split(",") if one} or None
    with_bytes = asking.choice("raw", "0", "1") == "1"
    rows, cursor = await _find_page(pool, asked, asking, READINGS)
    return {"readings": [_reading(row, wanted, with_bytes) for row in rows], "next": cursor}


async def answer_events(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/events`; see `_find_page` for what is raised."""
    asking = parse_asking(asked.parameters, ("code", "after", "limit"), ALL)
    rows, cursor = await _find_page(pool, asked, asking, events_of(_codes(asking.text("code"))))
    return {"events": [_event(row) for row in rows], "next": cursor}


async def _find_page(
    pool: Pool, asked: Asked, asking: Asking, condition: str
) -> tuple[list[Stored], str | None]:
    """Return the entries of a page and the cursor of the next one.

    Raises:
        QueryError: a parameter is wrong.
        LookupError: no such meter, device or metering point is known for that time, or allowed.
        asyncpg.PostgresError, OSError: the database is away.
    """
    after = parse_cursor(asking.text("after"))
    limit = asking.number("limit", MOST_ENTRIES, MOST_ENTRIES)
    longest = _LONGEST_ONE if asking.subject.kind in ONE else _LONGEST_MANY
    async with pool.acquire() as connection:
        zone = await find_zone(connection, asking.subject, asked.scope)
        start_s, end_s = find_span(asking, get_zone(zone, "zone"), asked.now_s, longest)
        windows = await find_windows(
            connection, asking.subject, start_s, end_s - 1, asked.scope, zone
        )
        rows = await fetch_entries(connection, windows, condition, after, limit + 1)
    more = len(rows) > limit
    return rows[:limit], str(rows[limit - 1].cursor) if more else None


def _codes(text: str) -> list[int] | None:
    """Return event codes of names or numbers with commas between, None for all."""
    codes = []
    for one in text.split(",") if text else ():
        if one.isascii() and one.isdigit() and len(one) < 6 and int(one) <= _MOST_CODE:  # noqa: PLR2004
            codes.append(int(one))
            continue
        try:
            codes.append(get_event_code(one))
        except KeyError:
            known = ", ".join(kind.name for kind in EVENTS)
            what = f"{one[:64]!r} is no event"
            raise QueryError("code", what, f"write numbers or some of {known}") from None
    return codes or None


def _identity(row: Stored) -> Json:
    entry = parse_entry(row.raw)
    return {
        **row.window.named(),
        "incarnation": row.identity.hex(),
        "seq": row.seq,
        "time": format_local(row.time_s, row.window.local()),
        "received": row.received.isoformat(),
        "epoch": row.epoch,
        "provenance": "source-signed" if row.signed else "twin-attested",
        "status": status_names(entry.status),
    }


def _reading(row: Stored, wanted: set[bytes] | None, with_bytes: bool) -> Json:
    registers = [
        one for one in parse_entry(row.raw).registers if wanted is None or one.code in wanted
    ]
    document = _identity(row) | {
        "registers": {format_code(one.code): _register(one, row) for one in registers}
    }
    return document | ({"raw": base64.b64encode(row.raw).decode()} if with_bytes else {})


def _register(register: RegisterValue, row: Stored) -> Json:
    """Return a register's value as the meter gave it: an integer to scale, or octets as hex."""
    known = find_register(register.code)
    value = register.value.hex() if isinstance(register.value, bytes) else register.value
    document: Json = {
        "value": value,
        "unit": known.unit if known else "",
        "scaler": known.scaler if known else 0,
    }
    if register.at_s is not None:
        document["time"] = format_local(register.at_s, row.window.local())
    return document


def _event(row: Stored) -> Json:
    entry = parse_entry(row.raw)
    code = entry.event_code or 0
    known = find_event(code)
    names = known.name_arguments(len(entry.arguments)) if known else ()
    return _identity(row) | {
        "code": code,
        "event": known.name if known else f"event_{code}",
        "arguments": {
            names[place] if place < len(names) else f"argument_{place}": _argument(value)
            for place, value in enumerate(entry.arguments)
        },
    }


def _argument(value: int | bytes) -> int | str:
    """Return an argument: octets as text if they are printable, else as hex."""
    if isinstance(value, int):
        return value
    text = value.decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else value.hex()
