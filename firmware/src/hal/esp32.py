"""ESP32: pulses are counted by its pulse counters, which lose none while Python is busy.

Its converter samples voltage and current where no chip measures them.
"""

import time
from array import array

import machine
from hal.esp import Counter, EspBoard

FILTER_NS = 12000
"""Shorter ones are noise: the longest that the counter's filter knows (1023 cycles of 80 MHz)."""


BLOCK_US = 90000
"""Four periods of 45 Hz, as the frequency needs three zeros at rising voltage."""
SPACING_US = 125
"""Between two samples, if the converter and Python are as fast as that."""
LEAST_SAMPLES = 64
_MOST_SAMPLES = BLOCK_US // SPACING_US


class Sampler:
    """A voltage and a current at two pins of the converter ADC1, taken by turns."""

    def __init__(self, voltage: int, current: int) -> None:
        """`voltage`, `current`: GPIO 32 to 39."""
        self._voltage = machine.ADC(machine.Pin(voltage), atten=machine.ADC.ATTN_11DB)
        self._current = machine.ADC(machine.Pin(current), atten=machine.ADC.ATTN_11DB)
        self._voltages = array("h", bytes(2 * _MOST_SAMPLES))
        self._currents = array("h", bytes(2 * _MOST_SAMPLES))

    def read(self) -> "tuple | None":
        """Sample for 90 ms, in which nothing else runs; return what `chips.waveform.measure` takes.

        Steps are those of 12 bits. A current is taken half a sample after its voltage; the mean of
        two voltages in a row is the one of that moment. None if Python was held up for too long.
        """
        voltages, currents = self._voltages, self._currents
        read_voltage, read_current = self._voltage.read_u16, self._current.read_u16
        now_us, since = time.ticks_us, time.ticks_diff
        begin_us = now_us()
        count = passed_us = 0
        while count < _MOST_SAMPLES and passed_us < BLOCK_US:
            voltages[count] = read_voltage() >> 4
            currents[count] = read_current() >> 4
            count += 1
            passed_us = since(now_us(), begin_us)
            while passed_us < count * SPACING_US:
                passed_us = since(now_us(), begin_us)
        if count < LEAST_SAMPLES:
            return None
        for index in range(count - 1):
            voltages[index] = (voltages[index] + voltages[index + 1]) // 2
        rate_mhz = count * 1000000000 // passed_us
        count -= 1
        return memoryview(voltages)[:count], memoryview(currents)[:count], rate_mhz


class Board(EspBoard):
    """See `hal`."""

    def sampler(self, _name: str) -> Sampler:
        """Open the converter at the pins `voltage` and `current`."""
        return Sampler(self._pin("voltage")["gpio"], self._pin("current")["gpio"])

    def counter(self, name: str) -> Counter:
        """Count the falling edges of a pin, by a hardware counter of its own."""
        pin = self._pin(name)
        port = machine.Pin(pin["gpio"], machine.Pin.IN, machine.Pin.PULL_UP)
        edge = machine.Counter.FALLING
        counter = machine.Counter(pin["counter"], port, edge=edge, filter_ns=FILTER_NS)
        return Counter(counter.value)

    def watchdog(self, timeout_ms: int):
        """Start the watchdog; return what feeds it."""
        return machine.WDT(timeout=timeout_ms).feed
