"""Which events a TwinProfile gets: what its new status says that the one before did not. Pure.

Only the two are compared, so what has been told is not told again, also by another process.
Neighbours: `rollout_status` (what status says), `rollouts` (which writes it, then tells).
"""

from typing import NamedTuple

from meter_operator.desired import Json
from meter_operator.load_control import was_stopped
from meter_operator.rollout import CANARY, DONE, TOO_MANY_FAILURES

BEGUN, WAVE, COMPLETE = "RolloutBegun", "RolloutWave", "RolloutComplete"
PAUSED, RESUMED = "RolloutPaused", "RolloutResumed"
LOADS_STOPPED, LOADS_ALLOWED = "LoadControlStopped", "LoadControlAllowed"
LONGEST_WHY = 700
"""Characters; the remedy after them has to fit into an event too."""


class News(NamedTuple):
    """One event: its reason, its message, and `Normal` or `Warning`."""

    reason: str
    message: str
    kind: str = "Normal"


def find_news(name: str, before: Json, after: Json) -> list[News]:
    """Return what is to be told of a profile of this name when its status changes.

    Args:
        name: the profile's.
        before: its status as it was, empty at first.
        after: the status that was written, whole.
    """
    # A profile that is seen for the first time says nothing new.
    changed = before.get("target") not in {None, after["target"]}
    return [
        *_find_steps(before, after, changed=changed),
        *_find_pauses(name, before, after, changed=changed),
        *_find_stops(name, before, after),
    ]


def _find_stops(name: str, before: Json, after: Json) -> list[News]:
    was, now = was_stopped(before), was_stopped(after)
    if now and not was:
        text = f"no twin limits a load or passes on; to go on: kubectl meter allow --profile {name}"
        return [News(LOADS_STOPPED, text, "Warning")]
    return [News(LOADS_ALLOWED, "twins may limit loads again")] if was and not now else []


def _find_steps(before: Json, after: Json, *, changed: bool) -> list[News]:
    old, new = before.get("wave", DONE), after["wave"]
    if new == DONE:
        message = _find_condition(after, "Progressing")["message"]
        return [News(COMPLETE, message)] if changed or old != DONE else []
    if changed or old == DONE:
        version = after["targetVersion"]
        version = f"version {version}" if version else "the operator's own version"
        return [News(BEGUN, f"{version}: {_build_share(after)}; {_find_next(after)}")]
    if old == new:
        return []
    if new == CANARY:
        text = "Canary: none of the others begins until a few meters have served for soakSeconds"
        return [News(WAVE, text)]
    return [News(WAVE, f"Fleet: the canary has served for soakSeconds; {_build_share(after)}")]


def _find_pauses(name: str, before: Json, after: Json, *, changed: bool) -> list[News]:
    old, new = (_find_condition(status, "Paused") for status in (before, after))
    was, now = (row.get("status") == "True" for row in (old, new))
    if not now:
        text = "no longer paused, handovers begin as spec.rollout says"
        # Another target is another rollout: that it begins has been told.
        return [News(RESUMED, text)] if was and not changed else []
    if was and old["reason"] == new["reason"]:
        return []
    resume = f"kubectl meter resume --profile {name}"
    if new["reason"] != TOO_MANY_FAILURES:
        return [News(PAUSED, f"{new['message']}; to go on: {resume}")]
    why = _find_condition(after, "Degraded")["message"][:LONGEST_WHY]
    back = f"kubectl meter rollback --profile {name}"
    return [News(PAUSED, f"{why}; to go on: {resume}; to go back: {back}", "Warning")]


def _build_share(status: Json) -> str:
    counts = status["meters"]
    expected = counts["total"] - counts["held"]
    return f"{counts['updated']} of {expected} meters have what the profile says"


def _find_next(status: Json) -> str:
    if _find_condition(status, "Paused")["status"] == "True":
        return "nothing begins while it is paused"
    return "a few meters first" if status["wave"] == CANARY else "the others follow"


def _find_condition(status: Json, kind: str) -> Json:
    rows: list[Json] = status.get("conditions") or []
    return next((row for row in rows if row["type"] == kind), {})
