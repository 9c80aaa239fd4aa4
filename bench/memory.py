"""Memory of running twins: the kernel's own account of each process and of the whole host."""

import contextlib
import statistics
import time
from pathlib import Path
from typing import Any

import cluster
from figure import MIB, Figure, figure, memory_info

FIELDS = ("Rss", "Pss", "Private_Clean", "Private_Dirty")
GOAL_PRIVATE_MIB, GOAL_RSS_MIB, GOAL_MARGINAL_MB = 13, 25, 28
PAPER = "the paper's 800 (40 MB each) and 30,000 (about 1 MB each)"


def smaps(pid: int) -> dict[str, int]:
    """Return fields of /proc/<pid>/smaps_rollup in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {name: found[name] for name in FIELDS}


def twin_processes(namespace_pods: list[dict[str, Any]]) -> list[dict[str, int]]:
    """Return the account of every twin's process."""
    found = []
    for pod in namespace_pods:
        for pid in cluster.processes(pod["metadata"]["uid"], "meter_twin"):
            with contextlib.suppress(OSError):
                found.append(smaps(pid))
    return found


def of_processes(state: str) -> list[Figure]:
    """Return private memory, Rss and Pss over all twins that run now."""
    seen = twin_processes(cluster.pods("metertwin.io/role%3Dtwin"))
    if not seen:
        return []
    where = f"/proc/<pid>/smaps_rollup of {len(seen)} twin processes in pods on two nodes, {state}"
    kib = 1024 / MIB

    def one(name: str, fields: tuple[str, ...], goal: float | None) -> Figure:
        values = [sum(row[field] for field in fields) * kib for row in seen]
        limit = ("<=", goal) if goal else None
        return figure(f"{name}, {state}", values, "MiB", f"{' + '.join(fields)} in {where}", limit)

    return [
        one("private memory of a twin", ("Private_Dirty", "Private_Clean"), GOAL_PRIVATE_MIB),
        one("private dirty memory of a twin", ("Private_Dirty",), None),
        one("RSS of a twin", ("Rss",), GOAL_RSS_MIB),
        one("Pss of a twin", ("Pss",), None),
    ]


def settled(seconds: float = 15, samples: int = 5) -> tuple[float, float]:
    """Return (MemAvailable, MemTotal - MemFree - reclaimable) in bytes, medians over a while."""
    available, used = [], []
    for _ in range(samples):
        time.sleep(seconds / samples)
        info = memory_info()
        available.append(info["MemAvailable"])
        reclaimable = info["Buffers"] + info["Cached"] - info["Shmem"] + info["SReclaimable"]
        used.append(info["MemTotal"] - info["MemFree"] - reclaimable)
    return sorted(available)[samples // 2], sorted(used)[samples // 2]


def shim_bytes() -> list[float]:
    """Return the Pss of every containerd shim of this machine."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, KeyError, IndexError):
            if b"containerd-shim" in (folder / "cmdline").read_bytes():
                found.append(smaps(int(folder.name))["Pss"] * 1024.0)
    return found


def pod_bytes(pod: dict[str, Any]) -> float:
    """Return what the kernel charges to a pod's memory cgroup, without file pages.

    Raises:
        IndexError: its twin's process is not on this machine.
    """
    pid = cluster.processes(pod["metadata"]["uid"], "meter_twin")[0]
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    first = [Path(path) for _, kinds, path in lines if "memory" in kinds.split(",")]
    root, names = Path("/sys/fs/cgroup/memory"), ("memory.usage_in_bytes", "total_cache")
    if not first:
        root, names = Path("/sys/fs/cgroup"), ("memory.current", "file")
        first = [Path(path) for _, kinds, path in lines if not kinds]
    folder = root / first[0].parent.relative_to("/")
    held = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return float((folder / names[0]).read_text()) - float(held[names[1]])


def of_pods() -> list[Figure]:
    """Return the kernel's account of each twin's pod and shim: free of others' noise."""
    pods = []
    for pod in cluster.pods("metertwin.io/role%3Dtwin"):
        with contextlib.suppress(OSError, IndexError, KeyError):
            pods.append(pod_bytes(pod) / 1e6)
    shims = [held / 1e6 for held in shim_bytes()]
    both = statistics.median(pods) + statistics.mean(shims)
    return [
        figure("charged to a twin's pod", pods, "MB", "memory cgroup of each pod (twin, pause "
               "container, kernel memory), file pages aside"),
        figure("containerd shim of a pod", shims, "MB",
               "Pss of each containerd-shim process of the machine"),
        figure("pod and shim", both, "MB", "median of the first plus mean of the second; page "
               "tables and what kubelet and containerd keep are not in it"),
    ]  # fmt: skip


def marginal(
    before: tuple[float, float], after: tuple[float, float], count: int, state: str
) -> list[Figure]:
    """Return what one more twin's pod costs the host: difference, divided by the number of pods."""
    available = (before[0] - after[0]) / count / 1e6
    used = (after[1] - before[1]) / count / 1e6
    how = (
        f"of the host before and after {count} twin pods, {state}, divided by {count}; holds shim, "
        "pause container, kernel and what kubelet, operator and broker need for them"
    )
    goal = ("<=", GOAL_MARGINAL_MB)
    return [
        figure("marginal host memory per twin pod", available, "MB", f"MemAvailable {how}", goal),
        figure(
            "the same, without reclaimable memory", used, "MB",
            f"MemTotal - MemFree - Buffers - Cached + Shmem - SReclaimable {how}",
        ),
        figure(
            "twins per 32 GB", 32e9 / (max(available, used) * 1e6), "twins",
            f"32 GB divided by the larger of the two figures above, beside {PAPER}",
        ),
        *of_pods(),
    ]  # fmt: skip
