"""Quarter-hour differences of cumulative registers; pure, used by `metering_data`.

Rules: a snapshot is a reading whose time is a multiple of 900 s in UTC with a valid clock.
Two neighbouring snapshots of one incarnation give an interval. A missing one gives a gap with the
total. A snapshot that is not later than the last one (the clock was stepped back) is passed over:
its energy falls into the next interval, whose status says so. A register that went down, or a new
incarnation, gives a gap without a total.
"""

from typing import Any, NamedTuple

QUARTER_S = 900


class Interval(NamedTuple):
    """One interval of the profile, or a gap if there is a reason."""

    start_s: int
    end_s: int
    status: int
    deltas: dict[str, int]
    reason: str = ""


class QuarterHours:
    """Remembers the last snapshot and the status of the readings since."""

    def __init__(self) -> None:
        """Begin without a snapshot."""
        self._incarnation = ""
        self._time_s = 0
        self._status = 0
        self._values: dict[str, int] = {}

    def feed(
        self, incarnation: str, time_s: int, status: int, values: dict[str, int]
    ) -> Interval | None:
        """Take a reading; return the interval or gap that it ends.

        Args:
            incarnation: of the meter's state; another one means registers may have restarted.
            time_s: UTC second of the reading, 0 without a valid clock.
            status: its status bits.
            values: its cumulative registers.
        """
        self._status |= status
        if not time_s or time_s % QUARTER_S or not values:
            return None
        same = incarnation == self._incarnation
        if same and time_s <= self._time_s:
            return None
        interval = self._close(time_s, values, same=same) if self._time_s else None
        if self._time_s and time_s <= self._time_s:
            interval = None
        self._incarnation = incarnation
        self._time_s = time_s
        self._values = dict(values)
        self._status = 0
        return interval

    def _close(self, time_s: int, values: dict[str, int], *, same: bool) -> Interval:
        deltas = {
            code: value - self._values[code]
            for code, value in values.items()
            if code in self._values
        }
        reason = ""
        if not same:
            reason, deltas = "new_incarnation", {}
        elif any(delta < 0 for delta in deltas.values()):
            reason, deltas = "register_decreased", {}
        elif time_s - self._time_s != QUARTER_S:
            reason = "missing_snapshot"
        elif deltas.keys() != self._values.keys():
            reason = "missing_register"
        return Interval(self._time_s, time_s, self._status, deltas, reason)

    def export(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "incarnation": self._incarnation,
            "time_s": self._time_s,
            "status": self._status,
            "values": self._values,
        }

    @classmethod
    def restore(cls, document: dict[str, Any]) -> "QuarterHours":
        """Return what `export` described.

        Raises:
            KeyError, TypeError: the document is damaged.
        """
        quarters = cls()
        quarters._incarnation = str(document["incarnation"])
        quarters._time_s = int(document["time_s"])
        quarters._status = int(document["status"])
        quarters._values = {str(code): int(value) for code, value in document["values"].items()}
        return quarters
