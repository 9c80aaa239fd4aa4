"""The metering task: ticks the meter, records captures and power quality, keeps registers in flash.

The registers are saved before the reading that shows them, so that no register ever goes back
over a power cut. Without a valid clock the capture period runs on the uptime, flagged.
Neighbours: `metering`, `quality`, `electricity` (what is measured), `recorder` (where it goes).
"""

import asyncio

import state as items
from calendars import Calendars
from event_codes import CALENDAR
from front_end import FrontEnd
from metering import Meter
from periods import Periods
from registers import READY_FOR_RECONNECTION
from tariff import Calendar


class FixedFrontEnd(FrontEnd):
    """A front end without a measuring chip: a constant load, for boards that only try the link."""

    def tick(self, _tick_ms: int) -> tuple:
        """Return (frequency mHz, [(P W, Q var, U mV, I mA)])."""
        if not self.supply:
            return 50000, [(0, 0, 230000, 0)]
        power_w = 230 * self.load_permille // 1000
        return 50000, [(power_w, 0, 230000, power_w * 1000 // 230)]


class Measuring:
    """Meter, quality and their durable state; `run` is the task."""

    def __init__(self, config, state, recorder, timekeeper, front_end) -> None:
        """Restore the registers of the last boot.

        Raises:
            meter_state.StateError: the kept registers are damaged.
            tariff.TariffError: the configured calendar is wrong.
        """
        self._state = state
        self._recorder = recorder
        self._timekeeper = timekeeper
        self.front_end = front_end
        self._tick_ms = config.tick_ms
        self._save_ms = config.save_period_s * 1000
        phases = len(front_end.tick(0)[1]) or getattr(front_end, "phases", 1)
        calendar = Calendar(config.tariff.get("switches", []), config.tariff.get("offsets", []))
        self.calendars = Calendars(state, calendar)
        self.periods = Periods(state, config.capture_period_s, config.report_spread_s)
        self.meter = Meter(config.serial.encode(), phases, self.calendars, self.periods.capture_s)
        self.meter.attach(front_end)
        self.quality = None
        if config.quality and front_end.waveform is not None:
            from quality import Quality  # noqa: PLC0415

            self.quality = Quality(phases)
        self._last_ms = timekeeper.uptime_ms()
        self._saved_ms = self._last_ms
        self._counted_ms = 0
        self._due = []
        self._captures = ()
        self._is_asked = False
        """Whether the front end has begun a tick and not given it."""
        self._sample = front_end.tick(0)
        self._part_ms = self._part_utc_ms = 0
        self._part_utc_s = None
        """What it has given and the registers do not have yet: `_part_ms` is not 0 then."""
        self._judged_ms = 0
        """The same of the quality, which has not judged it yet."""
        self._events = ()
        self._found = []

    @property
    def sampled_ms(self) -> int:
        """Return the uptime of the last sample."""
        return self._last_ms

    def restore(self) -> None:
        """Load the registers of the last boot.

        Raises:
            meter_state.StateError: they are damaged; the meter begins at zero.
            config.ConfigError: the front end's start value is below that of before.
        """
        kept = self._state.get(items.REGISTERS)
        if kept:
            self.meter.restore(kept)
        begin_wh = self.front_end.restore(self._state.get(items.FRONT_END))
        self.meter.rates[0].units += begin_wh

    def set_capture_period(self, period_s: int) -> bool:
        """Change the capture period, durable; False if it is not usable."""
        if not self.periods.set_capture(period_s):
            return False
        self.meter.set_capture(period_s)
        return True

    def set_supply(self, state: int) -> None:
        """Open or close the supply relay: 0-0:96.3.10 as in `registers`."""
        self.meter.disconnect_state = state
        self.front_end.supply = state not in (0, READY_FOR_RECONNECTION)

    def snapshot(self, codes=None) -> tuple:
        """Return (UTC second or None, rows) of this moment, None for rows with an unknown code.

        A register of the meter whose value is not known now is no unknown code.
        """
        utc_s, _ms = self._timekeeper.utc()
        rows = self.meter.rows(utc_s)
        if codes is not None:
            rows = [row for row in rows + self.calendars.rows() if row[0] in codes]
            if len(rows) < len(codes):
                return utc_s, None
        return utc_s, [row for row in rows if row[1] is not None]

    def save(self) -> None:
        """Make registers, offset of the clock and sign of life durable.

        Registers and what the front end goes on from belong to one moment, or a power cut would
        count something twice or not at all.
        """
        if self._is_asked:
            self.tick()
        self._count_part()
        registers, front_end = self.meter.save(), self.front_end.save()
        self._state.set_both(items.REGISTERS, registers, items.FRONT_END, front_end)
        self._timekeeper.keep()
        self._recorder.ring.save()
        self._saved_ms = self._timekeeper.uptime_ms()

    async def run(self, beat) -> None:
        """Tick for ever."""
        while True:
            beat()
            self.tick()
            await asyncio.sleep(self._tick_ms / 1000)

    def tick(self) -> None:
        """Count what passed since the last tick; record what is due.

        A MemoryError loses nothing and counts nothing twice: the next tick goes on from there.
        """
        self._count_part()
        now_ms = self._timekeeper.uptime_ms()
        passed_ms = now_ms - self._last_ms
        if passed_ms <= 0:
            return
        utc_s, utc_ms = self._timekeeper.utc()
        edge_ms = self.front_end.edge_ms()
        if 0 < edge_ms < passed_ms:
            passed_ms -= edge_ms
            self._count(edge_ms, *_earlier(utc_s, utc_ms, passed_ms))
        self._count(passed_ms, utc_s, utc_ms)
        self._recorder.fault = self.front_end.faults
        last_s = self._due[-1][0] if self._due else None
        if self._due:
            self.save()
            self._recorder.drain(self._due, self._recorder.reading)
        elif now_ms - self._saved_ms >= self._save_ms:
            self.save()
        if last_s is None or (last_s, 0) != (utc_s, utc_ms):
            self._recorder.status |= self.front_end.faults
        self._recorder.drain(self._found, self._recorder.event)
        self._tell_calendar()

    def _tell_calendar(self) -> None:
        """Record which calendar came into force; a power cut in it may have it recorded twice."""
        plan = self.calendars.news()
        if plan is not None:
            at_s = plan.from_s or self._timekeeper.utc()[0]
            self._recorder.event(CALENDAR, at_s, plan.counter, plan.name)
            self.calendars.tell(plan)
            self._state.save()

    def _count(self, passed_ms: int, utc_s, utc_ms: int) -> None:
        """Count one stretch that ends at the given time."""
        until_ms = self._last_ms + passed_ms
        self._is_asked = True
        self._sample = self.front_end.tick(passed_ms)
        self._part_ms, self._last_ms = passed_ms, until_ms
        self._part_utc_s, self._part_utc_ms = utc_s, utc_ms
        self._judged_ms = passed_ms
        self._is_asked = False
        self._count_part()

    def _count_part(self) -> None:
        """Bring what the front end has given into registers and quality, what is due into `_due`.

        Each step is done as a whole or not at all, and once: a pair is assigned without memory.
        """
        part_ms, utc_s = self._part_ms, self._part_utc_s
        if part_ms:
            utc_ms, exact = self._part_utc_ms, self.front_end.exact
            counted_ms = self._counted_ms + (part_ms if utc_s is None else 0)
            tick = self.meter.tick
            self._captures, self._part_ms = tick(self._sample, part_ms, utc_s, utc_ms, exact), 0
            self._counted_ms = counted_ms
        if self._captures:
            self._due, self._captures = self._due + self._captures, ()
        if utc_s is None and self._counted_ms >= self.meter.capture_s * 1000:
            self._due.append((None, self.meter.snapshot(None)))
            self._counted_ms = 0
        quality = self.quality
        if quality is not None and self._judged_ms:
            quality.mark()
            try:
                self._events, self._judged_ms = self._judge(quality, self._judged_ms), 0
            except MemoryError:
                quality.back()
                raise
            except Exception:
                self._judged_ms = 0  # energy does not wait for it
                raise
        if self._events:
            self._found, self._events = self._found + self._events, ()

    def _judge(self, quality, part_ms: int) -> list:
        """Return what is to be recorded of the quality: rows of `Recorder.event`."""
        wave, utc_s, utc_ms = self.front_end.waveform, self._part_utc_s, self._part_utc_ms
        at_s = self._last_ms // 1000 if utc_s is None else utc_s
        events = quality.half_cycles(wave.half_cycles, wave.half_us, at_s, utc_ms, wave.age_us)
        events += quality.tick([phase[2] for phase in self._sample[1]], part_ms, utc_s, utc_ms)
        return [(event[0], None if utc_s is None else event[1][0]) + event[2:] for event in events]


def _earlier(utc_s, utc_ms: int, by_ms: int) -> tuple:
    """Return a time `by_ms` earlier; without a clock there is none."""
    if utc_s is None:
        return None, 0
    total_ms = utc_ms - by_ms
    return utc_s + total_ms // 1000, total_ms % 1000
