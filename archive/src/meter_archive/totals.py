"""Answers `/v1/totals`: the energy of a feeder, a label or a fleet in buckets of local time.

A total that lacks a meter says so (`partial`): it is never silently a smaller one. Meters that were
there for the whole time are summed in PostgreSQL; one that came, went or was exchanged in it is
answered as its own history is, and added. Neighbours: `totals_table`, `history`, `windows`.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from meter_wire.obis import find_register, format_code

from meter_archive.asking import MANY, parse_asking
from meter_archive.database import Connected, Pool
from meter_archive.intervals import Bucket, build_buckets
from meter_archive.local_time import QUARTER_S, format_local, get_zone
from meter_archive.periods import parse_every
from meter_archive.queries import Asked, Json
from meter_archive.query_error import QueryError
from meter_archive.question import Question, find_boundaries, parse_register
from meter_archive.readings_table import fetch_register, find_zone
from meter_archive.snapshots import build_series, register_kind
from meter_archive.totals_table import Summed, sum_energy
from meter_archive.windows import Window, find_windows

MOST_READINGS = 12_000_000
"""What a question may make the database add up: 12 days of quarter hours of 10,000 meters."""
MOST_PARTS = 2000
"""Meters that came or went within the time of one question."""
_NOTHING = Summed(0, 0, 0)


class Total(NamedTuple):
    """A bucket: the energy that is known, of how many of the meters that were there.

    `meters`: those there for any of its time, an exchanged one twice; `known`: those whose energy
    is in it; `estimated`: of these, those that rest on an estimated reading.
    """

    start_s: int
    end_s: int
    energy: int
    meters: int
    known: int
    estimated: int

    @property
    def quality(self) -> str:
        """Return how the energy is known; `partial`: not of all, or not all of it."""
        if not self.known and not self.energy:
            return "missing"
        if self.known < self.meters:
            return "partial"
        return "estimated" if self.estimated else "metered"


async def answer_totals(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/totals`.

    Raises:
        QueryError: a parameter is wrong, or it is too much at once.
        LookupError: there is no such meter in that time, or none that may be seen.
        asyncpg.PostgresError, OSError: the database is away.
    """
    asking = parse_asking(asked.parameters, ("register", "every", "zone"), MANY)
    register = parse_register(asking.text("register") or "1.8.0")
    if register_kind(register) != "cumulative":
        remedy = "ask for an energy such as 1.8.0, or for one meter: /v1/history"
        raise QueryError("register", "cannot be added over meters", remedy)
    question = Question(
        asking.subject, register, parse_every(asking.text("every") or "1d"), asking.text("from"),
        asking.text("to"), asking.text("zone"),
    )  # fmt: skip
    async with pool.acquire() as connection:
        zone, boundaries, windows = await _find(connection, question, asked)
        check_size(windows, boundaries)
        totals = await add_up(connection, windows, register, boundaries)
    local, known = get_zone(zone, "zone"), find_register(register)
    return {
        "register": format_code(register),
        "unit": known.unit if known else "",
        "scaler": known.scaler if known else 0,
        "every": question.every,
        "zone": zone,
        "meters": len({one.device for one in windows}),
        "buckets": [
            {
                "start": format_local(one.start_s, local),
                "end": format_local(one.end_s, local),
                "value": None if one.quality == "missing" else one.energy,
                "quality": one.quality,
                "expected": one.meters,
                "known": one.known,
                "estimated": one.estimated,
            }
            for one in totals
        ],
    }


async def _find(
    connection: Connected, question: Question, asked: Asked
) -> tuple[str, tuple[int, ...], list[Window]]:
    """Return the zone of the buckets, their boundaries, and the meters."""
    subject, scope = question.subject, asked.scope
    zone = question.zone or await find_zone(connection, subject, scope)
    zones: set[str] = set()
    while zone not in zones:
        zones.add(zone)
        boundaries = find_boundaries(question, zone, asked.now_s)
        first_s, last_s = boundaries[0], boundaries[-1]
        windows = await find_windows(connection, subject, first_s, last_s, scope, zone)
        found = {one.zone for one in windows}
        if question.zone or found == {zone}:
            return zone, boundaries, windows
        if len(found) > 1:
            zones = found
            break
        (zone,) = found  # the newest meter is one that may not be seen, or was not there
    remedy = "say whose days are meant: zone=Europe/Brussels"
    raise QueryError("zone", f"is missing: these meters are in {len(zones)}", remedy)


def check_size(windows: Sequence[Window], boundaries: Sequence[int]) -> None:
    """Refuse a question that would keep the database busy for long.

    Raises:
        QueryError: there are too many meters, or too many of them came and went.
    """
    captures = max(
        sum((boundaries[-1] - boundaries[0]) // one.capture_s for one in windows),
        len(windows) * len(boundaries),
    )
    if captures > MOST_READINGS:
        what = f"has {captures:,} readings of these meters, more than {MOST_READINGS:,}"
        raise QueryError("from", what, "ask for less time at once, or for a feeder or label")
    parts = sum(not _is_whole(one, boundaries) for one in windows)
    if parts > MOST_PARTS:
        what = f"has {parts} meters that came or went, more than {MOST_PARTS}"
        raise QueryError("from", what, "ask for less time at once, or for a feeder or label")


async def add_up(
    connection: Connected, windows: Sequence[Window], code: bytes, boundaries: Sequence[int]
) -> list[Total]:
    """Return the total of each bucket."""
    whole = [one.device for one in windows if _is_whole(one, boundaries)]
    sums = await sum_energy(connection, whole, code, boundaries)
    totals = []
    for place, (start_s, end_s) in enumerate(pairwise(boundaries)):
        found = sums.get(place, _NOTHING)
        totals.append(
            Total(start_s, end_s, found.energy, len(whole), found.meters, found.estimated)
        )
    for window in windows:
        if not _is_whole(window, boundaries):
            series = build_series(
                await fetch_register(
                    connection, window.device, code, window.first_s, window.closing(window.last_s)
                )
            )
            cut = _cut(window, boundaries)
            buckets = build_buckets(series, cut, window.capture_s) if cut else ()
            totals = [_add(total, window, buckets) for total in totals]
    return totals


def _is_whole(window: Window, boundaries: Sequence[int]) -> bool:
    return window.first_s <= boundaries[0] and window.closing(window.last_s) >= boundaries[-1]


def _cut(window: Window, boundaries: Sequence[int]) -> list[int]:
    """Return the boundaries within a window, its own ends among them as whole quarter hours."""
    first_s = -(-window.first_s // QUARTER_S) * QUARTER_S
    last_s = window.closing(window.last_s) // QUARTER_S * QUARTER_S
    inner = [one for one in boundaries if first_s < one < last_s]
    return [first_s, *inner, last_s] if first_s < last_s else []


def _add(total: Total, window: Window, buckets: Iterable[Bucket]) -> Total:
    """Return a total with what a device adds that was not there for the whole question.

    In a bucket that it came or went in, its energy is added and it does not count as known: some
    minutes of it, between two quarter hours, are nobody's.
    """
    if window.last_s <= total.start_s or window.first_s >= total.end_s:
        return total
    is_inside = window.first_s <= total.start_s and window.closing(window.last_s) >= total.end_s
    parts = [one for one in buckets if total.start_s <= one.start_s and one.end_s <= total.end_s]
    energies = [one.energy for one in parts if one.energy is not None]
    is_known = is_inside and len(energies) == len(parts) == 1
    guessed = is_known and parts[0].quality == "estimated"
    return total._replace(
        energy=total.energy + sum(energies),
        meters=total.meters + 1,
        known=total.known + is_known,
        estimated=total.estimated + guessed,
    )
