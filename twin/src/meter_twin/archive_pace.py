"""When a twin asks the archive: soon after entries, later after failures, by chance. Pure.

Ten thousand meters say their quarter hours at one moment, and ten thousand twins would reach an
archive that comes back in one. Neighbour: `archive_push`, which says what.
"""

SPREAD_MS = 1_000
LEAST_MS, MOST_MS = 1_000, 60_000
FENCED_MS = 60_000
MOST_WAIT_S = 300
ASK_AGAIN_MS = 3_600_000
"""Between two questions for the marks of a twin that has nothing to give: a backup may be back."""
_BUSY, _FENCED = 503, 409


class ArchivePace:
    """Moments of one twin, in monotonic milliseconds."""

    def __init__(self, spread_ms: int = SPREAD_MS) -> None:
        """`spread_ms`: how long entries wait at most for others to go with."""
        self._spread_ms = spread_ms
        self._due_ms: int | None = None
        self._wait_ms = 0
        self._ask_ms: int | None = None
        self.failures = 0

    @property
    def next_ms(self) -> int | None:
        """When there may be something to do; None before the first look."""
        due_ms = [one for one in (self._due_ms, self._ask_ms) if one is not None]
        return max(min(due_ms), self._wait_ms) if due_ms else None

    def is_due(self, now_ms: int) -> bool:
        """Whether it is time."""
        return self.next_ms is not None and self.next_ms <= now_ms

    def look(self, now_ms: int, chance: float) -> None:
        """Be due within the spread; what is due within it already stays so."""
        if self._due_ms is None or self._due_ms > now_ms + self._spread_ms:
            self._due_ms = now_ms + int(chance * self._spread_ms)

    def must_ask(self, now_ms: int, chance: float) -> bool:
        """Whether the marks have become old; they count from now on."""
        is_old = self._ask_ms is not None and now_ms >= self._ask_ms
        if is_old or self._ask_ms is None:
            self._ask_ms = now_ms + int(ASK_AGAIN_MS * (1 + chance) / 2)
        return is_old

    def rest(self, due_ms: int | None) -> None:
        """Note that there is nothing to do before this, if anything."""
        self._due_ms = due_ms

    def went_well(self, now_ms: int) -> None:
        """Go on at once."""
        self.failures = 0
        self._due_ms = self._wait_ms = now_ms

    def back_off(self, now_ms: int, chance: float) -> None:
        """Wait longer after each failure: anywhere between nothing and the ceiling, by chance."""
        self._rest_for(int(chance * self._ceiling_ms()), now_ms)

    def _ceiling_ms(self) -> int:
        self.failures += 1
        return min(MOST_MS, LEAST_MS << min(self.failures - 1, 16))

    def _rest_for(self, pause_ms: int, now_ms: int) -> None:
        self._due_ms = self._wait_ms = now_ms + pause_ms

    def refused(self, status: int, wait_s: int | None, now_ms: int, chance: float) -> None:
        """Wait as long as a refusal with this status asks for."""
        pause_ms = int(chance * self._ceiling_ms())
        if status == _BUSY and wait_s is not None:
            pause_ms = min(wait_s * 1000 + pause_ms, MOST_WAIT_S * 1000)
        elif status == _FENCED:
            pause_ms += FENCED_MS
        self._rest_for(pause_ms, now_ms)
