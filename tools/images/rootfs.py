"""Small root file systems: a program, the libraries it needs, nothing else.

Packages are unpacked by mmdebstrap (``--variant=extract``: no maintainer script runs, the host's
apt is untouched); programs and their library closure are copied out of the unpacked tree. The
closure comes from the tree's own dynamic loader. Neighbours: ``debian.py`` (which packages),
``recipes.py``.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from debian import SUITE, DebianError, cache, mmdebstrap, versions

LOADER = "usr/lib64/ld-linux-x86-64.so.2"
LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu",)


def unpacked(name: str) -> Path:
    """Return a tree with a set of packages and what they depend on, each version unpacked once.

    Raises:
        DebianError: mmdebstrap failed; its own message is on stderr.
    """
    packages = versions(name)
    key = hashlib.sha256(" ".join([SUITE, *packages]).encode()).hexdigest()[:16]
    tree = cache() / "rootfs" / key
    if (tree / ".complete").exists():
        return tree
    tree.parent.mkdir(parents=True, exist_ok=True)
    with (tree.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # checkouts share the cache
        if (tree / ".complete").exists():
            return tree
        shutil.rmtree(tree, ignore_errors=True)
        command = [*mmdebstrap(packages), SUITE, str(tree)]
        if subprocess.run(command, check=False, stdout=sys.stderr).returncode != 0:
            raise DebianError(
                f"the packages of {name} could not be unpacked; if Debian has newer versions by"
                " now, tools/images/build --force takes those"
            )
        (tree / ".complete").touch()
    return tree


def closure(tree: Path, programs: Iterable[Path]) -> set[Path]:
    """Return the shared libraries that programs of the tree load, as paths inside the tree."""
    found: set[Path] = set()
    search = ":".join(str(tree / folder) for folder in LIBRARY_FOLDERS)
    for program in programs:
        listing = subprocess.run(
            [str(tree / LOADER), "--library-path", search, "--list", str(program)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for line in listing.splitlines():
            if "=>" in line:
                path = Path(line.split("=>")[1].split("(")[0].strip())
                if "not found" in line:
                    raise FileNotFoundError(f"{program}: {line.strip()}")
                found.add(path)
    return found


def copy_program(tree: Path, program: str, target: Path, extra: Iterable[Path] = ()) -> None:
    """Copy a program of the tree, its closure and that of `extra` libraries into `target`."""
    source = tree / program
    destination = target / program
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, destination)
    copy_libraries(tree, [source, *extra], target)
    for link in ("lib64", "lib"):
        if not (target / link).is_symlink():
            (target / link).symlink_to(f"usr/{link}")
    (target / "usr/lib64").mkdir(exist_ok=True)
    loader = (tree / LOADER).resolve()
    shutil.copy2(loader, target / "usr/lib64" / Path(LOADER).name)


def copy_libraries(tree: Path, programs: Iterable[Path], target: Path) -> None:
    """Copy the shared libraries that programs or extension modules need into `target`."""
    libraries = target / LIBRARY_FOLDERS[0]
    libraries.mkdir(parents=True, exist_ok=True)
    for path in closure(tree, programs):
        if path.is_relative_to(tree) and not (libraries / path.name).exists():
            shutil.copy2(path.resolve(), libraries / path.name)


def strip(libraries: Iterable[Path]) -> None:
    """Remove debugging information, which wheels carry and Debian's packages do not.

    Raises:
        subprocess.CalledProcessError: strip refused a file; its own message is on stderr.
    """
    tree = unpacked("strip")
    search = ":".join(str(tree / folder) for folder in LIBRARY_FOLDERS)
    command = [str(tree / LOADER), "--library-path", search, str(tree / "usr/bin/strip")]
    subprocess.run([*command, "--strip-unneeded", *map(str, libraries)], check=True)


def write_account(target: Path) -> None:
    """Write the files a C library expects: one user, no names but localhost, a place for /tmp."""
    etc = target / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text("metertwin:x:65532:65532::/nonexistent:/sbin/nologin\n")
    (etc / "group").write_text("metertwin:x:65532:\n")
    (etc / "nsswitch.conf").write_text("hosts: files dns\n")
    for name in ("tmp", "var/lib/metertwin", "var/run/metertwin", "proc", "sys", "dev"):
        (target / name).mkdir(parents=True, exist_ok=True)
    (target / "tmp").chmod(0o1777)
    for name in ("var/lib/metertwin", "var/run/metertwin"):
        os.chown(target / name, 65532, 65532)


def size(target: Path) -> int:
    """Return the bytes of all regular files below `target`."""
    return sum(p.stat().st_size for p in target.rglob("*") if p.is_file() and not p.is_symlink())
