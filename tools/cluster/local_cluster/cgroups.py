"""Control groups, version 1 (also hybrid) and version 2: make, fill, empty and remove ours.

Each node has its own root group: with a common one each kubelet would end the other's pods as
orphans. The daemons and the containers' shims share one group, so none can be overlooked, and their
processor time is weighed as on a node of its own: there the pods together have 1024 shares for each
core, all daemons together 1024. In the root group each daemon would weigh half of all pods.
"""

import os
import time
from pathlib import Path

from .settings import ClusterError, Settings

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "cpuset", "memory", "pids")
_SYSTEM = ("pids", "cpu")
SHARES, WEIGHT, MOST_WEIGHT = 1024, 100, 10_000
"""What a group weighs by default under version 1 and 2."""


def cgroup_version(root: Path = ROOT) -> str:
    """`v2`, `v1` (also hybrid) or `none`."""
    controllers = root / "cgroup.controllers"
    if controllers.exists():
        return "v2" if set(NEEDED) <= set(controllers.read_text().split()) else "none"
    return "v1" if all((root / name).is_dir() for name in NEEDED) else "none"


def hierarchies(root: Path = ROOT) -> list[Path]:
    """The top of each mounted hierarchy (one under version 2)."""
    if cgroup_version(root) == "v2":
        return [root]
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())


def our_groups(settings: Settings, root: Path = ROOT) -> list[Path]:
    """Every group of this cluster that exists, the deepest first."""
    found: list[Path] = []
    for top in hierarchies(root) if root.is_dir() else []:
        own = top / settings.name
        if own.is_dir():
            found += [path for path in own.rglob("*") if path.is_dir()] + [own]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def _copy_cpuset(group: Path) -> None:
    for name in ("cpuset.mems", "cpuset.cpus"):
        target = group / name
        if target.exists() and not target.read_text().strip():
            target.write_text((group.parent / name).read_text())


def ensure_groups(settings: Settings) -> None:
    """Make the nodes' root groups in every hierarchy, and the group of the daemons."""
    make = _make_unified if cgroup_version() == "v2" else _make_each
    make(settings)


def _make_unified(settings: Settings) -> None:
    for name in (*(node.cgroup for node in settings.nodes), settings.system_cgroup):
        (ROOT / name.strip("/")).mkdir(parents=True, exist_ok=True)
    for parent in (ROOT, ROOT / settings.name):
        for controller in (*NEEDED, "io", "hugetlb"):
            if controller in (parent / "cgroup.controllers").read_text().split():
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    for group, parts in weights(settings, os.cpu_count() or 1).items():
        (ROOT / group / "cpu.weight").write_text(str(min(WEIGHT * parts, MOST_WEIGHT)))


def _make_each(settings: Settings) -> None:
    for top in hierarchies():
        if top.name == "unified":
            continue
        for node in settings.nodes:
            group = top / node.cgroup.strip("/")
            group.mkdir(parents=True, exist_ok=True)
            _copy_cpuset(group.parent)
            _copy_cpuset(group)
    for hierarchy in _SYSTEM:
        (ROOT / hierarchy / settings.system_cgroup.strip("/")).mkdir(parents=True, exist_ok=True)
    for name, parts in weights(settings, os.cpu_count() or 1).items():
        (ROOT / "cpu" / name / "cpu.shares").write_text(str(SHARES * parts))


def weights(settings: Settings, cores: int) -> dict[str, int]:
    """How much processor time each of our groups has, in parts of what a group has by default."""
    nodes = {node.cgroup.strip("/"): cores for node in settings.nodes}
    parts = nodes | {settings.system_cgroup.strip("/"): 1}
    return {settings.name: sum(parts.values())} | parts


def system_procs_files(settings: Settings) -> list[Path]:
    """The files into which a daemon writes its id before it starts."""
    tops = [ROOT] if cgroup_version() == "v2" else [ROOT / name for name in _SYSTEM]
    return [top / settings.system_cgroup.strip("/") / "cgroup.procs" for top in tops]


def processes_in_groups(settings: Settings) -> set[int]:
    """Ids of all processes in our groups: daemons, shims, containers."""
    found: set[int] = set()
    for group in our_groups(settings):
        try:
            found |= {int(line) for line in (group / "cgroup.procs").read_text().split()}
        except OSError:
            continue
    return found


def remove_groups(settings: Settings) -> None:
    """Remove our empty groups.

    Raises:
        ClusterError: one is still busy after five seconds.
    """
    deadline = time.monotonic() + 5
    while groups := our_groups(settings):
        for group in groups:
            try:
                group.rmdir()
            except OSError:
                continue
        if time.monotonic() > deadline:
            left = our_groups(settings)
            if left:
                raise ClusterError(f"while removing the cgroup {left[0]}: it is still busy")
        time.sleep(0.02)
