#!/usr/bin/env python3
"""Check the types of firmware and portable wire with pyright against MicroPython's own stubs.

mypy knows CPython only; here a module or method that MicroPython lacks is an error. Once for each
port, with its stubs, over what runs there: `machine` of an ESP8266 has less than that of an ESP32.
Checker and stubs are pinned and lie in the cache beside uv, not in the environment: the stubs would
hide the standard library from everything else. The first run takes them from PyPI, later ones need
nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from firmware_sources import PORTABLE, PORTABLE_APART, SMALL

ROOT = Path(__file__).resolve().parents[1]
CHECKER = "basedpyright==1.40.2"
STANDARD = "micropython-stdlib-stubs==1.29.0.post2"
FIRMWARE = "firmware/src"
WIRE = "wire/src/meter_wire/portable"
SIMULATION = ("electricity.py", "simulation")


class Port(NamedTuple):
    """A port of MicroPython: its stubs, what runs there, what below `FIRMWARE` does not."""

    name: str
    version: str
    included: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def stubs(self) -> str:
        """The package of its stubs, pinned."""
        return f"micropython-{self.name}-stubs=={self.version}"


PORTS = (
    Port(
        "unix", "1.29.0.post1", (FIRMWARE, WIRE),
        ("hal/esp.py", "hal/esp32.py", "hal/esp8266.py", "hal/esp8266_small.py"),
    ),
    Port(
        "esp32", "1.29.0.post1", (FIRMWARE, WIRE),
        ("hal/unix.py", "hal/unix_small.py", "hal/esp8266.py", "hal/esp8266_small.py", *SIMULATION),
    ),
    Port(
        "esp8266", "1.29.0.post1",
        (
            *[f"{FIRMWARE}/{name}.py" for names in SMALL.values() for name in names],
            *[f"{WIRE}/{name}.py" for name in PORTABLE],
            *[f"{WIRE}/{name}.py" for names in PORTABLE_APART.values() for name in names],
            f"{FIRMWARE}/hal",
        ),
        ("hal/unix.py", "hal/unix_small.py", "hal/esp32.py"),
    ),
)  # fmt: skip


def find_cache() -> Path:
    """Return the folder of what is installed once for all clones."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "metertwin"
    return Path(os.environ.get("METERTWIN_CACHE", default))


def ensure(folder: Path, packages: tuple[str, ...], *options: str) -> Path:
    """Install packages into a folder of their own, once."""
    if not (folder / "complete").exists():
        uv = os.environ.get("UV", "uv")
        command = [uv, "pip", "install", "-q", "--python", sys.executable, "--target", str(folder)]
        subprocess.run([*command, *options, *packages], check=True)
        (folder / "complete").write_text("\n".join(packages) + "\n")
    return folder


def settings(port: Port, root: Path, stubs: Path) -> dict[str, object]:
    """Return pyright's configuration for a port."""
    included = [root / path for path in port.included]
    return {
        "include": [str(path) for path in included if path.exists()],
        "exclude": [str(root / FIRMWARE / path) for path in port.left_out],
        "extraPaths": [str(root / "firmware/src"), str(root / "wire/src")],
        "typeshedPath": str(stubs),
        "stubPath": str(stubs),
        "typeCheckingMode": "basic",
        "pythonVersion": "3.11",
    }


def start(port: Port, root: Path, folder: Path) -> subprocess.Popen[str]:
    """Begin to check what runs on a port; `folder` takes the configuration."""
    cache = find_cache()
    name = f"stubs-{port.name}-{port.version}"
    stubs = ensure(cache / name, (port.stubs, STANDARD), "--no-deps")
    checker = ensure(cache / f"pyright-{CHECKER.partition('==')[2]}", (CHECKER,))
    config = folder / f"{port.name}.json"
    config.write_text(json.dumps(settings(port, root, stubs)))
    environment = {**os.environ, "PYTHONPATH": str(checker)}
    command = [sys.executable, "-m", "basedpyright", "--level", "error"]
    command += ["--pythonpath", "/bin/false", "-p", str(config)]  # nothing of CPython is found
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)


def main(root: Path = ROOT) -> int:
    """Return 0 when pyright has nothing to say of any port."""
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        runs = [(port, start(port, root, Path(folder))) for port in PORTS]
        for port, run in runs:
            said, _ = run.communicate()
            if run.returncode:
                failed = True
                print(f"{port.name}:\n{said}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
