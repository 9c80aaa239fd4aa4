"""A cumulative register of energy that loses nothing: whole units and the exact remainder.

Watt times milliseconds is millijoule, so 1 Wh is 3,600,000 of them: everything stays an integer
below 2**30 for ticks up to 40 s at 25 kW, which is a small integer on a 32-bit board.
"""

UNIT = 3600000
"""Millijoule in a watt-hour (and millivar-seconds in a var-hour)."""


class Counter:
    """Counts watt-hours (or var-hours) from power and time; never goes backwards."""

    def __init__(self) -> None:
        self.units = 0
        self.remainder = 0

    def add(self, power: int, duration_ms: int) -> None:
        """Add `power` (W or var, not negative) over `duration_ms`."""
        self.remainder += power * duration_ms
        if self.remainder >= UNIT:
            whole, self.remainder = divmod(self.remainder, UNIT)
            self.units += whole
