"""The weekly index of 10-minute voltage means; pure, used by `power_quality`.

EN 50160:2010, 4.2.2.2: in a week, 95 % of the 10-minute means within ±10 % of the declared voltage,
and all within +10 % and -15 %. A week begins on Monday 00:00 UTC. Means that are not whole (less
than 600 s covered) or flagged by a disturbance are counted but do not enter the index (flagging
concept of IEC 61000-4-30).
"""

from typing import Any

WEEK_S = 7 * 86400
_MONDAY_S = 4 * 86400
"""1970-01-05, the first Monday of UTC."""
_WHOLE_S = 600
_HEAD = 2
_PER_PHASE = 3
_PERCENT_INSIDE = 95
MEANS_OF_A_WEEK = 1008


class VoltageWeek:
    """Counts of the running week, per phase [means, within ±10 %, within +10/-15 %, min, max]."""

    def __init__(self, nominal_mv: int) -> None:
        """`nominal_mv`: declared voltage, phase to neutral."""
        self._nominal_mv = nominal_mv
        self._begin(0)

    def _begin(self, start_s: int) -> None:
        self._start_s = start_s
        self._flagged = 0
        self._partial = 0
        self._phases: list[list[int]] = []

    def add(self, time_s: int, arguments: list[int]) -> dict[str, Any] | None:
        """Take a `voltage_10min` event; return the index of the week that it ends, if it does.

        Args:
            time_s: UTC second at which its ten minutes began.
            arguments: covered_s, flagged, then minimum, mean, maximum in mV per phase.
        """
        start_s = time_s - (time_s - _MONDAY_S) % WEEK_S
        finished = None
        if start_s != self._start_s:
            if start_s < self._start_s:
                return None
            finished = self.describe() if self._start_s else None
            self._begin(start_s)
        means = arguments[_HEAD + 1 :: _PER_PHASE]
        if len(arguments) < _HEAD or arguments[0] < _WHOLE_S:
            self._partial += 1
        elif arguments[1]:
            self._flagged += 1
        else:
            self._count(means)
        return finished

    def _count(self, means: list[int]) -> None:
        for phase, mean_mv in enumerate(means):
            if phase >= len(self._phases):
                self._phases.append([0, 0, 0, mean_mv, mean_mv])
            row = self._phases[phase]
            row[0] += 1
            row[1] += self._is_within(mean_mv, 90)
            row[2] += self._is_within(mean_mv, 85)
            row[3] = min(row[3], mean_mv)
            row[4] = max(row[4], mean_mv)

    def _is_within(self, mean_mv: int, lowest_percent: int) -> int:
        value, nominal = mean_mv * 100, self._nominal_mv
        return int(nominal * lowest_percent <= value <= nominal * 110)

    def describe(self) -> dict[str, Any]:
        """Return the index: share within ±10 % in percent, and whether both rules hold so far."""
        phases = [
            {
                "means": count,
                "within_10_percent": round(100 * inside / count, 2),
                "passes_95_percent": inside * 100 >= count * _PERCENT_INSIDE,
                "passes_100_percent": wide == count,
                "lowest_mv": lowest,
                "highest_mv": highest,
            }
            for count, inside, wide, lowest, highest in self._phases
        ]
        return {
            "start_s": self._start_s,
            "expected_means": MEANS_OF_A_WEEK,
            "flagged": self._flagged,
            "partial": self._partial,
            "phases": phases,
        }

    def export(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "start_s": self._start_s,
            "flagged": self._flagged,
            "partial": self._partial,
            "phases": self._phases,
        }

    def restore(self, document: dict[str, Any]) -> None:
        """Take over what `export` described.

        Raises:
            KeyError, TypeError: the document is damaged.
        """
        self._start_s = int(document["start_s"])
        self._flagged = int(document["flagged"])
        self._partial = int(document["partial"])
        self._phases = [[int(cell) for cell in row] for row in document["phases"]]
