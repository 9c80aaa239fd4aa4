"""Runs the small profile as a board does: bytecode in place from a ROMFS image, a 38 KB heap."""

import json
import pathlib
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "tools/micropython/micropython"
HEAP_BYTES = 38 * 1024
REPORTED = ("link", "ring", "epochs", "head")
EVERYTHING = {
    "loads": [{"safe_w": 3000, "min_on_s": 1, "release_s": 0, "lock_out_trips": 3}],
    "trips": {"load_limit": {"pick_up_w": 3500, "drop_out_w": 3000, "delay_ms": 2000}},
    "pins": ["cf", "load0", "cover", "magnet", "button", "power_fail"],
    "watchdog_s": 120,
    "generator_uj": 2250000000,
    "pulse_uj": 10342967,
}
"""Settings that load every part of the profile; `pins` are those of `tests/process/small_board.py`."""
LOADER = """
import os, sys, vfs
os.chdir("FOLDER")
name = "IMAGE"
MAP
vfs.mount(vfs.VfsRom(image), "/rom")
sys.path[:] = ["/rom", ".frozen"]
del image, name, os, vfs
CODE
"""
MAP = {
    "i386": """
import ffi, uctypes
libc = ffi.open("libc.so.6")
handle = libc.func("i", "open", "si")(name, 0)
size = os.stat(name)[6]
address = libc.func("P", "mmap", "PIiiiI")(None, size, 1, 2, handle, 0)
image = uctypes.bytearray_at(address, size)
del libc, handle, size, address, ffi, uctypes
""",
    "esp8266-model": """
import mapped_flash
image = mapped_flash.map(name)
del mapped_flash
""",
}
"""Maps the image, as flash is mapped: its bytecode stays outside of the heap."""
START = """
import small_meter
del sys
small_meter.main("meter.json")
"""


def make_image(
    folder: pathlib.Path,
    beside: pathlib.Path = ROOT / "tests/process/small_meter.py",
    names: tuple[str, ...] = REPORTED,
) -> pathlib.Path:
    """Return an image of the small profile and of a module that uses its attributes `names`.

    Unless another is given, it is the one that reports the heap each second.
    """
    sys.path.insert(0, str(ROOT / "firmware"))
    from bundle import shorten
    from bytecode import compile_to
    from romfs import pack
    from small_firmware import build_small

    short = build_small(folder / "small-build")
    source, code = folder / beside.name, folder / f"{beside.stem}.mpy"
    source.write_text(shorten(beside.read_text(), names, short))
    compile_to(code, source, beside.name)
    board = folder / "small_board.mpy"
    compile_to(board, ROOT / "tests/process/small_board.py", "small_board.py")
    image = folder / "small.romfs"
    files = [*(folder / "small-build/small").glob("*.mpy"), code, board]
    image.write_bytes(pack({file.name: file.read_bytes() for file in files}))
    return image


def small_command(
    folder: pathlib.Path,
    device: str,
    key: bytes,
    port: int,
    arch: str = "i386",
    parts: dict[str, Any] | None = None,
    **login: str,
) -> list[str]:
    """Write `meter.json` of a meter without TLS; return the command that runs it.

    `arch`: a 32-bit MicroPython of the launcher. `parts`: further settings, such as `EVERYTHING`.
    `login`: `user` and `password`, for a broker that wants them.
    """
    table = {
        "device": device,
        "key": key.hex(),
        "broker": {"host": "127.0.0.1", "port": port, **login},
        "capture_period_s": 1,
        "ring_bytes": 8192,
        "ring_segments": 4,
        "state_dir": str(folder / "state"),
        **(parts or {}),
    }
    (folder / "meter.json").write_text(json.dumps(table))
    return run_command(folder, arch)


def run_command(folder: pathlib.Path, arch: str = "i386") -> list[str]:
    """Return the command that runs the meter of a folder with a `meter.json`, as a board's root."""
    return image_command(make_image(folder), START, folder, arch, HEAP_BYTES)


def image_command(
    image: pathlib.Path, code: str, folder: pathlib.Path, arch: str, heap: int | str
) -> list[str]:
    """Return the command that runs code with an image at /rom and a heap; it begins in a folder."""
    loader = LOADER.replace("MAP", MAP[arch]).replace("CODE", code)
    loader = loader.replace("IMAGE", str(image)).replace("FOLDER", str(folder))
    return [str(MICROPYTHON), "--arch", arch, "-X", f"heapsize={heap}", "-c", loader]


def least_free_bytes(log: str) -> int:
    """Return the least free heap after a collection that the meter has reported."""
    rows = [line.split() for line in log.splitlines() if line.startswith("HEAP run")]
    return min(int(row[2]) for row in rows)
