"""What the meter's work costs in instructions: `firmware/instructions.py` on a Cortex-M3."""

import json
import sys

import cluster
from figure import Figure, figure

METHOD = (
    "instructions of one call on QEMU's MPS2-AN385 (Cortex-M3), counted by -icount, MicroPython "
    "1.25 of Debian's source, bytecode from a ROMFS image; the same on every machine. A core needs "
    "more cycles than instructions: no seconds of a board follow from them alone"
)


def measure() -> list[Figure]:
    """Return the instructions of each case, with its budget as the goal.

    Raises:
        RuntimeError: they could not be counted; the text is the program's.
    """
    program = cluster.ROOT / "firmware/instructions.py"
    said = cluster.run(sys.executable, str(program), timeout_s=1800)
    return [
        figure(row["what"], row["instructions"], "instructions", METHOD, ("<=", row["budget"]))
        for row in json.loads(said)
    ]
