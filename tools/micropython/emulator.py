"""Runs Python on the emulated Cortex-M3 of `install.py --arch cortex-m3`, and counts instructions.

Bytecode lies as a ROMFS image in the machine's memory, as in a board's flash, and runs from there.
Python comes in over the serial port, in MicroPython's raw REPL. QEMU counts instructions: `-icount
shift=6` lets each take 64 ns of the machine's time, whatever it took of this one's, so a timer of
the machine tells exactly how many passed (QEMU's documentation, "TCG Instruction Counting").
Instructions are no cycles: a real core needs more, for its flash and its multi-cycle ones.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from install import ensure_micropython

IMAGE_ADDRESS = 0x21000000
"""PSRAM of the MPS2-AN385, 16 MB, which the firmware itself leaves alone."""
TIMER_HZ = 25_000_000
"""Clock of its CMSDK timers (QEMU, hw/arm/mps2.c)."""
SHIFT = 6
ENTER_RAW, END, ASKS = b"\x01", b"\x04", b">"
MOUNT = """
import sys, uctypes, vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at({address}, {size})), "/rom")
sys.path[:] = ["/rom"]
"""


class EmulatorError(Exception):
    """The program ended with an exception, or not at all; the text is what it said."""


def instructions(ticks: int) -> int:
    """Return how many instructions a number of ticks of a timer were."""
    return ticks * (1_000_000_000 // TIMER_HZ) >> SHIFT


def run(image: bytes, code: str, seconds: float = 600) -> str:
    """Run `code` with a ROMFS image at /rom; return what it printed.

    Raises:
        EmulatorError: it raised an exception or took too long.
        InstallError: there is no emulator.
    """
    command = [*ensure_micropython("cortex-m3"), "-icount", f"shift={SHIFT}"]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "image.romfs"
        file.write_bytes(image)
        load = f"loader,file={file},addr={IMAGE_ADDRESS:#x},force-raw=on"
        process = subprocess.Popen(
            [*command, "-device", load], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            program = MOUNT.format(address=IMAGE_ADDRESS, size=len(image)) + code
            return _converse(process, program.encode())
        finally:
            timer.cancel()
            process.kill()
            process.communicate()


def _converse(process: subprocess.Popen[bytes], program: bytes) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(ENTER_RAW)
    process.stdin.flush()
    _read_until(process, b"exit\r\n" + ASKS)
    process.stdin.write(program + END)
    process.stdin.flush()
    said = _read_until(process, END).partition(b"OK")[2]
    fault = _read_until(process, END)
    if fault[:-1]:
        raise EmulatorError((said[:-1] + fault[:-1]).decode(errors="replace"))
    return said[:-1].decode().replace("\r\n", "\n")


def _read_until(process: subprocess.Popen[bytes], mark: bytes) -> bytes:
    assert process.stdout is not None
    found = b""
    while not found.endswith(mark):
        octet = process.stdout.read(1)
        if not octet:
            raise EmulatorError(f"the emulator ended or took too long after: {found[-500:]!r}")
        found += octet
    return found
