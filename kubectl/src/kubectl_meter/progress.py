"""How far a change of a meter, or of a profile and so its meters, has come. Pure.

Neighbours: `rollout` (what is changed), `watching` (which looks again and again).
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from kubectl_meter.errors import MeterError
from kubectl_meter.rollout import NO_OWN, OWN, Json, Own, find_version
from kubectl_meter.tables import format_age
from kubectl_meter.twin import find_condition

# Reasons of a meter's condition Ready while its twin is on its way.
_ON_THE_WAY = {"", "Starting", "Serving", "NotReady", "Replacing"}
_PATIENCE_S, _SOAK_S = 600, 30
"""Of a profile that says nothing of them, as its CRD has it."""


class Progress(NamedTuple):
    """How far a change is: a line for people, whether it is done, and what is wrong with it.

    `lasting`: what is wrong with it if it stays so; `updated` of `expected` meters; `waits`: only
    offline meters are left.
    """

    line: str
    done: bool = False
    fault: MeterError | None = None
    updated: int = 0
    expected: int = 0
    waits: bool = False
    lasting: MeterError | None = None


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


def meter_progress(meter: Json, profile: Json | None, version: str, before: int) -> Progress | None:
    """Return how far a meter is; None while the operator has not seen the change.

    Args:
        meter: its resource.
        profile: its TwinProfile, if that is there.
        version: what it is to run; empty for what its profile says.
        before: epoch of the last handover that had ended before the change.
    """
    status, name = meter.get("status", {}), meter["metadata"]["name"]
    running = str(status.get("twin", {}).get("version") or "")
    rows = status.get("handovers") or []
    if rows and int(rows[0]["to"]) != before and _has_failed(rows[0]):
        why = str(rows[0].get("message", ""))
        remedy = "it is tried again by itself"
        if running:  # not `rollback`, which is what may have failed
            remedy += f"; or stay: kubectl meter upgrade {name} --to {running}"
        return Progress(why, fault=MeterError(why, field="status.handovers", remedy=remedy))
    if status.get("handover"):
        return _handover_progress(meter, profile)
    if status.get("observedGeneration", 0) < meter["metadata"].get("generation", 0):
        return None
    ready = find_condition(meter, "Ready")
    reason = ready.get("reason", "")
    if reason not in _ON_THE_WAY:
        remedy = f"kubectl describe smartmeter {name}"
        fault = MeterError(ready.get("message", reason), field="status.conditions", remedy=remedy)
        return Progress(reason, fault=fault)
    line = f"epoch {status.get('epoch', 0)} runs {running or 'nothing'}"
    if ready.get("status") != "True":
        return Progress(f"{line}, not ready: {ready.get('message', '')}", lasting=_unready(meter))
    if version:
        return Progress(line, done=version == running)
    return _follow(meter, profile, line)


def _handover_progress(meter: Json, profile: Json | None) -> Progress:
    """Return how far a handover is; one that is committed lasts through the soak."""
    handover, ready = meter["status"]["handover"], find_condition(meter, "Ready")
    phase, epoch = f"{handover['phase']:<10}", handover["epoch"]
    if handover["phase"] != "Committed":
        waits_for = meter["status"].get("waitsFor")
        more = f"; {waits_for}" if waits_for else ""
        return Progress(f"{phase} epoch {epoch} is to follow{more}")
    if ready.get("status") != "True":
        line = f"{phase} epoch {epoch} is not ready: {ready.get('message', '')}"
        return Progress(line, lasting=_unready(meter))
    committed, until = handover.get("committedAt"), "it has served for soakSeconds"
    if committed and profile is not None:
        soak = timedelta(seconds=_policy(profile).get("soakSeconds", _SOAK_S))
        until = (datetime.fromisoformat(committed) + soak).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Progress(f"{phase} epoch {epoch} serves; soak until {until}")


def _follow(meter: Json, profile: Json | None, line: str) -> Progress:
    """Return how far a meter is that is ready and is to have what its profile says."""
    if profile is None:
        return Progress(line, done=True)
    status, named = meter["status"], find_version(profile)
    rows = status.get("handovers") or []
    complete = find_condition(profile, "Progressing").get("reason") == "Complete"
    behind = named not in {"", status.get("twin", {}).get("version")}
    tried = bool(rows) and rows[0].get("reason") == "ProfileChanged" and _has_failed(rows[0])
    if not behind and (complete or not tried):
        return Progress(line, done=True)
    line += f", its profile names {named or OWN}"
    return Progress(line, fault=_profile_fault(profile, complete=complete))


def _has_failed(row: Json) -> bool:
    """Whether a handover that ended was given up, and not for a change of mind."""
    aborted = row["result"] == "Aborted"
    return aborted and not str(row.get("message", "")).startswith("Superseded")


def _unready(meter: Json) -> MeterError:
    """Return what is wrong if a meter stays as it is, which is not ready."""
    name, ready = meter["metadata"]["name"], find_condition(meter, "Ready")
    return MeterError(
        f"{name} is not ready: {ready.get('message', 'the operator has not said why')}",
        field="status.conditions[Ready]",
        remedy=f"kubectl describe smartmeter {name} tells more; another version: kubectl meter"
        f" upgrade {name} --to VERSION",
    )


def _policy(profile: Json) -> Json:
    return dict(profile["spec"].get("rollout") or {})


def find_patience_s(profile: Json | None) -> float:
    """Return how long a twin may be not ready before that is a failure."""
    return float(_policy(profile or {"spec": {}}).get("progressDeadlineSeconds", _PATIENCE_S))


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
