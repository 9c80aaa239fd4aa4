"""What `make demo` needs, named before anything is installed or built.

What a local cluster needs is known to ``tools/cluster``, where packages come from to
``sources.py``; here stands what the images need. Run by ``make demo`` before there is a Python
environment, by ``check``, which has looked for a Python that can read this: standard library only.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from progress import fail
from reach import find_unreachable
from sources import find_missing_packages, find_places
from target import CLUSTER, ROOT, given_target, is_cluster_given

PROCESSOR = "x86_64"
DISK_NEEDED_MB = 3_000


def check_preconditions() -> None:
    """Name all that is missing.

    Raises:
        SystemExit: something is missing, or a given cluster cannot be used.
    """
    free = {folder: free_mb(folder) for folder in (ROOT, cache())}
    missing = [] if shutil.which("apt-get") else find_missing_packages()
    lacks = find_lacks(platform.machine(), free, is_root=os.geteuid() == 0, missing=missing)
    if not is_cluster_given():
        lacks += ask_cluster()
    lacks += find_unreachable(find_places(cache()))
    if lacks:
        fail("; ".join(lacks))
    if is_cluster_given():
        given_target()


def ask_cluster() -> list[str]:
    """Return what a local cluster lacks here, with the way around it."""
    done = subprocess.run(
        [str(CLUSTER), "check"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode == 0:
        return []
    said = done.stderr.strip().removeprefix("cluster: ")
    return [f"for a local cluster, {said}; or give KUBECONFIG or CONTEXT of a cluster"]


def find_lacks(
    processor: str, free: Mapping[Path, int], *, is_root: bool, missing: Sequence[str]
) -> list[str]:
    """Return one text for each thing that building the images lacks.

    Args:
        processor: as the machine calls it.
        free: megabytes of free disk at each folder that is written to.
        is_root: whether files of an image can be given to its user.
        missing: programs that are not there and that nobody here can install.
    """
    lacks = []
    if processor != PROCESSOR:
        lacks.append(f"the images are for x86-64 and are built on it; this is {processor}")
    lacks += [
        f"the images need {DISK_NEEDED_MB} MB of free disk at {folder}, there are {there}"
        for folder, there in free.items()
        if there < DISK_NEEDED_MB
    ]
    if not is_root:
        lacks.append("the images are built as root (uid 0)")
    if missing:
        lacks.append(f"the images need {' and '.join(missing)}; install them")
    return lacks


def cache() -> Path:
    """Return the cache folder of everything that is built."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("METERTWIN_CACHE") or Path(base) / "metertwin")


def free_mb(folder: Path) -> int:
    """Return the free disk, in megabytes, where a folder is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // 10**6
