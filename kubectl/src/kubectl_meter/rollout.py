"""What upgrade, rollback, pause and resume change, and how far a change has come. Pure.

Neighbours: `cli_rollout` (the commands), `going_back` (to which version), `watching` (which looks
again and again).
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from meter_wire.names import API_VERSION

from kubectl_meter.errors import MeterError
from kubectl_meter.tables import format_age
from kubectl_meter.twin import find_condition

Json = dict[str, Any]
OWN = "the operator's own version"
_TAG = re.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""As the resources' own rules have it."""
# Reasons of a meter's condition Ready while its twin is on its way.
_ON_THE_WAY = {"", "Starting", "Serving", "NotReady", "Replacing"}


def version_patch(version: str) -> Json:
    """Return the change of a SmartMeter's or TwinProfile's spec that asks for a version.

    Raises:
        MeterError: it is no image tag, so the API would refuse it; a dry run has no other check.
    """
    if version and not _TAG.fullmatch(version):
        raise MeterError(
            f"{version!r} is no image tag", field="--to", remedy="a tag is such as 0.2.0"
        )
    return {"spec": {"twin": {"version": version}}}


def pause_patch() -> Json:
    """Return the change of a TwinProfile that lets nothing begin."""
    return {"spec": {"rollout": {"paused": True}}}


def resume_patch(now: str) -> Json:
    """Return the change of a TwinProfile that goes on and forgives what has failed."""
    return {"spec": {"rollout": {"paused": False, "resumedAt": now}}}


def manifest(kind: str, body: Json, patch: Json) -> Json:
    """Return the part of a manifest that a patch changes, for a repository."""
    metadata = {name: body["metadata"][name] for name in ("name", "namespace")}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, **patch}


def format_yaml(document: Json) -> str:
    """Return nested mappings as YAML; strings are quoted as in JSON, which YAML reads too."""
    return "\n".join(_yaml_lines(document, ""))


def _yaml_lines(document: Json, indent: str) -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _yaml_lines(value, indent + "  ")
        else:
            yield f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}"


def find_version(body: Json) -> str:
    """Return the version that a resource asks for; empty if it leaves that to others."""
    return str((body["spec"].get("twin") or {}).get("version") or "")


class Own(NamedTuple):
    """The meters of a profile that name a version themselves, so that its version is not theirs.

    `named` of `total`; `others`: so many name another one than the profile will.
    """

    named: int = 0
    total: int = 0
    others: int = 0

    @property
    def text(self) -> str:
        """Return it for a line; empty if there are none."""
        if self.named == 1:
            return "1 names its own version"
        return f"{self.named} name their own version" if self.named else ""

    @property
    def fault(self) -> MeterError | None:
        """Return what is wrong where no meter follows."""
        if not self.total or self.others < self.total:
            return None
        return MeterError(
            f"no meter follows the profile: all {self.total} name another version themselves",
            field="spec.twin.version",
            remedy="kubectl meter upgrade NAME --to '' gives one what its profile says",
        )


def find_own(meters: Iterable[Json], profile: str, version: str) -> Own:
    """Return who names a version; `version`: what the profile will say."""
    found = [find_version(one) for one in meters if one["spec"].get("profile") == profile]
    own = [one for one in found if one]
    return Own(len(own), len(found), sum(one != version for one in own))


NO_OWN = Own()


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
