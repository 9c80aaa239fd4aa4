"""What a SmartMeter wants, joined with what its TwinProfile offers. Pure.

The API server has checked types and CEL rules already; here is what needs a second object.
Neighbour: `policies`, which turns a `SelectionError` into a condition.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from meter_wire.names import ANNOTATION_PAUSED

from meter_operator.volume import store_limit_bytes

Json = dict[str, Any]
EPOCHS_KEPT = 5


class Key(NamedTuple):
    """A SmartMeter: namespace and name."""

    namespace: str
    name: str


class SelectionError(ValueError):
    """The meter selects what its profile does not offer; `field` is the path in the spec."""

    def __init__(self, field: str, message: str) -> None:
        """Keep the path apart from the text."""
        super().__init__(f"{field}: {message}")
        self.field = field


class PreviousEpoch(NamedTuple):
    """An epoch that is retired: its number, its identity, and whose key its twin has."""

    epoch: int
    epoch_id: bytes
    key_version: int


@dataclass(frozen=True, slots=True)
class Meter:
    """A SmartMeter as the operator reads it."""

    key: Key
    uid: str
    device: str
    generation: int
    created: str
    spec: Json
    status: Json
    resource_version: str
    deleting: bool
    paused: bool

    @property
    def epoch(self) -> int:
        """The active epoch, 0 before the first."""
        return int(self.status.get("epoch", 0))

    @property
    def highest_epoch(self) -> int:
        """The highest epoch ever allocated."""
        return max(self.epoch, int(self.status.get("highestEpoch", 0)))

    @property
    def epoch_id(self) -> bytes:
        """The random identity of the active epoch."""
        return bytes.fromhex(self.status.get("epochId", ""))

    @property
    def previous_epochs(self) -> tuple[PreviousEpoch, ...]:
        """The last epochs before the active one, the newest first."""
        return tuple(
            PreviousEpoch(
                int(row["epoch"]),
                bytes.fromhex(row["epochId"]),
                int(row.get("keyVersion") or self.epoch_key_version),
            )
            for row in self.status.get("previousEpochs") or []
        )

    @property
    def store_claim(self) -> str:
        """Name of the claim on which the active epoch keeps its store; empty for an emptyDir."""
        return str(self.status.get("storeClaim") or "")

    @property
    def authority_wait_s(self) -> int:
        """How long the active twin waits before it acts on others, because it took over."""
        return int(self.status.get("authorityWaitSeconds") or 0)

    @property
    def owner_counter(self) -> int:
        """Counter of the owner record."""
        return int(self.status.get("ownerCounter", 0))

    @property
    def key_version(self) -> int:
        """Version of the device's key that the meter itself is to have."""
        return int(self.spec.get("keyVersion", 1))

    @property
    def epoch_key_version(self) -> int:
        """Version of the device's key from which the active epoch's twin has its keys."""
        return int(self.status.get("keyVersion") or self.key_version)


def parse_meter(body: Json) -> Meter:
    """Return a SmartMeter from its API form."""
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    return Meter(
        key=Key(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        device=body["spec"].get("device") or metadata["name"],
        generation=int(metadata.get("generation", 1)),
        created=metadata.get("creationTimestamp", ""),
        spec=body["spec"],
        status=body.get("status") or {},
        resource_version=metadata.get("resourceVersion", ""),
        deleting=bool(metadata.get("deletionTimestamp")),
        paused=annotations.get(ANNOTATION_PAUSED, "").lower() == "true",
    )


@dataclass(frozen=True, slots=True)
class Desired:
    """What the twin of a meter is to be: its configuration and its container."""

    configuration: Json
    image: str
    version: str
    resources: Json
    store: Json
    feeder: str
    recipients: tuple[str, ...]
    spec_hash: str

    @property
    def is_persistent(self) -> bool:
        """Whether the store outlives the pod."""
        return bool(self.store.get("type") == "PersistentVolume")

    @property
    def template_hash(self) -> str:
        """Hash of all that the pod is made from: spec, profile and the operator's settings."""
        return hash_json([self.configuration, self.image, self.resources, self.store, self.feeder])


def hash_json(value: Any) -> str:
    """Return 16 hex digits that stand for a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_spec(spec: Json) -> str:
    """Return the hash of what the meter itself asks for; another one means another epoch.

    Neither the profile's content nor the operator's settings are in it: a changed profile or a
    newer operator never replaces a running twin, it applies to the next epoch. Only listed fields
    count, because a newer CRD adds fields with defaults to every resource.
    """
    return hash_json({name: spec[name] for name in HASHED_FIELDS if name in spec})


# A field that joins later must be left out of the hash while it has its default.
HASHED_FIELDS = (
    "device", "protocol", "keyVersion", "meteringPoint", "profile", "twin", "capturePeriodSeconds",
    "reportSpreadSeconds", "registers", "applications", "engines", "dataPolicy",
)  # fmt: skip


def _checked(value: Any, option: Json, path: str) -> Any:
    kinds = {"Integer": int, "String": str, "Boolean": bool}
    kind = kinds[option["type"]]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise SelectionError(path, f"must be of type {option['type']}")
    if "minimum" in option and value < option["minimum"]:
        raise SelectionError(path, f"must be at least {option['minimum']}")
    if "maximum" in option and value > option["maximum"]:
        raise SelectionError(path, f"must be at most {option['maximum']}")
    if "allowed" in option and value not in option["allowed"]:
        raise SelectionError(path, f"must be one of {', '.join(option['allowed'])}")
    return value


def _options(name: str, chosen: Json, offered: Json) -> Json:
    known = {option["name"]: option for option in offered.get("options", [])}
    for option in chosen:
        if option not in known:
            path = f"spec.applications.{name}.options.{option}"
            raise SelectionError(path, f"is not offered; offered: {', '.join(known) or 'none'}")
    found: Json = {}
    for option, rule in known.items():
        if option in chosen:
            path = f"spec.applications.{name}.options.{option}"
            found[option] = _checked(chosen[option], rule, path)
        elif "default" in rule:
            found[option] = rule["default"]
    return found


def select_applications(spec: Json, profile: Json) -> Json:
    """Return application → options, from what the profile offers.

    Raises:
        SelectionError: an application or option is not offered, or out of bounds.
    """
    offered = {row["name"]: row for row in profile["applications"]["offered"]}
    chosen = spec.get("applications")
    if chosen is None:
        chosen = {name: {} for name in profile["applications"].get("default", [])}
    for name in chosen:
        if name not in offered:
            raise SelectionError(
                f"spec.applications.{name}", f"is not offered; offered: {', '.join(offered)}"
            )
    return {
        name: _options(name, (wish or {}).get("options", {}), offered[name])
        for name, wish in sorted(chosen.items())
    }


def select_engines(spec: Json, profile: Json) -> Json:
    """Return port → engine, from what the profile offers.

    Raises:
        SelectionError: an engine is not offered for its port.
    """
    engines = profile.get("engines") or {}
    offered = engines.get("offered") or {}
    chosen = {**(engines.get("default") or {}), **(spec.get("engines") or {})}
    for port, engine in chosen.items():
        if engine not in offered.get(port, []):
            known = ", ".join(offered.get(port, [])) or "none"
            raise SelectionError(f"spec.engines.{port}", f"is not offered; offered: {known}")
    return dict(sorted(chosen.items()))


def desire(
    meter: Meter,
    profile: Json,
    *,
    image: tuple[str, str],
    broker: tuple[str, int],
    public_keys: dict[str, str],
) -> Desired:
    """Return what the meter's twin is to be.

    Args:
        meter: the SmartMeter.
        profile: spec of its TwinProfile.
        image: the operator's default, repository and tag (or the whole image when pinned).
        broker: host and port that twins connect to.
        public_keys: Secret name → X25519 public key in hex, for the recipients.

    Raises:
        SelectionError: it selects what is not offered.
    """
    spec = meter.spec
    point = spec["meteringPoint"]
    twin = profile.get("twin") or {}
    version = (spec.get("twin") or {}).get("version") or twin.get("version") or image[1]
    repository = twin.get("image") or image[0]
    policy = spec.get("dataPolicy") or {}
    recipients = policy.get("recipients") or []
    store = (spec.get("twin") or {}).get("store") or {"type": "EmptyDir"}
    configuration: Json = {
        "device": meter.device,
        "meteringPoint": point["id"],
        "namespace": meter.key.namespace,
        "broker": {"host": broker[0], "port": broker[1]},
        "timezone": point.get("timezone", "Europe/Brussels"),
        "capturePeriodSeconds": spec.get("capturePeriodSeconds", 900),
        "reportSpreadSeconds": spec.get("reportSpreadSeconds", 0),
        "registers": spec.get("registers", []),
        "applications": select_applications(spec, profile),
        "engines": select_engines(spec, profile),
        "storeLimitBytes": store_limit_bytes(store),
        "dataPolicy": {
            "purpose": policy.get("purpose", "billing"),
            "resolutionSeconds": policy.get("resolutionSeconds", 900),
            "retentionDays": policy.get("retentionDays", 60),
            "recipients": [
                {"name": row["name"], "publicKey": public_keys[row["publicKeySecret"]]}
                for row in recipients
                if row["publicKeySecret"] in public_keys
            ],
        },
    }
    return Desired(
        configuration=configuration,
        image=repository if "@" in repository else f"{repository}:{version}",
        version=version,
        resources=twin.get("resources") or {},
        store=store,
        feeder=point.get("feeder", ""),
        recipients=tuple(row["publicKeySecret"] for row in recipients),
        spec_hash=hash_spec(spec),
    )
