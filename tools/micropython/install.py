#!/usr/bin/env python3
"""Put Debian's MicroPython (unix port, 64- or 32-bit) into a cache and print how to run it.

Why: the firmware and `meter_wire.portable` must be tested on a real MicroPython, and memory
limits only mean something on a 32-bit one (the 64-bit port needs 44 KB where a board needs 28).
The packages are unpacked, never installed: apt and the libc of this machine stay untouched, and
the interpreter runs through the dynamic loader that came with it.

Neighbour: the `micropython` launcher beside this file, which tests of wire/ and firmware/ run.

    install.py --arch i386        # prints the command prefix on one line
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

SUITE = "trixie"
# Main alone: point releases are still, while -updates and -security move under a caching mirror.
MIRROR = os.environ.get("METERTWIN_DEBIAN_MIRROR", "http://deb.debian.org/debian")
SOURCE = f"deb {MIRROR} {SUITE} main"
TRIPLETS = {
    "amd64": ("x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "i386": ("i386-linux-gnu", "ld-linux.so.2"),
}
TIMEOUT_SECONDS = 300


class InstallError(Exception):
    """MicroPython could not be had; the message names the remedy."""


def cache_folder() -> pathlib.Path:
    """Return the cache folder, `$METERTWIN_CACHE` or `~/.cache/metertwin`."""
    given = os.environ.get("METERTWIN_CACHE")
    return pathlib.Path(given) if given else pathlib.Path.home() / ".cache" / "metertwin"


def command_prefix(root: pathlib.Path, arch: str) -> list[str]:
    """Return the command that runs the MicroPython unpacked in `root`."""
    triplet, loader = TRIPLETS[arch]
    libraries = root / "usr" / "lib" / triplet
    interpreter = root / "usr" / "bin" / "micropython"
    return [str(libraries / loader), "--library-path", str(libraries), str(interpreter)]


def is_complete(root: pathlib.Path, arch: str) -> bool:
    """Tell whether the loader and the interpreter are in `root`."""
    prefix = command_prefix(root, arch)
    return pathlib.Path(prefix[0]).is_file() and pathlib.Path(prefix[-1]).is_file()


def unpack(root: pathlib.Path, arch: str) -> None:
    """Unpack MicroPython and the libraries it needs into `root`, all or nothing.

    Raises:
        InstallError: mmdebstrap is missing or failed.
    """
    if shutil.which("mmdebstrap") is None:
        message = "mmdebstrap is missing: run 'apt-get install mmdebstrap'"
        raise InstallError(message)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{arch}-") as work:
        fresh = pathlib.Path(work) / "root"
        command = ["mmdebstrap", "--quiet", "--variant=extract", f"--architectures={arch}"]
        command += ["--include=micropython", SUITE, str(fresh), SOURCE]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            message = f"mmdebstrap took over {TIMEOUT_SECONDS} s: is {MIRROR} in reach?"
            raise InstallError(message) from error
        if done.returncode != 0 or not is_complete(fresh, arch):
            message = f"mmdebstrap failed ({done.returncode}):\n{done.stderr[-2000:]}"
            raise InstallError(message)
        for name in ("dev", "etc", "tmp", "var"):
            shutil.rmtree(fresh / name, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)
        fresh.rename(root)


def ensure_micropython(arch: str) -> list[str]:
    """Return the command prefix of MicroPython for `arch`, unpacking it at the first call.

    Raises:
        InstallError: it cannot be unpacked; the message names the remedy.
    """
    root = cache_folder() / "micropython" / arch
    if not is_complete(root, arch):
        root.parent.mkdir(parents=True, exist_ok=True)
        with (root.parent / f".{arch}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_complete(root, arch):
                unpack(root, arch)
    return command_prefix(root, arch)


def main() -> int:
    """Unpack if necessary and print the command prefix."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arch", choices=sorted(TRIPLETS), default="amd64")
    options = parser.parse_args()
    try:
        print(shlex.join(ensure_micropython(options.arch)))
    except InstallError as error:
        print(f"install.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
