"""What the status of a TwinProfile says of its rollout. Pure.

Neighbours: `rollout` (what is decided), `rollouts` (which writes it, a few times a minute at most).
"""

import json
from collections.abc import Container

from meter_operator.desired import Json
from meter_operator.hashes import take_content
from meter_operator.load_control import build_status
from meter_operator.members import Target
from meter_operator.moments import format_moment
from meter_operator.rollout import (
    BY_USER,
    CANARY,
    DONE,
    TOO_MANY_FAILURES,
    Counts,
    Outlook,
    Policy,
)

HISTORY_KEPT = 5
CONTENTS_KEPT = 6
MOST_CONTENT_BYTES = 65_536
"""Of each kept content; usual ones have a few thousand."""
AS_EXPECTED = "AsExpected"


def build_profile_status(
    body: Json,
    target: Target,
    policy: Policy,
    outlook: Outlook,
    *,
    started: str,
    now_s: float,
    named: Container[str] = (),
    stopped: int = 0,
) -> Json:
    """Return the status of a profile.

    Args:
        body: the profile as it is, with its status.
        target: what it says now.
        policy: its `spec.rollout`.
        outlook: what was decided.
        started: since when it says that, RFC 3339.
        now_s: seconds since 1970.
        named: hashes of the contents that decisions of its meters name.
        stopped: how many of its twins move no load.
    """
    status = body.get("status") or {}
    generation = int(body["metadata"].get("generation", 1))
    version = find_version(target.profile)
    counts = outlook.counts
    history = _history(status, target, outlook, now_s)
    return {
        "observedGeneration": generation,
        "baseline": target.baseline,
        "target": target.content,
        "targetVersion": version,
        "startedAt": started,
        "wave": outlook.wave,
        "meters": _build_counts(counts),
        "loadControl": build_status(target.profile, stopped, counts.total),
        "history": history,
        "contents": _contents(status, target, history, named),
        "conditions": _stamp(_conditions(policy, outlook), status, generation, now_s),
    }


def find_version(profile: Json) -> str:
    """Return the version that a profile's spec names; empty for the operator's own."""
    return str((profile.get("twin") or {}).get("version") or "")


def _build_counts(counts: Counts) -> Json:
    return {
        "total": counts.total,
        "updated": counts.updated,
        "inProgress": counts.in_progress,
        "failed": counts.failed,
        "offline": counts.offline,
        "held": counts.held,
    }


def _history(status: Json, target: Target, outlook: Outlook, now_s: float) -> list[Json]:
    """Return what the whole fleet has run, the newest first; a version is in it once."""
    rows: list[Json] = list(status.get("history") or [])
    complete = outlook.wave == DONE and outlook.counts.updated and not outlook.counts.failed
    if not (complete and outlook.is_proven) or (rows and rows[0]["hash"] == target.content):
        return rows
    version = find_version(target.profile)
    row = {"version": version, "hash": target.content, "completedAt": format_moment(now_s)}
    return [row, *(row for row in rows if row["version"] != version)][:HISTORY_KEPT]


def _contents(
    status: Json, target: Target, history: list[Json], named: Container[str]
) -> list[Json]:
    """Return what twins may still be made from: said now, had by all last, named by a decision.

    What is too large to be kept is left out.
    """
    last = history[0]["hash"] if history else ""
    rows = [{"hash": target.content, "content": take_content(target.profile)}]
    rows += [row for row in status.get("contents") or [] if row["hash"] != target.content]
    kept = [row for row in rows if row["hash"] in {target.content, last} or row["hash"] in named]
    kept.sort(key=lambda row: (row["hash"] != target.content, row["hash"] != last))
    small = [row for row in kept if len(json.dumps(row["content"])) <= MOST_CONTENT_BYTES]
    return small[:CONTENTS_KEPT]


def find_contents(status: Json) -> tuple[str, dict[str, Json]]:
    """Return the hash of what the whole fleet had last, and by hash the contents that are known."""
    history = status.get("history") or []
    contents = {row["hash"]: row["content"] for row in status.get("contents") or []}
    return history[0]["hash"] if history else "", contents


def _conditions(policy: Policy, outlook: Outlook) -> list[Json]:
    return [_progressing(outlook), _degraded(policy, outlook), _paused(policy, outlook)]


def _condition(kind: str, truth: bool, reason: str, message: str) -> Json:
    return {"type": kind, "status": str(truth), "reason": reason, "message": message}


def _progressing(outlook: Outlook) -> Json:
    counts = outlook.counts
    held = f"; {counts.held} are left as they are, see their condition Ready" if counts.held else ""
    if outlook.wave == DONE:
        text = f"{counts.updated} of {counts.total} meters have what the profile says{held}"
        return _condition("Progressing", False, "Complete", text)
    if outlook.stopped:
        text = f"nothing begins; {counts.in_progress} handovers under way go on"
        return _condition("Progressing", False, "Paused", text)
    if outlook.is_stuck:
        return _condition("Progressing", True, "Retrying", "only meters that failed are left")
    if counts.offline and not counts.in_progress and not outlook.still_to_come:
        text = f"{counts.offline} meters are offline; they follow when they are back{held}"
        return _condition("Progressing", True, "WaitingForMeters", text)
    if outlook.wave == CANARY:
        text = "a few meters first; the others follow when these have served for soakSeconds"
        return _condition("Progressing", True, CANARY, text + held)
    return _condition("Progressing", True, outlook.wave, f"the fleet follows{held}")


def _degraded(policy: Policy, outlook: Outlook) -> Json:
    counts = outlook.counts
    what = "; ".join(outlook.troubles)
    if outlook.stopped == TOO_MANY_FAILURES:
        text = f"{counts.failures} failures, rollout.maxFailures is {policy.max_failures}: {what}"
        return _condition("Degraded", True, TOO_MANY_FAILURES, text)
    if outlook.is_stuck:
        return _condition("Degraded", True, "MetersFailed", what)
    text = f"{counts.failures} failures, up to {policy.max_failures - 1} are accepted: {what}"
    if not counts.failures:
        text = "no failures"
    return _condition("Degraded", False, AS_EXPECTED, text)


def _paused(policy: Policy, outlook: Outlook) -> Json:
    if outlook.stopped == BY_USER:
        return _condition("Paused", True, BY_USER, "spec.rollout.paused is true")
    if outlook.stopped == TOO_MANY_FAILURES:
        text = (
            f"rollout.maxFailures ({policy.max_failures}) is reached: change the profile back"
            " (kubectl meter rollback), or go on (kubectl meter resume)"
        )
        return _condition("Paused", True, TOO_MANY_FAILURES, text)
    return _condition("Paused", False, "NotPaused", "handovers begin as spec.rollout says")


def _stamp(rows: list[Json], status: Json, generation: int, now_s: float) -> list[Json]:
    before = {row["type"]: row for row in status.get("conditions") or []}
    for row in rows:
        old = before.get(row["type"])
        same = old is not None and old["status"] == row["status"]
        row["lastTransitionTime"] = (
            old["lastTransitionTime"] if same and old else format_moment(now_s)
        )
        row["observedGeneration"] = generation
    return rows
