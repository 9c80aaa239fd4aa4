"""What of a cluster is still on the machine: after `down` the answer must be nothing."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from .cgroups import our_groups
from .machine_state import our_files_at_fixed_places
from .settings import Settings
from .teardown import mounts_below

OUR_RANGE = "10.97."
_FOR_PEOPLE = ("kubectl", "helm", "ctr")


def process_belongs(settings: Settings, program: str, arguments: str, groups: str) -> bool:
    """Whether a process is a daemon, a shim or a container of this cluster (pure).

    Args:
        settings: of the cluster.
        program: target of /proc/PID/exe.
        arguments: its command line.
        groups: text of /proc/PID/cgroup.
    """
    if any(f":/{settings.name}/" in line for line in groups.splitlines()):
        return True
    built_here = program.startswith(f"{settings.cache}/bin/")
    return (
        built_here and Path(program).name not in _FOR_PEOPLE and f"{settings.state}/" in arguments
    )


def lines_with(marks: Iterable[str], text: str) -> list[str]:
    """Lines that hold one of the marks (pure)."""
    wanted = list(marks)
    return [line.strip() for line in text.splitlines() if any(mark in line for mark in wanted)]


def find_processes(settings: Settings) -> list[str]:
    """Every process of this cluster, as `PID program`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            program = str((folder / "exe").readlink())
            arguments = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            groups = (folder / "cgroup").read_text()
        except (OSError, UnicodeDecodeError):
            continue
        if process_belongs(settings, program, arguments, groups):
            found.append(f"{folder.name} {program}")
    return found


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def find_leftovers(settings: Settings) -> list[str]:
    """Everything of this cluster that is on the machine, one line each."""
    names = [node.name for node in settings.nodes]
    groups: dict[str, list[str]] = {
        "process": find_processes(settings),
        "mount": mounts_below(settings.state, Path("/proc/self/mountinfo").read_text()),
        "cgroup": [str(path) for path in our_groups(settings)],
        "file": [str(path) for path in our_files_at_fixed_places(settings)],
        "address": lines_with([OUR_RANGE], _output("ip", "-o", "address")),
        "route": lines_with([OUR_RANGE], _output("ip", "route", "show", "table", "all")),
        "firewall rule": lines_with([OUR_RANGE], _output("iptables-save")),
        "/etc/hosts": lines_with(names, Path("/etc/hosts").read_text()),
    }
    if settings.state.exists():
        groups["folder"] = [str(settings.state)]
    return [f"{kind}: {item}" for kind, items in groups.items() for item in items]
