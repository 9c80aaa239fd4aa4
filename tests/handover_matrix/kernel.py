"""Processes of this machine: those of a pod or of a container, as the kernel has them."""

import contextlib
import os
import pathlib
import signal


def kill(process):
    """Kill -9; whether it was there."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def processes_here():
    return {int(path.name) for path in pathlib.Path("/proc").glob("[0-9]*")}


def is_twin_of(process, uid):
    """Whether this is the twin's process of a pod; None while it may become it by an exec."""
    folder = pathlib.Path(f"/proc/{process}")
    try:
        if uid not in (folder / "cgroup").read_text().replace("_", "-"):
            return False
        command = (folder / "cmdline").read_bytes()
    except OSError:
        return False
    if b"meter_twin" in command:
        return True
    return False if b"pause" in command else None


def processes_of(container):
    """Yield the processes of a container that are on this machine."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if container in path.read_text():
                yield int(path.parent.name)
