"""How long a read takes: cached inside the twin's pod, through a port-forward, and live.

The read API listens on the pod's loopback only, so nobody reads across the pod network; what that
network adds is measured on the port that does listen on it. The twin is one of the demo street,
because its meter is the real firmware; reads change nothing.
"""

import contextlib
import http.client
import json
import re
import subprocess
import time
from collections.abc import Iterator

import cluster
from figure import Figure, figure, percentile

DEMO = "metertwin-demo"
POD = "house-1-e1"
READS, LIVE_READS, RUNS = 500, 20, 3
GOAL_MS = 2
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


def client_in_pod(path: str, count: int) -> list[float]:
    """Return milliseconds of reads by a client beside the twin, over one open connection."""
    command = ["kubectl", "-n", DEMO, "exec", POD, "--", "python3", "-c", CLIENT]
    found: list[float] = json.loads(cluster.run(*command, "127.0.0.1", "8081", path, str(count)))
    return found


def over_pod_network(count: int) -> list[float]:
    """Return milliseconds of /healthz over the pod network, from the node's side."""
    address = cluster.get(f"/api/v1/namespaces/{DEMO}/pods/{POD}")["status"]["podIP"]
    command = [str(cluster.TOOL), "net", "python3", "-c", CLIENT, address, "8080", "/healthz"]
    found: list[float] = json.loads(cluster.run(*command, str(count)))
    return found


@contextlib.contextmanager
def port_forward() -> Iterator[int]:
    """Keep a port-forward to the read API open; give its local port.

    Raises:
        RuntimeError: kubectl did not open it.
    """
    command = ["kubectl", "-n", DEMO, "port-forward", f"pod/{POD}", ":8081"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=cluster.ENVIRONMENT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        if said is None:
            raise RuntimeError(f"no port-forward to {POD}")
        yield int(said[1])
    finally:
        process.terminate()
        process.wait(10)


def forwarded(count: int) -> list[float]:
    """Return milliseconds of cached reads through a kept-open port-forward."""
    with port_forward() as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        times = []
        for _ in range(count + 5):
            begun = time.perf_counter()
            connection.request("GET", "/v1/registers")
            answer = connection.getresponse()
            answer.read()
            times.append((time.perf_counter() - begun) * 1000)
        connection.close()
    return times[5:]


def pair(name: str, runs: list[list[float]], method: str, goal: float | None) -> list[Figure]:
    """Return p50 and p99, each with its spread over the runs."""
    limit = ("<", goal) if goal else None
    return [
        figure(f"{name}, p50", [percentile(run, 0.5) for run in runs], "ms", method),
        figure(f"{name}, p99", [percentile(run, 0.99) for run in runs], "ms", method, limit),
    ]


def measure() -> list[Figure]:
    """Return the latencies of reads of one twin of the demo."""
    reads = f"{READS} reads, one after the other, over one open connection; {RUNS} runs"
    found = pair(
        "cached read inside the pod",
        [client_in_pod("/v1/registers", READS) for _ in range(RUNS)],
        f"Python client in the pod, GET /v1/registers on 127.0.0.1:8081; {reads}", None,
    )  # fmt: skip
    found += pair(
        "cached read through kubectl port-forward",
        [forwarded(READS) for _ in range(RUNS)],
        f"client on the host, a kept-open port-forward: API server, kubelet, pod; {reads}", GOAL_MS,
    )  # fmt: skip
    if cluster.on_this_machine():
        found += pair(
            "GET /healthz over the pod network",
            [over_pod_network(READS) for _ in range(RUNS)],
            f"client on the node's side of the pod network to port 8080, no TLS; {reads}", None,
        )  # fmt: skip
    live = [client_in_pod("/v1/registers?live=1&timeout=5", LIVE_READS) for _ in range(RUNS)]
    method = f"as the first, asked from the firmware through the broker; {LIVE_READS} reads"
    return found + pair("live read inside the pod", live, method, None)
