"""What ESP8266 and ESP32 have in common. Neighbours: `esp32`, `esp8266`, each with its counters.

Written after MicroPython's documentation of `machine` and `network`; tried on no board, only
against modules that do what it says (tests/portable/fake_board).
"""

import time

import machine
import network
from hal import BoardError

RETRY_MS = 30000
"""How long the network may take to come up before it is asked again."""
LONGEST_US = 1 << 28
"""Ticks of microseconds wrap; what lies longer ago has no period."""

_CAUSES = (
    ("PWRON_RESET", "power"),
    ("HARD_RESET", "hard"),
    ("WDT_RESET", "watchdog"),
    ("DEEPSLEEP_RESET", "sleep"),
    ("SOFT_RESET", "soft"),
)


class Uart:
    """Octets of a serial port, never waiting."""

    def __init__(self, port) -> None:
        self._port = port

    def read(self) -> bytes:
        """Return what is there."""
        return self._port.read() or b""

    def write(self, data: bytes) -> None:
        """Send all of it; a port takes at most what its buffer has room for."""
        self._port.write(data)


class Counter:
    """Pulses since boot, and their mean period."""

    def __init__(self, count) -> None:
        """`count`: () → pulses since boot."""
        self.count = count
        self._seen = count()
        self._seen_us = time.ticks_us()

    def period_us(self) -> int:
        """Return the mean period since the last call that saw a pulse; 0 without one."""
        count, now_us = self.count(), time.ticks_us()
        passed_us = time.ticks_diff(now_us, self._seen_us)
        pulses = count - self._seen
        if not pulses and 0 <= passed_us < LONGEST_US:
            return 0
        self._seen, self._seen_us = count, now_us
        return passed_us // pulses if pulses and 0 < passed_us < LONGEST_US else 0


class Output:
    """A pin that switches something; `inverted` ones are on at the low level."""

    def __init__(self, gpio: int, inverted: bool, is_on: bool) -> None:
        self._inverted = inverted
        self._pin = machine.Pin(gpio, machine.Pin.OUT, value=int(is_on != inverted))

    def set(self, is_on: bool) -> None:
        """Switch it."""
        self._pin.value(int(is_on != self._inverted))


class Input:
    """A contact between pin and ground: on when it is closed, `inverted` ones when it is open."""

    def __init__(self, gpio: int, inverted: bool) -> None:
        self._on = 1 if inverted else 0
        self._pin = machine.Pin(gpio, machine.Pin.IN, machine.Pin.PULL_UP)

    def is_on(self) -> bool:
        """Return whether it is on."""
        return self._pin.value() == self._on


class Network:
    """The wireless network: it is asked again and again, for ever."""

    def __init__(self, ssid: str, password: str, hostname: str) -> None:
        self._login = (ssid, password)
        network.hostname(hostname)
        self._wlan = network.WLAN(network.STA_IF)
        self._asked_ms: "int | None" = None
        self.failed = 0

    def poll(self, now_ms: int) -> bool:
        """Return whether the board is connected; begin to connect if it is not.

        Args:
            now_ms: uptime.
        """
        if self._wlan.isconnected():
            self._asked_ms = None
            return True
        if self._asked_ms is None or now_ms - self._asked_ms >= RETRY_MS:
            self._asked_ms = now_ms
            try:
                self._wlan.active(True)
                self._wlan.disconnect()
                self._wlan.connect(*self._login)
            except OSError:
                self.failed += 1  # the radio's own fault: asked again in half a minute
        return False

    def address(self) -> str:
        """Return the board's address, `0.0.0.0` without one."""
        return self._wlan.ifconfig()[0]


class EspBoard:
    """Opens what the declaration names; see `hal`."""

    def __init__(self, declaration: dict) -> None:
        self.declaration = declaration

    def _pin(self, name: str) -> dict:
        pin = self.declaration.get("pins", {}).get(name)
        if pin is None:
            raise BoardError("pins.%s: this board has none; choose another or declare it" % name)
        return pin

    def has_pin(self, name: str) -> bool:
        """Return whether the board has a pin for a purpose."""
        return name in self.declaration.get("pins", {})

    def output(self, name: str, is_on: bool = False) -> Output:
        """Open a pin that switches something, at once in the given state."""
        pin = self._pin(name)
        return Output(pin["gpio"], pin.get("inverted", False), is_on)

    def input(self, name: str) -> Input:
        """Open a contact."""
        pin = self._pin(name)
        return Input(pin["gpio"], pin.get("inverted", False))

    def uart(self, name: str) -> Uart:
        """Open a serial port."""
        row = self.declaration.get("uarts", {}).get(name)
        if row is None:
            raise BoardError("uarts.%s: this board has none; choose another or declare it" % name)
        return Uart(self._serial(row))

    def _serial(self, row: dict):
        return machine.UART(
            row["id"],
            baudrate=row["baud"],
            tx=row["tx"],
            rx=row["rx"],
            rxbuf=row.get("buffer", 256),
        )

    def network(self, ssid: str, password: str, hostname: str) -> Network:
        """Return the wireless network."""
        return Network(ssid, password, hostname)

    def set_clock(self, utc_s: int) -> None:
        """Set the board's own clock; TLS judges certificates by it, and a power cut forgets it."""
        when = time.gmtime(utc_s - (946684800 if time.gmtime(0)[0] == 2000 else 0))
        machine.RTC().datetime(when[:3] + (when[6],) + when[3:6] + (0,))

    def reset_cause(self) -> str:
        """Return why the board has started: power, hard, watchdog, sleep, soft, or unknown."""
        found = machine.reset_cause()
        for name, text in _CAUSES:
            if getattr(machine, name, None) == found:
                return text
        return "unknown"
