"""Memory of running twins: the kernel's own account of each process and of the whole host."""

import contextlib
import time
from pathlib import Path

import cluster
from figure import MIB, Figure, figure, memory_info

FIELDS = ("Rss", "Pss", "Private_Clean", "Private_Dirty")
GOAL_PRIVATE_MIB, GOAL_RSS_MIB, GOAL_MARGINAL_MB = 13, 25, 28
BASE_RESERVED_GB = 0.0
PAPER = "the paper's 800 (110 MB each) and 30,000 (about 1 MB each)"


def smaps(pid: int) -> dict[str, int]:
    """Return fields of /proc/<pid>/smaps_rollup in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {name: found[name] for name in FIELDS}


def twin_processes(namespace_pods: list[dict]) -> list[dict[str, int]]:
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


def shims(uids: list[str]) -> dict[str, float]:
    """Return bytes of the pods' parts: processes and shims (Pss), and the pods' cgroups."""
    pause, shim = [], []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError, KeyError):
            command = (folder / "cmdline").read_bytes()
            if b"containerd-shim" in command and b"-id" in command:
                shim.append(smaps(int(folder.name))["Pss"] * 1024)
                continue
            groups = (folder / "cgroup").read_text()
            if b"pause" in command and any(uid in groups for uid in uids):
                pause.append(smaps(int(folder.name))["Pss"] * 1024)
    return {
        "shim": sum(shim) / len(shim) if shim else 0.0,
        "pause": sum(pause) / len(pause) if pause else 0.0,
    }


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
    parts = shims([pod["metadata"]["uid"] for pod in cluster.pods("metertwin.io/role%3Dtwin")])
    goal = ("<=", GOAL_MARGINAL_MB)
    return [
        figure("marginal host memory per twin pod", available, "MB", f"MemAvailable {how}", goal),
        figure(
            "the same, without reclaimable memory", used, "MB",
            f"MemTotal - MemFree - Buffers - Cached + Shmem - SReclaimable {how}",
        ),
        figure(
            "of it, the containerd shim", parts["shim"] / 1e6, "MB",
            "mean Pss of all containerd-shim processes of the machine",
        ),
        figure(
            "twins per 32 GB", 32e9 / (max(available, used) * 1e6), "twins",
            f"32 GB divided by the larger of the two figures above, beside {PAPER}",
        ),
    ]  # fmt: skip
