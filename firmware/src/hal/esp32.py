"""ESP32: pulses are counted by its pulse counters, which lose none while Python is busy."""

import machine
from hal.esp import Counter, EspBoard

FILTER_NS = 12000
"""Shorter ones are noise: the longest that the counter's filter knows (1023 cycles of 80 MHz)."""


class Board(EspBoard):
    """See `hal`."""

    def counter(self, name: str) -> Counter:
        """Count the falling edges of a pin, by a hardware counter of its own."""
        pin = self._pin(name)
        port = machine.Pin(pin["gpio"], machine.Pin.IN, machine.Pin.PULL_UP)
        edge = machine.Counter.FALLING
        counter = machine.Counter(pin["counter"], port, edge=edge, filter_ns=FILTER_NS)
        return Counter(counter.value)

    def watchdog(self, timeout_ms: int):
        """Start the watchdog; return what feeds it."""
        return machine.WDT(timeout=timeout_ms).feed
