"""Builds the simulated households' profiles from the SimBench data set.

Standard library only. Neighbour: firmware/src/simulation/profile.py reads what is written here.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import io
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = "simbench/networks/1-complete_data-mixed-all-0-sw"
LOADS = ("H0-A", "H0-B", "H0-C", "H0-G", "H0-H", "H0-L")
PLANTS = ("PV1", "PV2", "PV3", "PV4", "PV5", "PV6", "PV7", "PV8")
ORIGIN_UTC_S = 1451602800
"""2015-12-31T23:00:00Z, which is 2016-01-01 00:00 in the source's German local time."""
STEP_S = 900
COUNT = 366 * 96
NOTICE = """\
The profiles in this folder were derived from SimBench (https://simbench.de), copyright by
University of Kassel, Fraunhofer IEE, RWTH Aachen University and TU Dortmund University, made
available under the Open Database License: http://opendatacommons.org/licenses/odbl/1.0/.
Rights in individual contents of the database are licensed under the Database Contents License:
http://opendatacommons.org/licenses/dbcl/1.0/. Derived databases stay under the ODbL.
"""


class ProfileSourceError(Exception):
    """The downloaded data are not what this tool knows."""


def local_times() -> Iterator[str]:
    """Yield the source's time stamps: German local time of 2016 with both clock changes."""
    summer = datetime(2016, 3, 27, 2, 0)  # noqa: DTZ001 - the source's local time
    winter = datetime(2016, 10, 30, 3, 0)  # noqa: DTZ001
    standard = datetime(2016, 1, 1)  # noqa: DTZ001
    for number in range(COUNT):
        time = standard + number * timedelta(seconds=STEP_S)
        if summer <= time < winter - timedelta(hours=1):
            time += timedelta(hours=1)
        yield time.strftime("%d.%m.%Y %H:%M")


def read_columns(wheel: zipfile.ZipFile, file: str, columns: Sequence[str]) -> list[list[int]]:
    """Return each column's values in millionths.

    Raises:
        ProfileSourceError: a missing column or a gap in time.
    """
    with wheel.open(f"{FOLDER}/{file}") as raw:
        rows = csv.reader(io.TextIOWrapper(raw, "ascii"), delimiter=";")
        header = next(rows)
        missing = sorted(set(columns) - set(header))
        if missing:
            raise ProfileSourceError(f"{file} has no column {', '.join(missing)}")
        places = [header.index(column) for column in columns]
        values: list[list[int]] = [[] for _ in columns]
        for expected, row in zip(local_times(), rows, strict=True):
            if row[0] != expected:
                raise ProfileSourceError(f"{file}: {row[0]} where {expected} should be")
            for column, place in zip(values, places, strict=True):
                column.append(round(float(row[place]) * 1_000_000))
    return values


def encode_profile(values: Sequence[int]) -> bytes:
    """Return the profile file; see the reader for its layout."""
    total = sum(max(0, value) for value in values)
    header = struct.pack("<4sB3sIIIQ", b"MTPF", 1, b"", ORIGIN_UTC_S, STEP_S, len(values), total)
    return header + struct.pack(f"<{len(values)}i", *(max(0, value) for value in values))


def download_wheel(folder: Path) -> Path:
    """Download the pinned wheel, and nothing that it depends on.

    Raises:
        subprocess.CalledProcessError: pip's own message has been printed.
    """
    requirements = Path(__file__).with_name("requirements.txt")
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        pip = [os.environ.get("UV") or shutil.which("uv") or "uv", "tool", "run", "pip"]
    command = [*pip, "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*command, "--require-hashes", "-r", requirements, "-d", folder], check=True)
    return next(folder.glob("simbench-*.whl"))


def build(wheel_path: Path, target: Path) -> None:
    """Write every profile and, last, the notice whose presence says that all are there."""
    target.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel_path) as wheel:
        columns = [f"{name}_pload" for name in LOADS]
        names = [*LOADS, *PLANTS]
        values = read_columns(wheel, "LoadProfile.csv", columns)
        values += read_columns(wheel, "RESProfile.csv", PLANTS)
    for name, column in zip(names, values, strict=True):
        (target / f"{name}.bin").write_bytes(encode_profile(column))
    (target / "NOTICE").write_text(NOTICE, encoding="utf-8")


def ensure(target: Path, wheel: Path | None) -> None:
    """Build the profiles unless all are there; a second caller waits for the first.

    Args:
        target: folder to write to.
        wheel: this one instead of a download.

    Raises:
        ProfileSourceError: as of `build`.
        subprocess.CalledProcessError: as of `download_wheel`.
    """
    target.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (target / "NOTICE").exists():
            return
        with tempfile.TemporaryDirectory() as folder:
            build(wheel or download_wheel(Path(folder)), target)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="build household profiles from SimBench (ODbL)")
    parser.add_argument("target", type=Path, help="folder to write to, e.g. build/profiles")
    parser.add_argument("--wheel", type=Path, help="use this wheel instead of downloading it")
    arguments = parser.parse_args()
    ensure(arguments.target, arguments.wheel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
