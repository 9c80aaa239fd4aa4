"""How long a read takes: over the cluster's network, in the pod, through a port-forward, and live.

Across the network a recipient of the data policy reads, on the twin's port 8443 with mutual TLS;
that twin is the measurement's own, because the demo's meters have no recipient. The API of the
pod's loopback is measured on a twin of the demo street, whose meter is the real firmware; reads
change nothing there.
"""

import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cluster
import fleet
from figure import Figure, figure, percentile
from meter_pki.authority import Authority
from meter_pki.identities import reader_identity

DEMO = "metertwin-demo"
HOUSE = "house-1"
READS, LIVE_READS, RUNS = 5000, 20, 3
"""A 99th percentile of 500 reads is its five slowest, in a quarter of a second: chance decides."""
SETTLE_S = 10
"""Until the applications have folded what the meter sent at once: they share the twin's thread."""
GOAL_MS = 2
READER, READ_METER = "bench", "bench-read"
READY_S = 120
PEER_READ = cluster.ROOT / "twin/bench/peer_read.py"
CLIENT = """
import http.client, json, sys, time
host, port, path, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
connection, times = http.client.HTTPConnection(host, port, timeout=10), []
for number in range(count + 5):
    begun = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200: sys.exit(f"{path}: {answer.status}")
    times.append((time.perf_counter() - begun) * 1000)
print(json.dumps(times[5:]))
"""


def twin_pod() -> str:
    """Return the pod of the twin that serves the house now."""
    meter = cluster.get(f"/apis/metertwin.io/v1alpha1/namespaces/{DEMO}/smartmeters/{HOUSE}")
    name: str = meter["status"]["twin"]["pod"]
    return name


def client_in_pod(path: str, count: int) -> list[float]:
    """Return milliseconds of reads by a client beside the twin, over one open connection."""
    command = ["kubectl", "-n", DEMO, "exec", twin_pod(), "--", "python3", "-c", CLIENT]
    found: list[float] = json.loads(cluster.run(*command, "127.0.0.1", "8081", path, str(count)))
    return found


def over_pod_network(count: int) -> list[float]:
    """Return milliseconds of /healthz over the pod network, from the node's side."""
    address = cluster.get(f"/api/v1/namespaces/{DEMO}/pods/{twin_pod()}")["status"]["podIP"]
    command = [str(cluster.TOOL), "net", "python3", "-c", CLIENT, address, "8080", "/healthz"]
    found: list[float] = json.loads(cluster.run(*command, str(count)))
    return found


def declare_read_meter() -> None:
    """Declare a meter whose data a reader may have as fine as it comes, and wait for its twin."""
    metadata = {"name": "bench-reader", "namespace": cluster.NAMESPACE}
    key = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    key["stringData"] = {"publicKey": "09" + "00" * 31}
    meter = cluster.smart_meter(READ_METER)
    recipients = [{"name": READER, "publicKeySecret": "bench-reader"}]
    meter["spec"]["capturePeriodSeconds"] = 1
    meter["spec"]["dataPolicy"] |= {"resolutionSeconds": 1, "recipients": recipients}
    cluster.create([key, meter])
    path = f"{cluster.API}/smartmeters/{READ_METER}"
    cluster.wait_until(
        lambda: cluster.has_condition(cluster.get(path), "Ready"), "the twin is ready", READY_S, 1
    )


def write_reader(folder: Path) -> None:
    """Write the reader's certificate and key, signed by the installation's own authority."""
    ca = cluster.secret("metertwin-ca")
    authority = Authority.load(ca["tls.crt"], ca["tls.key"])
    bundle = authority.issue(reader_identity(READER), datetime.now(UTC))
    (folder / "ca.crt").write_bytes(authority.certificate_pem)
    (folder / "tls.crt").write_bytes(bundle.certificate)
    (folder / "tls.key").write_bytes(bundle.key)


def over_cluster_network(count: int, runs: int) -> list[list[float]]:
    """Return milliseconds of a recipient's cached reads from outside of the pod.

    Raises:
        RuntimeError: the twin got no readings, or refused the reader.
    """
    with cluster.installation(), tempfile.TemporaryDirectory() as name:
        declare_read_meter()
        write_reader(Path(name))
        with fleet.running([READ_METER]) as meters:
            meters.hear()
            said = meters.tell("flood 4")
        if not said["slowest"] or said["unstored"]:
            raise RuntimeError(f"the twin has not stored what its meter sent: {said}")
        time.sleep(SETTLE_S)
        (pod,) = cluster.pods("metertwin.io/role%3Dtwin")
        reader = [str(cluster.TOOL), "net", sys.executable, str(PEER_READ)]
        reader += [pod["status"]["podIP"], name, "--count", str(count)]
        return [json.loads(cluster.run(*reader)) for _ in range(runs)]


@contextlib.contextmanager
def port_forward() -> Iterator[int]:
    """Keep a port-forward to the read API open; give its local port.

    Raises:
        RuntimeError: kubectl did not open it.
    """
    pod = twin_pod()
    command = ["kubectl", "-n", DEMO, "port-forward", f"pod/{pod}", ":8081"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=cluster.ENVIRONMENT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        if said is None:
            raise RuntimeError(f"no port-forward to {pod}")
        yield int(said[1])
    finally:
        process.terminate()
        process.wait(10)


def forwarded(count: int) -> list[float]:
    """Return milliseconds of cached reads through a kept-open port-forward."""
    with port_forward() as port:
        command = [sys.executable, "-c", CLIENT, "127.0.0.1", str(port), "/v1/registers"]
        found: list[float] = json.loads(cluster.run(*command, str(count)))
    return found


def pair(name: str, runs: list[list[float]], method: str, goal: float | None) -> list[Figure]:
    """Return p50 and p99, each with its spread over the runs."""
    limit = ("<", goal) if goal else None
    return [
        figure(f"{name}, p50", [percentile(run, 0.5) for run in runs], "ms", method),
        figure(f"{name}, p99", [percentile(run, 0.99) for run in runs], "ms", method, limit),
    ]


def measure() -> list[Figure]:
    """Return the latencies of reads, the demo's twin first: it is there already."""
    reads = f"{READS} reads, one after the other, over one open connection; {RUNS} runs"
    found = pair(
        "cached read inside the pod",
        [client_in_pod("/v1/registers", READS) for _ in range(RUNS)],
        f"Python client in the pod, GET /v1/registers on 127.0.0.1:8081; {reads}", None,
    )  # fmt: skip
    found += pair(
        "cached read through kubectl port-forward",
        [forwarded(READS) for _ in range(RUNS)],
        f"client on the host, a kept-open port-forward: API server, kubelet, pod; {reads}", None,
    )  # fmt: skip
    if cluster.on_this_machine():
        found += pair(
            "GET /healthz over the pod network",
            [over_pod_network(READS) for _ in range(RUNS)],
            f"client on the node's side of the pod network to port 8080, no TLS; {reads}", None,
        )  # fmt: skip
    live = [client_in_pod("/v1/registers?live=1&timeout=5", LIVE_READS) for _ in range(RUNS)]
    method = f"as the first, asked from the firmware through the broker; {LIVE_READS} reads"
    found += pair("live read inside the pod", live, method, None)
    if cluster.on_this_machine():
        found += pair(
            "cached read through the cluster network",
            over_cluster_network(READS, RUNS),
            "a recipient of the data policy on the node's side of the pod network, "
            f"GET /v1/registers on port 8443, mutual TLS 1.3, 18 registers, {SETTLE_S} s after the "
            f"meter filled it; {reads}", GOAL_MS,
        )  # fmt: skip
    return found
