"""Counts dips, swells and interruptions in the cells of EN 50160; pure, used by `power_quality`.

Polyphase rule (IEC 61000-4-30, 5.4): events that overlap in time are one, from the first start to
the last end, with the most extreme voltage. The supply is interrupted when every phase is below
5 %; a dip around an interruption is not counted beside it. Events arrive when they end, so a group
stays open until nothing that overlaps it can come any more. The meter gives starts in whole
seconds, so two events of one sort on one phase are never one, whatever their times seem to say.
"""

from typing import Any, Literal

Kind = Literal["dip", "swell", "interruption"]

DIP_ROWS = ("90>u>=80", "80>u>=70", "70>u>=40", "40>u>=5", "5>u")
DIP_COLUMNS = ("10<=t<=200", "200<t<=500", "500<t<=1000", "1000<t<=5000", "5000<t<=60000")
SWELL_ROWS = ("u>=120", "120>u>110")
SWELL_COLUMNS = ("10<=t<=500", "500<t<=5000", "5000<t<=60000")
_DIP_LIMITS = (80, 70, 40, 5)
_DIP_ENDS_MS = (200, 500, 1000, 5000, 60000)
_SWELL_ENDS_MS = (500, 5000, 60000)
_SHORT_MS = 180_000
SETTLE_MS = 180_000
_MOST_OPEN = 64
_MOST_PHASES = 3


class _Group:
    """Overlapping events of one sort (swells apart from dips and interruptions)."""

    def __init__(self, swell: bool, start_ms: int, end_ms: int, extreme_mv: int) -> None:
        self.swell = swell
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.extreme_mv = extreme_mv
        self.members: set[str] = set()
        self.interrupted: dict[int, tuple[int, int]] = {}

    def overlaps(self, other: "_Group") -> bool:
        return (
            self.swell == other.swell
            and not self.members & other.members
            and self.start_ms <= other.end_ms
            and other.start_ms <= self.end_ms
        )

    def absorb(self, other: "_Group") -> None:
        worst = max if self.swell else min
        self.members |= other.members
        self.extreme_mv = worst(self.extreme_mv, other.extreme_mv)
        self.start_ms = min(self.start_ms, other.start_ms)
        self.end_ms = max(self.end_ms, other.end_ms)
        for phase, (start_ms, end_ms) in other.interrupted.items():
            mine = self.interrupted.get(phase, (start_ms, end_ms))
            self.interrupted[phase] = (min(mine[0], start_ms), max(mine[1], end_ms))


class Disturbances:
    """The tables since the beginning of this state."""

    def __init__(self, nominal_mv: int, phases: int) -> None:
        """`nominal_mv` declared voltage; `phases` of the meter, 0 while unknown."""
        self._nominal_mv = nominal_mv
        self.phases = phases
        self._open: list[_Group] = []
        self._dips = [[0] * len(DIP_COLUMNS) for _ in DIP_ROWS]
        self._swells = [[0] * len(SWELL_COLUMNS) for _ in SWELL_ROWS]
        self._others = {"shortInterruptions": 0, "longInterruptions": 0, "interruptedMs": 0,
                        "longDips": 0, "longSwells": 0}  # fmt: skip

    def add(self, kind: Kind, start_ms: int, duration_ms: int, extreme_mv: int, phase: int) -> None:
        """Take an event that has ended.

        Args:
            kind: as the meter judged it.
            start_ms: UTC in ms.
            duration_ms: its length.
            extreme_mv: residual voltage, of a swell the highest.
            phase: 1 to 3.
        """
        end_ms = start_ms + duration_ms
        group = _Group(kind == "swell", start_ms, end_ms, extreme_mv)
        group.members.add(f"{kind} {phase}")
        if kind == "interruption":
            group.interrupted[phase] = (start_ms, end_ms)
        self._merge(group)

    def add_outage(self, start_ms: int, duration_ms: int) -> None:
        """Take a loss of supply that the meter reported when power came back."""
        group = _Group(False, start_ms, start_ms + duration_ms, 0)
        for phase in range(1, (self.phases or _MOST_PHASES) + 1):
            group.interrupted[phase] = (start_ms, start_ms + duration_ms)
        self._merge(group)

    def _merge(self, group: _Group) -> None:
        overlapping = [other for other in self._open if other.overlaps(group)]
        for other in overlapping:
            group.absorb(other)
            self._open.remove(other)
        self._open.append(group)
        settled = [one for one in self._open if one.end_ms < group.end_ms - SETTLE_MS]
        for one in settled or (self._open[:1] if len(self._open) > _MOST_OPEN else []):
            self._open.remove(one)
            self._count(one, self._dips, self._swells, self._others)

    def _count(
        self, group: _Group, dips: list[list[int]], swells: list[list[int]], others: dict[str, int]
    ) -> None:
        duration_ms = group.end_ms - group.start_ms
        percent = group.extreme_mv * 100 / self._nominal_mv
        if len(group.interrupted) >= self._expected(group) and not group.swell:
            start_ms = max(start for start, _ in group.interrupted.values())
            end_ms = min(end for _, end in group.interrupted.values())
            if start_ms < end_ms:
                is_short = end_ms - start_ms <= _SHORT_MS
                others["shortInterruptions" if is_short else "longInterruptions"] += 1
                others["interruptedMs"] += end_ms - start_ms
                return
        if group.swell:
            column = _column(duration_ms, _SWELL_ENDS_MS)
            if column is None:
                others["longSwells"] += 1
            else:
                swells[0 if percent >= 120 else 1][column] += 1  # noqa: PLR2004 - table 4
            return
        column = _column(duration_ms, _DIP_ENDS_MS)
        if column is None:
            others["longDips"] += 1
        else:
            dips[sum(percent < limit for limit in _DIP_LIMITS)][column] += 1

    def _expected(self, group: _Group) -> int:
        """Return how many phases an interruption needs; a second phase tells of three."""
        return self.phases or (_MOST_PHASES if max(group.interrupted, default=1) > 1 else 1)

    def describe(self) -> dict[str, Any]:
        """Return the tables, groups that are still open included."""
        dips = [list(row) for row in self._dips]
        swells = [list(row) for row in self._swells]
        others = dict(self._others)
        for group in self._open:
            self._count(group, dips, swells, others)
        return {
            "dips": {"rows": DIP_ROWS, "columns_ms": DIP_COLUMNS, "counts": dips},
            "swells": {"rows": SWELL_ROWS, "columns_ms": SWELL_COLUMNS, "counts": swells},
            "interruptions": others,
        }

    def export(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "dips": self._dips,
            "swells": self._swells,
            "others": self._others,
            "open": [
                [
                    one.swell,
                    one.start_ms,
                    one.end_ms,
                    one.extreme_mv,
                    sorted(one.members),
                    list(one.interrupted.items()),
                ]
                for one in self._open
            ],
        }

    def restore(self, document: dict[str, Any]) -> None:
        """Take over what `export` described.

        Raises:
            KeyError, TypeError, IndexError: the document is damaged.
        """
        self._dips = [[int(cell) for cell in row] for row in document["dips"]]
        self._swells = [[int(cell) for cell in row] for row in document["swells"]]
        self._others = {str(name): int(count) for name, count in document["others"].items()}
        self._open = []
        for swell, start_ms, end_ms, extreme_mv, members, interrupted in document["open"]:
            group = _Group(bool(swell), int(start_ms), int(end_ms), int(extreme_mv))
            group.members = {str(one) for one in members}
            group.interrupted = {int(one): (int(a), int(b)) for one, (a, b) in interrupted}
            self._open.append(group)


def _column(duration_ms: int, ends_ms: tuple[int, ...]) -> int | None:
    """Return the column of a duration, None if it is beyond the last one."""
    for place, end_ms in enumerate(ends_ms):
        if duration_ms <= end_ms:
            return place
    return None
