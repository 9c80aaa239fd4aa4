"""Counts the erases of each block over days of readings, the ring being full. MicroPython.

    wear.py SOURCES PROFILE DAYS CAPTURE_S BLOCKS RING_BYTES

PROFILE `small` is the small profile's meter, `whole` what the whole firmware writes: its state each
minute and before a reading. Prints one line: erases a day, of the block most erased, and of the mean.
"""

import sys
from os import urandom

SOURCES, PROFILE = sys.argv[1], sys.argv[2]
DAYS, CAPTURE_S, BLOCKS, RING_BYTES = [int(text) for text in sys.argv[3:7]]
sys.path[:0] = SOURCES.split(":")

import nor_flash
import small
import state as items
from flash import Flash
from ring import Ring
from state import State
from story import FOLDER

SEGMENTS = 8
RECORD = bytes(200)
"""An owner record: a state with it is longer than littlefs keeps within a folder's own block."""
READING = 284
"""Octets of the largest reading of the whole firmware, see `capacity`."""
SAVE_S = 60


class Small:
    """The small profile's meter, whose twin has acknowledged everything."""

    def __init__(self):
        self.now_ms = 0
        small.GC_THRESHOLD = -1
        table = {
            "device": "house-1",
            "key": "00" * 32,
            "broker": {"host": "h"},
            "capture_period_s": CAPTURE_S,
            "ring_bytes": RING_BYTES,
            "ring_segments": SEGMENTS,
        }
        self.meter = small.Small(table, Flash(FOLDER), lambda: self.now_ms & 0x3FFFFFFF)
        self.meter.state.set(items.LINK, RECORD)
        self.ring = self.meter.ring

    def capture(self):
        """Let a capture period pass."""
        self.now_ms += CAPTURE_S * 1000
        self.meter.pulses += 7
        self.meter.tick()
        self.ring.release(self.ring.head, 0)


class Whole:
    """What the whole firmware writes."""

    def __init__(self):
        self.state = State(Flash(FOLDER))
        self.ring = Ring(Flash(FOLDER), self.state, RING_BYTES, SEGMENTS, urandom)
        self.state.set(items.LINK, RECORD)
        self.state.set(items.CALENDARS, RECORD)

    def capture(self):
        """Save each minute and before the reading, as `measuring` does."""
        for _ in range(max(1, CAPTURE_S // SAVE_S)):
            self.state.set(items.REGISTERS, urandom(60))
            self.ring.save()
        self.ring.append(bytes(READING))
        self.ring.release(self.ring.head, 0)


def main():
    """Fill the ring, then count."""
    device = nor_flash.NorFlash(BLOCKS)
    nor_flash.format_flash(device)
    nor_flash.mount(device)
    meter = Small() if PROFILE == "small" else Whole()
    filling = bytes(READING if PROFILE == "whole" else 25)
    while meter.ring.oldest == 1:
        meter.ring.append(filling)
        meter.ring.release(meter.ring.head, 0)
    device.erases = [0] * BLOCKS
    for _ in range(DAYS * 86400 // CAPTURE_S):
        meter.capture()
    total = sum(device.erases)
    print("erases", total // DAYS, "most", max(device.erases) / DAYS, "mean", total / DAYS / BLOCKS)


main()
