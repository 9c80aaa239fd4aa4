"""A small meter on a board that is played: pins, pulses, kept memory, ticks. Both Pythons.

Neighbours: test_small_local.py, test_small_kept.py.
"""

import gc

from flash_with_cuts import CutFlash, Medium
from meter_rig import parse_event
from small import Small

NOW_MS = 1_800_000_000_000
PULSE_UJ = 10_000_000
"""10 J: 100 W are ten pulses a second."""
TABLE = {
    "device": "house-1",
    "key": "00" * 32,
    "broker": {"host": "127.0.0.1", "port": 1883},
    "pulse_uj": PULSE_UJ,
    "ring_bytes": 65536,
    "ring_segments": 4,
}


class PlayedBoard:
    """As `hal.esp8266_small.Board`."""

    def __init__(self, pins=(), cause="power", kept=b""):
        self.pins = pins
        self.cause = cause
        self.kept = kept
        self.pulses = self.produced = 0
        self.last_ms = 0
        self.relay = None
        self.moves = 0
        self.on = set()
        self.fed = 0
        self.timeouts_ms = []

    def count(self):
        return self.pulses

    def generator_count(self):
        return self.produced

    def edge_ms(self):
        return self.last_ms & 0x3FFFFFFF

    def memory(self, data=None):
        if data is None:
            return self.kept
        self.kept = bytes(data)
        return None

    def output(self, name, is_on):
        assert name == "load0"
        self.relay = is_on

        def switch(is_on):
            self.moves += self.relay != is_on
            self.relay = is_on

        return switch

    def contacts(self):
        found = {}
        for name in self.pins:
            found[name] = lambda name=name: name in self.on
        return found

    def reset_cause(self):
        return self.cause

    def watchdog(self, timeout_ms):
        self.timeouts_ms.append(timeout_ms)

        def feed():
            self.fed += 1

        return feed


class SmallRig:
    """A small meter and the household behind its relay, which draws `house_w` while it is on."""

    def __init__(self, table=None, pins=(), cause="power", medium=None, kept=b""):
        self.medium = medium or Medium()
        self.extra = table or {}
        self.pins = pins
        self.now_ms = 0
        self.house_w = 0
        self.part = 0
        self.board = PlayedBoard(pins, cause, kept)
        merged = dict(TABLE)
        merged.update(self.extra)
        self.meter = Small(merged, CutFlash(self.medium), self.ticks, self.board)
        self.spread = 0
        if hasattr(gc, "threshold"):  # MicroPython's, set for 38 KB; the flash is in this heap
            gc.threshold(-1)

    def ticks(self):
        return (self.now_ms + 7) & 0x3FFFFFFF

    def again(self, cause="power", table=None):
        """Return the meter as it starts again; only a cut of the power clears the kept memory."""
        kept = b"" if cause == "power" else self.board.kept
        medium = self.medium.survive()
        return SmallRig(table or self.extra, self.pins, cause, medium, kept)

    def flow(self, ms):
        """Let energy flow for so long; a pulse comes at its own millisecond."""
        if not self.board.relay and "loads" in self.extra:
            self.now_ms += ms
            return
        for _ in range(ms // 10):
            self.now_ms += 10
            self.part += self.house_w * 10000
            while self.part >= PULSE_UJ:
                self.part -= PULSE_UJ
                self.board.pulses += 1
                self.board.last_ms = self.now_ms + 7

    def step(self, ms=1000):
        """Let a step of the time pass, and the tasks do what they do."""
        self.flow(ms)
        if self.meter.inputs:
            self.meter.inputs.poll()
        self.look()

    def look(self):
        """Do what `measure` does each second."""
        self.meter.tick()
        if self.meter.local:
            self.meter.local.poll()

    def pass_time(self, seconds):
        """Let seconds pass; return the events that they brought."""
        before = self.meter.ring.head
        for _ in range(seconds):
            self.step()
        return self.since(before)

    def since(self, head):
        """Return (code, arguments…) of the events after a number of the ring."""
        ring = self.meter.ring
        rows = [ring.read(seq)[0] for seq in range(head + 1, ring.head + 1)]
        events = [parse_event(row) for row in rows if row[0] == 2]
        return [event[:1] + event[2:] for event in events]

    def readings(self):
        """Return the readings of the ring, octets."""
        ring = self.meter.ring
        rows = [ring.read(seq)[0] for seq in range(ring.oldest, ring.head + 1)]
        return [row for row in rows if row[0] == 1]

    def write(self, target, value, seconds=0, index=0):
        """Have a twin write; return the answer's code."""
        codes = []
        self.meter.link.answer = lambda *answer: codes.append(answer[2])
        self.meter.handle(("write", 1, 7, target, index, value, seconds))
        return codes[0]
