"""Half-cycle RMS of the supply voltage, with dips, swells and interruptions put in.

What a metering chip would see: the RMS of each cycle, refreshed every half cycle (Urms(1/2) of
IEC 61000-4-30), so a disturbance of n half cycles touches n + 1 values.
"""

from isqrt import isqrt

DEFAULT_PERCENT = {"dip": 60, "swell": 118, "interruption": 0}
DEAD_PERMILLE = 50
"""Below this share of the voltage no load runs."""


class Waveform:
    """Walks through the half cycles of all phases as time passes."""

    def __init__(self, phases: int) -> None:
        """`phases`: 1 or 3."""
        self.phases = phases
        self.half_us = 10000
        self.now_us = 0
        self.next_us = 0
        self.age_us = 0
        self.disturbances: list[tuple[int, int, int, int]] = []
        self.half_cycles: list[list[int]] = [[] for _ in range(phases)]
        self.alive_permille = [1000] * phases
        self._before = [0] * phases

    def inject(
        self,
        kind: str,
        duration_ms: int,
        phase: int = 0,
        percent: int | None = None,
        delay_ms: int = 0,
    ) -> None:
        """Put a disturbance in.

        Args:
            kind: "dip", "swell" or "interruption"; says only which `percent` is the default.
            duration_ms: rounded to half cycles by the waveform.
            phase: 1 to 3, 0 for all.
            percent: voltage while it lasts, of what it would be.
            delay_ms: from now.

        Raises:
            ValueError: unknown kind, or a phase that the meter does not have.
        """
        if kind not in DEFAULT_PERCENT:
            raise ValueError(f"kind: {kind!r} is not dip, swell or interruption")
        if not 0 <= phase <= self.phases:
            raise ValueError(f"phase: {phase} is not 0 to {self.phases}")
        begin_us = self.now_us + delay_ms * 1000
        permille = 10 * (DEFAULT_PERCENT[kind] if percent is None else percent)
        self.disturbances.append((begin_us, begin_us + duration_ms * 1000, phase, permille))

    def advance(self, tick_ms: int, voltages_mv: list[int], frequency_mhz: int) -> list[int]:
        """Produce the half cycles that end within the tick; return the mean voltage per phase.

        `half_cycles` has the values per phase, `half_us` their length, `age_us` how long before
        the tick's end the first began, `alive_permille` the share of time with supply.
        """
        self.half_us = 500000000 // frequency_mhz
        self.now_us += tick_ms * 1000
        count = max(0, (self.now_us - self.next_us) // self.half_us)
        begin_us = self.next_us
        self.age_us = self.now_us - begin_us
        self.next_us += count * self.half_us
        self.disturbances = [d for d in self.disturbances if d[1] > begin_us - self.half_us]
        near = [d for d in self.disturbances if d[0] < self.next_us]
        means = []
        for phase in range(self.phases):
            if near or not count:
                means.append(self._disturbed(phase, begin_us, count, voltages_mv[phase], near))
            else:
                self._calm(phase, count, voltages_mv[phase])
                means.append(voltages_mv[phase])
        return means

    def _calm(self, phase: int, count: int, voltage_mv: int) -> None:
        self.half_cycles[phase] = [voltage_mv] * count
        self._before[phase] = voltage_mv
        self.alive_permille[phase] = 1000

    def _disturbed(
        self,
        phase: int,
        begin_us: int,
        count: int,
        voltage_mv: int,
        near: list[tuple[int, int, int, int]],
    ) -> int:
        values = []
        alive = total = 0
        for number in range(count):
            at_us = begin_us + number * self.half_us
            permille = 1000
            for first_us, last_us, which, level in near:
                if first_us <= at_us < last_us and which in (0, phase + 1):
                    permille = level
            half_mv = voltage_mv * permille // 1000
            before_mv = self._before[phase] or half_mv
            values.append(isqrt((half_mv * half_mv + before_mv * before_mv) // 2))
            self._before[phase] = max(half_mv, 1)
            total += half_mv
            alive += permille >= DEAD_PERMILLE
        self.half_cycles[phase] = values
        if not count:
            return voltage_mv
        self.alive_permille[phase] = alive * 1000 // count
        return total // count
