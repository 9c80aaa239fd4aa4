"""What a SmartMeter wants, joined with what its TwinProfile offers. Pure.

The API server has checked types and CEL rules already; here is what needs a second object.
Neighbour: `selection`, which joins applications and engines.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from meter_wire.names import ANNOTATION_PAUSED, GROUP

from meter_operator.hashes import hash_content, hash_json, hash_profile, hash_spec
from meter_operator.selection import select_applications, select_engines
from meter_operator.volume import store_limit_bytes

Json = dict[str, Any]
EPOCHS_KEPT = 5
FINALIZER = f"{GROUP}/readings"
ANNOTATION_TAKEN = f"{GROUP}/readings-taken"
FOREGROUND = "foregroundDeletion"
"""Kubernetes' own finalizer while it removes by itself what a resource owns."""


class Key(NamedTuple):
    """A SmartMeter: namespace and name."""

    namespace: str
    name: str


class PreviousEpoch(NamedTuple):
    """An epoch that is retired: its number, its identity, and whose key its twin has."""

    epoch: int
    epoch_id: bytes
    key_version: int


@dataclass(frozen=True, slots=True)
class Meter:
    """A SmartMeter as the operator reads it.

    `deleted_at`: when its deletion was asked for; `taken`: what its annotation says of an export.
    """

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
    finalizers: tuple[str, ...] = ()
    deleted_at: str = ""
    taken: str = ""

    @property
    def waits(self) -> bool:
        """Whether its deletion is to wait for what is not yet safe."""
        return bool(self.spec.get("deletionPolicy") == "Wait")

    @property
    def is_held(self) -> bool:
        """Whether it is being deleted and our finalizer keeps it: its twin goes on to serve."""
        ours = FINALIZER in self.finalizers and FOREGROUND not in self.finalizers
        return self.deleting and ours

    @property
    def is_going(self) -> bool:
        """Whether it is being deleted and Kubernetes removes what it owns: hands off."""
        return self.deleting and not self.is_held

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
    def utility(self) -> Key | None:
        """Which Utility it names, None if it names none."""
        row = self.spec.get("utility")
        return Key(self.key.namespace, row["name"]) if row else None

    @property
    def utility_secret(self) -> str:
        """The Secret by which its utility knows it; empty without a utility."""
        row = self.spec.get("utility")
        if row is None:
            return ""
        return str(row.get("credentialsSecret") or f"{row['name']}.{self.device}")

    @property
    def content_hash(self) -> str:
        """Hash of its profile's content that the active epoch's twin was decided to have, or ""."""
        return str(self.status.get("contentHash") or "")

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
        finalizers=tuple(metadata.get("finalizers") or ()),
        deleted_at=metadata.get("deletionTimestamp") or "",
        taken=annotations.get(ANNOTATION_TAKEN, ""),
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
    utility_secret: str
    """The Secret by which the utility knows the meter; empty without a utility."""
    spec_hash: str
    profile_hash: str
    content_hash: str

    @property
    def is_persistent(self) -> bool:
        """Whether the store outlives the pod."""
        return bool(self.store.get("type") == "PersistentVolume")

    @property
    def template_hash(self) -> str:
        """Hash of all that the pod is made from: spec, profile and the operator's settings."""
        made = [self.configuration, self.image, self.resources, self.store, self.feeder]
        return hash_json([*made, self.utility_secret] if self.utility_secret else made)


def desire(
    meter: Meter,
    profile: Json,
    *,
    image: tuple[str, str],
    broker: tuple[str, int],
    public_keys: dict[str, str],
    archive: tuple[str, int] | None = None,
) -> Desired:
    """Return what the meter's twin is to be.

    Args:
        meter: the SmartMeter.
        profile: spec of its TwinProfile.
        image: the operator's default, repository and tag (or the whole image when pinned).
        broker: host and port that twins connect to.
        public_keys: Secret name → X25519 public key in hex, for the recipients.
        archive: host and port that twins bring their entries to, None for no archive.

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
    if archive is not None:
        configuration["archive"] = {"host": archive[0], "port": archive[1]}
    utility = spec.get("utility")
    if utility is not None:
        configuration["utility"] = {
            "name": utility["name"],
            "venName": utility.get("venName", ""),
            "groups": utility.get("groups", []),
        }
        if utility.get("resources"):
            configuration["utility"]["resources"] = utility["resources"]
    if spec.get("ems"):
        configuration["ems"] = {"name": spec["ems"]["name"]}
    return Desired(
        configuration=configuration,
        image=repository if "@" in repository else f"{repository}:{version}",
        version=version,
        resources=twin.get("resources") or {},
        store=store,
        feeder=point.get("feeder", ""),
        recipients=tuple(row["publicKeySecret"] for row in recipients),
        utility_secret=meter.utility_secret,
        spec_hash=hash_spec(spec),
        profile_hash=hash_profile(spec, profile),
        content_hash=hash_content(profile),
    )
