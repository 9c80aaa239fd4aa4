"""What the small profile records: registers of pulses, clock, readings at their times, events.

Without a network, a broker or a twin. Neighbours: `small`, which adds the link and the tasks;
`small_energy` (a register), `ring` and `state` (flash), `hal.esp8266_small` (the board).
"""

import os

import small_energy
import state as items
from flash import Flash
from meter_wire.portable.clock import Clock, Uptime
from meter_wire.portable.entry import encode_event, encode_reading, encode_register
from periods import Periods
from ring import Ring
from small_energy import PULSE_UJ, Register
from state import State
from untold import RING_OVERFLOW, tell_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_wire.portable.meter_link import MeterLink

IMPORT_ENERGY = b"\x01\x00\x01\x08\x00\xff"
PRODUCED_ENERGY = b"\x01\x01\x02\x08\x00\xff"
CLOCK_STEP = 3
CLOCK_SET = 4
CONFIGURATION = 18
CLOCK_REFUSED = 20
CLOCK_INVALID = 0x90
CLOCK_ADJUSTED = 0x02
SAVE_PAUSE_MS = 870000
"""Readings that come faster than this keep the register themselves: one erased block, not two."""
SAVE_WH = 100
"""So much more than the flash knows is saved at once: what a power cut costs at most."""
REFUSAL_PAUSE_MS = 3600000
"""A refused time is an event once an hour, as in `commands`."""
REGISTER_BYTES = 5


class Record:
    """Flash, clock and registers; `tick` makes the readings."""

    def __init__(self, table: dict, flash, ticks, board) -> None:
        """Open the flash and take the registers; `start` records that the meter has started."""
        self.table = table
        self.board = board
        flash = flash or Flash(table.get("state_dir", "state"))
        self.state = state = State(flash)
        ring_bytes, segments = table.get("ring_bytes", 262144), table.get("ring_segments", 8)
        self.ring = Ring(flash, state, ring_bytes, segments, os.urandom)
        self.boot = state.next_boot()
        self.energy = Register(table.get("pulse_uj", PULSE_UJ))
        self.registers = [self.energy]
        if "generator_uj" in table and board:
            self.registers.append(Register(table["generator_uj"]))
        self.ticks = ticks
        self.uptime = Uptime(ticks())
        self.saved_ms = self.saved_wh = 0
        self.pulses = 0
        self.count = getattr(board, "count", None)
        self.clock = Clock()
        self.provisional = False
        self.adjusted = 0
        self.refused_ms = -REFUSAL_PAUSE_MS
        self.slot = -1
        self.link: "MeterLink" = None  # type: ignore - `small` sets it
        capture_s = table.get("capture_period_s", 900)
        self.periods = Periods(state, capture_s, table.get("report_spread_s", 0))

    def keep(self, pause_ms: int) -> None:
        """Put the registers into the state, save it if that is so long ago."""
        kept = b""
        for one in self.registers:
            kept += one.units.to_bytes(REGISTER_BYTES, "big")
        self.state.set(items.REGISTERS, kept)
        if self.uptime_ms() - self.saved_ms >= pause_ms:
            self.ring.save()
            self.saved_ms = self.uptime_ms()
        self.saved_wh = self.energy.units

    def uptime_ms(self) -> int:
        """Return milliseconds since boot (12 days at most between two calls)."""
        return self.uptime.ms(self.ticks())

    def stamp(self) -> tuple:
        """Return (status, UTC second or 0)."""
        utc_ms = self.clock.utc_ms(self.uptime_ms())
        return (CLOCK_INVALID, 0) if utc_ms is None else (0, utc_ms // 1000)

    def event(self, code: int, *arguments) -> None:
        """Record an event of this moment."""
        status, time_s = self.stamp()
        uptime_s = self.uptime_ms() // 1000
        self.ring.append(encode_event(status, time_s, uptime_s, self.boot, code, list(arguments)))

    def entry(self, status: int = 0, time_s=None) -> bytes:
        """Return a reading, of this moment unless `time_s`; `status`: bits beside the clock's."""
        clock, now_s = self.stamp()
        rows = [encode_register(IMPORT_ENERGY, self.energy.units)]
        if len(self.registers) > 1:
            rows.append(encode_register(PRODUCED_ENERGY, self.registers[1].units))
        return encode_reading(
            status | clock, now_s if time_s is None else time_s, self.uptime_ms() // 1000,
            self.boot, rows,
        )  # fmt: skip

    def count_pulses(self) -> None:
        """Take what the board has counted, and have it kept over a reset."""
        count = self.count() if self.count else 0
        self.energy.take(self.pulses, count)
        self.pulses = 0
        if self.board:
            if len(self.registers) > 1:
                self.registers[1].take(0, self.board.generator_count())
            self.board.memory(small_energy.pack(self.ring.incarnation, self.registers))

    def tick(self) -> int:
        """Record the reading that is due; return milliseconds until the next look.

        Due at UTC multiples of the period, without a clock at those of the uptime. The reading has
        the boundary's time, since recipients get only those; a look each second notices a step or
        the first time, which cross no boundary.
        """
        self.count_pulses()
        now_ms = self.uptime_ms()
        utc_ms = self.clock.utc_ms(now_ms)
        if utc_ms is not None:
            now_ms = utc_ms
        slot = now_ms // 1000 // self.periods.capture_s
        if -1 < self.slot < slot:
            self.record(None if utc_ms is None else slot * self.periods.capture_s)
            self.slot = slot  # once it is recorded, or it would be again after a MemoryError
        elif self.energy.units - self.saved_wh >= SAVE_WH:
            self.keep(0)
        self.slot = slot
        self.tell()
        return 1000 - now_ms % 1000

    def tell(self) -> None:
        """Record what the flash has and no event has told yet (`untold`)."""
        ring = self.ring
        lost = ring.lost
        if lost != ring.told:
            self.event(RING_OVERFLOW, lost)
            ring.told = lost  # what this event has overwritten itself is the next tick's
        tell_owner(ring, self.state, self.event)

    def record(self, time_s=None) -> None:
        """Record a reading, of this moment unless `time_s` is given."""
        self.keep(SAVE_PAUSE_MS)
        self.ring.append(self.entry(self.adjusted, time_s))
        self.adjusted = 0

    def change(self, target: int, value: int) -> int:
        """Change the capture period or the report spread; return the answer's code."""
        periods = self.periods
        if target == 1:
            if value == periods.capture_s:
                return 0
            done = periods.set_capture(value)
            self.slot = -1
        elif target == 2:
            if value == periods.spread_s:
                return 0
            done = periods.set_spread(value)
            self.link.spread_ms = periods.spread_s * 1000
        else:
            return 3
        if not done:
            return 9
        self.event(CONFIGURATION, target)
        return 0

    def set_first(self, utc_ms: int) -> None:
        """Set a clock that nobody has set, by a word that nobody vouches for (`sntp`)."""
        if not self.clock.valid:
            self.set_clock(utc_ms)
            self.provisional = True

    def set_clock(self, utc_ms: int) -> int:
        """Set the clock by the rules of `clock`, unsigned; return the answer's code."""
        decision, offset_ms = self.clock.set(utc_ms, self.uptime_ms(), self.provisional)
        self.provisional = False  # a twin's first time may have moved what the network told
        self.link.info.clock_state = 1
        if decision == "refused":
            self.link.count("unsigned")
            if self.uptime_ms() - self.refused_ms >= REFUSAL_PAUSE_MS:
                self.refused_ms = self.uptime_ms()
                self.event(CLOCK_REFUSED, offset_ms)
            return 6
        if decision == "first":
            self.event(CLOCK_SET)
        elif decision == "stepped":
            self.event(CLOCK_STEP, offset_ms)
        if decision != "slewed":
            self.adjusted = CLOCK_ADJUSTED
            self.slot = -1
        return 0
