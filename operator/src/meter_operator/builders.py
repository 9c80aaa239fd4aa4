"""Manifests of what a meter owns and of what a namespace needs once. Pure."""

import base64
import hashlib
import json
from datetime import datetime

from meter_pki.authority import Bundle
from meter_wire.names import (
    ANNOTATION_TEMPLATE_HASH,
    API_VERSION,
    LABEL_DEVICE,
    LABEL_EPOCH,
    LABEL_FEEDER,
    LABEL_ROLE,
    ROLE_TWIN,
    TRUST_CONFIG_MAP,
    TRUST_FIELD,
    TWINS_SERVICE,
    UTILITIES_CONFIG_MAP,
    build_twin_name,
)
from meter_wire.portable.keys import derive_key

from meter_operator.addresses import build_volume
from meter_operator.desired import Desired, Json, Meter
from meter_operator.moments import format_moment
from meter_operator.observed import (
    ANNOTATION_CONTENT_HASH,
    ANNOTATION_PROFILE_HASH,
    PEER_PORT,
    Pod,
)
from meter_operator.volume import EMPTY_DIR_SIZE

# Raise it when the pod's template below changes: running twins keep theirs, new epochs get this.
TEMPLATE_REVISION = 6
USER = 65532
UTILITY_FOLDER = "/var/run/metertwin/utility"
MANAGER = "metertwin-operator"
TWIN_ACCOUNT = "metertwin-twin"
STARTUP_S = 1800
WAIT_S = 5


def build_labels(meter: Meter, epoch: int, desired: Desired | None = None) -> Json:
    """Return the labels of everything that belongs to one epoch."""
    labels = {
        "app.kubernetes.io/name": "metertwin-twin",
        "app.kubernetes.io/part-of": "metertwin",
        "app.kubernetes.io/managed-by": MANAGER,
        LABEL_ROLE: ROLE_TWIN,
        LABEL_DEVICE: meter.device,
        LABEL_EPOCH: str(epoch),
    }
    if desired is not None and desired.feeder:
        labels[LABEL_FEEDER] = desired.feeder
    return labels


def build_owner(meter: Meter) -> list[Json]:
    """Return the owner reference by which deletion reaches everything."""
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "SmartMeter",
            "name": meter.key.name,
            "uid": meter.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


def build_pod_owner(pod: Pod) -> list[Json]:
    """Return the owner reference by which an object goes when a pod has gone."""
    return [{"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}]


def is_owned(body: Json, meter: Meter) -> bool:
    """Whether an object belongs to this very resource, not to one of the same name before it."""
    owners = body["metadata"].get("ownerReferences") or []
    return any(row["uid"] == meter.uid for row in owners)


def build_metadata(meter: Meter, epoch: int, desired: Desired | None = None) -> Json:
    """Return name, namespace, labels and owner of an epoch's object."""
    return {
        "name": build_twin_name(meter.device, epoch),
        "namespace": meter.key.namespace,
        "labels": build_labels(meter, epoch, desired),
        "ownerReferences": build_owner(meter),
    }


def build_secret(
    meter: Meter, epoch: int, epoch_id: bytes, meter_key: bytes, bundle: Bundle
) -> Json:
    """Return the Secret of one epoch: certificate and the three keys of that epoch."""
    keys = {
        label: derive_key(meter_key, label, meter.device, epoch, epoch_id).hex()
        for label in ("up", "down", "ctl")
    }
    identity = {"device": meter.device, "epoch": epoch, "epochId": epoch_id.hex(), **keys}
    data = {
        "tls.crt": bundle.certificate,
        "tls.key": bundle.key,
        "keys.json": json.dumps(identity).encode(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": build_metadata(meter, epoch),
        "type": "Opaque",
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def template_hash(desired: Desired) -> str:
    """Return the hash of (spec, profile, template revision)."""
    text = f"{desired.template_hash}:{TEMPLATE_REVISION}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _store_volume(meter: Meter, desired: Desired) -> Json:
    if desired.is_persistent:
        claim = {"claimName": meter.store_claim}
        return {"name": "store", "persistentVolumeClaim": claim}
    return {"name": "store", "emptyDir": {"sizeLimit": EMPTY_DIR_SIZE}}


def _probe(path: str, period_s: int, failures: int, timeout_s: int = 3) -> Json:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "failureThreshold": failures,
        "timeoutSeconds": timeout_s,
    }


def _container(desired: Desired, epoch: int, pull_policy: str) -> Json:
    configuration = json.dumps({**desired.configuration, "epoch": epoch}, separators=(",", ":"))
    mounts = [
        {"name": "identity", "mountPath": "/var/run/metertwin/identity", "readOnly": True},
        {"name": "trust", "mountPath": "/var/run/metertwin/trust", "readOnly": True},
        {"name": "store", "mountPath": "/var/lib/metertwin"},
    ]
    if desired.utility_secret:
        mounts.append({"name": "utility", "mountPath": UTILITY_FOLDER, "readOnly": True})
    return {
        "name": "twin",
        "image": desired.image,
        "imagePullPolicy": pull_policy,
        "env": [{"name": "METERTWIN_CONFIG", "value": configuration}],
        "ports": [
            {"name": "http", "containerPort": 8080},
            {"name": "peer", "containerPort": 8443},
        ],
        # Ready in the moment it is, without asking often later. The long patience is for
        # a broker that is away: a twin that cannot reach it is not restarted for that.
        # Each question waits for the answer that the twin is ready; asked at once, before the
        # ports listen, every healthy start would warn.
        "startupProbe": {
            "initialDelaySeconds": 1,
            **_probe(f"/readyz?wait={WAIT_S}", 1, STARTUP_S // WAIT_S, 2 * WAIT_S),
        },
        # A node that stalls is slow for all its twins; restarting them makes it slower. See ADR 19.
        "livenessProbe": _probe("/healthz", 20, 9, 10),
        "readinessProbe": _probe("/readyz", 10, 3),
        "resources": desired.resources
        or {"requests": {"cpu": "5m", "memory": "28Mi"}, "limits": {"memory": "96Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def build_pod(
    meter: Meter, desired: Desired, epoch: int, *, not_after: datetime, pull_policy: str
) -> Json:
    """Return the twin's pod of one epoch: restricted, without Kubernetes credentials."""
    metadata = build_metadata(meter, epoch, desired)
    metadata["annotations"] = {
        ANNOTATION_TEMPLATE_HASH: template_hash(desired),
        "metertwin.io/spec-hash": desired.spec_hash,
        ANNOTATION_PROFILE_HASH: desired.profile_hash,
        ANNOTATION_CONTENT_HASH: desired.content_hash,
        "metertwin.io/twin-version": desired.version,
        "metertwin.io/epoch-id": meter.epoch_id.hex(),
        "metertwin.io/key-version": str(meter.epoch_key_version),
        "metertwin.io/certificate-not-after": format_moment(not_after),
    }
    name = metadata["name"]
    security = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    volumes = [
        {"name": "identity", "secret": {"secretName": name, "defaultMode": 0o440}},
        {"name": "trust", "configMap": {"name": TRUST_CONFIG_MAP}},
        _store_volume(meter, desired),
    ]
    if desired.utility_secret:
        utility = desired.configuration["utility"]["name"]
        volumes.append(build_volume(utility, desired.utility_secret))
    spec = {
        "serviceAccountName": TWIN_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostname": name,
        "terminationGracePeriodSeconds": 10,
        "securityContext": security,
        "containers": [_container(desired, epoch, pull_policy)],
        "volumes": volumes,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def build_claim(meter: Meter, desired: Desired) -> Json:
    """Return the volume claim of an epoch whose store outlives its pods."""
    spec: Json = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": desired.store["size"]}},
    }
    if desired.store.get("storageClassName"):
        spec["storageClassName"] = desired.store["storageClassName"]
    metadata = {**build_metadata(meter, meter.epoch), "name": meter.store_claim}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": spec,
    }


def build_trust(namespace: str, certificates: str) -> Json:
    """Return the ConfigMap by which twins trust the private CA, in a namespace that has none."""
    labels = {"app.kubernetes.io/part-of": "metertwin", "app.kubernetes.io/managed-by": MANAGER}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": TRUST_CONFIG_MAP, "namespace": namespace, "labels": labels},
        "data": {TRUST_FIELD: certificates},
    }


def build_utilities(namespace: str, entries: dict[str, str]) -> Json:
    """Return the ConfigMap with the addresses of a namespace's utilities."""
    metadata = {**_namespace_metadata(namespace), "name": UTILITIES_CONFIG_MAP}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": entries}


def _namespace_metadata(namespace: str) -> Json:
    labels = {"app.kubernetes.io/part-of": "metertwin", "app.kubernetes.io/managed-by": MANAGER}
    return {"name": TWINS_SERVICE, "namespace": namespace, "labels": labels}


def build_service(namespace: str) -> Json:
    """Return a namespace's headless Service; `directory` writes where its twins are."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _namespace_metadata(namespace),
        "spec": {
            "clusterIP": "None",
            "ports": [{"name": "peer", "port": PEER_PORT}],
        },
    }


def build_budget(namespace: str) -> Json:
    """Return the disruption budget that refuses to evict any twin of a namespace.

    It is an integer because percentages fail for pods of a custom resource.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _namespace_metadata(namespace),
        "spec": {
            "minAvailable": 2147483647,
            "selector": {"matchLabels": {LABEL_ROLE: ROLE_TWIN}},
        },
    }
