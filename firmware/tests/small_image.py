"""Runs the small profile as a board does: bytecode in place from a ROMFS image, a 38 KB heap."""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "tools/micropython/micropython"
HEAP_BYTES = 38 * 1024
LOADER = """
import ffi, os, sys, uctypes, vfs
os.chdir("FOLDER")
name = "IMAGE"
libc = ffi.open("libc.so.6")
handle = libc.func("i", "open", "si")(name, 0)
size = os.stat(name)[6]
address = libc.func("P", "mmap", "PIiiiI")(None, size, 1, 2, handle, 0)
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(address, size)), "/rom")
sys.path[:] = ["/rom", ".frozen"]
del libc, handle, size, address, name, ffi, os, sys, uctypes, vfs
import small_meter
small_meter.main("meter.json")
"""
"""Maps the image, as flash is mapped: its bytecode stays outside of the heap."""


def make_image(folder):
    """Return an image of the small profile and of the module that reports the heap each second."""
    sys.path.insert(0, str(ROOT / "firmware"))
    from romfs import pack

    import build

    short = build.build_small(folder / "small-build")
    text = (ROOT / "tests/process/small_meter.py").read_text()
    for name in ("link", "ring", "epochs", "head"):
        text = text.replace(f".{name}", f".{short.get(name, name)}")
    source, report = folder / "small_meter.py", folder / "small_meter.mpy"
    source.write_text(text)
    build.compile_to(report, source, "small_meter.py")
    small = folder / "small-build/small/small.mpy"
    image = folder / "small.romfs"
    image.write_bytes(
        pack({"small.mpy": small.read_bytes(), "small_meter.mpy": report.read_bytes()})
    )
    return image


def small_command(folder, device, key, port, **login):
    """Write `meter.json` of a meter without TLS; return the command that runs it.

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
    }
    (folder / "meter.json").write_text(json.dumps(table))
    return run_command(folder)


def run_command(folder):
    """Return the command that runs the meter of a folder with a `meter.json`, as a board's root."""
    loader = LOADER.replace("IMAGE", str(make_image(folder))).replace("FOLDER", str(folder))
    return [str(MICROPYTHON), "--arch", "i386", "-X", f"heapsize={HEAP_BYTES}", "-c", loader]


def least_free_bytes(log):
    """Return the least free heap after a collection that the meter has reported."""
    rows = [line.split() for line in log.splitlines() if line.startswith("HEAP run")]
    return min(int(row[2]) for row in rows)
