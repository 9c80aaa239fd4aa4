# ruff: noqa: INP001, T201 - a script in a ConfigMap
"""Has Mosquitto read certificates and rules again when they changed, so no session ends.

Runs beside the broker in a pod with one process namespace and one user. Standard library only.
"""

import hashlib
import os
import signal
import time
from pathlib import Path

WATCHED = os.environ["WATCHED"].split()
PERIOD_S = float(os.environ.get("PERIOD_SECONDS", "60"))
PROCESS = os.environ.get("PROCESS", "mosquitto")


def state() -> str:
    """Return a hash of everything watched; a mounted Secret is replaced as a whole."""
    digest = hashlib.sha256()
    for folder in WATCHED:
        for path in sorted(Path(folder).iterdir()):
            if path.is_file():
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def processes() -> list[int]:
    """Return the ids of Mosquitto's processes (by name, in tests by number)."""
    if PROCESS.isdigit():
        return [int(PROCESS)]
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == PROCESS:
                found.append(int(path.parent.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def main() -> None:
    """Watch for ever."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    seen = state()
    while True:
        time.sleep(PERIOD_S)
        try:
            now = state()
        except OSError:
            continue  # being replaced
        if now != seen:
            seen = now
            for process in processes():
                os.kill(process, signal.SIGHUP)
            print("certificates or rules changed: read again", flush=True)


if __name__ == "__main__":
    main()
