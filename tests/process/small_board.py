"""A board of the small profile in a process: every part of it, whose pins nobody touches. MicroPython.

Compiled into the image beside `small_meter`, which loads it when `meter.json` has `pins`. It takes
about the heap of `hal.esp8266_small`, whose names it has.
"""

# mypy: ignore-errors
# MicroPython: other modules, no annotations

import time


def _is_off():
    return False


class Board:
    """Pulses of 100 W at 10 J each; the watchdog's food goes nowhere."""

    def __init__(self, pins):
        self._pins = pins
        self._kept = b""
        self._begin_ms = time.ticks_ms()
        self.relay = None

    def count(self):
        return time.ticks_diff(time.ticks_ms(), self._begin_ms) // 100

    def generator_count(self):
        return self.count()

    def edge_ms(self):
        return self._begin_ms + self.count() * 100 & 0x3FFFFFFF

    def memory(self, data=None):
        if data is None:
            return self._kept
        self._kept = bytes(data)
        return None

    def output(self, name, is_on):
        if name not in self._pins:
            return None
        self.relay = is_on

        def switch(is_on):
            if is_on != self.relay:
                self.relay = is_on
                print("RELAY", int(is_on))

        return switch

    def contacts(self):
        return {name: _is_off for name in self._pins if name not in ("load0", "cf")}

    def watchdog(self, _timeout_ms):
        return _is_off

    def reset_cause(self):
        return "power"
