"""What the operator sees of a meter's twins: pods from the watch, states from the broker. Pure."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from meter_wire.names import API_VERSION, LABEL_EPOCH, MAX_EPOCH
from meter_wire.word import NO_WORD, Word

from meter_operator.desired import Json, Meter

MOST_STATE_BYTES = 4096
RENEWAL_LEFT_S = 10 * 86400
PEER_PORT = 8443
ANNOTATION_PROFILE_HASH = "metertwin.io/profile-hash"
ANNOTATION_CONTENT_HASH = "metertwin.io/content-hash"


@dataclass(frozen=True, slots=True)
class Pod:
    """A twin pod, as much of it as decisions need."""

    name: str
    uid: str
    epoch: int
    phase: str
    ready: bool
    deleting: bool
    node: str
    spec_hash: str
    template_hash: str
    version: str
    certificate_not_after: str
    message: str
    version_number: int = 0
    meter_uid: str = ""
    address: str = ""
    epoch_id: bytes = b""
    key_version: int = 0
    profile_hash: str = ""
    claim: str = ""
    content_hash: str = ""

    @property
    def gone(self) -> bool:
        """Whether its store is lost or about to be: finished, evicted or being deleted."""
        return self.deleting or self.phase in {"Failed", "Succeeded"}

    def is_renewal_due(self, now: datetime) -> bool:
        """Whether its certificate ends soon."""
        if not self.certificate_not_after:
            return False
        end = datetime.fromisoformat(self.certificate_not_after)
        return (end - now).total_seconds() <= RENEWAL_LEFT_S


@dataclass(frozen=True, slots=True)
class TwinState:
    """The retained `state` of one epoch.

    `said` is what it says about a handover, as it came; `word` the same once it is known to be
    authentic (`words`); `term` and `counter` the highest of the control records that it took.
    """

    epoch: int
    online: bool
    meter: str = "never"
    last_seen: str = ""
    version: str = ""
    said: Json | None = None
    word: Word = NO_WORD
    term: int = 0
    counter: int = 0
    standing: Json | None = None
    """How the meter stands with its utility: reason and message."""
    stopped: bool = False
    """It moves no load, because it was told so."""

    @property
    def order(self) -> tuple[int, int]:
        """Term and counter, as control records are ordered."""
        return self.term, self.counter


def has_never_spoken(meter: Meter, state: TwinState | None) -> bool:
    """Whether a twin that serves has not heard its meter, nor has any before it.

    A meter that is declared and not installed yet: nothing is to be waited for.
    """
    return (
        state is not None
        and state.online
        and state.meter == "never"
        and not meter.status.get("lastSeen")
    )


@dataclass(frozen=True, slots=True)
class Witness:
    """The highest epoch and owner counter that an authentic hello or retained record named."""

    epoch: int = 0
    counter: int = 0

    def raised(self, epoch: int, counter: int) -> "Witness":
        """Return the higher of both, field by field."""
        return Witness(max(self.epoch, epoch), max(self.counter, counter))


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a decision about one meter is made from.

    `leaving` is the cordoned node that its twin is to leave now, or nothing; `has_utility`: the
    Utility that it names is there.
    """

    meter: Meter
    profile: Json | None = None
    older_twins_of_device: tuple[str, ...] = ()
    missing_secrets: tuple[str, ...] = ()
    pods: tuple[Pod, ...] = ()
    states: dict[int, TwinState] = field(default_factory=dict)
    witness: Witness = Witness()
    newly_allocated: bool = False
    leaving: str = ""
    has_utility: bool = False

    def find_pod(self, epoch: int) -> Pod | None:
        """Return the pod of an epoch, or None."""
        return next((pod for pod in self.pods if pod.epoch == epoch), None)

    def is_leaving(self, pod: Pod) -> bool:
        """Whether a twin is to leave its node now."""
        return bool(pod.node) and pod.node == self.leaving

    def is_left_alone(self, pod: Pod) -> bool:
        """Whether a twin stays as it is: its meter's deletion waits, its node is not emptied."""
        return self.meter.is_held and not self.is_leaving(pod)

    @property
    def stores(self) -> frozenset[int]:
        """The epochs of this meter whose twins have begun, and may hold entries."""
        begun = (pod for pod in self.pods if pod.ready or pod.epoch in self.states)
        return frozenset(pod.epoch for pod in begun)

    @property
    def is_restored(self) -> bool:
        """Whether status knows less than somebody has seen: it was put back."""
        known = (self.meter.highest_epoch, self.meter.owner_counter)
        return self.highest_witness > known[0] or self.highest_counter > known[1]

    @property
    def highest_witness(self) -> int:
        """The highest epoch that anything has seen (design rule 4)."""
        seen = [pod.epoch for pod in self.pods] + list(self.states)
        return max([self.meter.highest_epoch, self.witness.epoch, *seen])

    @property
    def highest_counter(self) -> int:
        """The highest owner counter that anything has seen."""
        return max(self.meter.owner_counter, self.witness.counter)


def _waiting(status: Json) -> str:
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        ended = (container.get("lastState") or {}).get("terminated") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{waiting['reason']}: {ended.get('message') or waiting.get('message', '')}"
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return str(status.get("message", ""))


def _meter_uid(body: Json) -> str:
    """Return the uid of the SmartMeter that controls an object; empty if none does."""
    for row in body["metadata"].get("ownerReferences") or []:
        if row.get("controller") and (row["apiVersion"], row["kind"]) == (
            API_VERSION,
            "SmartMeter",
        ):
            return str(row["uid"])
    return ""


def _epoch(label: str) -> int:
    found = int(label) if re.fullmatch("[1-9][0-9]{0,9}", label) else 0
    return found if found <= MAX_EPOCH else 0


def _number(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= MAX_EPOCH else 0


def _epoch_id(text: str) -> bytes:
    return bytes.fromhex(text) if re.fullmatch("[0-9a-f]{32}", text) else b""


def _claim(spec: Json) -> str:
    """Return the name of the volume claim that a pod's store is on; empty for an emptyDir."""
    claims = (row.get("persistentVolumeClaim") for row in spec.get("volumes") or [])
    return next((str(claim["claimName"]) for claim in claims if claim), "")


def parse_pod(body: dict[str, Any]) -> Pod:
    """Return a twin pod from its API form.

    Anybody who may make pods may give one our labels, so what is no epoch is 0, and the uid of the
    meter that controls it says whose it is, if anybody's.
    """
    metadata, status = body["metadata"], body.get("status") or {}
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    conditions = {row["type"]: row["status"] for row in status.get("conditions") or []}
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        epoch=_epoch(labels.get(LABEL_EPOCH) or ""),
        phase=status.get("phase", "Pending"),
        ready=conditions.get("Ready") == "True",
        deleting=bool(metadata.get("deletionTimestamp")),
        node=(body.get("spec") or {}).get("nodeName", ""),
        spec_hash=notes.get("metertwin.io/spec-hash", ""),
        template_hash=notes.get("metertwin.io/template-hash", ""),
        version=notes.get("metertwin.io/twin-version", ""),
        certificate_not_after=notes.get("metertwin.io/certificate-not-after", ""),
        message=_waiting(status)[:500],
        version_number=int(metadata.get("resourceVersion") or 0),
        meter_uid=_meter_uid(body),
        address=f"{status['podIP']}:{PEER_PORT}" if status.get("podIP") else "",
        epoch_id=_epoch_id(notes.get("metertwin.io/epoch-id", "")),
        key_version=_epoch(notes.get("metertwin.io/key-version", "")),
        profile_hash=notes.get(ANNOTATION_PROFILE_HASH, ""),
        claim=_claim(body.get("spec") or {}),
        content_hash=notes.get(ANNOTATION_CONTENT_HASH, ""),
    )


def parse_state(epoch: int, payload: bytes) -> TwinState:
    """Return a twin's retained state.

    Raises:
        ValueError: it is too long or no JSON object.
    """
    if len(payload) > MOST_STATE_BYTES:
        raise ValueError("state: is too long")
    try:
        found = json.loads(payload)
    except RecursionError:
        raise ValueError("state: is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("state: is no object")  # noqa: TRY004 - one error for bad input
    return TwinState(
        epoch=epoch,
        online=found.get("online") is True,
        meter=str(found.get("meter", "never"))[:16],
        last_seen=str(found.get("lastSeen") or "")[:32],
        version=str(found.get("version") or "")[:64],
        said=found.get("handover"),
        term=_number(found.get("term")),
        counter=_number(found.get("counter")),
        standing=found["utility"] if isinstance(found.get("utility"), dict) else None,
        stopped=found.get("stopped") is True,
    )
