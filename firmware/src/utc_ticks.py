"""Cuts ticks of a monotonic clock at UTC boundaries, so that an interval gets exactly its energy.

The caller ticks whenever its event loop lets it; a tick that lies across 10:15:00 belongs to two
intervals. Used by `metering` (captures, demand, tariff) and `quality` (10-minute means).
"""

STEP_MS = 3000
"""A disagreement between UTC and the monotonic tick above this is a clock step, below it slews."""


class UtcTicks:
    """Remembers the UTC of the previous tick and says which boundaries the next one crosses."""

    def __init__(self, quantum_s: int) -> None:
        """`quantum_s`: distance of boundaries in seconds; they are multiples of it in UTC."""
        self.quantum_s = quantum_s
        self.utc_s: int | None = None
        self.utc_ms = 0
        self.stepped = False

    def parts(self, tick_ms: int, utc_s: int | None, utc_ms: int) -> list[tuple[int, int | None]]:
        """Return [(milliseconds, UTC boundary that ends this part, or None for the rest), …].

        Args:
            tick_ms: length of the tick on the monotonic clock.
            utc_s: UTC at the end of the tick, None while the clock is invalid.
            utc_ms: its milliseconds.

        The parts sum to `tick_ms`. A clock step sets `stepped` and crosses no boundary.
        """
        self.stepped = False
        if utc_s is None:
            self.utc_s = None
            return [(tick_ms, None)]
        if self.utc_s is None:
            self.utc_s = utc_s + (utc_ms - tick_ms) // 1000
            self.utc_ms = (utc_ms - tick_ms) % 1000
        elapsed_ms = (utc_s - self.utc_s) * 1000 + utc_ms - self.utc_ms
        first = self.utc_s // self.quantum_s + 1
        self.utc_s = utc_s
        self.utc_ms = utc_ms
        if abs(elapsed_ms - tick_ms) > STEP_MS:
            self.stepped = True
            return [(tick_ms, None)]
        last = utc_s // self.quantum_s
        if last < first:
            return [(tick_ms, None)]
        return self._cut(tick_ms, first, last)

    def _cut(self, tick_ms: int, first: int, last: int) -> list[tuple[int, int | None]]:
        parts: list[tuple[int, int | None]] = []
        left_ms = tick_ms
        for index in range(first, last + 1):
            boundary = index * self.quantum_s
            after_ms = ((self.utc_s or 0) - boundary) * 1000 + self.utc_ms
            if after_ms > left_ms:
                after_ms = left_ms
            parts.append((left_ms - after_ms, boundary))
            left_ms = after_ms
        parts.append((left_ms, None))
        return parts
