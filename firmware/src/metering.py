"""The meter proper: electrical samples in, exact integer registers out. No I/O, no clock.

Energy is the signed sum over phases (16.7.0), counted to import or export in each tick; the totals
1.8.0 and 2.8.0 *are* the sums of their rate registers, so they equal them always. Neighbours:
`counter`, `demand`, `tariff`, `utc_ticks`, `meter_state` (what survives a power cut) below; the
ring and the shell above.
"""

import registers as obis
from counter import Counter
from demand import Demand
from isqrt import isqrt
from meter_state import encode_state, restore_state, take_state
from tariff import RATES, Calendar
from undo import Undo
from utc_ticks import UtcTicks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from calendars import Calendars
    from exact import Exact
    from front_end import FrontEnd


class Meter:
    """Registers of one meter; `tick` with every sample, `snapshot` at any time."""

    def __init__(
        self,
        serial: bytes,
        phases: int = 1,
        calendar: "Calendar | Calendars | None" = None,
        capture_s: int = 900,
        demand_s: int = 900,
    ) -> None:
        """Begin at zero; call `restore` before the first tick.

        Args:
            serial: 0-0:96.1.0.
            phases: 1 or 3.
            calendar: time-of-use calendar; None means rate 1 always and billing months in UTC.
            capture_s: capture period; divides a minute or is a multiple of one.
            demand_s: block length of 1.6.0, a multiple of a minute.
        """
        if capture_s < 1 or (60 % capture_s and capture_s % 60) or demand_s % 60:
            raise ValueError("capture_s must divide a minute or be whole minutes, demand_s too")
        self.serial = serial
        self.calendar = calendar or Calendar([], [])
        self.capture_s = capture_s
        self.rates = [Counter() for _ in range(RATES)]
        self.exports = [Counter() for _ in range(RATES)]
        self.reactive_in = Counter()
        self.reactive_out = Counter()
        self.demand = Demand(demand_s)
        self.rate = 1
        self.month = 0
        self.disconnect_state = obis.CONNECTED
        self.frequency_mhz = 0
        self.phases = [(0, 0, 0, 0)] * phases
        self.production: "Counter | None" = None
        self.absent: tuple = ()
        self.apparent_of_rms = False
        self._ticks = UtcTicks(min(capture_s, 60))
        self.aligned = False
        self._undo = self._make_undo()

    def _make_undo(self) -> Undo:
        """Return what takes a tick back: all that it changes."""
        counters = self.rates + self.exports + [self.reactive_in, self.reactive_out]
        if self.production is not None:
            counters.append(self.production)
        return Undo(self, counters, self.demand, self._ticks)

    def attach(self, front_end: "FrontEnd") -> None:
        """Take over what the front end does not measure, and what it counts besides."""
        self.absent = front_end.absent
        self.apparent_of_rms = front_end.apparent_of_rms
        self.production = front_end.production
        self._undo = self._make_undo()

    def set_capture(self, capture_s: int) -> None:
        """Change the capture period; bounds as at the beginning."""
        self.capture_s = capture_s
        self._ticks.quantum_s = min(capture_s, 60)

    def tick(
        self,
        sample: tuple[int, list[tuple[int, int, int, int]]],
        tick_ms: int,
        utc_s: int | None,
        utc_ms: int = 0,
        exact: "Exact | None" = None,
    ) -> list[tuple[int, list[tuple[bytes, int | bytes, int | None]]]]:
        """Count one sample, valid for the last `tick_ms`; return captures that fell into it.

        Args:
            sample: (frequency mHz, [(P W, Q var, U mV, I mA) of each phase]), None for what is not
                known.
            tick_ms: length on the monotonic clock.
            utc_s: UTC at the end of the tick, None while the clock is invalid.
            utc_ms: its milliseconds.
            exact: energy of the tick where a counter has it; without, it is power times time.

        Returns:
            [(UTC boundary, snapshot at it)], normally empty. Energy is divided at the boundary in
            proportion to time. The same boundary comes again after a backward clock step.

        Raises:
            MemoryError: nothing was counted; the same tick is to be given again.
        """
        self._undo.mark()
        try:
            return self._tick(sample, tick_ms, utc_s, utc_ms, exact)
        except MemoryError:
            self._undo.back()
            if exact is not None:
                exact.rewind()
            raise

    def _tick(
        self,
        sample: tuple[int, list[tuple[int, int, int, int]]],
        tick_ms: int,
        utc_s: int | None,
        utc_ms: int,
        exact: "Exact | None",
    ) -> list[tuple[int, list[tuple[bytes, int | bytes, int | None]]]]:
        self.frequency_mhz, self.phases = sample
        power_w = self.power_w
        reactive_var = sum([phase[1] or 0 for phase in self.phases])
        captures = []
        parts = self._ticks.parts(tick_ms, utc_s, utc_ms)
        if utc_s is None:
            self.aligned = False
        else:
            self._follow_clock(utc_s, (tick_ms - utc_ms + 999) // 1000)
        for part_ms, boundary in parts:
            if exact is None:
                self._count_active(power_w, part_ms)
            else:
                self._count_exact(exact, part_ms)
            self._count_reactive(reactive_var, part_ms)
            if boundary is not None:
                if boundary % self.demand.period_s == 0:
                    self.demand.close(boundary)
                if boundary % self.capture_s == 0:
                    captures.append((boundary, self.snapshot(boundary)))
                self._apply_calendar(boundary)
        if self._ticks.stepped:
            self.demand.discard()
        return captures

    def _follow_clock(self, utc_s: int, tick_s: int) -> None:
        """Settle tariff and demand interval at the first valid time and after a clock step.

        A step back takes the month along, or a clock that was years ahead would end no billing
        period until then.
        """
        if self._ticks.stepped:
            self.demand.interval = utc_s // self.demand.period_s
            self.month = min(self.month, self.calendar.month(utc_s))
            self._apply_calendar(utc_s)
        elif not self.aligned:
            self.demand.align(utc_s - tick_s)
            self._apply_calendar(utc_s - tick_s)
            self.aligned = True

    def _apply_calendar(self, utc_s: int) -> None:
        """Take the rate of a moment; a later month ends the billing period, an earlier one none.

        Other offsets may set the month back for some hours.
        """
        self.rate = self.calendar.rate(utc_s)
        month = self.calendar.month(utc_s)
        if month > self.month:
            if self.month:
                self.demand.reset()
            self.month = month

    def _count_active(self, power_w: int, duration_ms: int) -> None:
        if power_w >= 0:
            self.rates[self.rate - 1].add(power_w, duration_ms)
            self.demand.add(power_w, duration_ms)
        else:
            self.exports[self.rate - 1].add(-power_w, duration_ms)

    def _count_exact(self, exact: "Exact", duration_ms: int) -> None:
        """Count the share that this part of the tick has of the energies."""
        import_mj, export_mj, production_mj = exact.take(duration_ms)
        self.rates[self.rate - 1].add(import_mj, 1)
        self.exports[self.rate - 1].add(export_mj, 1)
        if self.production is not None:
            self.production.add(production_mj, 1)
        if not exact.late:
            self.demand.add(import_mj, 1)

    def _count_reactive(self, reactive_var: int, duration_ms: int) -> None:
        if reactive_var >= 0:
            self.reactive_in.add(reactive_var, duration_ms)
        else:
            self.reactive_out.add(-reactive_var, duration_ms)

    @property
    def power_w(self) -> int:
        """Signed sum of the phases' active power in the last sample (16.7.0), 0 if not known."""
        return sum([phase[0] or 0 for phase in self.phases])

    def power_factor(self) -> int | None:
        """Return |P| / S of the sums in thousandths (13.7.0); 1000 without load, None: unknown."""
        reactive = [phase[1] for phase in self.phases]
        if self.apparent_of_rms or None in reactive:
            return self._power_factor_of_rms()
        power_w, reactive_var = self.power_w, sum(reactive)
        apparent_va = isqrt((power_w * power_w + reactive_var * reactive_var) * 1000000)
        return min(1000, abs(power_w) * 1000000 // apparent_va) if apparent_va else 1000

    def _power_factor_of_rms(self) -> int | None:
        apparent_uva = 0
        for power_w, _, voltage_mv, current_ma in self.phases:
            if None in (power_w, voltage_mv, current_ma):
                return None
            apparent_uva += voltage_mv * current_ma
        if not apparent_uva:
            return 1000
        return min(1000, abs(self.power_w) * 1000000000 // apparent_uva)

    def snapshot(self, utc_s: int | None) -> list[tuple[bytes, int | bytes, int | None]]:
        """Return the registers whose value is known, as `rows` has them."""
        return [(code, value, at_s) for code, value, at_s in self.rows(utc_s) if value is not None]

    def rows(self, utc_s: int | None) -> list[tuple[bytes, int | bytes | None, int | None]]:
        """Return every register as (six OBIS octets, value or None, time of the value or None).

        Only the demand maximum has a time of its own. Units and scalers: `register_table`. What
        the meter does not measure is not in it, what it does not know now is None.
        """
        power_w = self.power_w if None not in [phase[0] for phase in self.phases] else None
        rows: list[tuple[bytes, int | bytes | None, int | None]] = [
            (obis.CLOCK, utc_s or 0, None),
            (obis.SERIAL, self.serial, None),
            (obis.DISCONNECT_STATE, self.disconnect_state, None),
            (obis.ACTIVE_TARIFF, self.rate, None),
        ]
        for group, rates in ((1, self.rates), (2, self.exports)):
            rows.append((obis.electricity(group, 8), sum([rate.units for rate in rates]), None))
            for number in range(RATES):
                rows.append((obis.electricity(group, 8, number + 1), rates[number].units, None))
        rows += (
            (obis.REACTIVE_IMPORT, self.reactive_in.units, None),
            (obis.REACTIVE_EXPORT, self.reactive_out.units, None),
            (obis.IMPORT_POWER, None if power_w is None else max(power_w, 0), None),
            (obis.EXPORT_POWER, None if power_w is None else max(-power_w, 0), None),
            (obis.NET_POWER, power_w, None),
            (obis.DEMAND_MAXIMUM, self.demand.maximum_w, self.demand.maximum_at),
            (obis.POWER_FACTOR, self.power_factor(), None),
            (obis.FREQUENCY, self.frequency_mhz, None),
        )
        for index, phase in enumerate(self.phases):
            rows.append((obis.electricity(obis.CURRENT[index], 7), phase[3], None))
            rows.append((obis.electricity(obis.VOLTAGE[index], 7), phase[2], None))
        if self.production is not None:
            rows.append((obis.PRODUCTION_ENERGY, self.production.units, None))
        return [row for row in rows if row[0] not in self.absent]

    def save(self) -> bytes:
        """Encode what must survive a power cut, for the flash store (about 60 octets)."""
        return encode_state(take_state(self))

    def restore(self, data: bytes) -> None:
        """Load what `save` wrote.

        Raises:
            StateError: corrupted, of another version, or a register would go backwards; nothing
                has changed then.
        """
        restore_state(self, data)
