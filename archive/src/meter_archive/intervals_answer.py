"""Answers `/v1/intervals`: energy of each interval, what is missing estimated if that is wished.

The estimates of a gap whose both ends were read sum to what the register moved, exactly. They are
computed for the answer and stored nowhere. Neighbours: `register_days` reads, `filled` computes.
"""

import asyncio
from collections import Counter
from datetime import timedelta

from meter_wire.entries import status_names
from meter_wire.obis import find_register, format_code

from meter_archive.asking import find_quarters, parse_asking
from meter_archive.database import Pool
from meter_archive.filled import Filled, estimate_gaps, fill
from meter_archive.gap_reasons import explain_gap
from meter_archive.intervals import build_buckets
from meter_archive.local_time import format_local, get_zone
from meter_archive.queries import Asked, Json
from meter_archive.query_error import QueryError
from meter_archive.question import parse_register
from meter_archive.readings_table import find_zone
from meter_archive.register_days import RegisterDays, load_register
from meter_archive.snapshots import register_kind
from meter_archive.windows import find_windows

LONGEST = timedelta(days=93)


async def answer_intervals(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/intervals`.

    Raises:
        QueryError: a parameter is wrong.
        LookupError: no such meter, device or metering point is known for that time, or allowed.
        asyncpg.PostgresError, OSError: the database is away.
    """
    asking = parse_asking(asked.parameters, ("register", "estimate"))
    register = parse_cumulative(asking.text("register") or "1.8.0")
    best = asking.choice("estimate", "best", "none") == "best"
    async with pool.acquire() as connection:
        zone = await find_zone(connection, asking.subject, asked.scope)
        span = find_quarters(asking, get_zone(zone, "zone"), asked.now_s, LONGEST)
        windows = await find_windows(connection, asking.subject, *span, asked.scope, zone)
        loaded = [await load_register(connection, one, register, asked.now_s) for one in windows]
    devices = [await asyncio.to_thread(_device, one, best=best) for one in loaded]
    known = find_register(register)
    return {
        "register": format_code(register),
        "unit": known.unit if known else "",
        "scaler": known.scaler if known else 0,
        "estimate": "best" if best else "none",
        "devices": devices,
    }


def parse_cumulative(text: str) -> bytes:
    """Return the code of a register that counts energy.

    Raises:
        QueryError: it is no OBIS code, or of another kind.
    """
    register = parse_register(text)
    if register_kind(register) != "cumulative":
        remedy = "write one whose group D is 8, such as 1.8.0; /v1/history has the others"
        raise QueryError("register", "counts no energy: it has no intervals", remedy)
    return register


def fill_days(days: RegisterDays, *, best: bool = True) -> list[Filled]:
    """Return the intervals between the capture boundaries of a window."""
    capture_s = days.window.capture_s
    buckets = build_buckets(days.series, days.boundaries, capture_s)
    estimates = estimate_gaps(days.gaps, capture_s, days.history()) if best and days.gaps else {}
    return fill(buckets, estimates)


def _device(days: RegisterDays, *, best: bool) -> Json:
    zone, capture_s = days.window.local(), days.window.capture_s
    filled = fill_days(days, best=best)
    reasons = {
        start_s: explain_gap(gap, days.series, days.incarnations)
        for gap in days.gaps
        for start_s in range(gap.first_s - capture_s, gap.last_s + 1, capture_s)
    }
    energies = [one.bucket.energy for one in filled]
    return days.window.named() | {
        "sum": sum(one for one in energies if one is not None),
        "counts": dict(Counter(one.bucket.quality for one in filled)),
        "intervals": [
            {
                "start": format_local(one.bucket.start_s, zone),
                "end": format_local(one.bucket.end_s, zone),
                "value": one.bucket.energy,
                "quality": one.bucket.quality,
                "method": one.method,
                "version": one.version,
                "reason": _reason(one, reasons),
                "flags": status_names(one.bucket.flags),
            }
            for one in filled
        ],
    }


def _reason(one: Filled, reasons: dict[int, str]) -> str:
    """Return why an interval was not metered: its gap's reason, or its own."""
    if one.method or one.bucket.reason == "missing_snapshot":
        return reasons.get(one.bucket.start_s, one.bucket.reason)
    return one.bucket.reason
