"""Metrics of handovers and rollouts, for alerts; no label names a meter.

An end is counted by who has written it. All else is read from the cache when it is asked for, so
what is gone there is gone here, and a replica that stands by shows nothing. Neighbours:
`http_server` (which serves them), `decisions` (the row of an end), `rollout_status` (the counts).
"""

from prometheus_client import Counter, Gauge, Histogram

from meter_operator.cache import Cache
from meter_operator.decisions import TAKEN_OVER
from meter_operator.desired import Json, Key
from meter_operator.handover import COMMITTED, FROZEN, PREPARING, parse_handover
from meter_operator.moments import parse_moment

PHASES = (PREPARING, FROZEN, COMMITTED)
RESULTS = ("Done", "Lost", "Superseded", "Aborted", TAKEN_OVER)
STATES = ("updated", "inProgress", "failed", "offline", "held")
WAITING = "waiting"
PROFILE = ["namespace", "profile"]

ENDED = Counter("metertwin_handovers", "Handovers that have ended, by result.", ["result"])
SECONDS = Histogram(
    "metertwin_handover_seconds", "Duration of a handover that was not ended by a takeover.",
    ["result"], buckets=(10, 30, 45, 60, 90, 120, 300, 600, 1200, 3600),
)  # fmt: skip
OPEN = Gauge("metertwin_handovers_open", "Handovers under way by phase.", ["phase"])
OLDEST = Gauge(
    "metertwin_handover_oldest_seconds",
    "How long the longest of the handovers in a phase has been in it, as far as was seen.",
    ["phase"],
)
PROFILE_METERS = Gauge(
    "metertwin_profile_meters", "Meters of a profile by state in its rollout.", [*PROFILE, "state"]
)
PROFILE_PAUSED = Gauge(
    "metertwin_profile_paused", "1 while no handover begins for a profile, else 0.", PROFILE
)

LOADS_STOPPED = Gauge(
    "metertwin_profile_loads_stopped",
    "Twins of a profile that move no load, because its load control is stopped.",
    PROFILE,
)


def count_end(decision: Json) -> None:
    """Count the end of a handover if this decision, which has just been written, is one."""
    if not {"handover", "handovers"} <= decision.keys():  # a takeover alone has a row, too
        return
    row = decision["handovers"][0]
    ENDED.labels(row["result"]).inc()
    if row["result"] != TAKEN_OVER:  # the row is that of the takeover
        seconds = parse_moment(row["endedAt"]) - parse_moment(row["begunAt"])
        SECONDS.labels(row["result"]).observe(max(0.0, seconds))


class RolloutGauges:
    """What is shown of handovers and profiles when metrics are asked for."""

    def __init__(self) -> None:
        """Begin without having seen any handover."""
        self._since: dict[tuple[str, int, str], float] = {}

    def refresh(self, cache: Cache, now_s: float) -> None:
        """Show what the cache says now; `now_s` on any clock that only goes forward."""
        for result in RESULTS:  # from 0 on, else the first of a kind is no increase
            ENDED.labels(result)
        self._show_open(cache, now_s)
        PROFILE_METERS.clear()
        PROFILE_PAUSED.clear()
        LOADS_STOPPED.clear()
        for key, body in cache.profiles.bodies.items():
            _show_profile(key, body.get("status") or {})

    def _show_open(self, cache: Cache, now_s: float) -> None:
        before, self._since = self._since, {}
        for meter in cache.meters.values():
            handover = parse_handover(meter.status)
            if handover is not None:
                one = (meter.uid, handover.epoch, handover.phase)
                self._since[one] = before.get(one, now_s)
        for phase in PHASES:
            ages = [now_s - since_s for one, since_s in self._since.items() if one[2] == phase]
            OPEN.labels(phase).set(len(ages))
            OLDEST.labels(phase).set(max(ages, default=0.0))


def _show_profile(key: Key, status: Json) -> None:
    counts = status.get("meters")
    if counts is None:  # nobody has looked at it yet
        return
    rows = {state: counts.get(state, 0) for state in STATES}
    # The states are disjoint: together they are all meters of the profile.
    rows[WAITING] = counts.get("total", 0) - sum(rows.values())
    for state, count in rows.items():
        PROFILE_METERS.labels(*key, state).set(count)
    conditions = status.get("conditions") or []
    paused = any(row["type"] == "Paused" and row["status"] == "True" for row in conditions)
    PROFILE_PAUSED.labels(*key).set(paused)
    LOADS_STOPPED.labels(*key).set((status.get("loadControl") or {}).get("stopped", 0))
