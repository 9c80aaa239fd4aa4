"""The way to the archive: a port-forward to a replica. Neighbours: `cli_history`, `twin`."""

import contextlib
from collections.abc import Iterator
from typing import Any

from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError
from kubectl_meter.twin import API_PORT, Twin

Json = dict[str, Any]
COMPONENT = "app.kubernetes.io/component=archive"


@contextlib.contextmanager
def open_archive(cluster: Cluster) -> Iterator[Twin]:
    """Connect to a replica of the archive.

    Raises:
        MeterError: there is none that is ready, or no port-forward.
    """
    pods = cluster.get("pods", f"--selector={COMPONENT}")["items"]
    ready = [pod["metadata"]["name"] for pod in pods if _is_ready(pod)]
    if not ready:
        raise MeterError(
            "no replica of the archive is ready",
            field="archive",
            remedy="enable it (archive.enabled of the chart), or name its namespace with"
            " --archive-namespace",
        )
    with cluster.port_forward(ready[0], API_PORT) as port:
        remedy = f"kubectl logs {ready[0]}"
        yield Twin(ready[0], port, whom="archive", remedy=remedy)


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
