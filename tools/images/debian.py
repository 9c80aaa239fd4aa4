"""What of Debian goes into the images, and which version of it Debian has today.

Debian's lists are read once a day for all images; the answer stays in the cache. The versions are
part of the images' keys (``build.py``), and exactly they are unpacked (``rootfs.py``), so that an
update makes another image and one tag never names two contents. Neighbours: ``rootfs.py``,
``libraries.py``.
"""

import fcntl
import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SUITE = "trixie"
SETS: dict[str, tuple[str, ...]] = {
    "python": ("libgcc-s1", "python3", "tzdata"),
    "c++": ("libstdc++6",),
    "mosquitto": ("mosquitto",),
    "postgres": ("coreutils", "dash", "postgresql-17", "tzdata"),
    "micropython": ("micropython",),
    "strip": ("binutils",),
    "compiler": (
        "base-files", "coreutils", "dash", "diffutils", "dpkg-dev", "findutils", "gcc", "grep",
        "gzip", "libc6-dev", "make", "mawk", "perl", "sed", "tcl8.6", "xz-utils",
    ),
}  # fmt: skip
SOURCES = ("openssl", "sqlite3")
DAY_S = 24 * 3600
WAIT_S = 300

# Binary packages come from the suite, its updates and its security archive; so do sources.
ADD_SOURCES = (
    'sed -n "s/^deb /deb-src /p" "$1/etc/apt/sources.list"'
    ' > "$1/etc/apt/sources.list.d/source.list"'
)
LOOK = """
export LC_ALL=C APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
mkdir "$1/look" && cd "$1/look"
"""
LOOK_AT_SET = """
echo "# {name}" >> answer
apt-get --simulate --no-install-recommends install {packages} >> answer || exit 1
"""
# A version that the lists have may be missing on the server: only one whose .dsc comes is named.
LOOK_AT_SOURCE = """
echo "# {name}" >> answer
for version in $(apt-cache showsrc --only-source {name} | sed -n 's/^Version: //p'); do
  apt-get -qq source --download-only --dsc-only "{name}=$version" && echo "Have $version" >> answer
done
true
"""
_PLANNED = re.compile(r"Inst (\S+) \((\S+) ")
_HAD = re.compile(r"Have (\S+)")


class DebianError(Exception):
    """Debian does not have what an image needs; the message is one line."""


class Listing(NamedTuple):
    """Debian on one day: when it was read, set → `package=version`, source → versions to be had."""

    read_s: float
    packages: dict[str, list[str]]
    sources: dict[str, list[str]]


def cache() -> Path:
    """Return the cache folder, outside the tree."""
    base = os.environ.get("METERTWIN_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "metertwin"


def place() -> Path:
    """Return the file of the listing; another question has another one, as checkouts differ."""
    question = json.dumps([SUITE, SETS, SOURCES, LOOK_AT_SET, LOOK_AT_SOURCE])
    return cache() / "debian" / f"{hashlib.sha256(question.encode()).hexdigest()[:16]}.json"


@functools.cache
def listing() -> Listing:
    """Return what Debian has, not older than a day; the same to every caller of this process.

    Raises:
        DebianError: it could not be read, and no older answer is kept.
    """
    with _lock():
        kept = Listing(**json.loads(place().read_text())) if place().exists() else None
        if kept and 0 <= time.time() - kept.read_s < DAY_S:
            return kept
        try:
            return _keep(read())
        except DebianError as error:
            if kept is None:
                raise
            day = time.strftime("%Y-%m-%d", time.gmtime(kept.read_s))
            print(f"warning: {error}; taken as on {day}", file=sys.stderr, flush=True)
            return kept


def refresh() -> None:
    """Read Debian's lists whatever the age of the answer that is kept.

    Raises:
        DebianError: they could not be read; what is kept stays.
    """
    with _lock():
        _keep(read())
    listing.cache_clear()


@contextmanager
def _lock() -> Iterator[None]:
    place().parent.mkdir(parents=True, exist_ok=True)
    with place().with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # checkouts share the cache
        yield


def _keep(found: Listing) -> Listing:
    new = place().with_suffix(".new")
    new.write_text(json.dumps(found._asdict(), indent=1) + "\n")
    new.replace(place())
    return found


def read() -> Listing:
    """Ask Debian (10 s).

    Raises:
        DebianError: it does not answer, or not all of it.
    """
    script = LOOK
    for name, packages in SETS.items():
        script += LOOK_AT_SET.format(name=name, packages=" ".join(packages))
    for name in SOURCES:
        script += LOOK_AT_SOURCE.format(name=name)
    print("Debian: reading its lists", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="metertwin-") as folder:
        answer = Path(folder) / "answer"
        command = ["timeout", str(WAIT_S), *mmdebstrap(["base-files"])]
        command += ['--aptopt=Acquire::http::Timeout "20"', '--aptopt=Acquire::Retries "1"']
        command += [f"--setup-hook={ADD_SOURCES}", f"--extract-hook={script}"]
        command += [f"--extract-hook=download /look/answer {answer}", SUITE, "/dev/null"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0 or not answer.exists():
            lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            reason = lines[0] if lines else f"status {done.returncode}"
            raise DebianError(f"Debian's lists of packages could not be read ({reason})")
        found = parse(answer.read_text())
    return Listing(
        time.time(),
        {name: found.get(name, []) for name in SETS},
        {name: found.get(name, []) for name in SOURCES},
    )


def parse(answer: str) -> dict[str, list[str]]:
    """Return section → sorted `package=version` of a plan, or versions of a source."""
    found: dict[str, list[str]] = {}
    rows: list[str] = []
    for line in answer.splitlines():
        if line.startswith("# "):
            rows = found.setdefault(line[2:], [])
        elif planned := _PLANNED.match(line):
            rows.append("=".join(planned.groups()))
        elif had := _HAD.match(line):
            rows.append(had[1])
    return {name: sorted(set(rows)) for name, rows in found.items()}


def mmdebstrap(packages: Iterable[str]) -> list[str]:
    """Return the start of a command that unpacks packages; no script of theirs runs."""
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--architectures=amd64"]
    return [*command, f"--include={','.join(packages)}"]


def versions(name: str) -> list[str]:
    """Return `package=version` for all that a set brings, those it depends on too."""
    return listing().packages[name]


def is_older(version: str, other: str) -> bool:
    """Return whether a version is older than another, by Debian's rules (policy 5.6.12)."""
    asked = ["dpkg", "--compare-versions", version, "lt", other]
    return subprocess.run(asked, check=False).returncode == 0


def newest(found: Iterable[str]) -> str:
    """Return the newest of some versions, empty if there is none."""
    best = ""
    for version in found:
        if not best or is_older(best, version):
            best = version
    return best


def source_of(version: str) -> str:
    """Return the source version of a binary one: `+b1` is a rebuild of the same source."""
    return re.sub(r"\+b\d+$", "", version)
