"""Metering chips, by the constants of other open drivers: a UART, pulse trains.

They compute with floats and by the formulas as printed, the drivers with integers and by their own:
who is wrong shows. Time passes by `advance`. Sources: see `chips.bl0942` and `chips.hlw8012`.
Both Pythons. Neighbours: test_chips.py, test_chip_front_end.py.
"""

CF_MILLISECONDS = 419430400
"""CF of the BL0942 has the period 1638.4 · 256 / WATT seconds."""


class Bl0942Chip:
    """A BL0942 behind 1 mΩ and 5 · 390 kΩ / 510 Ω, on its UART."""

    def __init__(self, address=0, count=0):
        self.address = address
        self.count = count
        self.pulses = 0
        self.is_alive = True
        self.out = b""
        self.asked = 0
        self._carry = 0
        self.set(0, 0, 0, 50)

    def set(self, volts, amperes, watts, hertz=50.0):
        pin_mv = volts * 1000 * 0.51 / (5 * 390 + 0.51)
        self.v_rms = int(73989 * pin_mv / 1.218 + 0.5)
        self.i_rms = int(305978 * amperes * 1.0 / 1.218 + 0.5)
        watts_mv = watts * 1000 * 0.51 / (5 * 390 + 0.51)
        self.watt = int(3537 * watts_mv / (1.218 * 1.218))
        self.period = int(1000000 / hertz + 0.5)

    def advance(self, ms):
        """Let the counter of energy run: absolute, 24 bits; `pulses` is what it has counted."""
        self._carry += abs(self.watt) * ms
        pulses, self._carry = divmod(self._carry, CF_MILLISECONDS)
        self.pulses += pulses
        self.count = (self.count + pulses) % (1 << 24)

    def packet(self):
        body = b"\x55"
        watt = self.watt % (1 << 24)
        for value in (self.i_rms, self.v_rms, self.i_rms, watt, self.count, self.period, 0):
            body += value.to_bytes(3, "little")
        return body + bytes((255 - (0x58 + self.address + sum(body)) % 256,))

    def write(self, octets):
        """Answer to what the meter asks, if it is for this chip."""
        if self.is_alive and octets == bytes((0x58 + self.address, 0xAA)):
            self.asked += 1
            self.out += self.packet()

    def read(self):
        out, self.out = self.out, b""
        return out


class Train:
    """Pulses of a frequency that the test sets, counted and timed as `hal` does it."""

    def __init__(self):
        self.pulses = 0
        self.hertz = 0
        self._phase = 0.0
        self._now_us = 0
        self._seen = 0
        self._seen_us = 0

    def advance(self, ms):
        self._now_us += ms * 1000
        self._phase += self.hertz * ms / 1000
        whole = int(self._phase)
        self._phase -= whole
        self.pulses += whole
        return whole

    def count(self):
        return self.pulses

    def period_us(self):
        pulses, passed_us = self.pulses - self._seen, self._now_us - self._seen_us
        if not pulses:
            return 0
        self._seen, self._seen_us = self.pulses, self._now_us
        return passed_us // pulses


class PulseChip:
    """A HLW8012 or BL0937 behind 1 mΩ and the divider of its data sheet."""

    def __init__(self, model="hlw8012"):
        self.model = model
        self.cf = Train()
        self.cf1 = Train()
        self.turns = 0
        self._is_voltage = False
        self.load(0, 0, 0)

    def load(self, volts, amperes, watts):
        if self.model == "hlw8012":
            reference, ratio = 2.43, 2821.0
            power, current, voltage = 48 * 3579000 / 128, 24 * 3579000 / 512, 2 * 3579000 / 512
        else:
            reference, ratio = 1.218, 1981.0
            power, current, voltage = 1721506, 94638, 15397
        self.cf.hertz = watts / ratio * 0.001 * power / (reference * reference)
        self._hertz = (amperes * 0.001 * current / reference, volts / ratio * voltage / reference)
        self.cf1.hertz = self._hertz[self._is_voltage]

    def set(self, is_voltage):
        """Turn SEL."""
        self.turns += 1
        self._is_voltage = is_voltage
        self.cf1.hertz = self._hertz[is_voltage]

    def advance(self, ms):
        self.cf.advance(ms)
        self.cf1.advance(ms)


class Hal:
    """An open board with what the test gives it."""

    def __init__(self, uart=None, counters=None, outputs=None, cause="unknown", sampler=None):
        self._uart = uart
        self._counters = counters or {}
        self._outputs = outputs or {}
        self._cause = cause
        if sampler is not None:
            self.sampler = lambda _name: sampler

    def uart(self, name):
        assert name == "chip"
        return self._uart

    def counter(self, name):
        return self._counters[name]

    def output(self, name, _is_on=False):
        return self._outputs[name]

    def reset_cause(self):
        return self._cause


def take(driver):
    """Take a driver's energy in mJ and its flags, as `chip_front_end` does after each poll."""
    energy_mj, driver.energy_mj = driver.energy_mj, 0
    driver.lost = driver.late = False
    return energy_mj
