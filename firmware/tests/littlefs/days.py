"""The small profile's meter for days of readings, in the heap of an ESP8266, on a littlefs. MicroPython.

Compiled into the image beside the profile (`test_small_days`, which maps image and flash outside of the
heap, gives names their short forms and answers as the twin). A frame goes out as `up EPOCH MS LENGTH`
and its octets; the answers are lines `owner LENGTH`, `down EPOCH LENGTH` with octets, then `end`. Each day
ends with `day FREE LEAST HEAD LOST ERASES`: octets of heap after a collection.
"""

# mypy: ignore-errors
# MicroPython: other modules, no annotations

import gc
import sys

import small
import vfs

BLOCK_BYTES = 4096
DAY_MS = 86400000
FIRST_TICK = 0x3FFFFFFF - 3 * DAY_MS
"""The board's ticks wrap on the third day."""


class Nor:
    """Blocks in memory that is not of the heap; the first stays erased, for copies of it."""

    def __init__(self, memory):
        self.erases = 0
        self.erased = memoryview(memory)[:BLOCK_BYTES]
        self.view = memoryview(memory)[BLOCK_BYTES:]

    def readblocks(self, block, buffer, offset=0):
        start = block * BLOCK_BYTES + offset
        buffer[:] = self.view[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        start = block * BLOCK_BYTES + offset
        self.view[start : start + len(buffer)] = buffer

    def ioctl(self, operation, block):
        if operation == 4:
            return len(self.view) // BLOCK_BYTES
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            self.erases += 1
            self.view[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES] = self.erased
        return 0


class Clock:
    """Ticks of a board."""

    def __init__(self):
        self.tick = FIRST_TICK

    def __call__(self):
        return self.tick


def exchange(meter, out):
    """Hand a frame to the twin and its answers to the meter."""
    now = meter.uptime_ms()
    print("up", out[0], now, len(out[1]))
    sys.stdout.buffer.write(out[1])
    while True:
        words = sys.stdin.buffer.readline().split()
        if words[0] == b"end":
            return
        octets = sys.stdin.buffer.read(int(words[-1]))
        if words[0] == b"owner":
            event = meter.link.receive_owner(octets, now)
        else:
            event = meter.link.receive(int(words[1]), octets, now, False, False)
        if event:
            meter.handle(event)


def minute(meter, clock):
    """Let a minute pass, the last reading of which is due at its end."""
    meter.pulses += 13
    for _ in range(6):
        passed = 10000 - meter.uptime_ms() % 10000
        clock.tick = (clock.tick + passed) & 0x3FFFFFFF
        meter.tick()
        talk(meter)


def talk(meter):
    """Send what the link owes."""
    while True:
        out = meter.link.poll(meter.uptime_ms())
        if out is None:
            return
        exchange(meter, out)


def main(memory, days, offline):
    """Run so many days; on day `offline` there is no broker."""
    gc.collect()
    device = Nor(memory)
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/nor")
    clock = Clock()
    table = {
        "device": "house-1", "key": "KEY", "broker": {"host": "h"},
        "capture_period_s": 60, "state_dir": "/nor/state", "ring_bytes": "RING",
    }  # fmt: skip
    meter = small.Small(table, None, clock)
    for day in range(1, days + 1):
        least = 1 << 29
        if day != offline:
            meter.link.connected(meter.uptime_ms())
        for at in range(1440):
            minute(meter, clock)
            if at % 16 == 0:
                gc.collect()
                least = min(least, gc.mem_free())
        meter.link.disconnected()
        gc.collect()
        print("day", gc.mem_free(), least, meter.ring.head, meter.ring.lost, device.erases)
