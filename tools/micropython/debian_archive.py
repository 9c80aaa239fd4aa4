"""Debian's archive without a change to this machine: what is unpacked, what is compiled.

Packages are taken by mmdebstrap with a configuration of apt of its own and only unpacked: no script
of theirs runs, apt and the libc of this machine stay untouched. What is compiled is compiled in a
throw-away tree that has a compiler (the way of `tools/images/libraries.py`, which has needs of its
own), from Debian's source package, whose signature apt has checked. All results lie in the cache.
Neighbours: `install.py`, `models.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

SUITE = "trixie"
# Main alone: point releases are still, while -updates and -security move under a caching mirror.
MIRROR = os.environ.get("METERTWIN_DEBIAN_MIRROR", "http://deb.debian.org/debian")
SOURCE = f"deb {MIRROR} {SUITE} main"
# Some days after a point release a caching mirror may have an index that is older than the signed
# Release beside it. By its other name the suite is cached apart, and likely whole.
NAMES = (SUITE, "stable")
STALE = "apt-get update"
SAME_SUITE = f'grep -q "^Codename: {SUITE}$" "$1"/var/lib/apt/lists/*Release'
UNPACK_SECONDS = 600
COMPILE_SECONDS = 1800

ADD_SOURCES = (
    'sed -n "s/^deb /deb-src /p" "$1/etc/apt/sources.list"'
    ' > "$1/etc/apt/sources.list.d/source.list"'
)
DOWNLOAD = 'cd "$1/build" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"'
DOWNLOAD += " apt-get -qq source --download-only {source}"


class InstallError(Exception):
    """What is needed could not be had; the message names the remedy."""


def cache_folder() -> pathlib.Path:
    """Return the cache folder, `$METERTWIN_CACHE` or `~/.cache/metertwin`."""
    given = os.environ.get("METERTWIN_CACHE")
    return pathlib.Path(given) if given else pathlib.Path.home() / ".cache" / "metertwin"


@contextlib.contextmanager
def alone(place: pathlib.Path) -> Iterator[None]:
    """Keep others from making the same place of the cache meanwhile; checkouts share it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unpack(tree: pathlib.Path, arch: str, packages: tuple[str, ...]) -> None:
    """Unpack packages and what they depend on into `tree`, all or nothing.

    Raises:
        InstallError: mmdebstrap is missing or failed.
    """
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix=f".{tree.name}-") as work:
        fresh = pathlib.Path(work) / "root"
        _mmdebstrap(arch, packages, [], str(fresh), UNPACK_SECONDS)
        for name in ("dev", "etc", "tmp", "var"):
            shutil.rmtree(fresh / name, ignore_errors=True)
        shutil.rmtree(tree, ignore_errors=True)
        fresh.rename(tree)


def compile_source(
    target: pathlib.Path, packages: tuple[str, ...], source: str, recipe: pathlib.Path
) -> None:
    """Compile a source package in a throw-away tree; keep what the recipe leaves in /build/result.

    Args:
        target: folder that the result becomes, all or nothing.
        packages: the compiler and what it needs beside.
        source: name of the source package, unpacked to /build/source.
        recipe: folder that becomes /build/recipe; its `build.sh` runs there.

    Raises:
        InstallError: mmdebstrap is missing, or a step failed; the message has the log's end.
    """
    hooks = [
        f"--setup-hook={ADD_SOURCES}",
        '--extract-hook=mkdir -p "$1/build/result" "$1/build/recipe"',
    ]
    hooks += [f"--extract-hook={DOWNLOAD.format(source=source)}"]
    hooks += [f"--extract-hook=sync-in {recipe} /build/recipe"]
    hooks += ['--extract-hook=chroot "$1" /bin/sh /build/recipe/build.sh >&2']
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as work:
        fresh = pathlib.Path(work) / "result"
        fresh.mkdir()
        hooks += [f"--extract-hook=sync-out /build/result {fresh}"]
        _mmdebstrap("amd64", packages, hooks, "/dev/null", COMPILE_SECONDS)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)


def _mmdebstrap(
    arch: str, packages: tuple[str, ...], hooks: list[str], target: str, seconds: int
) -> None:
    if shutil.which("mmdebstrap") is None:
        message = "mmdebstrap is missing: run 'apt-get install mmdebstrap'"
        raise InstallError(message)
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--architectures={arch}"]
    command += [f"--include={','.join(packages)}", f"--extract-hook={SAME_SUITE}", *hooks]
    for name in NAMES:
        if pathlib.Path(target).is_dir():  # what a failed run has left
            shutil.rmtree(target)
        source = f"deb {MIRROR} {name} main"
        failed = _run([*command, name, target, source], seconds)
        if STALE not in failed:
            break
    if failed:
        message = f"mmdebstrap failed:\n{failed}"
        raise InstallError(message)


def _run(command: list[str], seconds: int) -> str:
    """Return what the command said last if it failed, else nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        message = f"mmdebstrap took over {seconds} s: is {MIRROR} in reach?"
        raise InstallError(message) from error
    return f"{done.stderr[-2000:]}({done.returncode})" if done.returncode else ""
