"""`machine` and `network` that do what MicroPython's documentation says, for both Pythons.

`plug_in()` returns (wires, hal.esp32, hal.esp8266): what the board was told, and what it may see. There
is one board; each call makes it new.
"""

import sys
import time


class Wires:
    """What a board's pins see and do."""

    def __init__(self):
        self.levels = {}
        self.handlers = {}
        self.modes = {}
        self.counted = {}
        self.opened = []
        self.received = b""
        self.sent = b""
        self.fed = 0
        self.timeout = None
        self.us = 0
        self.hostname = ""
        self.analog = {}
        self.conversion_us = 0
        self.look_us = 0
        """What a look at the clock takes."""
        self.is_connected = False
        self.joined = []
        self.fails = False
        self.kept = b""
        self.dates = []
        self.timers = []
        self.resets = 0
        self.cause = Machine.WDT_RESET

    def pass_ms(self, ms):
        """Let time pass; timers are as late as the step is long."""
        self.us += ms * 1000
        for period_ms, look in self.timers:
            for _ in range(ms // period_ms):
                look(None)

    def pulse(self, gpio, times=1):
        """Let falling edges come to a pin."""
        for _ in range(times):
            if gpio in self.counted:
                self.counted[gpio].count += 1
            if gpio in self.handlers:
                self.handlers[gpio](None)


class Pin:
    IN, OUT, PULL_UP, IRQ_FALLING = 1, 2, 3, 4

    def __init__(self, gpio, mode=-1, pull=-1, value=None):
        self.gpio = gpio
        wires.modes[gpio] = (mode, pull)
        if value is not None:
            wires.levels[gpio] = value

    def value(self, level=None):
        if level is None:
            return wires.levels.get(self.gpio, 1)
        wires.levels[self.gpio] = level
        return None

    def irq(self, handler, trigger):
        assert trigger == self.IRQ_FALLING
        wires.handlers[self.gpio] = handler


class Counter:
    FALLING = 9

    def __init__(self, number, pin, edge, filter_ns):
        assert edge == self.FALLING
        assert filter_ns > 0
        assert number not in [one.number for one in wires.counted.values()]
        self.number = number
        self.count = 0
        wires.counted[pin.gpio] = self

    def value(self):
        return self.count


class ADC:
    """Converts what the test says of a pin at that time; each takes its time."""

    ATTN_11DB = 11

    def __init__(self, pin, atten):
        assert atten == self.ATTN_11DB
        self.level = wires.analog[pin.gpio]

    def read_u16(self):
        wires.us += wires.conversion_us
        step = self.level(wires.us)
        assert 0 <= step < 4096
        return step << 4 | step >> 8


class UART:
    def __init__(self, *arguments, **options):
        wires.opened.append((arguments, options))

    def read(self):
        data, wires.received = wires.received, b""
        return data or None

    def write(self, data):
        wires.sent += data


class WDT:
    def __init__(self, timeout=None):
        wires.timeout = timeout

    def feed(self):
        wires.fed += 1


class Timer:
    PERIODIC = 1

    def __init__(self, number):
        assert number == -1

    def init(self, period, mode, callback):
        assert mode == self.PERIODIC
        wires.timers.append((period, callback))


class RTC:
    def memory(self, data=None):
        if data is None:
            return wires.kept
        wires.kept = bytes(data)
        return None

    def datetime(self, when):
        assert len(when) == 8
        wires.dates.append(when)


class WLAN:
    def __init__(self, kind):
        assert kind == Network.STA_IF

    def active(self, flag):
        assert flag

    def isconnected(self):
        return wires.is_connected

    def disconnect(self):
        if wires.fails:
            raise OSError("Wifi Internal Error")

    def connect(self, ssid, password):
        wires.joined.append((ssid, password))

    def ifconfig(self):
        return ("10.0.0.7" if wires.is_connected else "0.0.0.0", "", "", "")


def reset_cause():
    return wires.cause


def reset():
    wires.resets += 1


class Machine:
    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5


class Network:
    STA_IF = 0


class Ticks:
    """MicroPython's `time` on a clock that the test turns."""

    @staticmethod
    def ticks_us():
        wires.us += wires.look_us
        return wires.us & 0x3FFFFFFF

    @staticmethod
    def ticks_ms():
        return wires.us // 1000 & 0x3FFFFFFF

    @staticmethod
    def ticks_diff(one, other):
        return ((one - other + 0x20000000) & 0x3FFFFFFF) - 0x20000000

    @staticmethod
    def gmtime(seconds):
        return time.gmtime(seconds + 946684800)  # boards count from 2000


def set_hostname(name):
    wires.hostname = name


Machine.Pin, Machine.Counter, Machine.UART, Machine.WDT = Pin, Counter, UART, WDT
Machine.ADC = ADC
Machine.RTC, Machine.Timer = RTC, Timer
Machine.reset_cause, Machine.reset = staticmethod(reset_cause), staticmethod(reset)
wires = Wires()
Network.WLAN, Network.hostname = WLAN, staticmethod(set_hostname)


def _import(load):
    kept = {name: sys.modules.get(name) for name in ("machine", "network")}
    sys.modules["machine"], sys.modules["network"] = Machine, Network
    try:
        found = load()
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    for module in found:
        module.time = Ticks
    return found


def _load():
    from hal import esp, esp32, esp8266, esp8266_small

    return esp, esp32, esp8266, esp8266_small


def _load_small():
    from hal import esp8266_small

    return (esp8266_small,)


def import_small():
    """Return hal.esp8266_small, over the board of the last `plug_in`."""
    return _import(_load_small)[0]


def plug_in():
    wires.__init__()
    _, esp32, esp8266, _ = _import(_load)
    return wires, esp32, esp8266
