"""ESP8266: pulses are counted by an interrupt, so a burst while Python is busy may lose some.

An S0 output gives at most one in 60 ms; the pulse train of a chip comes faster, and its driver has
to take what is counted for what there was. UART 0 is shared with the console.
"""

import machine
from hal.esp import Counter, EspBoard
from hal.esp8266_small import Pulses


class Board(EspBoard):
    """See `hal`."""

    def counter(self, name: str) -> Counter:
        """Count the falling edges of a pin that are at least `apart_ms` after another."""
        pin = self._pin(name)
        return Counter(Pulses(pin["gpio"], pin.get("apart_ms", 0)).count)

    def watchdog(self, timeout_ms: int):
        """Start the watchdog; its time is the board's own, some seconds."""
        del timeout_ms
        return machine.WDT().feed
