"""What the twin reports to its utility: quarter hours from the profile of `metering-data`.

Neighbours: both `reporting`s (which reports are due, and what is in them), `utility_talk`.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from .demand_response.quarter_hour import QUARTER_S, REGISTERS, MeterStatus, Sample
from .presentation import format_time
from .utility_agent import DueReport, UtilityAgent

_DAY_S = 86_400
_WH = "Wh"
Ask = Callable[[str, dict[str, str], int], dict[str, Any] | None]


def make_reports(agent: UtilityAgent, ask: Ask, status: MeterStatus, now_s: int) -> int:
    """Hand all reports that are due to the agent, which sends each once; return how many.

    Args:
        agent: knows what was asked for.
        ask: a query of the applications (name, parameters, now), None if nobody answers it.
        status: of the meter now.
        now_s: UTC.
    """
    read: dict[str, list[Sample]] = {}

    def find_until(one: DueReport) -> int:
        rows = list(_read(ask, one.sent_until_s, one.sent_until_s + one.span_s, now_s))
        read[one.key] = rows
        return rows[-1].start_s + QUARTER_S if rows else 0

    made = 0
    while (due := agent.find_due_report(now_s, find_until)) is not None:
        rows = read.get(due.key)
        if rows is None and due.needs_profile:  # it was not waited for any more
            find_until(due)
            rows = read[due.key]
        if not agent.send_report(due, rows or [], status, now_s):
            return made
        read.pop(due.key, None)
        made += 1
    return made


def _read(ask: Ask, since_s: int, until_s: int, now_s: int) -> Iterator[Sample]:
    """Return the quarter hours of the profile, a day at a time: a document of a day is small."""
    for day_s in range(since_s, until_s, _DAY_S):
        yield from _read_day(ask, day_s, min(day_s + _DAY_S, until_s), now_s)


def _read_day(ask: Ask, since_s: int, until_s: int, now_s: int) -> list[Sample]:
    rows: dict[int, dict[str, int]] = {}
    doubtful: set[int] = set()
    for code in REGISTERS.values():
        wanted = {
            "register": code,
            "from": format_time(since_s) or "",
            "to": format_time(until_s) or "",
        }
        document = ask("profile", wanted, now_s)
        if document is None or document["unit"] != _WH:
            continue
        for row in document["intervals"]:
            start_s = int(datetime.fromisoformat(row["start"]).timestamp())
            moved = row["registers"].get(code)
            if moved is not None:
                rows.setdefault(start_s, {})[code] = int(moved * 10 ** document["scaler"])
            if row["status"]:
                doubtful.add(start_s)
    return [Sample(at_s, rows[at_s], at_s not in doubtful) for at_s in sorted(rows)]
