"""Answers `/v1/findings`: what the checks of `validation` find in a time.

Whether something may feed in, and what the connection carries, is what labels of the SmartMeter
say; without them the checks that need it say nothing. Neighbours: `register_days`, `validation`.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from operator import attrgetter
from typing import NamedTuple

from meter_wire.names import GROUP
from meter_wire.obis import format_code

from meter_archive.asking import find_quarters, parse_asking
from meter_archive.database import Connected, Pool
from meter_archive.findings import Context, Finding
from meter_archive.intervals import Bucket, build_buckets
from meter_archive.intervals_answer import fill_days, parse_cumulative
from meter_archive.local_time import format_local, get_zone
from meter_archive.queries import Asked, Json
from meter_archive.readings_table import fetch_register, find_zone
from meter_archive.register_days import RegisterDays, fetch_advance, load_register
from meter_archive.snapshots import Series, build_series
from meter_archive.validation import CHECKS, validate
from meter_archive.windows import Window, find_windows

LONGEST = timedelta(days=31)
GENERATION_LABEL = f"{GROUP}/generation"
"""`true` if something behind the meter may feed in, `false` if nothing does."""
CONNECTION_LABEL = f"{GROUP}/connection-watts"
"""The largest power that the connection can carry, W."""
_DEFAULT = "1.8.0,2.8.0"
_RATES = range(1, 5)


class _Loaded(NamedTuple):
    """A register's days, its advance by the bytes, and the readings of its rates."""

    days: RegisterDays
    advance: int | None
    rates: tuple[Series, ...]


async def answer_findings(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/findings`.

    Raises:
        QueryError: a parameter is wrong.
        LookupError: no such meter, device or metering point is known for that time, or allowed.
        asyncpg.PostgresError, OSError: the database is away.
    """
    asking = parse_asking(asked.parameters, ("register",))
    texts = (asking.text("register") or _DEFAULT).split(",")
    registers = list(dict.fromkeys(parse_cumulative(one) for one in texts))
    async with pool.acquire() as connection:
        zone = await find_zone(connection, asking.subject, asked.scope)
        span = find_quarters(asking, get_zone(zone, "zone"), asked.now_s, LONGEST)
        windows = await find_windows(connection, asking.subject, *span, asked.scope, zone)
        contexts = [
            (window, [await _load(connection, window, one, asked.now_s) for one in registers])
            for window in windows
        ]
    checks = [check.__name__ for check in CHECKS]
    devices = [await asyncio.to_thread(_device, *one) for one in contexts]
    return {"checks": checks, "devices": devices}


async def _load(connection: Connected, window: Window, register: bytes, now_s: int) -> _Loaded:
    days = await load_register(connection, window, register, now_s)
    advance = await fetch_advance(connection, days)
    rates = []
    for rate in _RATES if register[4] == 0 else ():
        code = register[:4] + bytes([rate]) + register[5:]
        readings = await fetch_register(
            connection, window.device, code, window.first_s, window.closing(window.last_s)
        )
        rates.append(build_series(readings))
    return _Loaded(days, advance, tuple(one for one in rates if one.times))


def _device(window: Window, loaded: Sequence[_Loaded]) -> Json:
    labels = dict(window.labels)
    generation = {"true": True, "false": False}.get(labels.get(GENERATION_LABEL, ""))
    watts = labels.get(CONNECTION_LABEL, "")
    limit_w = int(watts) if watts.isascii() and watts.isdigit() else None
    found = [
        finding
        for one in loaded
        for finding in validate(build_context(one, generation=generation, limit_w=limit_w))
    ]
    return window.named() | {
        "generation": generation,
        "connectionWatts": limit_w,
        "readings": {format_code(one.days.register): _count(one.days) for one in loaded},
        "findings": [_finding(one, window) for one in sorted(found, key=_ORDER)],
    }


def build_context(loaded: _Loaded, *, generation: bool | None, limit_w: int | None) -> Context:
    """Return what the checks look at: estimates are among the intervals, and marked."""
    days = loaded.days
    window, boundaries = days.window, days.boundaries
    last_s = window.closing(window.last_s)
    return Context(
        register=days.register,
        buckets=[one.bucket for one in fill_days(days)],
        advance=loaded.advance,
        readings=[one for one in days.readings if window.first_s <= one.time_s <= last_s],
        gaps=days.gaps,
        history=days.history(),
        companion=_sum([build_buckets(one, boundaries, window.capture_s) for one in loaded.rates]),
        limit_w=limit_w,
        has_generation=generation,
    )


def _sum(rates: Sequence[Sequence[Bucket]]) -> list[Bucket]:
    """Return the sum of what is known of rates, interval by interval."""
    return [
        row[0]._replace(energy=sum(energies) if energies else None)
        for row in zip(*rates, strict=True)
        for energies in [[one.energy for one in row if one.energy is not None]]
    ]


def _count(days: RegisterDays) -> int:
    return sum(days.series.find(at_s) is not None for at_s in days.boundaries)


_ORDER = attrgetter("start_s", "name", "register")


def _finding(finding: Finding, window: Window) -> Json:
    zone = window.local()
    return {
        "rule": finding.name,
        "version": finding.version,
        "register": format_code(finding.register),
        "start": format_local(finding.start_s, zone),
        "end": format_local(finding.end_s, zone),
        "text": finding.text,
    }
