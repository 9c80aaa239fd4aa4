"""ESP8266: pulses are counted by an interrupt, so a burst while Python is busy may lose some.

An S0 output gives at most one in 60 ms; the pulse train of a chip comes faster, and its driver has
to take what is counted for what there was. UART 0 is shared with the console.
"""

import time

import machine
from hal.esp import Counter, EspBoard


class _Edges:
    """Counts in an interrupt: no allocation, small integers."""

    def __init__(self, pin, apart_ms: int) -> None:
        self._count = 0
        self._apart_ms = apart_ms
        self._last_ms = time.ticks_ms()
        pin.irq(self._edge, machine.Pin.IRQ_FALLING)

    def _edge(self, _pin) -> None:
        now_ms = time.ticks_ms()
        passed_ms = time.ticks_diff(now_ms, self._last_ms)
        if passed_ms < 0 or passed_ms >= self._apart_ms:  # below 0: six days without a pulse
            self._count += 1
        self._last_ms = now_ms

    def count(self) -> int:
        return self._count


class Board(EspBoard):
    """See `hal`."""

    def counter(self, name: str) -> Counter:
        """Count the falling edges of a pin that are at least `apart_ms` after another."""
        pin = self._pin(name)
        port = machine.Pin(pin["gpio"], machine.Pin.IN, machine.Pin.PULL_UP)
        return Counter(_Edges(port, pin.get("apart_ms", 0)).count)

    def watchdog(self, timeout_ms: int):
        """Start the watchdog; its time is the board's own, some seconds."""
        del timeout_ms
        return machine.WDT().feed
