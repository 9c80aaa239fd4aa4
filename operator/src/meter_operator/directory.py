"""Where the twins are found: the EndpointSlices of the headless Service, written by the operator.

`<device>.metertwin-twins.<namespace>.svc` is the device's active twin, whatever its epoch. The
name is a hint: who calls a twin checks the URI in its certificate. Why Kubernetes' own controller
does not write them: docs/adr/0015. Source: Kubernetes, "Services without selectors".
"""

import asyncio
import logging
import zlib
from collections.abc import Iterable
from typing import Any

from meter_wire.names import TWINS_SERVICE

from meter_operator.builders import MANAGER
from meter_operator.cache import Cache
from meter_operator.cluster import Cluster, ClusterError
from meter_operator.desired import Json
from meter_operator.observed import PEER_PORT, Pod

log = logging.getLogger("meter_operator.directory")
SLICES = 4
PAUSE_S = 5
LABEL_SERVICE = "kubernetes.io/service-name"
SELECTOR = f"{LABEL_SERVICE}%3D{TWINS_SERVICE}"

Rows = list[Any]


def build_rows(twins: Iterable[tuple[str, Pod]]) -> dict[str, Rows]:
    """Return the endpoints of each slice by the slice's name.

    A device is always in the same slice of its address family, so one change writes one slice.

    Args:
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
            "targetRef": {"kind": "Pod", "name": pod.name, "uid": pod.uid},
        }
        slices.setdefault(name, []).append(row | ({"nodeName": pod.node} if pod.node else {}))
    return slices


def build_slice(namespace: str, name: str, rows: Rows) -> Json:
    """Return an EndpointSlice of the headless Service."""
    labels = {
        "app.kubernetes.io/part-of": "metertwin",
        "app.kubernetes.io/managed-by": MANAGER,
        "endpointslice.kubernetes.io/managed-by": MANAGER,
        LABEL_SERVICE: TWINS_SERVICE,
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "addressType": "IPv6" if name.startswith(f"{TWINS_SERVICE}-ipv6-") else "IPv4",
        "ports": [{"name": "peer", "port": PEER_PORT, "protocol": "TCP"}],
        "endpoints": rows,
    }


class Directory:
    """Keeps the slices of each namespace equal to what the cache knows."""

    def __init__(self, cache: Cache, cluster: Cluster) -> None:
        """Keep the parts."""
        self._cache = cache
        self._cluster = cluster
        self._due: set[str] = set()
        self._changed = asyncio.Event()
        self._written: dict[str, dict[str, Rows]] = {}

    def note(self, namespace: str) -> None:
        """Ask for a look at a namespace: a pod or an epoch may have changed."""
        self._due.add(namespace)
        self._changed.set()

    def read_again(self, namespaces: Iterable[str]) -> None:
        """Ask for a look at the slices themselves, which nobody watches."""
        for namespace in namespaces:
            self._written.pop(namespace, None)
            self.note(namespace)

    async def run(self) -> None:
        """Write what has changed, at once after a quiet time and then every few seconds."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            due, self._due = self._due, set()
            for namespace in sorted(due):
                try:
                    await self.publish(namespace)
                except ClusterError as error:
                    log.warning("%s", error)
                    self.read_again([namespace])
            await asyncio.sleep(PAUSE_S)

    async def publish(self, namespace: str) -> None:
        """Write the slices of a namespace that differ.

        Raises:
            ClusterError: the API refused; what is written is to be read again.
        """
        written = self._written.get(namespace)
        if written is None:
            written = self._written[namespace] = await self._read(namespace)
        wanted = build_rows(self._find_twins(namespace))
        for name in sorted(written.keys() | wanted.keys()):
            rows = wanted.get(name, [])
            if written.get(name) == rows:
                continue
            await self._cluster.ensure(build_slice(namespace, name, rows))
            written[name] = rows

    async def _read(self, namespace: str) -> dict[str, Rows]:
        found, _ = await self._cluster.list_all("EndpointSlice", namespace, SELECTOR)
        return {body["metadata"]["name"]: body.get("endpoints") or [] for body in found}

    def _find_twins(self, namespace: str) -> Iterable[tuple[str, Pod]]:
        for meter in self._cache.meters.values():
            if meter.key.namespace != namespace:
                continue
            for pod in self._cache.pods_of(meter):
                if pod.epoch == meter.epoch:
                    yield meter.device, pod
