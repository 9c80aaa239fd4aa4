"""A meter's commands over real parts on a RAM flash, without sockets: what arrives, what it does.

Both Pythons. Neighbours: test_orders.py, test_clock_steps.py, test_periods.py.
"""

from actuators import Loads, Supply
from commands import Commands
from flash_with_cuts import CutFlash, Medium
from measuring import FixedFrontEnd, Measuring
from meter_wire.portable.meter_link import MeterInfo
from meter_wire.portable.order import ACTION_DISCONNECT
from meter_wire.portable.tlv import field, number, parse_fields, parse_int
from recorder import Recorder
from ring import Ring
from state import LOADS, SUPPLY, State
from timekeeper import Timekeeper

DEVICE = "house-1"
NOW_S = 1_800_000_000


class Config:
    """What `config.Config` has of these parts."""

    tick_ms = 1000
    save_period_s = 60
    tariff = {}  # noqa: RUF012 - read only
    serial = "MT-1"
    capture_period_s = 60
    report_spread_s = 0
    quality = False


class PlayedTime(Timekeeper):
    """Time that passes when the test says so."""

    now_ms = 0

    def uptime_ms(self):
        return self.now_ms


class FakeLink:
    """Answers and counts, in place of `MeterLink`."""

    def __init__(self, ring, boot):
        self.device = DEVICE
        self.ring = ring
        self.info = MeterInfo(boot, "0.1.0", b"")
        self.spread_ms = 0
        self.refused = {}
        self.answers = []

    def count(self, reason):
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def answer(self, _epoch, command, code, _entry=b"", _data=b""):
        self.answers.append((command, code))


def encode_order(
    action=ACTION_DISCONNECT, counter=1, device=DEVICE, not_after=NOW_S + 600,
    leave_out=0, version=1, extra=b"",
):  # fmt: skip
    """Return an order without its signature; `leave_out` is the tag of a field."""
    fields = (
        field(1, device.encode()),
        number(2, action),
        number(3, 7),
        field(4, b"dso.example"),
        number(5, not_after),
        number(6, counter),
    )
    rows = [row for index, row in enumerate(fields) if index + 1 != leave_out]
    return bytes([version]) + b"".join(rows) + extra


def parse_event(entry):
    """Return (code, UTC second of its begin, arguments…) of an event's entry."""
    fields = parse_fields(entry, 13, 3)
    octets = fields[3]
    found = (int.from_bytes(fields[2], "big"), int.from_bytes(entry[3:7], "big"))
    while octets:
        end = 1 + (octets[0] & 31)
        value = octets[1:end]
        found += (value if octets[0] & 64 else parse_int(value),)
        octets = octets[end:]
    return found


class Rig:
    """A meter that has booted; `reboot` starts another on the same flash."""

    ring_bytes = 8 * 720
    time = Timekeeper

    def __init__(
        self, medium=None, has_relay=True, never=False, rtc_s=NOW_S, boot=7, loads=(), ems=None
    ):
        self.medium = medium or Medium()
        self.rtc_s = rtc_s
        flash = CutFlash(self.medium)
        self.state = State(flash)
        self.ring = Ring(flash, self.state, self.ring_bytes, 8, lambda length: b"i" * length)
        self.timekeeper = self.time(
            self.state, rtc_s is not None, 0, lambda: (self.rtc_s or 0) * 1000
        )
        self.recorder = Recorder(self.ring, self.timekeeper, boot)
        self.measuring = Measuring(
            Config, self.state, self.recorder, self.timekeeper, FixedFrontEnd()
        )
        self.supply = Supply(never, self.state.get(SUPPLY), has_relay)
        self.commands = Commands(
            self.state, self.recorder, self.timekeeper, self.measuring,
            Loads(loads, bytes, self.state.get(LOADS)), self.supply, ems,
        )  # fmt: skip
        self.commands.link = self.link = FakeLink(self.ring, boot)
        self.link.spread_ms = self.measuring.periods.spread_s * 1000
        self._command = 0

    def reboot(self, **changes):
        return Rig(self.medium.survive(), **changes)

    def handle(self, name, *values):
        """Hand an event of the link over; return the answer's code."""
        self._command += 1
        self.commands.handle((name, 1, self._command) + values)  # noqa: RUF005 - MicroPython
        command, code = self.link.answers[-1]
        assert command == self._command
        return code

    def timed(self):
        """Return (code, UTC second, arguments…) of the recorded events that the ring still has."""
        rows = [self.ring.read(seq) for seq in range(1, self.ring.head + 1)]
        return [parse_event(row[0]) for row in rows if row and row[0][0] == 2]

    def told(self):
        """Return (code, arguments…) of the same."""
        return [event[:1] + event[2:] for event in self.timed()]

    def events(self):
        """Return the codes of the recorded events."""
        return [event[0] for event in self.told()]

    def register(self, code):
        """Return the value that the meter shows of a register."""
        return self.measuring.snapshot([code])[1][0][1]
