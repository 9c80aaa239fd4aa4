"""The small profile's board: one counter, the radio, nothing that its heap has no room for.

Neighbours: `esp8266`, which counts with it and has the rest; `small`, whose pulses these are; the
`main.py` that the build makes, which knows the pin.
"""

import time

import machine
import network


class Pulses:
    """Falling edges of a pin, counted in an interrupt: no allocation, small integers."""

    def __init__(self, gpio: int, apart_ms: int) -> None:
        self._count = 0
        self._apart_ms = apart_ms
        self._last_ms = time.ticks_ms()
        pin = machine.Pin(gpio, machine.Pin.IN, machine.Pin.PULL_UP)
        pin.irq(self._edge, machine.Pin.IRQ_FALLING)

    def _edge(self, _pin) -> None:
        now_ms = time.ticks_ms()
        passed_ms = time.ticks_diff(now_ms, self._last_ms)
        if passed_ms < 0 or passed_ms >= self._apart_ms:  # below 0: six days without a pulse
            self._count += 1
        self._last_ms = now_ms

    def count(self) -> int:
        """Return the pulses since boot."""
        return self._count


def open_board(table: dict, gpio: int, apart_ms: int):
    """Join the network of `meter.json`; return what counts the pulses.

    The radio of an ESP8266 connects again by itself.
    """
    wifi = table.get("wifi")
    if wifi:
        network.hostname(table["device"])
        wlan = network.WLAN(network.STA_IF)
        wlan.active(True)
        wlan.connect(wifi["ssid"], wifi.get("password", ""))
    return Pulses(gpio, apart_ms).count
