"""When a deleted SmartMeter may go, and which finalizer says so until then. Pure.

With `spec.deletionPolicy: Wait` our finalizer is on the resource before its first twin is made, so
Kubernetes removes nothing of it until what the twin has stored is safe elsewhere: today when
somebody has exported it and says so in an annotation. Neighbours: `hold` (reads and writes),
`status` (the condition), `plan` (what goes on meanwhile).
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from meter_operator.desired import ANNOTATION_TAKEN, FINALIZER, Meter
from meter_operator.handover import parse_handover
from meter_operator.observed import Observed

DELETABLE = "Deletable"
HANDOVER_OPEN = "HandoverOpen"
STORES_NOT_PASSED_ON = "StoresNotPassedOn"
READINGS_NOT_TAKEN = "ReadingsNotTaken"
ANNOTATION_REFUSED = "AnnotationRefused"
_TAKEN = re.compile(
    r"([0-9a-f]{32}) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d))"
)


class Obstacle(NamedTuple):
    """Why a deletion waits: a PascalCase reason, and a message with the remedy."""

    reason: str
    message: str


class Taken(NamedTuple):
    """What the annotation says: all that the twin of this epoch had until `begun` is elsewhere."""

    epoch_id: bytes
    begun: datetime


def parse_taken(text: str) -> Taken:
    """Return the annotation `<epochId> <time>`.

    Raises:
        ValueError: it is malformed.
    """
    found = _TAKEN.fullmatch(text)
    if found is None:
        raise ValueError("is no epoch id (32 hex digits) and RFC 3339 time with a space between")
    return Taken(bytes.fromhex(found[1]), datetime.fromisoformat(found[2]))


def find_finalizers(meter: Meter) -> list[str] | None:
    """Return the finalizers that a resource is to have by its policy, None if it has them.

    None can be added once it is being deleted; taking ours away then is the way out.
    """
    has = FINALIZER in meter.finalizers
    if has == meter.waits or (meter.deleting and not has):
        return None
    return [*meter.finalizers, FINALIZER] if meter.waits else list_others(meter)


def list_others(meter: Meter) -> list[str]:
    """Return the finalizers that are not ours."""
    return [name for name in meter.finalizers if name != FINALIZER]


def find_obstacle(observed: Observed, claims: Iterable[str] = ()) -> Obstacle | None:
    """Return why a deletion has to wait, None if nothing that is stored would be lost.

    Args:
        observed: the meter, with the pods that it controls.
        claims: its volume claims of older epochs.
    """
    meter = observed.meter
    remedy = _build_remedy(meter)
    handover = parse_handover(meter.status)
    if handover is not None:
        text = f"the handover to epoch {handover.epoch} goes on to its end first"
        return Obstacle(HANDOVER_OPEN, f"{text}; or {remedy}")
    older = [pod.name for pod in observed.pods if pod.epoch != meter.epoch and not pod.gone]
    if older:
        text = f"{', '.join(older)} may hold what the active twin does not have yet"
        return Obstacle(STORES_NOT_PASSED_ON, f"{text}; wait, or {remedy}")
    left = ", ".join(claims)
    if left:
        text = f"nobody has taken what is on the volume claim of an older epoch ({left})"
        return Obstacle(STORES_NOT_PASSED_ON, f"{text}; save it and delete the claim, or {remedy}")
    return _find_untaken(meter, remedy) if meter.epoch else None


def _find_untaken(meter: Meter, remedy: str) -> Obstacle | None:
    """Return why the annotation is no word that all is taken."""
    key = meter.key
    export = f"kubectl meter export {key.name} -n {key.namespace} --out FILE"
    if not meter.taken:
        text = f"nobody has taken the readings: {export}; or {remedy}"
        return Obstacle(READINGS_NOT_TAKEN, text)
    field = f"metadata.annotations[{ANNOTATION_TAKEN}]"
    try:
        taken = parse_taken(meter.taken)
    except ValueError as error:
        return Obstacle(ANNOTATION_REFUSED, f"{field}: {error}; {export} writes it")
    if taken.epoch_id != meter.epoch_id:
        text = f"{field} is of another epoch than the active one, {meter.epoch_id.hex()}"
        return Obstacle(READINGS_NOT_TAKEN, f"{text}: {export}; or {remedy}")
    if taken.begun < datetime.fromisoformat(meter.deleted_at):
        text = f"{field} is older than the deletion, {meter.deleted_at}"
        return Obstacle(READINGS_NOT_TAKEN, f"{text}: {export}; or {remedy}")
    return None


def _build_remedy(meter: Meter) -> str:
    patch = '{"spec":{"deletionPolicy":"Delete"}}'
    command = f"kubectl patch meter {meter.key.name} -n {meter.key.namespace} --type=merge"
    return f"give up what is stored: {command} -p '{patch}'"
