"""Start, recognise and end the daemons.

A process is known by its id and its start time, both recorded, so an id that the machine has
given to somebody else since is never touched.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from .arguments import Daemon
from .cgroups import processes_in_groups, system_procs_files
from .settings import ClusterError, Settings


def parse_stat(text: str) -> tuple[str, int]:
    """State letter and start time from the text of /proc/PID/stat."""
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def find_start_time(pid: int) -> int | None:
    """When the process started (ticks since boot), or None if it is gone or a zombie."""
    try:
        state, started = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return None
    return None if state in "ZX" else started


def recorded(settings: Settings) -> dict[str, tuple[int, int]]:
    """Name → (id, start time) of every process that was started."""
    found = {}
    for path in sorted(settings.records.glob("*.json")):
        record = json.loads(path.read_text())
        found[path.stem] = (int(record["pid"]), int(record["started"]))
    return found


def is_running(settings: Settings, name: str) -> bool:
    """Whether the process that was started under this name still runs."""
    pid, started = recorded(settings).get(name, (0, 0))
    return pid > 0 and find_start_time(pid) == started


def start(
    settings: Settings, daemon: Daemon, bin_folder: Path, *, pass_fd: int | None = None
) -> bool:
    """Start the daemon inside the cluster's network unless it runs; true if it was started."""
    if is_running(settings, daemon.name):
        return False
    for folder in (settings.logs, settings.records):
        folder.mkdir(parents=True, exist_ok=True)
    # The id stays the same through both exec calls.
    script = (
        'for one in $0; do echo $$ > "$one" || exit 1; done; exec nsenter --net="$1" "$2" "${@:3}"'
    )
    groups = " ".join(map(str, system_procs_files(settings)))
    command = ["bash", "-c", script, groups, str(settings.namespace)]
    with (settings.logs / f"{daemon.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, str(bin_folder / daemon.program), *daemon.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**_environment(), **daemon.environment},
            start_new_session=True,
            pass_fds=() if pass_fd is None else (pass_fd,),
        )
    record = {"pid": process.pid, "started": find_start_time(process.pid) or 0}
    (settings.records / f"{daemon.name}.json").write_text(json.dumps(record))
    process.returncode = 0  # it outlives us: no warning about a child that still runs
    return True


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **kept}


def last_words(settings: Settings, name: str) -> str:
    """The last lines of a daemon's log, for an error message."""
    try:
        lines = (settings.logs / f"{name}.log").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return " | ".join(lines[-3:])


def require_running(settings: Settings, names: list[str]) -> None:
    """Refuse to go on when a daemon has ended.

    Raises:
        ClusterError: with the daemon's last words.
    """
    for name in names:
        if not is_running(settings, name):
            raise ClusterError(f"{name} has ended: {last_words(settings, name)}")


def stop(settings: Settings, name: str, *, patience_s: float = 10.0) -> None:
    """End one daemon, first politely."""
    pid, started = recorded(settings).get(name, (0, 0))
    deadline = time.monotonic() + patience_s
    wanted = signal.SIGTERM
    while pid and find_start_time(pid) == started:
        try:
            os.kill(pid, wanted)
        except ProcessLookupError:
            break
        if time.monotonic() > deadline:
            wanted = signal.SIGKILL
        time.sleep(0.05)
    (settings.records / f"{name}.json").unlink(missing_ok=True)


def kill_groups(settings: Settings) -> None:
    """End whatever is left in our cgroups: containers and their shims.

    Raises:
        ClusterError: a process survives ten seconds of SIGKILL.
    """
    deadline = time.monotonic() + 10
    while left := {pid for pid in processes_in_groups(settings) if find_start_time(pid)}:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise ClusterError(f"while ending containers: these do not end: {sorted(left)}")
        time.sleep(0.05)
