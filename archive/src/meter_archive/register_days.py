"""Reads what questions of gaps, findings and estimates look at: a register, and the weeks around.

Days that are alike lie up to four weeks before and after, so more is read than asked for; never
more than may be seen. Neighbours: `windows`, `readings_table`; the answers compute from it.
"""

from datetime import timedelta
from typing import NamedTuple

from meter_wire.effects import Hole
from meter_wire.entries import parse_entry

from meter_archive.database import Connected
from meter_archive.entries_table import moment_of
from meter_archive.gap_reasons import Incarnation
from meter_archive.gaps import Gap, IncarnationHole, find_gaps
from meter_archive.intervals import build_buckets
from meter_archive.like_days import History
from meter_archive.numbers import Numbers
from meter_archive.readings_table import fetch_register
from meter_archive.snapshots import Series, Snapshot, build_series
from meter_archive.windows import Window

AROUND_S = int(timedelta(days=28).total_seconds())
Incarnations = dict[int, Incarnation]


class RegisterDays(NamedTuple):
    """One register of a window.

    `boundaries`: the capture boundaries in the window, UTC seconds. `readings` and `series`: those
    of four weeks before and after too. `around`: all capture boundaries of that time. `gaps`: those
    that touch the window, with their own ends.
    """

    window: Window
    register: bytes
    boundaries: range
    around: range
    readings: list[Snapshot]
    series: Series
    gaps: tuple[Gap, ...]
    incarnations: Incarnations

    def history(self) -> History:
        """Return the metered intervals of the weeks around and of the window."""
        buckets = build_buckets(self.series, self.around, self.window.capture_s)
        return History(buckets, self.window.local())


async def load_register(
    connection: Connected, window: Window, register: bytes, now_s: int
) -> RegisterDays:
    """Return a register's days; what lies after `now_s` is no gap.

    Raises:
        asyncpg.PostgresError, OSError: the database is away.
    """
    first_s = max(window.since_s, window.first_s - AROUND_S)
    last_s = min(window.closing(window.until_s), window.last_s + AROUND_S, now_s)
    readings = await fetch_register(connection, window.device, register, first_s, last_s)
    incarnations = await fetch_incarnations(connection, window.device)
    end_s = min(window.closing(window.last_s), now_s)
    boundaries = _boundaries(window.first_s, end_s, window.capture_s)
    around = _boundaries(first_s, last_s, window.capture_s)
    series = build_series(readings)
    holes = [
        IncarnationHole(number, Hole(first, last, reason))
        for number, one in incarnations.items()
        for reason, spans in one.lost
        for first, last in spans
    ]
    gaps: tuple[Gap, ...] = ()
    if boundaries:
        start_s, end_s = _anchors(series, boundaries, around)
        gaps = find_gaps(series, start_s, end_s, window.capture_s, holes)
    return RegisterDays(window, register, boundaries, around, readings, series, gaps, incarnations)


def _anchors(series: Series, boundaries: range, around: range) -> tuple[int, int]:
    """Return the boundaries with a reading nearest to a window, its own ends where there is none.

    So a gap over an end of the window has both its readings, and one that never ended ends with it.
    """
    step, first_s, last_s = boundaries.step, boundaries[0], boundaries[-1]
    before = range(first_s, around.start - 1, -step)
    after = range(last_s, around.stop, step)
    return (
        next((at_s for at_s in before if series.find(at_s) is not None), first_s),
        next((at_s for at_s in after if series.find(at_s) is not None), last_s),
    )


def _boundaries(first_s: int, last_s: int, capture_s: int) -> range:
    return range(-(-first_s // capture_s) * capture_s, last_s + 1, capture_s)


async def fetch_incarnations(connection: Connected, device: str) -> Incarnations:
    """Return what numbers the archive has of a device, by the number of each incarnation's row."""
    rows = await connection.fetch(
        "SELECT i.id, i.identity, i.held, h.reason, h.numbers FROM device d"
        " JOIN incarnation i ON i.device = d.id LEFT JOIN hole h ON h.incarnation = i.id"
        " WHERE d.name = $1 ORDER BY i.id, h.reason",
        device,
    )
    found: Incarnations = {}
    for row in rows:
        one = found.get(row["id"], Incarnation(row["identity"], _numbers(row["held"]), ()))
        if row["reason"] is not None:
            one = one._replace(lost=(*one.lost, (row["reason"], _numbers(row["numbers"]))))
        found[row["id"]] = one
    return found


def _numbers(ranges: object) -> Numbers:
    return tuple((one.lower, one.upper - 1) for one in ranges)  # type: ignore[attr-defined]


async def fetch_advance(connection: Connected, days: RegisterDays) -> int | None:
    """Return what the bytes of the readings at both ends of a window say that a register moved.

    Intervals are of the values beside the bytes; so this is a second way to the same number. None
    if a reading is missing there.
    """
    if len(days.boundaries) < 2:  # noqa: PLR2004 - both ends
        return None
    values = []
    for time_s in (days.boundaries[0], days.boundaries[-1]):
        snapshot = days.series.find(time_s)
        if snapshot is None:
            return None
        raw = await connection.fetchval(
            "SELECT raw FROM entry WHERE incarnation = $1 AND time = $2 AND seq = $3",
            snapshot.incarnation, moment_of(time_s), snapshot.seq,
        )  # fmt: skip
        registers = {one.code: one.value for one in parse_entry(raw).registers}
        values.append(registers.get(days.register))
    first, last = values
    return last - first if isinstance(first, int) and isinstance(last, int) else None
