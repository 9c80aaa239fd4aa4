"""A metering task over a real front end of simulated chips, on a clock that the test moves.

Both Pythons. Neighbour: test_chip_front_end.py.
"""

from chip_front_end import build_front_end
from fake_chips import Hal
from flash_with_cuts import CutFlash, Medium
from measuring import Measuring
from meter_rig import NOW_S, Config, PlayedTime
from recorder import Recorder
from ring import Ring
from state import State


class NotingRecorder(Recorder):
    """Notes (boundary, {code: value}, status) of every reading."""

    def __init__(self, ring, timekeeper):
        super().__init__(ring, timekeeper, 1)
        self.readings = []

    def reading(self, utc_s, rows):
        seq = super().reading(utc_s, rows)
        status = int.from_bytes(self.ring.read(seq)[0][1:3], "big")
        self.readings.append((utc_s, {row[0]: row[1] for row in rows}, status))
        return seq


class ChipMeter:
    """A meter that has booted at NOW_S; `parts` are simulators with `advance`."""

    config = Config

    def __init__(self, board, config=None, parts=(), medium=None, begin_ms=NOW_S * 1000, **hal):
        self.parts = parts
        self.medium = medium or Medium()
        flash = CutFlash(self.medium)
        state = State(flash)
        self.timekeeper = PlayedTime(state, False)
        self.timekeeper.set(begin_ms, True)
        ring = Ring(flash, state, 8 * 720, 8, lambda length: b"i" * length)
        self.recorder = NotingRecorder(ring, self.timekeeper)
        self.front_end = self.make_front_end(board, config or {}, hal)
        parts = (state, self.recorder, self.timekeeper, self.front_end)
        self.measuring = Measuring(self.config, *parts)
        self.measuring.restore()
        self.measuring.save()

    def make_front_end(self, board, config, hal):
        return build_front_end(board, config, Hal(**hal))

    def run(self, tick_ms, ticks):
        for _ in range(ticks):
            for part in self.parts:
                part.advance(tick_ms)
            self.timekeeper.now_ms += tick_ms
            self.measuring.tick()
        return self

    def values(self):
        """Return {code: value} of this moment."""
        return {row[0]: row[1] for row in self.measuring.snapshot()[1]}

    @property
    def readings(self):
        return self.recorder.readings
