"""What the cluster changes outside its own folders, remembered before and put back after.

Kubelets set a few kernel parameters; some programs make folders at fixed places.
"""

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .settings import Settings

KERNEL_PARAMETERS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
FIXED_FOLDERS = (
    "/etc/cni",
    "/opt/cni",
    "/opt/containerd",
    "/run/containerd",
    "/run/nri",
    "/run/runc",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/lib/dockershim",
    "/var/log/containers",
    "/var/log/pods",
    "/var/run/kubernetes",
)


def _file(settings: Settings) -> Path:
    return settings.state / "machine.json"


def remember_machine(settings: Settings) -> None:
    """Write down the machine's state, once, before anything is started."""
    path = _file(settings)
    if path.exists():
        return
    parameters = {
        name: (Path("/proc/sys") / name).read_text().strip()
        for name in KERNEL_PARAMETERS
        if (Path("/proc/sys") / name).exists()
    }
    absent = [folder for folder in FIXED_FOLDERS if not Path(folder).exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"parameters": parameters, "absent": absent}, indent=1))


def our_files_at_fixed_places(settings: Settings) -> list[Path]:
    """Results of the CNI plugins and links to container logs that belong to this cluster."""
    results = Path("/var/lib/cni/results")
    found: list[Path] = []
    for node in settings.nodes:
        found += sorted(results.glob(f"{node.name}-*"))
    links = Path("/var/log/containers")
    for link in sorted(links.iterdir()) if links.is_dir() else []:
        if link.is_symlink() and str(link.readlink()).startswith(f"{settings.state}/"):
            found.append(link)
    return found


def _remove_empty(folders: Iterable[str]) -> None:
    for folder in folders:
        top = Path(folder)
        inner = [path for path in top.rglob("*") if path.is_dir() and not path.is_symlink()]
        for path in [*sorted(inner, reverse=True), top]:
            if path.is_dir():
                with suppress(OSError):  # not empty: another cluster on this machine uses it
                    path.rmdir()


def restore_machine(settings: Settings) -> None:
    """Put kernel parameters back and remove what was made at fixed places."""
    for path in our_files_at_fixed_places(settings):
        path.unlink(missing_ok=True)
    if not _file(settings).exists():
        return
    remembered = json.loads(_file(settings).read_text())
    for name, value in remembered["parameters"].items():
        (Path("/proc/sys") / name).write_text(value)
    absent: list[str] = remembered["absent"]
    for folder in absent:
        if folder == "/var/lib/kubelet":
            # Sockets of device plug-ins lie at this fixed place whatever the kubelet's root is.
            shutil.rmtree(folder, ignore_errors=True)
    _remove_empty(absent)
