"""Tries of a handover that were given up, as `status.handovers` has them, and their pauses. Pure.

Neighbours: `plan` and `members` (which ask when the next may begin), `content` (on whom it failed),
`handover` (why one is given up).
"""

from collections.abc import Mapping
from itertools import takewhile
from math import inf

from meter_operator.desired import Json
from meter_operator.handover import CANDIDATE_LOST, LEFT_ALONE, METER_OFFLINE, SUPERSEDED

FIRST_RETRY_S, LAST_RETRY_S = 30.0, 3600.0
BLAMELESS = (SUPERSEDED, METER_OFFLINE, CANDIDATE_LOST, LEFT_ALONE)
"""Why a handover may be withdrawn without a fault of the twin that was to come."""


def list_given_up(rows: list[Json], profile_hash: str) -> list[Json]:
    """Return the tries of a twin that were given up, of `status.handovers` and newest first.

    `profile_hash`: what it has from its profile. What was before the last one that came about
    counts no more.
    """
    tried = takewhile(lambda row: row["result"] == "Aborted", rows)
    return [row for row in tried if row.get("profileHash", profile_hash) == profile_hash]


def find_retry_pause_s(given_up: list[Json]) -> float:
    """Return how long to wait after the last of these tries; longer with each."""
    return float(min(FIRST_RETRY_S * 2 ** len(given_up), LAST_RETRY_S)) if given_up else 0.0


def is_excused(row: Json) -> bool:
    """Whether an aborted handover, a row of status, is no failure of the twin that was to come."""
    return str(row.get("message") or "").startswith(BLAMELESS)


def may_try(
    rows: list[Json], spec_hash: str, profile_hash: str, tried_s: Mapping[int, float]
) -> bool:
    """Whether the pause is over that follows the failed tries of a twin; another twin has none.

    Args:
        rows: `status.handovers`.
        spec_hash: what the meter asks for in the twin that is wanted.
        profile_hash: what that twin has from its profile.
        tried_s: by the epoch of a candidate, how long ago it was given up.
    """
    given_up = [r for r in list_given_up(rows, profile_hash) if r.get("specHash") == spec_hash]
    failed = [r for r in given_up if not is_excused(r)]
    return all(
        not tried or tried_s.get(int(tried[0]["to"]), inf) >= find_retry_pause_s(tried)
        for tried in (failed, _list_repeated(given_up))
    )


def _list_repeated(given_up: list[Json]) -> list[Json]:
    """Return the tries that came to nothing one after the other, but for the first of them.

    That a candidate was removed, or the meter fell silent, may happen once; again and again it
    would cost an epoch every few seconds.
    """
    happened = (CANDIDATE_LOST, METER_OFFLINE)
    return [row for row in given_up if str(row.get("message") or "").startswith(happened)][:-1]
