#!/usr/bin/env python3
"""Compile the firmware for its boards: `firmware/build/<board>/`, and size.json with the octets.

    python firmware/build_firmware.py [BOARD ...]

A board of the whole firmware gets `lib/*.mpy`, its declaration as `lib/board.mpy` and package.json
(`mpremote mip install`), one of the small profile `small.romfs`; each the `main.py` that starts it.
Neighbours: `firmware_sources` (of what), `board_file` (declarations), `bytecode`, `small_firmware`
(the small profile), `provision_board` (onto the board).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import board_file
from bytecode import compile_to
from firmware_sources import ROOT, sources
from romfs import pack
from small_firmware import build_process, build_small

TARGET = ROOT / "firmware" / "build"
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
