"""What the twin reports to its utility: quarter hours from the profile of `metering-data`.

Neighbours: both `reporting`s (which reports are due, and what is in them), `profile_samples`,
`utility_talk`.
"""

import sqlite3

from . import log
from .demand_response.quarter_hour import QUARTER_S, REGISTERS, MeterStatus, Sample
from .profile_samples import Ask, read_samples
from .utility_agent import DueReport, UtilityAgent

MOST_AT_ONCE = 16
"""So many reports are made before the conversation goes on."""
OLDEST_S = 120 * 86_400
"""Nothing older is read: an event or request may name any time. Two of 2.0b's longest reports."""


def make_reports(agent: UtilityAgent, ask: Ask, status: MeterStatus, now_s: int) -> int:
    """Hand reports that are due to the agent, which sends each once; return how many.

    Of more than `MOST_AT_ONCE` the others are made by the next call. One that cannot be made is
    given up and counts; what the agent exports may have changed if any does.

    Args:
        agent: knows what was asked for.
        ask: for the profile.
        status: of the meter now.
        now_s: UTC.
    """
    looked_at: DueReport | None

    def read(one: DueReport, since_s: int) -> list[Sample]:
        nonlocal looked_at
        looked_at = one
        until_s = one.sent_until_s + one.span_s
        since_s = max(since_s, now_s - OLDEST_S)
        return list(read_samples(ask, REGISTERS.values(), since_s, until_s, now_s))

    def find_until(one: DueReport) -> int:
        last_s = one.sent_until_s + one.span_s - QUARTER_S
        rows = read(one, max(last_s, one.sent_until_s))
        return rows[-1].start_s + QUARTER_S if rows else 0

    for made in range(MOST_AT_ONCE):
        looked_at = None
        try:
            looked_at = due = agent.find_due_report(now_s, find_until)
            if due is None:
                return made
            rows = read(due, due.sent_until_s) if due.needs_profile else []
            is_sent = agent.send_report(due, rows, status, now_s)
        except sqlite3.Error:  # whoever writes tells it
            return made
        except Exception as error:  # whatever it is, the conversation goes on
            if looked_at is None:
                raise
            log.log_exception("report cannot be made", error, name=looked_at.key)
            agent.reporting.give_up(looked_at)
            continue
        if is_sent is None:
            log.log("warning", "report ends without readings", name=due.key)
        elif not is_sent:
            return made
    return MOST_AT_ONCE
