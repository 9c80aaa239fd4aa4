"""The workspace's packages and the wheels of its lock file, as images have them.

Neighbour: ``recipes.py``.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from debian import cache
from python_rootfs import VERSION

ROOT = Path(__file__).resolve().parents[2]


def uv() -> str:
    """Return the uv program: the Makefile's own, else the one on the path."""
    own = sorted(cache().glob("uv-*/bin/uv"))
    return str(own[-1]) if own else "uv"


def install_wheels(package: str, target: Path, *extras: str) -> None:
    """Install the locked third-party dependencies of a workspace package into `target`.

    `extras`: of its optional ones, those too.

    Raises:
        subprocess.CalledProcessError: the lock file is out of date or a wheel is missing.
    """
    export = [uv(), "export", "--quiet", "--locked", "--package", package, "--no-dev"]
    export += ["--no-emit-workspace", "--no-hashes", "--no-annotate", "--no-header"]
    export += [f"--extra={extra}" for extra in extras]
    listed = subprocess.run(export, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wanted = target.parent / f"{package}-requirements.txt"
    wanted.write_text(listed.stdout)
    install = [uv(), "pip", "install", "--quiet", "--target", str(target), "--no-deps"]
    install += ["--link-mode", "copy"]  # uv's cache stays as it is when files are stripped
    install += ["--python-version", VERSION, "--python-platform", "x86_64-manylinux_2_36"]
    install += ["--only-binary", ":all:", "--requirement", str(wanted)]
    subprocess.run(install, check=True, cwd=ROOT, stdout=sys.stderr)
    wanted.unlink()


def copy_packages(target: Path, *packages: str) -> None:
    """Copy workspace packages (``part/src/name``) into ``/app`` of the root file system."""
    for package in packages:
        name = Path(package).name
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".*cache")
        shutil.copytree(ROOT / package, target / "app" / name, ignore=ignored)


def trim_wheels(folder: Path) -> None:
    """Drop what wheels carry for developers: tests, type stubs, headers, sources of C."""
    for name in ("tests", "test", "testing", "include", "bin"):
        for path in sorted(folder.glob(f"*/{name}")) + sorted(folder.glob(name)):
            if path.is_dir():
                shutil.rmtree(path)
    for pattern in ("*.pyi", "*.c", "*.h", "*.pyx", "*.pxd"):
        for path in folder.rglob(pattern):
            path.unlink()
