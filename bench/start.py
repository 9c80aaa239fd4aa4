"""Processor time that a twin takes to start: alone, and in its pod beside a hundred others."""

import contextlib
import json
import os
import sys
from pathlib import Path

import cluster
from figure import Figure, figure

PROGRAM = cluster.ROOT / "twin/bench/start.py"


def measure(runs: int = 20) -> list[Figure]:
    """Return what one start takes when the machine does nothing else.

    Raises:
        PermissionError: the unpacked image can only be entered by root.
    """
    if os.geteuid():
        raise PermissionError("chroot into the unpacked image needs root")
    said = cluster.run(sys.executable, str(PROGRAM), "--runs", str(runs))
    method = (
        "user and system time of all threads, exec to Ready, of the image's own command in its "
        "unpacked files, against Mosquitto with mutual TLS on loopback (twin/bench/start.py)"
    )
    return [figure("start of a twin, processor time", json.loads(said)["cpu_ms"], "ms", method)]


def in_pods() -> list[Figure]:
    """Return what the twins that run now have taken; ask as soon as they are Ready."""
    spent = []
    for pod in cluster.pods("metertwin.io/role%3Dtwin"):
        for pid in cluster.processes(pod["metadata"]["uid"], "meter_twin"):
            with contextlib.suppress(OSError):
                tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
                spent.append(sum(int(task.read_text().split()[0]) for task in tasks) / 1e6)
    if not spent:
        return []
    method = (
        f"user and system time of all threads of {len(spent)} twin processes in pods, when all of "
        "them have become Ready; they share the cores with kubelets, API server and each other"
    )
    return [figure("start of a twin in its pod, processor time", spent, "ms", method)]
