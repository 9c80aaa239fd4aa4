"""Pulses that are worth the same energy each: S0 outputs (IEC 62053-31), CF of a metering chip.

1 kWh is 3.6e9 mJ, so a pulse of 1600 a kWh is 2,250,000 mJ and one of 300 is 12,000,000. Where it
does not divide (7000 a kWh: 514,285.71 mJ), the remainder is carried: after any number of pulses
the sum is theirs, to the mJ. Neighbours: `hlw8012`, `bl0942`; `counter` adds what comes out here.
"""

from chips import Driver

KWH_MJ = 3600000000


class PulseEnergy:
    """Turns pulses into whole mJ and carries the remainder."""

    def __init__(self, mj: int, per: int = 1) -> None:
        """`mj` millijoule for `per` pulses; KWH_MJ and the pulses of a kWh, or any fraction."""
        self._mj = mj
        self.per = per
        self.remainder = 0

    def split(self, pulses: int) -> tuple[int, int]:
        """Return (mJ, new remainder) of these pulses (not negative) and what was left before."""
        return divmod(pulses * self._mj + self.remainder, self.per)


class PulseTrain(Driver):
    """One input: exact energy of its pulses, and power from the time between them."""

    def __init__(self, counter, mj: int, per: int) -> None:
        """Count from boot on.

        Args:
            counter: `count()` since boot, `period_us()` as in `hal`.
            mj: energy of `per` pulses in mJ.
            per: see `mj`.
        """
        self._counter = counter
        self._seen = 0
        self._joules = (mj, per)
        self.energy = PulseEnergy(mj, per)
        self._period_us = 0
        self._waited_ms = 0

    def poll(self, passed_ms: int) -> None:
        """Count the pulses that came; without one the power sinks with the time waited for it."""
        count = self._counter.count()
        pulses = count - self._seen
        energy_mj, remainder = self.energy.split(pulses)
        energy_mj += self.energy_mj
        self.energy_mj, self.energy.remainder, self._seen = energy_mj, remainder, count
        self._waited_ms += passed_ms
        period_us = self._counter.period_us()
        if pulses and not period_us:  # minutes apart: the board's microseconds have wrapped
            period_us = self._waited_ms * 1000 // pulses
        if period_us > 0:
            self._period_us = period_us
            self._waited_ms = 0
        self.sample = (None, self.power_w(), None, None, None)

    def power_w(self) -> "int | None":
        """Return the power in W, rounded; None while no pulse tells it.

        Without any pulse since boot it is 0 as soon as half a watt would have sent one.
        """
        mj, per = self._joules
        period_us = max(self._period_us, self._waited_ms * 1000)
        if not period_us:
            return None
        power_w = (2000 * mj + per * period_us) // (2 * per * period_us)
        return power_w if self._period_us or not power_w else None
