"""Power quality in the meter: dips, swells, interruptions, 10-minute voltages.

In the manner of IEC 61000-4-30 5.4 (dips and swells from the RMS of one cycle, refreshed each half
cycle, threshold and hysteresis in percent of the declared voltage) and of its 10-minute
aggregation (root of the mean square); not class A. Each phase is judged by itself. Events are
tuples as described in `event_codes`. `main` tells a loss of the meter's own power when it is back:
what was running then is part of the outage and no event of its own.
"""

from event_codes import DIP, INTERRUPTION, SWELL, VOLTAGE_10MIN
from isqrt import isqrt
from utc_ticks import UtcTicks

AGGREGATION_S = 600


class Disturbance:
    """One threshold with its hysteresis on one phase; tells when a disturbance has ended."""

    def __init__(self, code: int, phase: int, nominal_mv: int) -> None:
        """`code` is DIP, SWELL or INTERRUPTION; `phase` 1 to 3; `nominal_mv` declared voltage."""
        begin, end = {DIP: (90, 92), SWELL: (110, 108), INTERRUPTION: (5, 7)}[code]
        self.code = code
        self.phase = phase
        self.sign = -1 if code == SWELL else 1
        self.begin_mv = nominal_mv * begin // 100 * self.sign
        self.end_mv = nominal_mv * end // 100 * self.sign
        self.start: tuple[int, int] | None = None
        self.duration_us = 0
        self.extreme = 0

    def feed(
        self, values_mv: list[int], half_us: int, utc_s: int, utc_ms: int, age_us: int
    ) -> list[tuple[object, ...]]:
        """Judge consecutive half cycles; return the events that ended among them.

        The first one began `age_us` before (`utc_s`, `utc_ms`). A disturbance begins when the
        value passes the threshold and ends when it reaches threshold and hysteresis.
        """
        ended = []
        for value_mv in values_mv:
            level = value_mv * self.sign
            if self.start is None:
                if level < self.begin_mv:
                    at_ms = utc_ms - age_us // 1000
                    self.start = (utc_s + at_ms // 1000, at_ms % 1000)
                    self.extreme = level
                    self.duration_us = half_us
            elif level >= self.end_mv:
                ended.append(self.finish())
            else:
                self.duration_us += half_us
                self.extreme = min(self.extreme, level)
            age_us -= half_us
        return ended

    def finish(self) -> tuple[object, ...]:
        """Return the running disturbance as an event and forget it."""
        start, self.start = self.start, None
        return (self.code, start, self.phase, self.duration_us // 1000, self.extreme * self.sign)


class TenMinutes:
    """RMS mean, minimum and maximum of one phase, exact in integers around the nominal value."""

    def __init__(self, nominal_mv: int) -> None:
        self.nominal_mv = nominal_mv
        self.reset()

    def reset(self) -> None:
        """Begin an interval."""
        self.covered_ms = self.deviations = self.squares = 0
        self.minimum_mv = self.maximum_mv = 0

    def add(self, value_mv: int, duration_ms: int) -> None:
        """Add the RMS value of a tick."""
        if not duration_ms:
            return
        if not self.covered_ms:
            self.minimum_mv = self.maximum_mv = value_mv
        self.minimum_mv = min(self.minimum_mv, value_mv)
        self.maximum_mv = max(self.maximum_mv, value_mv)
        deviation = value_mv - self.nominal_mv
        self.covered_ms += duration_ms
        self.deviations += deviation * duration_ms
        self.squares += deviation * deviation * duration_ms

    def mean_mv(self) -> int:
        """Return the root of the mean square, rounded down; needs a covered interval."""
        nominal_mv = self.nominal_mv
        around = 2 * nominal_mv * self.deviations + self.squares
        return isqrt(nominal_mv * nominal_mv + around // self.covered_ms)


class Quality:
    """Watches the voltage of all phases: feed `half_cycles` and `tick`, collect events."""

    def __init__(self, phases: int = 1, nominal_mv: int = 230000) -> None:
        """`phases` 1 or 3; `nominal_mv` declared supply voltage, phase to neutral."""
        self.watched = [
            [Disturbance(code, phase + 1, nominal_mv) for code in (DIP, SWELL, INTERRUPTION)]
            for phase in range(phases)
        ]
        self.dip_mv = nominal_mv * 90 // 100
        self.swell_mv = nominal_mv * 110 // 100
        self.means = [TenMinutes(nominal_mv) for _ in range(phases)]
        self.flagged = 0
        self._ticks = UtcTicks(AGGREGATION_S)
        self._kept: list = [0] * (phases * 14 + 3)

    def mark(self) -> None:
        """Remember everything, without memory: a lack of it takes `half_cycles` and `tick` back."""
        kept, at = self._kept, 3
        kept[0] = self.flagged
        kept[1] = self._ticks.utc_s
        kept[2] = self._ticks.utc_ms
        for mean in self.means:
            kept[at] = mean.covered_ms
            kept[at + 1] = mean.deviations
            kept[at + 2] = mean.squares
            kept[at + 3] = mean.minimum_mv
            kept[at + 4] = mean.maximum_mv
            at += 5
        for phase in self.watched:
            for watch in phase:
                kept[at] = watch.start
                if watch.start is not None:  # else the next start sets the others
                    kept[at + 1] = watch.duration_us
                    kept[at + 2] = watch.extreme
                at += 3

    def back(self) -> None:
        """Make everything what it was at the last mark, without memory."""
        kept, at = self._kept, 3
        self.flagged = kept[0]
        self._ticks.utc_s = kept[1]
        self._ticks.utc_ms = kept[2]
        for mean in self.means:
            mean.covered_ms = kept[at]
            mean.deviations = kept[at + 1]
            mean.squares = kept[at + 2]
            mean.minimum_mv = kept[at + 3]
            mean.maximum_mv = kept[at + 4]
            at += 5
        for phase in self.watched:
            for watch in phase:
                watch.start = kept[at]
                watch.duration_us = kept[at + 1]
                watch.extreme = kept[at + 2]
                at += 3

    def running(self) -> bool:
        """Whether a dip, swell or interruption has begun and not ended on any phase."""
        return any([watch.start is not None for phase in self.watched for watch in phase])

    def half_cycles(
        self, rms_mv: list[list[int]], half_us: int, utc_s: int, utc_ms: int, age_us: int
    ) -> list[tuple[object, ...]]:
        """Judge the latest half cycles of every phase; return ended dips, swells, interruptions.

        Args:
            rms_mv: per phase, the RMS of the cycle that ends with each half cycle, in mV.
            half_us: length of half a cycle, 10,000 µs at 50 Hz.
            utc_s: now in UTC (any monotonic second while the clock is invalid).
            utc_ms: its milliseconds.
            age_us: how long before now the first half cycle began.
        """
        events = []
        for phase, values in enumerate(rms_mv):
            if not values:
                continue
            calm = min(values) >= self.dip_mv and max(values) <= self.swell_mv
            for watch in self.watched[phase]:
                if calm and watch.start is None:
                    continue
                self.flagged = 1
                events += watch.feed(values, half_us, utc_s, utc_ms, age_us)
        return events

    def tick(
        self, voltages_mv: list[int], tick_ms: int, utc_s: int | None, utc_ms: int = 0
    ) -> list[tuple[object, ...]]:
        """Add the RMS voltage of a tick per phase; return a VOLTAGE_10MIN event at a UTC tick.

        Arguments as in `Meter.tick`. An interval with a clock step begins anew after it; without
        a valid clock there are no intervals.
        """
        events: list[tuple[object, ...]] = []
        parts = self._ticks.parts(tick_ms, utc_s, utc_ms)
        if self._ticks.stepped or utc_s is None:
            self._reset()
        for part_ms, boundary in parts:
            for mean, value_mv in zip(self.means, voltages_mv):
                mean.add(value_mv, part_ms)
            if boundary is not None:
                events += self._close(boundary)
        return events

    def _close(self, boundary: int) -> list[tuple[object, ...]]:
        covered_ms = self.means[0].covered_ms
        if not covered_ms:
            return []
        event: tuple[object, ...] = (
            VOLTAGE_10MIN,
            (boundary - AGGREGATION_S, 0),
            covered_ms // 1000,
            self.flagged,
        )
        for mean in self.means:
            event += (mean.minimum_mv, mean.mean_mv(), mean.maximum_mv)
        self._reset()
        return [event]

    def _reset(self) -> None:
        for mean in self.means:
            mean.reset()
        self.flagged = 1 if self.running() else 0
