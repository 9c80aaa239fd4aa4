"""How far a change of a meter, or of a profile and so its meters, has come. Pure.

Neighbours: `rollout` (what is changed), `watching` (which looks again and again).
"""

from typing import NamedTuple

from kubectl_meter.errors import MeterError
from kubectl_meter.rollout import NO_OWN, Json, Own
from kubectl_meter.tables import format_age
from kubectl_meter.twin import find_condition

# Reasons of a meter's condition Ready while its twin is on its way.
_ON_THE_WAY = {"", "Starting", "Serving", "NotReady", "Replacing"}


class Progress(NamedTuple):
    """How far a change is: a line for people, whether it is done, and what is wrong with it.

    `updated` of `expected` meters; `waits`: only offline meters are left.
    """

    line: str
    done: bool = False
    fault: MeterError | None = None
    updated: int = 0
    expected: int = 0
    waits: bool = False


def profile_progress(profile: Json, own: Own = NO_OWN) -> Progress | None:
    """Return how far a profile's rollout is; None while the operator has not seen the change.

    `own`: meters that count as updated, and do not follow.
    """
    status = profile.get("status", {})
    if status.get("observedGeneration", 0) < profile["metadata"].get("generation", 0):
        return None
    if not status.get("conditions"):
        return None
    counts = status.get("meters", {})
    updated, expected = counts.get("updated", 0), counts.get("total", 0) - counts.get("held", 0)
    progressing = find_condition(profile, "Progressing")
    reason = progressing.get("reason", "")
    line = f"{status.get('wave', ''):<7} {updated} of {expected} updated"
    for name, text in (("inProgress", "in progress"), ("failed", "failed"), ("offline", "offline")):
        line += f", {counts.get(name, 0)} {text}"
    line += f", {own.text}" if own.text else ""
    if reason in {"WaitingForMeters", "Retrying"}:
        line += f" ({progressing['message']})"
    complete = reason == "Complete"
    fault = _profile_fault(profile, complete=complete) or (own.fault if complete else None)
    done = complete and fault is None
    return Progress(line, done, fault, updated, expected, reason == "WaitingForMeters")


def _profile_fault(profile: Json, *, complete: bool) -> MeterError | None:
    name = profile["metadata"]["name"]
    paused, degraded = (find_condition(profile, kind) for kind in ("Paused", "Degraded"))
    if paused.get("status") == "True" and paused.get("reason") == "ByUser" and not complete:
        remedy = f"kubectl meter resume --profile {name}"
        return MeterError(paused["message"], field="spec.rollout.paused", remedy=remedy)
    if degraded.get("status") != "True":
        return None
    remedy = (
        "kubectl meter handovers NAME says why one failed; then back (kubectl meter rollback"
        f" --profile {name}) or on (kubectl meter resume --profile {name})"
    )
    return MeterError(degraded["message"], field="status.conditions", remedy=remedy)


def meter_progress(meter: Json, version: str, before: int) -> Progress | None:
    """Return how far a meter is; None while the operator has not seen the change.

    Args:
        meter: its resource.
        version: what it is to run; empty for what its profile says.
        before: epoch of the last handover that had ended before the change.
    """
    status, name = meter.get("status", {}), meter["metadata"]["name"]
    running = str(status.get("twin", {}).get("version") or "")
    handover = status.get("handover")
    rows = status.get("handovers") or []
    if rows and int(rows[0]["to"]) != before and rows[0]["result"] == "Aborted":
        why = str(rows[0].get("message", ""))
        if not why.startswith("Superseded"):
            remedy = "it is tried again by itself"
            if running:  # not `rollback`, which is what may have failed
                remedy += f"; or stay: kubectl meter upgrade {name} --to {running}"
            return Progress(why, fault=MeterError(why, field="status.handovers", remedy=remedy))
    if handover:
        return Progress(f"{handover['phase']:<10} epoch {handover['epoch']} is to follow")
    if status.get("observedGeneration", 0) < meter["metadata"].get("generation", 0):
        return None
    ready = find_condition(meter, "Ready")
    reason = ready.get("reason", "")
    if reason not in _ON_THE_WAY:
        remedy = f"kubectl describe smartmeter {name}"
        fault = MeterError(ready.get("message", reason), field="status.conditions", remedy=remedy)
        return Progress(reason, fault=fault)
    done = ready.get("status") == "True" and version in ("", running)
    return Progress(f"epoch {status.get('epoch', 0)} runs {running or 'nothing'}", done)


def last_handover(meter: Json) -> int:
    """Return the epoch of the last handover that ended, 0 if there was none."""
    rows = meter.get("status", {}).get("handovers") or []
    return int(rows[0]["to"]) if rows else 0


def format_eta(first: Progress, now: Progress, seconds: float) -> str:
    """Return how long it will take at the pace since `first`, `seconds` ago."""
    gained, left = now.updated - first.updated, now.expected - now.updated
    if gained <= 0 or left <= 0:
        return ""
    return f"ETA {format_age(left * seconds / gained)}"
