#!/usr/bin/env python3
"""Put aedes, an MQTT broker for Node.js, into the cache and print the command that runs it.

Why: the meter's link is tried on brokers that others wrote
(`firmware/tests/test_other_brokers.py`). Pinned with all it needs (`package-lock.json`: MIT, ISC
and BSD licences); no script of a package runs. Node.js 20 or newer is taken as it is found, so this
is a part of `make nightly`, not of `make test`.

    install.py        # prints the command, to which a port is added
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FILES = ("package.json", "package-lock.json", "broker.js")
TIMEOUT_SECONDS = 300


class InstallError(Exception):
    """The broker could not be had; the message names the remedy."""


def cache_folder() -> pathlib.Path:
    """Return the cache folder, `$METERTWIN_CACHE` or `~/.cache/metertwin`."""
    given = os.environ.get("METERTWIN_CACHE")
    return pathlib.Path(given) if given else pathlib.Path.home() / ".cache" / "metertwin"


def install(folder: pathlib.Path) -> None:
    """Install the pinned packages into a folder.

    Raises:
        InstallError: npm is missing or failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(HERE / name, folder / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode != 0:
        message = f"npm failed ({done.returncode}):\n{done.stderr[-2000:]}"
        raise InstallError(message)
    (folder / ".complete").touch()


def ensure_aedes() -> list[str]:
    """Return the command of the broker, installed at the first call.

    Raises:
        InstallError: it cannot be had; the message names the remedy.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        message = "node and npm are missing: install Node.js 20 or newer"
        raise InstallError(message)
    digest = hashlib.sha256(b"\0".join((HERE / name).read_bytes() for name in FILES))
    folder = cache_folder() / "aedes" / digest.hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            install(folder)
    return ["node", str(folder / "broker.js")]


def main() -> int:
    """Install if necessary and print the command."""
    try:
        print(shlex.join(ensure_aedes()))
    except InstallError as error:
        print(f"install.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
