"""PostgreSQL of about 75 MB: the server, its initdb and what backups are made with.

The server calls programs through ``/bin/sh`` (initdb its own steps, ``archive_command`` the
user's), so this image alone has one. Neighbour: ``recipes.py``.
"""

import shutil
from pathlib import Path

from rootfs import copy_libraries, copy_program, unpacked, write_account

VERSION = "17"
HOME = f"usr/lib/postgresql/{VERSION}"
SHARE = f"usr/share/postgresql/{VERSION}"
PROGRAMS = (
    "postgres", "initdb", "psql", "pg_isready", "pg_dump", "pg_restore", "pg_basebackup",
    "pg_amcheck", "pg_checksums", "pg_controldata",
)  # fmt: skip
SHELL = ("dash", "chmod", "cp", "mv", "rm", "sync")
"""For the chart's first start (files/initdb.sh), and what an archive_command is made of."""
EXTENSIONS = ("amcheck", "pg_buffercache", "pg_stat_statements", "pgstattuple", "plpgsql")
LOADED = (*EXTENSIONS, "dict_snowball", "libpqwalreceiver", "pgoutput")
"""What the server loads: not LLVM, whose 130 MB would compile queries of analysts."""


def build_postgres(target: Path) -> list[str]:
    """Write Debian's PostgreSQL and return the entry point; its settings are the chart's."""
    tree = unpacked("postgres")
    for name in PROGRAMS:
        copy_program(tree, f"{HOME}/bin/{name}", target)
    for name in SHELL:
        copy_program(tree, f"usr/bin/{name}", target)
        (target / "usr/bin" / name).chmod(0o755)
    for name in PROGRAMS:
        (target / "usr/bin" / name).symlink_to(f"../lib/postgresql/{VERSION}/bin/{name}")
    (target / "usr/bin/sh").symlink_to("dash")
    (target / "bin").symlink_to("usr/bin")
    modules = [tree / HOME / "lib" / f"{name}.so" for name in LOADED]
    (target / HOME / "lib").mkdir()
    for path in modules:
        shutil.copy2(path, target / HOME / "lib")
    copy_libraries(tree, modules, target)
    copy_data(tree, target)
    write_account(target)
    (target / "var/lib/postgresql").mkdir()
    (target / "var/run/postgresql").mkdir()
    return ["postgres", "-D", "/var/lib/postgresql/data"]


def copy_data(tree: Path, target: Path) -> None:
    """Copy what initdb fills a cluster with, the extensions' scripts and the time zones."""
    shutil.copytree(
        tree / SHARE, target / SHARE, ignore=shutil.ignore_patterns("man", "contrib", "extension")
    )
    extensions = target / SHARE / "extension"
    extensions.mkdir()
    for name in EXTENSIONS:
        for path in (tree / SHARE / "extension").glob(f"{name}[.-]*"):
            shutil.copy2(path, extensions)
    zones = shutil.ignore_patterns("posix", "right", "*.tab", "leap*", "tzdata.zi")
    zoneinfo = "usr/share/zoneinfo"
    shutil.copytree(tree / zoneinfo, target / zoneinfo, symlinks=True, ignore=zones)
