"""OpenSSL as small as a twin can use it, built from Debian's own source.

Debian's libraries serve every program; a twin needs TLS 1.2 and 1.3 with AEAD ciphers, EC, Ed25519
and RSA, SHA and HMAC. What it keeps resident of the rest is 3 MiB in each of a thousand twins. The
result has the same names and symbol versions, so Debian's Python takes it without a change. One
mmdebstrap run makes a throw-away tree with a compiler and compiles in it; the two libraries are
cached. Neighbour: `recipes.py`.
"""

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

from rootfs import LIBRARY_FOLDERS, SUITE, cache

LIBRARIES = ("libcrypto.so.3", "libssl.so.3")
PACKAGES = (
    "base-files", "coreutils", "dash", "diffutils", "dpkg-dev", "findutils", "gcc", "grep", "gzip",
    "libc6-dev", "make", "mawk", "perl", "sed", "xz-utils",
)  # fmt: skip
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
# apt has checked the archive's signature and the files' hashes; the security archive's newest
# source is not always there yet, the point release of the suite is.
SOURCES = 'sed -n "s/^deb \\(.* {suite} main\\)/deb-src \\1/p" "$1/etc/apt/sources.list"'
SOURCES += ' > "$1/etc/apt/sources.list.d/source.list"'
DOWNLOAD = 'mkdir "$1/build" && cd "$1/build" &&'
DOWNLOAD += ' APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq source --download-only openssl'


def built() -> Path:
    """Return a folder with the two libraries, built once (2 minutes of two cores).

    Raises:
        subprocess.CalledProcessError: a step failed; its own message is on stderr.
    """
    key = hashlib.sha256("\n".join([SUITE, *PACKAGES, SCRIPT]).encode()).hexdigest()[:16]
    folder = cache() / "openssl" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # checkouts share the cache
        if not (folder / ".complete").exists():
            print("openssl: building (2 minutes)", file=sys.stderr, flush=True)
            folder.mkdir(exist_ok=True)
            _build(folder)
            (folder / ".complete").touch()
    return folder


def _build(folder: Path) -> None:
    script = folder / "build.sh"
    script.write_text(SCRIPT)
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--architectures=amd64"]
    command += [f"--include={','.join(PACKAGES)}", f"--setup-hook={SOURCES.format(suite=SUITE)}"]
    command += [f"--extract-hook={DOWNLOAD}", f"--extract-hook=upload {script} /build/build.sh"]
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
    """Put the small libraries in the place of Debian's in a root file system."""
    for name in LIBRARIES:
        place = target / LIBRARY_FOLDERS[0] / name
        if not place.exists():
            raise FileNotFoundError(f"{place}: the image's Python does not link to OpenSSL")
        place.write_bytes((built() / name).read_bytes())
