"""A Python of about 30 MB: the interpreter, a trimmed library as bytecode, TLS and SQLite.

The standard library is kept whole but for what no service uses (tests, GUI, package installers):
a list of "needed modules" is smaller but breaks on lazy imports. Sourceless ``.pyc`` files save
memory at start and space. Neighbour: ``recipes.py``.
"""

import shutil
import subprocess
from pathlib import Path

from rootfs import LIBRARY_FOLDERS, LOADER, copy_program, unpacked

VERSION = "3.13"
UNUSED = (
    "test", "idlelib", "tkinter", "turtledemo", "ensurepip", "pydoc_data", "lib2to3", "curses",
    "venv", "_pyrepl", "site-packages", "dist-packages", "config-3.13-x86_64-linux-gnu", "dbm",
    "wsgiref", "xmlrpc", "unittest", "turtle.py", "pydoc.py", "doctest.py", "LICENSE.txt",
    "sitecustomize.py", "pdb.py", "_pydecimal.py", "smtplib.py", "imaplib.py", "poplib.py",
    "ftplib.py", "mailbox.py", "tarfile.py.orig", "_ios_support.py", "_android_support.py",
)  # fmt: skip
UNUSED_EXTENSIONS = (
    "_tkinter", "_curses", "_curses_panel", "_dbm", "_gdbm", "readline", "_testcapi", "nis",
    "_codecs_jp", "_codecs_hk", "_codecs_cn", "_codecs_kr", "_codecs_tw", "_codecs_iso2022",
    "_ctypes_test", "_testinternalcapi", "_testmultiphase", "_xxtestfuzz", "xxlimited",
    "_testclinic", "_testclinic_limited", "_testlimitedcapi", "_testbuffer", "_testsinglephase",
    "_testimportmultiple", "_testexternalinspection", "_xxinterpchannels", "xxlimited_35",
    "xxsubtype",
)  # fmt: skip


def interpreter(tree: Path) -> list[str]:
    """Return the command that runs the unpacked Python on this machine."""
    libraries = ":".join(str(tree / folder) for folder in LIBRARY_FOLDERS)
    return [str(tree / LOADER), "--library-path", libraries, str(tree / f"usr/bin/python{VERSION}")]


def build_python(target: Path, keep: tuple[str, ...] = (), optimize: int = 0) -> None:
    """Write a root file system with Python; `keep` names parts of UNUSED to keep after all.

    `optimize` as in `compile_sourceless`.
    """
    tree = unpacked("python")
    library = target / f"usr/lib/python{VERSION}"
    source = tree / f"usr/lib/python{VERSION}"
    unused = [name for name in UNUSED if name not in keep]
    shutil.copytree(source, library, ignore=shutil.ignore_patterns(*unused, "__pycache__"))
    for extension in library.joinpath("lib-dynload").iterdir():
        if extension.name.split(".")[0] in UNUSED_EXTENSIONS:
            extension.unlink()
    extensions = sorted((library / "lib-dynload").iterdir())
    extra = [source / "lib-dynload" / path.name for path in extensions]
    copy_program(tree, f"usr/bin/python{VERSION}", target, extra)
    zones = shutil.ignore_patterns("posix", "right", "*.tab", "leap*", "tzdata.zi")
    shutil.copytree(
        tree / "usr/share/zoneinfo", target / "usr/share/zoneinfo", symlinks=True, ignore=zones
    )
    (target / "usr/bin/python3").symlink_to(f"python{VERSION}")
    compile_sourceless(library, optimize)


def compile_sourceless(folder: Path, optimize: int = 0) -> None:
    """Replace every source below `folder` by bytecode of the image's Python.

    `optimize`: 2 leaves out asserts, docstrings and the columns of traceback lines (PEP 657), which
    saves memory; run it as ``python3 -OO``.

    Raises:
        subprocess.CalledProcessError: a module does not compile.
    """
    tree = unpacked("python")
    columns = ["-X", "no_debug_ranges"] if optimize == 2 else []  # noqa: PLR2004 - as of `-OO`
    command = [*interpreter(tree), *columns, "-m", "compileall", "-q", "-b", "-o", str(optimize)]
    command += ["--invalidation-mode", "unchecked-hash", "-s", str(folder), str(folder)]
    environment = {"PYTHONHOME": str(tree / "usr"), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, check=True, env=environment)
    for path in folder.rglob("*.py"):
        path.unlink()
    for path in folder.rglob("__pycache__"):
        shutil.rmtree(path)
