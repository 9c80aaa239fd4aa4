"""The meter of an ESP8266: 38 KB of heap on 32-bit MicroPython, two epochs open, a real broker.

Bytecode runs in place from a ROMFS image, as it does on the board. The figures go to
build/firmware/size.json.
"""

import importlib
import json
import os
import pathlib
import sys
import time
from functools import partial
from typing import Any

import pytest
from harness import DEVICE, K_METER, MICROPYTHON, ROOT, Twin, World
from oracle import read_store
from processes import Process, free_ports, wait_for

HEAP = 38 * 1024
LEAST_FREE = 3000
"""Bytes that must be free after a collection at any time: a frame in, a frame out, an entry."""

pytestmark = pytest.mark.timeout(180)


LOADER = """
import ffi, os, sys, uctypes, vfs
name = "IMAGE"
libc = ffi.open("libc.so.6")
handle = libc.func("i", "open", "si")(name, 0)
size = os.stat(name)[6]
address = libc.func("P", "mmap", "PIiiiI")(None, size, 1, 2, handle, 0)
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(address, size)), "/rom")
sys.path[:] = ["/rom", ".frozen"]
del libc, handle, size, address, name, ffi, os, sys, uctypes, vfs
import small_meter
small_meter.main("CONFIG")
"""
"""Maps the image, as flash is mapped: its bytecode stays outside of the heap."""


def make_image(world: World) -> pathlib.Path:
    """Return an image of the small profile and the module that reports the heap."""
    sys.path.insert(0, str(ROOT / "firmware"))
    pack: Any = importlib.import_module("romfs").pack
    build: Any = importlib.import_module("build")

    build.build()
    short = build.build_small(world.folder / "small-build")
    text = (ROOT / "tests/process/small_meter.py").read_text()
    for name in ("link", "ring", "epochs", "head"):
        text = text.replace(f".{name}", f".{short.get(name, name)}")
    source = world.folder / "small_meter.py"
    source.write_text(text)
    report = world.folder / "small_meter.mpy"
    build.compile_to(report, source, "small_meter.py")
    files = {"small.mpy": (build.TARGET / "small/small.mpy").read_bytes()}
    files["small_meter.mpy"] = report.read_bytes()
    image = world.folder / "small.romfs"
    image.write_bytes(pack(files))
    return image


def start_small(world: World, port: int) -> Process:
    folder = world.folder / "meter"
    folder.mkdir()
    table = {
        "device": DEVICE,
        "key": K_METER.hex(),
        "broker": {"host": "127.0.0.1", "port": port, "user": DEVICE},
        "capture_period_s": 1,
        "ring_bytes": 8192,
        "ring_segments": 4,
        "state_dir": str(folder / "state"),
    }
    (folder / "meter.json").write_text(json.dumps(table))
    command = [str(MICROPYTHON), "--arch", "i386", "-X", f"heapsize={HEAP}", "-c", LOADER]
    command[-1] = command[-1].replace("IMAGE", str(make_image(world)))
    command[-1] = command[-1].replace("CONFIG", str(folder / "meter.json"))
    meter = Process("firmware", command, world.folder, dict(os.environ))
    meter.start()
    return meter


def heap_lines(world: World) -> list[tuple[Any, ...]]:
    rows = [line.split()[1:] for line in world.firmware.log.splitlines() if "HEAP" in line]
    return [(row[0], *map(int, row[1:])) for row in rows]


def has_more_than(twin: Twin, count: int) -> bool:
    return len(read_store(twin.store).entries) > count


def test_two_epochs_over_a_real_broker_in_the_heap_of_an_esp8266(world: World) -> None:
    port = free_ports(1)[0]
    world.configure_broker(plain_port=port)
    world.start_broker()
    world.operator.start()
    world.operator.take_over()
    world.twin.start()
    world.firmware = start_small(world, port)
    wait_for(lambda: len(read_store(world.twin.store).entries) > 4, "the active twin fills", 60)
    candidate = world.twins[world.operator.prepare()]
    candidate.start()
    wait_for(lambda: len(read_store(candidate.store).entries) > 4, "the candidate fills", 60)
    assert world.ask("GET", "/v1/registers?live=1")[0] == 200
    world.broker.kill()
    time.sleep(3)
    world.start_broker()
    head = heap_lines(world)[-1][4]
    for twin in (world.twin, candidate):
        wait_for(partial(has_more_than, twin, head + 8), "both go on", 60)
    for twin in (world.twin, candidate):
        read_store(twin.store).verify({}, read_store(twin.store).entries)
    lines = heap_lines(world)
    running = [line for line in lines if line[0] == "run" and line[3] == 2]
    figures = {
        "heap_bytes": HEAP,
        "architecture": "i386, MicroPython 1.25, bytecode in place from ROMFS",
        "free_at_start": lines[0][1],
        "free_after_boot": lines[1][1],
        "free_with_two_epochs_least": min(line[1] for line in running),
        "seconds_with_two_epochs": len(running),
        "image_bytes": (ROOT / "build/firmware/small.romfs").stat().st_size,
    }
    (ROOT / "build/firmware/size.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))
    assert "MemoryError" not in world.firmware.log
    assert figures["free_with_two_epochs_least"] >= LEAST_FREE
