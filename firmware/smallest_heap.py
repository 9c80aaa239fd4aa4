#!/usr/bin/env python3
"""Find the smallest heap with which a board's firmware does its work, and add it to size.json.

    python firmware/smallest_heap.py [BOARD ...]        # two minutes a board

The work: a real broker and real twins; a reading a second; two epochs open; the broker is killed
and comes back; what the meter recorded is stored by both. It runs on the 32-bit port with that much
heap, from bytecode: in place from a ROMFS image and, of the whole firmware, from files too, which
are loaded into the heap (with simulated electricity in the place of a chip). Where TLS takes its
memory from the same heap a board needs more (ESP32: about 40 KB a session); no board was at hand.
Neighbours: `build_firmware`, which writes size.json; tests/process, whose world this is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "firmware"), str(ROOT / "tests/process"), str(ROOT / "firmware/tests")]
import board_file
import build_firmware
import small_image
from broker_configuration import add_password
from harness import DEVICE, K_METER, World
from loopback import free_port
from oracle import read_store
from processes import Process, wait_for

STEP = 1024
RANGES = {"small": (16 * 1024, 48 * 1024), "whole": (56 * 1024, 128 * 1024)}
FROM_FILES = (96 * 1024, 192 * 1024)
PASSWORD = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of a broker that lives for a minute
AHEAD = 8
"""Readings that have to be stored after each change."""
PATIENCE_S = 40
FAULTS = ("MemoryError", "start 1", "Traceback")
"""What a log of a meter with too little heap says: it ended, or a task had to be started again."""


def bisect(low: int, high: int, works: Callable[[int], bool]) -> int | None:
    """Return the least multiple of `STEP` in (low, high] that works; None if `high` does not.

    Where more heap works wherever less does; the neighbours of what is found have been tried.
    """
    if not works(high):
        return None
    while high - low > STEP:
        middle = (low + high) // 2 // STEP * STEP
        if works(middle):
            high = middle
        else:
            low = middle
    return high


def start_small(world: World, port: int, heap: int) -> Process:
    """Start the small profile in place from its image."""
    folder = world.folder / "meter"
    folder.mkdir()
    command = small_image.small_command(
        folder, DEVICE, K_METER, port, user=DEVICE, password=PASSWORD
    )
    command = [f"heapsize={heap}" if one.startswith("heapsize=") else one for one in command]
    return Process("firmware", command, world.folder, dict(os.environ))


def start_whole(world: World, built: Path, heap: int, *, in_place: bool) -> Process:
    """Start the whole firmware from the image or the files of a built board."""
    world.make_firmware("i386", tick_ms=1000)
    start = f"import main; main.main(['--config', {str(world.folder / 'meter/meter.json')!r}])"
    if in_place:
        image = built / "firmware.romfs"
        command = small_image.image_command(image, start, world.folder, "i386", heap)
    else:
        launcher = str(small_image.MICROPYTHON)
        command = [launcher, "--arch", "i386", "-X", f"heapsize={heap}", "-c", start]
    environment = {**os.environ, "MICROPYPATH": f"{built}/lib:.frozen"}
    return Process("firmware", command, world.folder, environment)


def does_its_work(board: dict[str, Any], built: Path, heap: int, *, in_place: bool = True) -> bool:
    """Return whether a meter with that much heap stores its readings in two twins.

    Args:
        board: its declaration.
        built: of the whole firmware what was built for the unix port.
        heap: octets.
        in_place: whether its bytecode is in ROM or, of the whole firmware, in files.
    """
    with open_world() as world:
        port = free_port()
        if board["profile"] == "small":
            add_password(world.folder, DEVICE, PASSWORD)
            world.configure_broker(plain_port=port)
        world.start_broker()
        world.operator.start()
        world.operator.take_over()
        world.twin.start()
        if board["profile"] == "small":
            world.firmware = start_small(world, port, heap)
        else:
            world.firmware = start_whole(world, built, heap, in_place=in_place)
        world.firmware.start()
        try:
            live(world)
        except (AssertionError, TimeoutError, OSError):
            return False
        return not any(fault in world.firmware.log for fault in FAULTS)


def live(world: World) -> None:
    """Have the meter fill a twin, then two, and both again after the broker was killed.

    Raises:
        AssertionError: it does not.
    """
    wait_for(partial(_has, world, 0, AHEAD), "the active twin fills", PATIENCE_S)
    candidate = world.operator.prepare()
    world.twins[candidate].start()
    epochs = (world.operator.active, candidate)
    wait_for(partial(_has, world, candidate, AHEAD), "the candidate fills", PATIENCE_S)
    world.broker.kill()
    time.sleep(2)
    before = {epoch: _count(world, epoch) for epoch in epochs}
    world.start_broker()
    for epoch in epochs:
        wait_for(partial(_has, world, epoch, before[epoch] + AHEAD), "both go on", PATIENCE_S)


def _has(world: World, epoch: int, count: int) -> bool:
    if not world.firmware.runs:
        raise AssertionError("the meter has ended")
    return _count(world, epoch or world.operator.active) >= count


def _count(world: World, epoch: int) -> int:
    store = world.twins[epoch].store
    return len(read_store(store).entries) if store.exists() else 0


@contextlib.contextmanager
def open_world() -> Iterator[World]:
    """Make a broker, an operator and twins of one try; everything is ended and removed."""
    folder = Path(tempfile.mkdtemp(prefix="heap-"))
    world = World(folder)
    try:
        yield world
    finally:
        world.close()
        shutil.rmtree(folder)


def measure(board: dict[str, Any], span: tuple[int, int], *, in_place: bool = True) -> int | None:
    """Return the smallest heap of a board in octets, None if none of the span is enough."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "unix"
        if board["profile"] == "whole":
            build_firmware.build_board(board_file.load_board("unix"), built)

        def works(heap: int) -> bool:
            found = does_its_work(board, built, heap, in_place=in_place)
            print(f"  {board['name']}: {heap // 1024} KiB {'works' if found else 'is too little'}")
            sys.stdout.flush()
            return found

        return bisect(*span, works)


def main() -> int:
    """Measure what is not known yet, print and write; 1 if a board's own heap is too small."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("boards", nargs="*", metavar="BOARD", help=", ".join(board_file.names()))
    names = parser.parse_args().boards or ["esp8266", "esp32"]
    boards = [board_file.load_board(name) for name in names]
    build_firmware.build(boards)
    path = build_firmware.TARGET / "size.json"
    is_enough = True
    for board in boards:
        document = json.loads(path.read_text())
        row = document[board["name"]]
        if row.get("smallest_heap") is None:
            row["smallest_heap"] = measure(board, RANGES[board["profile"]])
            if board["profile"] == "whole":
                row["smallest_heap_from_files"] = measure(board, FROM_FILES, in_place=False)
            path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
        found = row["smallest_heap"]
        is_enough = is_enough and found is not None and found <= board["heap_bytes"]
        print(
            f"{board['name']}: smallest heap {found}, its tests have {board['heap_bytes']} octets"
        )
    return 0 if is_enough else 1


if __name__ == "__main__":
    sys.exit(main())
