"""The small profile for days at a reading a minute: flash, ring and link in the heap of an ESP8266.

The meter runs on 32-bit MicroPython as on a board (bytecode in place, the file system of a board with
2 MB of flash), its twin is the real one, here; between them stdin and stdout. Neighbour:
littlefs/days.py.
"""

import importlib.util
import subprocess
from pathlib import Path

import pytest
from meter_wire.entries import parse_entry
from meter_wire.libcrypto_aes import aes
from meter_wire.memory import MemoryMeter
from meter_wire.owner_record import parse_owner_hello
from meter_wire.portable.keys import derive_key

HERE = Path(__file__).parent
KEY = bytes(range(32))
BLOCKS = 251
"""1 MiB less the 20 KB of the SDK: file system of FLASH_2M_ROMFS (MicroPython's esp8266 port)."""
A_DAY = 1440
RING_BYTES = 65536
"""Full on the first day, with as many segments as always; less than a day, so that it overflows."""
OFFLINE = 2
"""The day without a broker."""
LEAST_FREE = 3000
MOST_MOVED = 64
"""Octets by which the free heap may differ between two days: a few of its blocks of 16."""
MOST_ERASES = 1700
"""Blocks erased in a day: about one for each reading, and the state's each quarter hour."""
USED = (
    "link", "ring", "uptime_ms", "receive_owner", "receive", "handle", "tick", "poll", "connected",
    "disconnected", "head", "lost", "pulses",
)  # fmt: skip
LOADER = """
import ffi, os, sys, uctypes, vfs
libc = ffi.open("libc.so.6")
def memory(name, access):
    handle = libc.func("i", "open", "si")(name, 0)
    size = os.stat(name)[6]
    address = libc.func("P", "mmap", "PIiiiI")(None, size, access, 2, handle, 0)
    return uctypes.bytearray_at(address, size)
vfs.mount(vfs.VfsRom(memory("IMAGE", 1)), "/rom")
flash = memory("FLASH", 3)
sys.path[:] = ["/rom", ".frozen"]
del libc, ffi, os, sys, uctypes, vfs, memory
import days
days.main(flash, DAYS, OFFLINE)
"""
"""Image and flash are mapped: they take none of the heap, and the flash's file stays as it is."""


def load_small_image():
    spec = importlib.util.spec_from_file_location("small_image", HERE / "small_image.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Meter:
    """The process on MicroPython; its twins are in `world`."""

    def __init__(self, folder, days):
        small_image = load_small_image()
        source = folder / "source/days.py"
        source.parent.mkdir()
        text = (HERE / "littlefs/days.py").read_text()
        source.write_text(text.replace("KEY", KEY.hex()).replace('"RING"', str(RING_BYTES)))
        image = small_image.make_image(folder, source, USED)
        flash = folder / "flash"
        flash.write_bytes(b"\xff" * 4096 * (BLOCKS + 1))
        loader = LOADER.replace("IMAGE", str(image)).replace("FLASH", str(flash))
        loader = loader.replace("DAYS", str(days)).replace("OFFLINE", str(OFFLINE))
        command = [small_image.MICROPYTHON, "--arch", "i386"]
        command += ["-X", f"heapsize={small_image.HEAP_BYTES}", "-c", loader]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.world = MemoryMeter("house-1", KEY, lambda length: b"r" * length)
        self.counter = 0

    def days(self):
        """Serve the meter to its end; return (free, least free, head, lost, erases) of each day."""
        rows = []
        while words := self.process.stdout.readline().split():
            if words[0] == b"day":
                rows.append(tuple(map(int, words[1:])))
                continue
            assert words[0] == b"up", words + self.process.stdout.readlines()
            epoch, now_ms, length = map(int, words[1:])
            for kind, octets in self.answers(epoch, now_ms, self.process.stdout.read(length)):
                self.process.stdin.write(b"%s %d\n%s" % (kind, len(octets), octets))
            self.process.stdin.write(b"end\n")
            self.process.stdin.flush()
        self.close()
        return rows

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(10) == 0

    def answers(self, epoch, now_ms, payload):
        """Return what operator (epoch 0) or twin say to a frame."""
        if not epoch:
            hello = parse_owner_hello(payload, derive_key(KEY, "hello", "house-1"))
            self.counter += 1
            return [(b"owner", self.world.record(self.counter, 1, nonce=hello.nonce))]
        twin = self.world.twin(epoch)
        twin.aes = aes
        twin.act(twin.link.receive(payload, now_ms, 1_700_000_000_000 + now_ms))
        frames = [(b"down %d" % epoch, frame) for frame in twin.down]
        twin.down.clear()
        return frames


@pytest.mark.parametrize(
    "days",
    [
        pytest.param(3, marks=pytest.mark.timeout(300)),
        pytest.param(10, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_days_at_a_reading_a_minute_take_no_more_heap_than_the_first(tmp_path, days):
    meter = Meter(tmp_path, days)
    rows = meter.days()
    for day, row in enumerate(rows, 1):
        print("day", day, "free", row[0], "least", row[1], "head", row[2], "erases", row[4])
    assert len(rows) == days
    assert all(abs(row[0] - rows[0][0]) <= MOST_MOVED for row in rows)
    assert min(row[1] for row in rows) >= LEAST_FREE
    assert rows[-1][4] - rows[-2][4] <= MOST_ERASES
    journal = meter.world.twin(1).journal
    numbers = {seq for _incarnation, seq in journal.entries}
    missing = {seq for hole in journal.holes for seq in range(hole.first, hole.last + 1)}
    assert not numbers & missing
    assert numbers | missing == set(range(1, rows[-1][2] + 1)), "each number: an entry or a hole"
    assert len(missing) == rows[-1][3] > 0, "the day without a broker has overwritten some"
    assert not journal.quarantine
    readings = [entry for entry in map(parse_entry, journal.entries.values()) if entry.registers]
    assert len(readings) >= A_DAY * days - len(missing) - 2
