"""The small profile's board: counters, radio, relay, contacts, watchdog, what survives a reset.

Nothing is kept that is not used. Neighbours: `esp8266`, which counts with it and has the rest;
`small`, whose board this is; the `main.py` that the build makes, which knows the pins.
"""

import time

import machine
import network

CONTACTS = ("cover", "magnet", "button", "power_fail")
LOOK_MS = 5000
DOG = b"\x01"
"""First octet of the kept memory: the watchdog has reset the board. The meter writes a zero."""


class Pulses:
    """Falling edges of a pin, counted in an interrupt: no allocation, small integers."""

    def __init__(self, gpio: int, apart_ms: int) -> None:
        self._count = 0
        self._apart_ms = apart_ms
        self._last_ms = self._counted_ms = time.ticks_ms()
        pin = machine.Pin(gpio, machine.Pin.IN, machine.Pin.PULL_UP)
        pin.irq(self._edge, machine.Pin.IRQ_FALLING)

    def _edge(self, _pin) -> None:
        now_ms = time.ticks_ms()
        passed_ms = time.ticks_diff(now_ms, self._last_ms)
        if passed_ms < 0 or passed_ms >= self._apart_ms:  # below 0: six days without a pulse
            self._counted_ms = now_ms
            self._count += 1
        self._last_ms = now_ms

    def count(self) -> int:
        """Return the pulses since boot."""
        return self._count

    def edge_ms(self):
        """Return the ticks of the last pulse, of the boot before there is one."""
        return self._counted_ms


class Watchdog:
    """Resets the board when it was not fed for so long; a timer's, and not the chip's own.

    That one bites after some three seconds, while a look-up of a name may take longer. It stays
    as the SDK has it, against what hangs without Python.
    """

    def __init__(self, timeout_ms: int, memory) -> None:
        self._timeout_ms = timeout_ms
        self._memory = memory
        self.feed()
        self._timer = machine.Timer(-1)
        self._timer.init(period=LOOK_MS, mode=machine.Timer.PERIODIC, callback=self._look)

    def feed(self) -> None:
        """All is well."""
        self._fed_ms = time.ticks_ms()

    def _look(self, _timer) -> None:
        if time.ticks_diff(time.ticks_ms(), self._fed_ms) > self._timeout_ms:
            try:
                self._memory(DOG + self._memory()[1:])
            finally:
                machine.reset()


class Board:
    """What `small` asks of its board; `pins` are {purpose: (gpio, inverted or bounce in ms)}."""

    def __init__(self, pins: dict) -> None:
        """Count at once; other pins are opened when they are asked for."""
        self._pins = pins
        self.memory = machine.RTC().memory
        pulses = Pulses(*pins.get("cf", pins.get("utility_pulse")))
        self.count = pulses.count
        self.edge_ms = pulses.edge_ms
        if "generator_pulse" in pins:
            self.generator_count = Pulses(*pins["generator_pulse"]).count

    def output(self, name: str, is_on: bool):
        """Open a pin that switches something, at once in the given state; return what sets it."""
        if name not in self._pins:
            return None
        gpio, inverted = self._pins[name]
        pin = machine.Pin(gpio, machine.Pin.OUT, value=int(is_on != inverted))
        return lambda is_on: pin.value(int(is_on != inverted))

    def contacts(self) -> dict:
        """Open the contacts; return {name: () → whether it is on: closed, or open if inverted}."""
        found = {}
        for name in CONTACTS:
            if name in self._pins:
                found[name] = _contact(*self._pins[name])
        return found

    def watchdog(self, timeout_ms: int):
        """Start the watchdog; return what feeds it."""
        return Watchdog(timeout_ms, self.memory).feed

    def reset_cause(self) -> str:
        """Return why the board has started: power, watchdog, or soft."""
        cause = machine.reset_cause()
        if cause == machine.WDT_RESET or self.memory()[:1] == DOG:
            return "watchdog"
        return "soft" if cause == machine.SOFT_RESET else "power"


def _contact(gpio: int, inverted: bool):
    pin = machine.Pin(gpio, machine.Pin.IN, machine.Pin.PULL_UP)
    return lambda: pin.value() == int(inverted)


def open_board(table: dict, pins: dict) -> Board:
    """Join the network of `meter.json`; return the board, which counts from now on.

    The radio of an ESP8266 connects again by itself.
    """
    board = Board(pins)
    wifi = table.get("wifi")
    if wifi:
        network.hostname(table["device"])
        wlan = network.WLAN(network.STA_IF)
        wlan.active(True)
        wlan.connect(wifi["ssid"], wifi.get("password", ""))
    return board
