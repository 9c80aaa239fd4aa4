"""What the twin reports to its utility: quarter hours from the profile of `metering-data`.

Neighbours: both `reporting`s (which reports are due, and what is in them), `profile_samples`,
`utility_talk`.
"""

from .demand_response.quarter_hour import QUARTER_S, REGISTERS, MeterStatus, Sample
from .profile_samples import Ask, read_samples
from .utility_agent import DueReport, UtilityAgent


def make_reports(agent: UtilityAgent, ask: Ask, status: MeterStatus, now_s: int) -> int:
    """Hand all reports that are due to the agent, which sends each once; return how many.

    Args:
        agent: knows what was asked for.
        ask: for the profile.
        status: of the meter now.
        now_s: UTC.
    """
    read: dict[str, list[Sample]] = {}

    def find_until(one: DueReport) -> int:
        until_s = one.sent_until_s + one.span_s
        rows = list(read_samples(ask, REGISTERS.values(), one.sent_until_s, until_s, now_s))
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
