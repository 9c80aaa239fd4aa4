"""What this machine must have before anything is started, each lack named in one line."""

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .binaries import missing_programs
from .cgroups import cgroup_version
from .progress import say
from .settings import ClusterError, Settings

PROCESSOR = "x86_64"
GO_NEEDED = (1, 26)
MEMORY_NEEDED_MB = 3_000
DISK_NEEDED_MB = 3_000
DISK_TO_BUILD_MB = 12_000
PACKAGES = {
    "runc": ("runc",),
    "containernetworking-plugins": ("/usr/lib/cni/ptp",),
    "iptables": ("iptables",),
    "iproute2": ("ip",),
    "util-linux": ("nsenter", "unshare"),
    "openssl": ("openssl",),
}


@dataclass(frozen=True)
class Machine:
    """What was found on the machine."""

    platform: str
    processor: str
    user_id: int
    cgroup: str
    memory_mb: int
    disk_mb: int
    go: tuple[int, int] | None
    to_build: int
    apt: bool
    packages_missing: tuple[str, ...]
    port_free: bool
    api_port: int


def _disk_needed(machine: Machine) -> int:
    return DISK_TO_BUILD_MB if machine.to_build else DISK_NEEDED_MB


def _go_text(version: tuple[int, int] | None) -> str:
    return f"Go {version[0]}.{version[1]}" if version else "no Go"


CHECKS: tuple[tuple[Callable[[Machine], bool], Callable[[Machine], str]], ...] = (
    (lambda m: m.platform == "linux", lambda m: f"needs Linux, this is {m.platform}"),
    (lambda m: m.processor == PROCESSOR, lambda m: f"needs an x86-64 CPU, this is {m.processor}"),
    (lambda m: m.user_id == 0, lambda _: "needs root: nodes make namespaces, mounts and cgroups"),
    (
        lambda m: m.cgroup != "none",
        lambda _: "needs the cgroups cpu, cpuset, memory and pids under /sys/fs/cgroup",
    ),
    (
        lambda m: m.memory_mb >= MEMORY_NEEDED_MB,
        lambda m: f"needs {MEMORY_NEEDED_MB} MB of free memory, there are {m.memory_mb}",
    ),
    (
        lambda m: m.disk_mb >= _disk_needed(m),
        lambda m: f"needs {_disk_needed(m)} MB of free disk, there are {m.disk_mb}",
    ),
    (
        lambda m: not m.to_build or m.go is not None,
        lambda _: f"needs {_go_text(GO_NEEDED)} or newer in PATH to build Kubernetes",
    ),
    (
        lambda m: not m.to_build or m.go is None or m.go >= GO_NEEDED,
        lambda m: f"needs {_go_text(GO_NEEDED)} or newer, PATH has {_go_text(m.go)}",
    ),
    (
        lambda m: m.apt or not m.packages_missing,
        lambda m: f"needs {', '.join(m.packages_missing)}, and there is no apt-get to install them",
    ),
    (
        lambda m: m.port_free,
        lambda m: f"port {m.api_port} of 127.0.0.1 is in use: set METERTWIN_API_PORT",
    ),
)


def find_lacks(machine: Machine) -> list[str]:
    """One line for each thing that is lacking, in the order of importance."""
    return [describe(machine) for holds, describe in CHECKS if not holds(machine)]


def _go_version() -> tuple[int, int] | None:
    if not shutil.which("go"):
        return None
    text = subprocess.run(["go", "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def _memory_mb() -> int:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return 0
    found = re.search(r"MemAvailable:\s+(\d+)", text)
    return int(found[1]) // 1024 if found else 0


def _port_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _disk_mb(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free // 10**6


def find_missing_packages() -> tuple[str, ...]:
    """Debian packages whose programs are not there."""
    return tuple(
        package
        for package, programs in PACKAGES.items()
        if not all(shutil.which(program) for program in programs)
    )


def observe_machine(settings: Settings, *, door_is_ours: bool) -> Machine:
    """Look at this machine without changing it."""
    return Machine(
        platform=sys.platform,
        processor=platform.machine(),
        user_id=os.geteuid(),
        cgroup=cgroup_version(),
        memory_mb=_memory_mb(),
        disk_mb=min(_disk_mb(settings.state), _disk_mb(settings.cache)),
        go=_go_version(),
        to_build=len(missing_programs(settings)),
        apt=shutil.which("apt-get") is not None,
        packages_missing=find_missing_packages(),
        port_free=door_is_ours or _port_free(settings.api_port),
        api_port=settings.api_port,
    )


def require_machine(machine: Machine) -> None:
    """Refuse to start on a machine that lacks something.

    Raises:
        ClusterError: with everything that is lacking.
    """
    lacks = find_lacks(machine)
    if lacks:
        raise ClusterError("this machine " + "; ".join(lacks))


def ensure_packages(packages: tuple[str, ...]) -> None:
    """Install Debian packages, refreshing the package lists only when that is needed.

    Raises:
        ClusterError: apt-get failed twice.
    """
    if not packages:
        return
    say(f"installing Debian packages: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages]
    for command in (install, ["apt-get", "update", "-qq"], install):
        finished = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if command is install and finished.returncode == 0:
            return
    raise ClusterError(f"while installing {' '.join(packages)}: {finished.stderr.strip()[-400:]}")
