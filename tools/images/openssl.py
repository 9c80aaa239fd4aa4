"""OpenSSL as small as a twin can use it, built from Debian's own source.

Debian's libraries serve every program; a twin needs TLS 1.2 and 1.3 with AEAD ciphers, EC, Ed25519
and RSA, SHA and HMAC. What it keeps resident of the rest is 3 MiB in each of a thousand twins. The
result has the same names and symbol versions, so Debian's Python takes it without a change. One
mmdebstrap run makes a throw-away tree with a compiler and compiles in it; the two libraries are
cached. Never older than Debian's own: while the source of a fix is not to be had, twins keep
Debian's libraries. Neighbours: `debian.py` (versions), `recipes.py`.
"""

import fcntl
import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path

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

LIBRARIES = ("libcrypto.so.3", "libssl.so.3")
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
SCRIPT = f"""set -e
export LC_ALL=C
cd /build
dpkg-source --no-check -x openssl_*.dsc openssl
cd openssl
./Configure linux-x86_64 shared --prefix=/usr --libdir=lib --openssldir=/usr/lib/ssl \
    {" ".join(f"no-{name}" for name in LEFT_OUT)} \
    -Os -ffunction-sections -fdata-sections -Wl,--gc-sections
make -s -j"$(nproc)" build_libs
strip --strip-unneeded {" ".join(LIBRARIES)}
"""
# apt has checked the archive's signature and the files' hashes.
DOWNLOAD = 'mkdir "$1/build" && cd "$1/build" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"'
DOWNLOAD += " apt-get -qq source --download-only openssl={version}"


def may_be_older() -> bool:
    """Return whether the user takes a smaller OpenSSL that lacks Debian's newest fixes."""
    return os.environ.get("METERTWIN_OPENSSL") == "older"


@functools.cache
def source_version() -> str:
    """Return the version to build, empty when twins keep Debian's own libraries."""
    found = newest(listing().sources["openssl"])
    own = own_version(versions("python"))
    if found and not is_older(found, own):
        return found
    there = f"of OpenSSL {own} Debian's server has no source" + (f", only {found}" if found else "")
    if found and may_be_older():
        print(f"warning: {there}: twins lack its fixes (METERTWIN_OPENSSL)", file=sys.stderr)
        return found
    print(f"warning: {there}: twins keep Debian's libraries, 3 MiB more each", file=sys.stderr)
    return ""


def own_version(packages: list[str]) -> str:
    """Return the source version of Debian's own library among `package=version`."""
    pairs = dict(package.split("=", 1) for package in packages)
    return source_of(pairs["libssl3t64"])


def openssl_parts() -> list[str]:
    """Return `package=version` of what the libraries are built from and with."""
    version = source_version()
    return [f"src:openssl={version}", *versions("compiler")] if version else []


def built() -> Path:
    """Return a folder with the two libraries, built once (2 minutes of two cores).

    Raises:
        subprocess.CalledProcessError: a step failed; its own message is on stderr.
    """
    text = "\n".join([SUITE, *openssl_parts(), SCRIPT])
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = cache() / "openssl" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # checkouts share the cache
        if not (folder / ".complete").exists():
            print(f"openssl {source_version()}: building (2 minutes)", file=sys.stderr, flush=True)
            folder.mkdir(exist_ok=True)
            _build(folder)
            (folder / ".complete").touch()
    return folder


def _build(folder: Path) -> None:
    script = folder / "build.sh"
    script.write_text(SCRIPT)
    command = [*mmdebstrap(versions("compiler")), f"--setup-hook={ADD_SOURCES}"]
    command += [f"--extract-hook={DOWNLOAD.format(version=source_version())}"]
    command += [f"--extract-hook=upload {script} /build/build.sh"]
    command += ['--extract-hook=chroot "$1" /bin/sh /build/build.sh >&2']
    for name in LIBRARIES:
        command.append(f"--extract-hook=download /build/openssl/{name} {folder / name}")
    log = folder / "build.log"
    with log.open("w") as output:
        done = subprocess.run([*command, SUITE, "/dev/null"], check=False, stderr=output)
    if done.returncode != 0:
        print("".join(log.read_text().splitlines(keepends=True)[-20:]), file=sys.stderr)
        print(f"all of it: {log}", file=sys.stderr)
        done.check_returncode()


def replace_openssl(target: Path) -> None:
    """Put the small libraries in the place of Debian's in a root file system, unless older."""
    if not source_version():
        return
    for name in LIBRARIES:
        place = target / LIBRARY_FOLDERS[0] / name
        if not place.exists():
            raise FileNotFoundError(f"{place}: the image's Python does not link to OpenSSL")
        place.write_bytes((built() / name).read_bytes())
