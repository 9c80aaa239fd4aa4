"""Quarter hours of the meter's profile, read from `metering-data` as whoever asks it does.

Neighbours: `utility_reports`, `performance_keeper`.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any

from .demand_response.quarter_hour import Sample
from .presentation import format_time

_DAY_S = 86_400
_WH = "Wh"
_HARMLESS = frozenset({"daylight_saving"})
"""What a status may say of a quarter hour that is good."""
Ask = Callable[[str, dict[str, str], int], dict[str, Any] | None]
"""A query of the applications (name, parameters, now); None if nobody answers it."""


def read_samples(
    ask: Ask, codes: Collection[str], since_s: int, until_s: int, now_s: int
) -> Iterator[Sample]:
    """Return what registers moved in quarter hours, a day at a time: its document is small.

    Args:
        ask: see `Ask`.
        codes: of the registers; one that is not in Wh is left out.
        since_s: UTC second at which the first one begins.
        until_s: at which the last one has ended.
        now_s: UTC.
    """
    for day_s in range(since_s, until_s, _DAY_S):
        yield from _read_day(ask, codes, (day_s, min(day_s + _DAY_S, until_s)), now_s)


def _read_day(
    ask: Ask, codes: Collection[str], window: tuple[int, int], now_s: int
) -> list[Sample]:
    rows: dict[int, dict[str, int]] = {}
    doubtful: set[int] = set()
    since, until = (format_time(moment_s) or "" for moment_s in window)
    for code in codes:
        document = ask("profile", {"register": code, "from": since, "to": until}, now_s)
        if document is None or document["unit"] != _WH:
            continue
        for row in document["intervals"]:
            start_s = int(datetime.fromisoformat(row["start"]).timestamp())
            moved = row["registers"].get(code)
            if moved is not None:
                rows.setdefault(start_s, {})[code] = int(moved * 10 ** document["scaler"])
            if not _HARMLESS.issuperset(row["status"]):
                doubtful.add(start_s)
    return [Sample(at_s, rows[at_s], at_s not in doubtful) for at_s in sorted(rows)]
