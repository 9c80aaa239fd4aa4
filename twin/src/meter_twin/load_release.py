"""Which limits of loads the meter has been told, and how they are lifted at once. Pure.

A limit is lifted by the same one that lasts a second: there is no command for that, and only so
the meter's own spread of releases holds, and a load that is off without a limit is not switched on.
So nothing is lifted that nobody knows of: what was told is kept over restarts, and what the twin
before has told for the utility's events follows from these. Neighbour: `load_control`, which sends
the commands and asks again until the meter has answered.
"""

from collections.abc import Iterable

from meter_wire.commands import Write
from meter_wire.twin_commands import LOCAL_CODES

LIFT_S = 1
RETRY_MS = 5_000
_NOT_NOW = LOCAL_CODES | {"busy", "expired", "not_active"}
Row = tuple[int, int, int]
"""A limit that was told: number of the load, W, when it ends."""


class LoadRelease:
    """Of all loads of one meter; times are monotonic milliseconds, but for rows that are kept."""

    def __init__(self) -> None:
        """Begin with nothing told and nothing to lift."""
        self._told: dict[int, tuple[int, int]] = {}
        self._newest: dict[int, Write] = {}
        self._own: set[int] = set()
        self._due: dict[int, int] = {}

    @property
    def left(self) -> int:
        """How many loads are still to be released."""
        return len(self._due)

    def note(self, limit: Write, now_ms: int) -> None:
        """Note that the meter is told of a limit: it may do so, whatever is heard of it.

        Until it has answered, the limit before may be in force, too: the later end counts.
        """
        _, before_ms = self._told.get(limit.index, (0, 0))
        ends_ms = max(before_ms, now_ms + limit.seconds * 1000)
        self._told[limit.index] = limit.value, ends_ms
        self._newest[limit.index] = limit
        self._own.add(limit.index)

    def confirm(self, limit: Write, now_ms: int) -> None:
        """Note that this limit is in force by the meter's answer, and no earlier one."""
        if self._newest.get(limit.index) is limit:
            self._told[limit.index] = limit.value, now_ms + limit.seconds * 1000

    def inherit(self, limit: Write, now_ms: int) -> None:
        """Lift what the twin before may have told, unless this one knows the load better."""
        if limit.index not in self._own:
            self.note(limit, now_ms)
            self._due[limit.index] = now_ms

    def begin(self, now_ms: int) -> None:
        """Lift all limits that are in force."""
        self._due = {one: now_ms for one, (_, ends_ms) in self._told.items() if ends_ms > now_ms}

    def end(self) -> None:
        """Lift nothing more: loads may be limited again."""
        self._due.clear()

    def find_next(self, now_ms: int) -> Write | None:
        """Return the next command, None if none is due."""
        index = min((one for one, at_ms in self._due.items() if at_ms <= now_ms), default=None)
        if index is None:
            return None
        return Write("load", self._told[index][0], index=index, seconds=LIFT_S)

    def take(self, command: Write, code: str, now_ms: int) -> None:
        """Take the end of a command; without an answer of the meter it is told again."""
        if code not in _NOT_NOW:
            self._due.pop(command.index, None)
            self._told.pop(command.index, None)
        elif command.index in self._due:
            self._due[command.index] = now_ms + RETRY_MS

    def export(self, now_ms: int, now_s: int) -> list[Row]:
        """Return what has to be kept; moments in it are UTC seconds."""
        return [
            (index, limit_w, now_s + (ends_ms - now_ms) // 1000)
            for index, (limit_w, ends_ms) in sorted(self._told.items())
            if ends_ms > now_ms
        ]

    def restore(self, rows: Iterable[Row], now_ms: int, now_s: int) -> None:
        """Go on with what was kept."""
        for index, limit_w, ends_s in rows:
            if ends_s > now_s:
                self.note(Write("load", limit_w, index=index, seconds=ends_s - now_s), now_ms)
