"""What a board needs for the firmware: octets of flash, the smallest heap, instructions."""

import json
import sys

import cluster
import firmware_work
from figure import Figure, figure

SIZES = cluster.ROOT / "firmware/build/size.json"
KIB = 1024
FLASH = "bytecode and main.py as `make firmware` builds them"
HEAP = (
    "the least with which a meter does its work on the 32-bit port, a reading a second, over a "
    "real broker with two real twins, the broker killed once (firmware/smallest_heap.py, 1 KiB "
    "steps); TLS takes its memory elsewhere there; "
)


def measure() -> list[Figure]:
    """Return sizes and heaps of the boards, and what the work costs in instructions.

    Raises:
        RuntimeError: they could not be measured; the text is the program's.
    """
    program = cluster.ROOT / "firmware/smallest_heap.py"
    cluster.run(sys.executable, str(program), timeout_s=1800)
    figures = []
    for name, row in sorted(json.loads(SIZES.read_text()).items()):
        figures.append(figure(f"firmware of the board {name}", row["total"], "bytes", FLASH))
        for key, how in (
            ("smallest_heap", "bytecode in place from a ROMFS image"),
            ("smallest_heap_from_files", "bytecode loaded into the heap"),
        ):
            if row.get(key):
                board = json.loads((cluster.ROOT / f"firmware/boards/{name}.json").read_text())
                goal = ("<=", board["heap_bytes"] / KIB) if key == "smallest_heap" else None
                title = f"smallest heap of the board {name}, {how}"
                figures.append(figure(title, row[key] / KIB, "KiB", HEAP + how, goal))
    return figures + firmware_work.measure()
