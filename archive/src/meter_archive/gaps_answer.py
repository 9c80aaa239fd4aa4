"""Answers `/v1/gaps`: readings that are not there, numbers that are not there, and why.

Neighbours: `register_days` reads, `gaps` and `gap_reasons` decide.
"""

from datetime import timedelta

from meter_wire.obis import format_code

from meter_archive.asking import find_quarters, parse_asking
from meter_archive.database import Pool
from meter_archive.gap_reasons import explain_gap, list_missing
from meter_archive.local_time import format_local, get_zone
from meter_archive.queries import Asked, Json
from meter_archive.question import parse_register
from meter_archive.readings_table import find_zone
from meter_archive.register_days import RegisterDays, load_register
from meter_archive.windows import find_windows

LONGEST = timedelta(days=93)


async def answer_gaps(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/gaps`.

    Raises:
        QueryError: a parameter is wrong.
        LookupError: no such meter, device or metering point is known for that time, or allowed.
        asyncpg.PostgresError, OSError: the database is away.
    """
    asking = parse_asking(asked.parameters, ("register",))
    register = parse_register(asking.text("register") or "1.8.0")
    async with pool.acquire() as connection:
        zone = await find_zone(connection, asking.subject, asked.scope)
        span = find_quarters(asking, get_zone(zone, "zone"), asked.now_s, LONGEST)
        windows = await find_windows(connection, asking.subject, *span, asked.scope, zone)
        loaded = [await load_register(connection, one, register, asked.now_s) for one in windows]
    return {"register": format_code(register), "devices": [_device(one) for one in loaded]}


def _device(days: RegisterDays) -> Json:
    window, zone = days.window, days.window.local()
    inside = days.series.between(window.first_s, window.last_s)
    numbers = list_missing(days.incarnations, [(one.incarnation, one.seq) for one in inside])
    return window.named() | {
        "expected": len(days.boundaries),
        "readings": sum(days.series.find(at_s) is not None for at_s in days.boundaries),
        "gaps": [
            {
                "first": format_local(gap.first_s, zone),
                "last": format_local(gap.last_s, zone),
                "missing": gap.missing,
                "advance": gap.advance,
                "reason": explain_gap(gap, days.series, days.incarnations),
            }
            for gap in days.gaps
        ],
        "numbers": [
            {
                "incarnation": days.incarnations[one.incarnation].identity.hex(),
                "first": one.first,
                "last": one.last,
                "reason": one.reason,
            }
            for one in numbers
        ],
    }
