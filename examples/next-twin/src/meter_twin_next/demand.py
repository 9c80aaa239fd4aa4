"""The highest quarter-hour demand of a month, as a capacity tariff bills it; pure.

Rules: demand is the energy imported in a whole quarter hour of the profile; a gap has none, because
its distribution is not known. Months are those of UTC, an interval belongs to the month that it
begins in. What was before this was kept is not known, so a month has the moment since when it is,
and one month may have several records: each holds from its own moment on. Neighbour:
`metering_data`.
"""

import time
from typing import Any

from meter_twin.application import Record
from meter_twin.applications.quarter_hours import QUARTER_S
from meter_twin.presentation import format_time

SERIES = "demand"
REGISTER = "1-0:1.8.0*255"


class HighestDemand:
    """Of the running month."""

    def __init__(self) -> None:
        """Begin without an interval."""
        self._since_s = 0
        self._end_s = 0
        self._energy = -1

    def feed(self, end_s: int, energy: int) -> Record | None:
        """Take a quarter hour of the profile; return the month's record if it is another one.

        Args:
            end_s: UTC second at which it ends.
            energy: imported in it, in the register's own unit.
        """
        start_s = end_s - QUARTER_S
        if not self._since_s or _month(start_s) != _month(self._since_s):
            self._since_s, self._energy = start_s, -1
        if energy <= self._energy:
            return None
        self._end_s, self._energy = end_s, energy
        return Record(SERIES, self._since_s, self.describe())

    def describe(self) -> dict[str, Any]:
        """Return the highest quarter hour so far; its end is None before the first."""
        return {
            "since": format_time(self._since_s),
            "end": format_time(self._end_s),
            "energy": max(0, self._energy),
            "register": REGISTER,
        }

    def export(self) -> list[int]:
        """Return the state as JSON values."""
        return [self._since_s, self._end_s, self._energy]

    @classmethod
    def restore(cls, document: list[int]) -> "HighestDemand":
        """Return what `export` described.

        Raises:
            ValueError, TypeError: the document is damaged.
        """
        found = cls()
        found._since_s, found._end_s, found._energy = (int(value) for value in document)
        return found


def _month(moment_s: int) -> tuple[int, int]:
    moment = time.gmtime(moment_s)
    return moment.tm_year, moment.tm_mon
