"""The meter's uptime and UTC clock: slew, step, first set after power-up (design section 4).

Decisions only: the shell supplies ticks, sets status bits and writes events by what is returned.
What a twin may move without the utility's signature is bounded per day, so that many small steps
do not add up to a large one.
"""

from .constant import const


MAX_SLEW_MS = const(3000)
MAX_UNSIGNED_MS = const(60000)
_DAY_MS = const(86400000)
_SLEW_SHIFT = const(6)


class Uptime:
    """Milliseconds since boot that never wrap, from ticks that do."""

    def __init__(self, ticks: int, mask: int = 0x3FFFFFFF) -> None:
        """`mask`: period of the ticks minus one (2**30 - 1 on MicroPython)."""
        self._ticks = ticks
        self._mask = mask
        self._ms = 0

    def ms(self, ticks: int) -> int:
        """Return the uptime; to be called at least once per period of the ticks (12 days)."""
        self._ms += (ticks - self._ticks) & self._mask
        self._ticks = ticks
        return self._ms


class Clock:
    """UTC on top of the uptime; invalid until it is set for the first time."""

    def __init__(self) -> None:
        """Begin without a valid time."""
        self.valid = False
        self._base_ms = 0
        self._since_ms = 0
        self._slew_ms = 0
        self._day_ms = 0
        self._moved_ms = 0

    def utc_ms(self, now_ms: int) -> "int | None":
        """Return UTC in milliseconds since 1970, None while the clock is invalid.

        It never goes back between steps: a slew moves it by 1/64 of the time that passes.
        """
        return (
            self._base_ms + now_ms - self._since_ms + self._slewed(now_ms) if self.valid else None
        )

    def _slewed(self, now_ms: int) -> int:
        most_ms = (now_ms - self._since_ms) >> _SLEW_SHIFT
        slewed_ms: int = max(-most_ms, min(most_ms, self._slew_ms))
        return slewed_ms

    def set(self, utc_ms: int, now_ms: int, signed: bool) -> tuple[str, int]:
        """Judge and apply a time.

        Args:
            utc_ms: UTC at `now_ms`.
            now_ms: uptime.
            signed: whether the utility signed it.

        Returns:
            (decision, offset in ms): `first` (was invalid: flag and event), `slewed` (at most
            3 s, no flag), `stepped` (flag and event), or `refused` (unsigned, and more than 60 s
            at once or within a day).
        """
        utc_now_ms = self.utc_ms(now_ms)
        if utc_now_ms is None:
            self.valid = True
            self._rebase(utc_ms, now_ms, 0)
            return "first", 0
        offset_ms = utc_ms - utc_now_ms
        if not signed:
            if now_ms - self._day_ms >= _DAY_MS:
                self._day_ms = now_ms
                self._moved_ms = 0
            if self._moved_ms + abs(offset_ms) > MAX_UNSIGNED_MS:
                return "refused", offset_ms
            self._moved_ms += abs(offset_ms)
        if abs(offset_ms) <= MAX_SLEW_MS:
            self._rebase(utc_now_ms, now_ms, offset_ms)
            return "slewed", offset_ms
        self._rebase(utc_ms, now_ms, 0)
        return "stepped", offset_ms

    def _rebase(self, utc_ms: int, now_ms: int, slew_ms: int) -> None:
        self._base_ms = utc_ms
        self._since_ms = now_ms
        self._slew_ms = slew_ms
