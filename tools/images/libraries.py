"""OpenSSL and SQLite as small as a twin can use them, built from Debian's own sources.

Debian's libraries serve every program; each of a thousand twins keeps parts resident that it never
uses. The results have the same names and symbol versions, so Debian's Python takes them without a
change. One mmdebstrap run a library makes a throw-away tree with a compiler and compiles in it; the
result is cached. Never older than Debian's own: while the source of a fix is not to be had, twins
keep Debian's library. Neighbours: `debian.py` (versions), `recipes.py`.
"""

import fcntl
import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from debian import (
    ADD_SOURCES,
    SUITE,
    cache,
    is_older,
    listing,
    mmdebstrap,
    newest,
    source_of,
    versions,
)
from rootfs import LIBRARY_FOLDERS

# Kept: ml-kem (what is recorded today is not to be read in 15 years) and, because modules of Python
# link to them, comp, psk, scrypt and blake2.
LEFT_OUT = (
    # old or rare algorithms
    "aria", "bf", "camellia", "cast", "des", "dsa", "ec2m", "gost", "idea", "md4", "mdc2",
    "ml-dsa", "rc2", "rc4", "rc5", "rmd160", "seed", "siphash", "slh-dsa", "sm2", "sm3",
    "sm4", "whirlpool",
    # old protocols, and those of other trades
    "cmp", "cms", "ct", "dgram", "dtls", "http", "nextprotoneg", "quic", "srp", "srtp", "ssl3",
    "tls1", "tls1_1", "ts",
    # plug-ins, programs, development
    "apps", "async", "docs", "engine", "fips", "legacy", "module", "padlockeng", "ssl-trace",
    "tests", "ui-console", "zlib",
)  # fmt: skip
SMALL = "-Os -ffunction-sections -fdata-sections -Wl,--gc-sections"
OPENSSL = f"""
./Configure linux-x86_64 shared --prefix=/usr --libdir=lib --openssldir=/usr/lib/ssl \
    {" ".join(f"no-{name}" for name in LEFT_OUT)} {SMALL}
make -s -j"$(nproc)" build_libs
"""
# Without Debian's extensions (FTS, R-tree, sessions, dbstat), which are enabled one by one. As in
# Debian's, what is deleted is overwritten; SQLite's own default leaves old readings in the file.
# sqlite_cfg.h has fdatasync and usleep: else fsync, and waits of whole seconds.
SQLITE = f"""
ln -sf mawk /usr/bin/awk
./configure --disable-tcl --disable-readline
make -s sqlite3.c
gcc -shared -fPIC {SMALL} -Wl,-soname,libsqlite3.so.0 -I. -D_HAVE_SQLITE_CONFIG_H \
    -DSQLITE_THREADSAFE=1 -DSQLITE_SECURE_DELETE -DSQLITE_DEFAULT_MEMSTATUS=0 \
    sqlite3.c -o libsqlite3.so.0
"""
BEGIN = """set -e
export LC_ALL=C
cd /build
dpkg-source --no-check -x *.dsc source
cd source
"""
# apt has checked the archive's signature and the files' hashes.
DOWNLOAD = 'mkdir "$1/build" && cd "$1/build" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"'
DOWNLOAD += " apt-get -qq source --download-only {source}={version}"


class Library(NamedTuple):
    """A library: its names, what Debian's costs a twin more, files, how to compile them."""

    name: str
    source: str
    package: str
    saved: str
    files: tuple[str, ...]
    compiling: str

    @property
    def script(self) -> str:
        """What runs in the throw-away tree."""
        return f"{BEGIN}{self.compiling}\nstrip --strip-unneeded {' '.join(self.files)}\n"

    @property
    def setting(self) -> str:
        """The variable whose value `older` takes a smaller library without the newest fixes."""
        return f"METERTWIN_{self.name.upper()}"


LIBRARIES = (
    Library(
        "OpenSSL", "openssl", "libssl3t64", "3 MiB", ("libcrypto.so.3", "libssl.so.3"), OPENSSL
    ),
    Library("SQLite", "sqlite3", "libsqlite3-0", "0.8 MiB", ("libsqlite3.so.0",), SQLITE),
)


@functools.cache
def source_version(library: Library) -> str:
    """Return the version to build, empty when twins keep Debian's own library."""
    found = newest(listing().sources[library.source])
    own = own_version(library, versions("python"))
    if found and not is_older(found, own):
        return found
    there = f"of {library.name} {own} Debian's server has no source"
    there += f", only {found}" if found else ""
    if found and os.environ.get(library.setting) == "older":
        print(f"warning: {there}: twins lack its fixes ({library.setting})", file=sys.stderr)
        return found
    kept = f"twins keep Debian's library, {library.saved} more each"
    print(f"warning: {there}: {kept}", file=sys.stderr)
    return ""


def own_version(library: Library, packages: list[str]) -> str:
    """Return the source version of Debian's own library among `package=version`."""
    pairs = dict(package.split("=", 1) for package in packages)
    return source_of(pairs[library.package])


def parts(libraries: tuple[Library, ...] = LIBRARIES) -> list[str]:
    """Return `package=version` of what libraries are built from and with."""
    found = [(one.source, source_version(one)) for one in libraries]
    sources = [f"src:{source}={version}" for source, version in found if version]
    return [*sources, *versions("compiler")] if sources else []


def built(library: Library) -> Path:
    """Return a folder with a library's files, built once (at most 2 minutes of two cores).

    Raises:
        subprocess.CalledProcessError: a step failed; its own message is on stderr.
    """
    text = "\n".join([SUITE, *parts((library,)), library.script])
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = cache() / library.source / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # checkouts share the cache
        if not (folder / ".complete").exists():
            version = source_version(library)
            print(f"{library.source} {version}: building", file=sys.stderr, flush=True)
            folder.mkdir(exist_ok=True)
            _build(library, folder)
            (folder / ".complete").touch()
    return folder


def _build(library: Library, folder: Path) -> None:
    script = folder / "build.sh"
    script.write_text(library.script)
    download = DOWNLOAD.format(source=library.source, version=source_version(library))
    command = [*mmdebstrap(versions("compiler")), f"--setup-hook={ADD_SOURCES}"]
    command += [f"--extract-hook={download}"]
    command += [f"--extract-hook=upload {script} /build/build.sh"]
    command += ['--extract-hook=chroot "$1" /bin/sh /build/build.sh >&2']
    for name in library.files:
        command.append(f"--extract-hook=download /build/source/{name} {folder / name}")
    log = folder / "build.log"
    with log.open("w") as output:
        done = subprocess.run([*command, SUITE, "/dev/null"], check=False, stderr=output)
    if done.returncode != 0:
        print("".join(log.read_text().splitlines(keepends=True)[-20:]), file=sys.stderr)
        print(f"all of it: {log}", file=sys.stderr)
        done.check_returncode()


def replace_libraries(target: Path) -> None:
    """Put the small libraries in the place of Debian's in a root file system, unless older."""
    for library in LIBRARIES:
        if not source_version(library):
            continue
        for name in library.files:
            place = target / LIBRARY_FOLDERS[0] / name
            if not place.exists():
                raise FileNotFoundError(f"{place}: the image's Python does not link to it")
            place.write_bytes((built(library) / name).read_bytes())
