"""What samples of voltage and current of an ADC say: RMS, powers, frequency, direction. Integers.

Everything is taken over whole periods, from one rising zero crossing of the voltage to another
(IEEE 1459-2010, 3.1): RMS and active power with the parts of samples at both ends, the zero line
being the samples' own mean. Crossings are joined by a straight line to 1/256 of a sample; a step
back below -1/8 of the peak must come before the next counts, or harmonics would make more of them.
Reactive power is the mean product with the voltage of a quarter period earlier: that of the
fundamental, positive where the current lags, too small by at most 1 - cos(π/N) with N samples a
period (0.08 % with 80). Neighbour: `chip_front_end`.
"""

from chips import Driver
from isqrt import isqrt

FULL_SCALE = 2048
"""Samples are 12 bits: 0 to 4095, or signed. `CHUNK` products of two fit a machine word."""
CHUNK = 120
LEAST_PERIODS = 2
SILENT_MS = 3000
FINE = 256
"""Parts of a sample, and of an ADC step in a result."""


def sums(voltages, currents, first: int, last: int, middle_u: int, middle_i: int) -> tuple:
    """Return (Σu, Σi, Σu², Σi², Σui) of samples `first` to before `last`, at most `CHUNK` of them.

    The inner loop: no allocation, every sum below 2**30; for @micropython.native or, with pointers,
    viper.
    """
    u = i = uu = ii = ui = 0
    for index in range(first, last):
        voltage = voltages[index] - middle_u
        current = currents[index] - middle_i
        u += voltage
        i += current
        uu += voltage * voltage
        ii += current * current
        ui += voltage * current
    return u, i, uu, ii, ui


def _cells(begin: int, end: int) -> tuple:
    """Return (first, last, what the first has too much, what the last has) of a stretch.

    A sample stands for its ±1/2. `begin`, `end` and the weights are in 1/256 samples; the stretch
    is the samples `first` to before `last`, less one weight of `first`, and the other of `last`.
    """
    first, last = (begin + FINE // 2) // FINE, (end + FINE // 2) // FINE
    return first, last, begin + FINE // 2 - first * FINE, end + FINE // 2 - last * FINE


def _total(voltages, currents, begin: int, end: int, middles: tuple) -> list:
    """Return the sums from `begin` to `end`, in 1/256 samples."""
    first, last, less, more = _cells(begin, end)
    total = [0, 0, 0, 0, 0]
    parts = [(at, min(at + CHUNK, last), FINE) for at in range(first, last, CHUNK)]
    for at, until, weight in parts + [(first, first + 1, -less), (last, last + 1, more)]:
        part = sums(voltages, currents, at, until, middles[0], middles[1])
        for index in range(5):
            total[index] += part[index] * weight
    return total


def _reactive(voltages, currents, begin: int, end: int, middles: tuple, quarter: int) -> int:
    """Return the mean of u(t - `quarter`)·i(t) from `begin` to `end`, times 65536."""
    middle_u, middle_i = middles
    whole, part = quarter // FINE, quarter % FINE
    first, last, less, more = _cells(begin, end)
    total = 0
    for index in range(first, last + 1):
        later = voltages[index - whole] - middle_u
        earlier = voltages[index - whole - 1] - middle_u
        product = (later * (FINE - part) + earlier * part) * (currents[index] - middle_i)
        if index == first:
            product = product * (FINE - less) // FINE
        elif index == last:
            product = product * more // FINE
        total += product
    return total * FINE * FINE // (end - begin)


def crossings(voltages, middle: int) -> list:
    """Return the rising zero crossings of the voltage in 1/256 samples."""
    guard = max(1, (max(voltages) - min(voltages)) // 16)
    found = []
    below = False
    zero = None
    before = voltages[0] - middle
    for index in range(1, len(voltages)):
        level = voltages[index] - middle
        if level <= -guard:
            below = True
            zero = None
        elif before < 0 <= level:
            zero = index * FINE - level * FINE // (level - before)
        if below and zero is not None and level >= guard:
            found.append(zero)
            below = False
        before = level
    return found


def measure(voltages, currents, rate_mhz: int) -> "tuple | None":
    """Return (frequency mHz or None, U, I in 1/256 steps, P, Q in 1/65536 square steps).

    Args:
        voltages: samples, evenly spaced; both channels at the same instants.
        currents: as many.
        rate_mhz: samples in a thousand seconds.

    Returns:
        P is negative for export. Without a voltage that swings there is no frequency and no Q. None
        for fewer than two samples.
    """
    count = len(voltages)
    if count < 2 or len(currents) != count:
        return None
    middles = (sum(voltages) // count, sum(currents) // count)
    marks = crossings(voltages, middles[0])
    while len(marks) > LEAST_PERIODS and marks[0] < (marks[1] - marks[0]) // 4 + 2 * FINE:
        marks.pop(0)  # a quarter period before the first is needed
    begin, end, frequency_mhz = FINE // 2, count * FINE - FINE // 2 - 1, None
    if len(marks) > LEAST_PERIODS:
        begin, end = marks[0], marks[-1]
        periods = len(marks) - 1
        frequency_mhz = (2 * rate_mhz * periods * FINE + end - begin) // (2 * (end - begin))
    u, i, uu, ii, ui = _total(voltages, currents, begin, end, middles)
    length = end - begin
    reactive = None
    if frequency_mhz is not None:
        quarter = (end - begin) // (4 * (len(marks) - 1))
        middles = (middles[0], middles[1] + (i + length // 2) // length)
        reactive = _reactive(voltages, currents, begin, end, middles, quarter)
    area = FINE * FINE
    return (
        frequency_mhz,
        isqrt(max(0, uu * area // length - u * u * area // (length * length))),
        isqrt(max(0, ii * area // length - i * i * area // (length * length))),
        ui * area // length - u * i * area // (length * length),
        reactive,
    )


class Sampled(Driver):
    """Takes blocks of samples; each stands for the time until the next."""

    measures = ("rms", "frequency", "direction", "reactive")

    def __init__(self, sampler, scales: dict) -> None:
        """Attach an ADC.

        Args:
            sampler: `read()` → (voltages, currents, samples in a thousand seconds) or None if there
                is no new block.
            scales: "voltage", "current" → `calibration.Scale` of 1/256 steps, "active_power",
                "reactive_power" of 1/65536 square steps, in mW and mvar, "frequency" of mHz.
        """
        self._sampler = sampler
        self._scales = scales
        self._age_ms = 0
        self._power_mw: "int | None" = None
        self._carry = 0

    def poll(self, passed_ms: int) -> None:
        """Measure a new block; power times time is energy, its remainder carried."""
        block = self._sampler.read()
        found = measure(*block) if block is not None else None
        self._age_ms = 0 if found is not None else self._age_ms + passed_ms
        if found is not None:
            self._take(found)
        self.silent = self._age_ms >= SILENT_MS
        if self.silent:
            self.sample = Driver.sample
            self._power_mw = None
        if self._power_mw is not None:
            energy_mj, carry = divmod(self._power_mw * passed_ms + self._carry, 1000)
            energy_mj += self.energy_mj
            self.energy_mj, self._carry = energy_mj, carry

    def _take(self, found: tuple) -> None:
        frequency_mhz, voltage, current, power, reactive = found
        scales = self._scales
        self._power_mw = power_mw = scales["active_power"].of(power)
        reactive_mvar = None if reactive is None else scales["reactive_power"].of(reactive)
        self.sample = (
            None if frequency_mhz is None else scales["frequency"].of(frequency_mhz),
            (power_mw + 500) // 1000,
            None if reactive_mvar is None else (reactive_mvar + 500) // 1000,
            scales["voltage"].magnitude(voltage),
            scales["current"].magnitude(current),
        )
