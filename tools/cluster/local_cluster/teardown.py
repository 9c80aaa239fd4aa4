"""`down`: end what `up` started and leave nothing behind."""

import shutil
import subprocess
from pathlib import Path

from .cgroups import remove_groups
from .machine_state import restore_machine
from .processes import kill_groups, recorded, stop
from .settings import ClusterError, Settings

# What restarts things goes first; what others need goes last.
_ORDER = ("kubelet", "kube-", "loopback", "etcd", "containerd")


def in_order(names: list[str]) -> list[str]:
    """The names in the order in which they are ended (pure)."""

    def place(name: str) -> int:
        return next((i for i, head in enumerate(_ORDER) if name.startswith(head)), len(_ORDER))

    return sorted(names, key=lambda name: (place(name), name))


def mounts_below(folder: Path, mountinfo: str) -> list[str]:
    """Mount points at or below `folder`, the latest first (pure)."""
    points = [line.split()[4].replace("\\040", " ") for line in mountinfo.splitlines()]
    inside = [point for point in points if point == str(folder) or point.startswith(f"{folder}/")]
    return inside[::-1]


def unmount_all(settings: Settings) -> None:
    """Unmount everything in the state folder.

    Raises:
        ClusterError: a mount stays.
    """
    for options in ([], [], ["--lazy"]):
        points = mounts_below(settings.state, Path("/proc/self/mountinfo").read_text())
        for start in range(0, len(points), 200):
            command = ["umount", *options, *points[start : start + 200]]
            subprocess.run(command, capture_output=True, check=False)
    left = mounts_below(settings.state, Path("/proc/self/mountinfo").read_text())
    if left:
        raise ClusterError(f"while unmounting: {left[0]} stays mounted")


def take_down(settings: Settings) -> None:
    """Take the cluster down; without one, nothing happens.

    Raises:
        ClusterError: something cannot be removed.
    """
    for name in in_order(list(recorded(settings))):
        stop(settings, name, patience_s=3.0)
    kill_groups(settings)
    unmount_all(settings)
    remove_groups(settings)
    restore_machine(settings)
    if settings.state.exists():
        shutil.rmtree(settings.state)
