"""The volume of the archive's PostgreSQL.

A cluster of the user's has a default StorageClass, which makes it. The local one has none: its
nodes share this machine's disk, and a folder beside the cluster's own files goes with them.
Neighbours: ``demo.py``, ``target.py``.
"""

import json
from pathlib import Path
from typing import Any

from progress import fail
from street import kubectl
from target import Target

VOLUME = "metertwin-demo-postgres"
CLAIM = "data-metertwin-postgres-0"
SIZE = "1Gi"
DEFAULT = "storageclass.kubernetes.io/is-default-class"


def ensure_volume(target: Target, namespace: str) -> None:
    """Make the volume that the claim of PostgreSQL binds to, or see that the cluster will.

    Raises:
        SystemExit: a given cluster has no default StorageClass and no such claim, with the remedy.
    """
    if target.loader == "local":
        apply_volume(target, namespace, Path(target.kubeconfig).parent / "volumes/postgres")
        return
    classes = json.loads(kubectl(target, "get", "storageclass", "-o", "json"))["items"]
    claim = ["get", "pvc", CLAIM, "-n", namespace, "--ignore-not-found", "-o", "name"]
    if not has_default(classes) and not kubectl(target, *claim).strip():
        fail(
            "the cluster has no default StorageClass, and the archive keeps its data on a volume: "
            f"mark one with the annotation {DEFAULT}=true, or make the claim {CLAIM}"
        )


def has_default(classes: list[dict[str, Any]]) -> bool:
    """Return whether one of the classes is taken by claims that name none."""
    return any(one["metadata"].get("annotations", {}).get(DEFAULT) == "true" for one in classes)


def apply_volume(target: Target, namespace: str, folder: Path) -> None:
    """Make the volume in a folder of this machine; one whose claim is gone is offered anew."""
    folder.mkdir(parents=True, exist_ok=True)
    found = kubectl(target, "get", "pv", VOLUME, "--ignore-not-found", "-o", "json")
    if found and json.loads(found)["status"].get("phase") in ("Released", "Failed"):
        kubectl(target, "delete", "pv", VOLUME, "--wait")
        found = ""
    if not found:
        text = json.dumps(build_volume(namespace, folder))
        kubectl(target, "create", "-f", "-", text=text)


def build_volume(namespace: str, folder: Path) -> dict[str, Any]:
    """Return the volume, for that one claim, on whichever node."""
    anywhere = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": VOLUME},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace, "name": CLAIM},
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [anywhere]}},
        },
    }
