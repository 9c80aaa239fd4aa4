"""The small profile as an image: `small.romfs` of a board, or of a process on the ESP8266's model.

Neighbours: `firmware_sources` (which modules), `bundle` and `romfs` (how they become the image),
`bytecode`, `build_firmware` (the command).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bundle import bundle, shorten
from bytecode import compile_to
from firmware_sources import PORTABLE, PORTABLE_APART, ROOT, SMALL
from romfs import pack

PROCESS = ("oracle_log", "simulation/load_curve", "hal/unix_small")
USED_BY_PROCESS = ("table", "ring", "incarnation", "head", "restore")
START_OF_PROCESS = """import sys

import mapped_flash
import vfs

here, meter_json = sys.argv
vfs.mount(vfs.VfsRom(mapped_flash.map(here.replace("main.py", "small.romfs"))), "/rom")
sys.path[:] = ["/rom", ".frozen"]
del here, mapped_flash, sys, vfs
import hal.unix_small

hal.unix_small.main(meter_json)
"""
"""The `main.py` of a process, which is given its `meter.json`."""


def build_small(target: Path, march: str = "none", *, with_board: bool = False) -> dict[str, str]:
    """Make the bundle's files, below small/, and small.romfs; return short names of attributes.

    Args:
        target: folder of both.
        march: see `compile_to`.
        with_board: whether the image has the board's counter and radio too.
    """
    wire, own = ROOT / "wire/src/meter_wire/portable", ROOT / "firmware/src"
    parts = {file: [(name, own / f"{name}.py") for name in names] for file, names in SMALL.items()}
    parts["small"][:0] = [(f"meter_wire.portable.{name}", wire / f"{name}.py") for name in PORTABLE]
    for file, names in PORTABLE_APART.items():
        parts[file] = [(f"meter_wire.portable.{name}", wire / f"{name}.py") for name in names]
    texts, short = bundle(parts)
    folder = target / "small"
    folder.mkdir(parents=True)
    image = {}
    for file, text in texts.items():
        source, code = folder / f"{file}.py.txt", folder / f"{file}.mpy"
        source.write_text(text)
        compile_to(code, source, f"{file}.py", march)
        image[code.name] = code.read_bytes()
    if with_board:
        board = target / "board.mpy"
        compile_to(board, own / "hal/esp8266_small.py", "esp8266_small.py", march)
        image["hal/esp8266_small.mpy"] = board.read_bytes()
        board.unlink()
    (target / "small.romfs").write_bytes(pack(image))
    return short


def build_process(target: Path) -> None:
    """Make small.romfs and main.py of the small profile as a process on the ESP8266's model.

    Its pulses are simulated, and it can write the oracle's log.
    """
    short = build_small(target)
    folder = target / "small"
    image = {code.name: code.read_bytes() for code in folder.glob("*.mpy")}
    for name in PROCESS:
        source, code = folder / f"{name}.py.txt", folder / f"{name}.mpy"
        source.parent.mkdir(exist_ok=True)
        text = (ROOT / f"firmware/src/{name}.py").read_text()
        source.write_text(shorten(text, USED_BY_PROCESS, short))
        compile_to(code, source, f"{name}.py")
        image[f"{name}.mpy"] = code.read_bytes()
    shutil.rmtree(folder)
    (target / "small.romfs").write_bytes(pack(image))
    (target / "main.py").write_text(START_OF_PROCESS)
