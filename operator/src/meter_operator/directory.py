"""Where the twins are found: the EndpointSlices of the headless Service, written by the operator.

`<device>.metertwin-twins.<namespace>.svc` is the device's active twin, whatever its epoch. The
name is a hint: who calls a twin checks the URI in its certificate. Why Kubernetes' own controller
does not write them: docs/adr/0015. Source: Kubernetes, "Services without selectors".
"""

import zlib
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from meter_wire.names import TWINS_SERVICE

from meter_operator.builders import MANAGER, build_service
from meter_operator.cache import Cache
from meter_operator.cluster import Cluster, ClusterError
from meter_operator.desired import Json, Meter
from meter_operator.observed import PEER_PORT, Pod
from meter_operator.upkeep import Upkeep, Write

SLICES = 4
LABEL_SERVICE = "kubernetes.io/service-name"
LABEL_MANAGER = "endpointslice.kubernetes.io/managed-by"
SELECTOR = f"{LABEL_SERVICE}%3D{TWINS_SERVICE}"

Rows = list[Any]


class Written(NamedTuple):
    """A slice as the API server has it."""

    rows: Rows
    version: str


NOTHING = Written([], "")


def build_rows(namespace: str, twins: Iterable[tuple[str, Pod]]) -> dict[str, Rows]:
    """Return the endpoints of each slice by the slice's name.

    A device is always in the same slice of its address family, so one change writes one slice.

    Args:
        namespace: that of the twins.
        twins: each device with the pod of its active epoch; pods without an address are left out.
    """
    slices: dict[str, Rows] = {}
    for device, pod in sorted(twins, key=lambda row: row[0]):
        host, _, _port = pod.address.rpartition(":")
        if not host or pod.gone:
            continue
        family = "ipv6" if ":" in host else "ipv4"
        name = f"{TWINS_SERVICE}-{family}-{zlib.crc32(device.encode()) % SLICES}"
        row = {
            "addresses": [host],
            "conditions": {"ready": True},
            "hostname": device,
            "targetRef": {
                "kind": "Pod",
                "namespace": namespace,
                "name": pod.name,
                "uid": pod.uid,
            },
        }
        slices.setdefault(name, []).append(row | ({"nodeName": pod.node} if pod.node else {}))
    return slices


def build_slice(namespace: str, name: str, rows: Rows, version: str = "") -> Json:
    """Return an EndpointSlice of the headless Service, to be written onto this version of it.

    The label `headless` keeps it from kube-proxy, which has nothing to do for such a Service.
    """
    labels = {
        "app.kubernetes.io/part-of": "metertwin",
        "app.kubernetes.io/managed-by": MANAGER,
        "service.kubernetes.io/headless": "",
        LABEL_MANAGER: MANAGER,
        LABEL_SERVICE: TWINS_SERVICE,
    }
    metadata: Json = {"name": name, "namespace": namespace, "labels": labels}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata | ({"resourceVersion": version} if version else {}),
        "addressType": "IPv6" if name.startswith(f"{TWINS_SERVICE}-ipv6-") else "IPv4",
        "ports": [{"name": "peer", "port": PEER_PORT, "protocol": "TCP"}],
        "endpoints": rows,
    }


class Directory(Upkeep):
    """Keeps the slices of each namespace equal to what the cache knows; a name is a hint."""

    what = "names of twins"

    def __init__(self, cache: Cache, cluster: Cluster) -> None:
        """Keep the parts."""
        super().__init__()
        self._cache = cache
        self._cluster = cluster
        self._written: dict[str, dict[str, Written]] = {}
        self._epochs: dict[str, int] = {}

    def note_epoch(self, meter: Meter) -> None:
        """Ask for a look if another twin is the device's active one than when it was asked last."""
        if self._epochs.get(meter.device) != meter.epoch:
            self._epochs[meter.device] = meter.epoch
            self.note(meter.key.namespace)

    def plan_writes(self, namespaces: Iterable[str]) -> dict[str, Write]:
        """Return by namespace what publishes its slices."""
        twins = self._find_twins(namespaces)
        return {name: partial(self.publish, name, rows) for name, rows in twins.items()}

    def forget(self, namespace: str) -> None:
        """Forget what the slices were; somebody else may have written them."""
        self._written.pop(namespace, None)

    async def publish(self, namespace: str, twins: Iterable[tuple[str, Pod]]) -> None:
        """Write the slices of a namespace that differ; one that is refused keeps none back.

        Raises:
            ClusterError: the API refused; what is written is to be read again.
        """
        wanted = build_rows(namespace, twins)
        written = self._written.get(namespace)
        if written is None:
            written = await self._read(namespace)
            if wanted:
                await self._ensure_service(namespace)
            self._written[namespace] = written
        refusal: ClusterError | None = None
        for name in sorted(written.keys() | wanted.keys()):
            rows, there = wanted.get(name, []), written.get(name, NOTHING)
            if there.rows == rows:
                continue
            manifest = build_slice(namespace, name, rows, there.version)
            try:
                made = await self._cluster.ensure(manifest)
            except ClusterError as error:
                refusal = error
            else:
                written[name] = Written(rows, made["metadata"]["resourceVersion"])
        if refusal is not None:
            raise refusal

    async def _ensure_service(self, namespace: str) -> None:
        """Make the Service if somebody has removed it, and take an older one's selector away."""
        found = await self._cluster.find("Service", namespace, TWINS_SERVICE)
        if found is None or found["spec"].get("selector"):
            await self._cluster.ensure(build_service(namespace))

    async def _read(self, namespace: str) -> dict[str, Written]:
        """Return our slices; those of another controller are its own."""
        found, _ = await self._cluster.list_all("EndpointSlice", namespace, SELECTOR)
        return {
            body["metadata"]["name"]: Written(
                body.get("endpoints") or [], body["metadata"]["resourceVersion"]
            )
            for body in found
            if body["metadata"]["labels"].get(LABEL_MANAGER) == MANAGER
        }

    def _find_twins(self, namespaces: Iterable[str]) -> dict[str, list[tuple[str, Pod]]]:
        """Return each device with the pod of its active epoch, by namespace, in one pass."""
        found: dict[str, list[tuple[str, Pod]]] = {name: [] for name in namespaces}
        for meter in self._cache.meters.values():
            rows = found.get(meter.key.namespace)
            if rows is None or self._cache.owner_of(meter.device) is not meter:
                continue
            pod = self._cache.find_active_pod(meter)
            if pod is not None:
                rows.append((meter.device, pod))
        return found
