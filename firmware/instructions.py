#!/usr/bin/env python3
"""Count what the meter's work costs on an emulated Cortex-M3: instructions, as JSON.

The cases are `tests/instruction_cases.py`. Counts are the same on every machine for one compiler
and one source of MicroPython (`tools/micropython/cortex_m3/`); seconds of a board they are not.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tools/micropython"))
from bytecode import compile_to
from emulator import instructions, run
from firmware_sources import sources
from romfs import pack

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT / "firmware/tests/instruction_cases.py"
MARCH = "armv7m"
BUDGETS = {
    "hmac_512": ("HMAC-SHA256 over a frame of 512 octets", 175_000),
    "reading_1": ("encode a reading with one register", 45_000),
    "reading_all": ("take and encode a reading with all registers, one phase", 700_000),
    "reading_all_3": ("take and encode a reading with all registers, three phases", 900_000),
    "rms_80": ("RMS of a cycle of 80 samples, bytecode", 105_000),
    "rms_80_viper": ("RMS of a cycle of 80 samples, native code", 15_000),
    "tick_1": ("a metering tick, one phase", 56_000),
    "tick_3": ("a metering tick, three phases", 60_000),
    "quality_1": ("judge the voltage of a second, 100 half cycles, one phase", 82_000),
    "quality_3": ("the same of three phases", 183_000),
}
"""{case: (what, most instructions)}: 1.3 times what was counted, for another compiler's sake."""


def compile_mpy(source: Path, name: str, march: str, level: int = 3) -> bytes:
    """Return the bytecode of a source, its native parts for an architecture.

    Above `level` 0 the compiler drops every `assert`: tests are compiled with 0.

    Raises:
        RuntimeError: it does not compile; the text is the compiler's.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mpy"
        compile_to(out, source, name, march, level)
        return out.read_bytes()


def make_image(more: dict[str, Path], march: str = MARCH, level: int = 0) -> bytes:
    """Return a ROMFS image of the firmware's modules, the wire's, and {path: source}."""
    own = {name: compile_mpy(source, source.name, march) for name, source in sources().items()}
    others = {name: compile_mpy(file, file.name, march, level) for name, file in more.items()}
    return pack(own | others)


def portable_tests() -> dict[str, Path]:
    """Return {path in an image: source} of the tests that every Python runs."""
    folder = ROOT / "firmware/tests/portable"
    found = [path for path in folder.rglob("*.py") if path.name != "conftest.py"]
    return {str(path.relative_to(folder).with_suffix(".mpy")): path for path in found}


def count() -> dict[str, int]:
    """Return {case: instructions}, each without the call of a function that does nothing.

    Raises:
        EmulatorError: a case raised an exception.
    """
    image = make_image({"instruction_cases.mpy": CASES}, level=3)
    said = run(image, "import instruction_cases\ninstruction_cases.main()\n")
    rows = [line.split() for line in said.splitlines()]
    found = {name: instructions(int(ticks)) for name, ticks in rows}
    nothing = found.pop("nothing")
    return {name: value - nothing for name, value in found.items()}


def main() -> int:
    """Print the cases that have a budget."""
    found = count()
    rows = [
        {"what": what, "instructions": found[name], "budget": budget}
        for name, (what, budget) in BUDGETS.items()
    ]
    print(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
