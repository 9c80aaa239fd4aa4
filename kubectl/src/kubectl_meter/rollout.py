"""What upgrade, rollback, pause, resume, stop and allow change. Pure.

Neighbours: `cli_rollout`, `cli_stop` (the commands), `going_back` (to which version), `progress`
(how far it is).
"""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from meter_wire.names import ANNOTATION_PAUSED, ANNOTATION_STOP_REASON, API_VERSION

from kubectl_meter.errors import MeterError, WrongUsage
from kubectl_meter.twin import find_condition

Json = dict[str, Any]
OWN = "the operator's own version"
PROBE: Json = {"spec": {"rollout": {"resumedAt": "1970-01-01T00:00:00Z"}}}
"""A change of a TwinProfile that is never made; what is asked is when it would have been."""
_TAG = re.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""As the resources' own rules have it."""


def version_patch(version: str) -> Json:
    """Return the change of a SmartMeter's or TwinProfile's spec that asks for a version.

    Raises:
        WrongUsage: it is no image tag, so the API would refuse it; a dry run has no other check.
    """
    if version and not _TAG.fullmatch(version):
        raise WrongUsage(
            f"{version!r} is no image tag", field="--to", remedy="a tag is such as 0.2.0"
        )
    return {"spec": {"twin": {"version": version}}}


def pause_patch() -> Json:
    """Return the change of a TwinProfile that lets nothing begin."""
    return {"spec": {"rollout": {"paused": True}}}


def resume_patch(profile: Json, now: datetime) -> Json:
    """Return the change of a TwinProfile that goes on and forgives what has failed.

    The operator compares with its own clock when something failed; `now` may be behind that, but
    what made the profile pause itself is forgiven.
    """
    paused = str(find_condition(profile, "Paused").get("lastTransitionTime") or "")
    moment = max(now, datetime.fromisoformat(paused)) if paused else now
    resumed = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"spec": {"rollout": {"paused": False, "resumedAt": resumed}}}


def stop_patch(reason: str) -> Json:
    """Return the change of a TwinProfile that stops load control, and says why."""
    return {"metadata": _note_reason(reason), "spec": {"loadControl": "Stopped"}}


def allow_patch() -> Json:
    """Return the change of a TwinProfile that permits load control again."""
    return {"metadata": _note_reason(""), "spec": {"loadControl": "Allowed"}}


def _note_reason(reason: str) -> Json:
    return {"annotations": {ANNOTATION_STOP_REASON: reason or None}}


def find_pause(body: Json) -> str:
    """Return what ends the pause in which nothing begins for a resource; empty without one."""
    name, notes = body["metadata"]["name"], body["metadata"].get("annotations") or {}
    if (body["spec"].get("rollout") or {}).get("paused"):
        return f"kubectl meter resume --profile {name}"
    if str(notes.get(ANNOTATION_PAUSED, "")).lower() == "true":
        return f"kubectl annotate meter {name} {ANNOTATION_PAUSED}-"
    return ""


def manifest(kind: str, body: Json, patch: Json) -> Json:
    """Return the part of a manifest that a patch changes, for a repository."""
    metadata = {name: body["metadata"][name] for name in ("name", "namespace")}
    notes = (patch.get("metadata") or {}).get("annotations") or {}
    kept = {name: text for name, text in notes.items() if text is not None}
    if kept:
        metadata["annotations"] = kept
    rest = {name: value for name, value in patch.items() if name != "metadata"}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, **rest}


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
