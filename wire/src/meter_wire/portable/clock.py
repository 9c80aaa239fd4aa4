"""The meter's uptime and UTC clock: slew, step, first set after power-up (design section 4).

Decisions only; the shell supplies ticks and acts on what is returned.
"""

MAX_SLEW_MS = 3000
MAX_UNSIGNED_STEP_MS = 60000


class Uptime:
    """Milliseconds since boot that never wrap, from ticks that do."""

    def __init__(self, ticks: int, mask: int = 0x3FFFFFFF) -> None:
        """`mask`: period of the ticks minus one (2**30 on MicroPython)."""
        self._ticks = ticks
        self._mask = mask
        self._ms = 0

    def ms(self, ticks: int) -> int:
        """Return the uptime; call at least once per half period of the ticks."""
        self._ms += (ticks - self._ticks) & self._mask
        self._ticks = ticks
        return self._ms


class Clock:
    """UTC on top of the uptime; invalid until it is set for the first time."""

    def __init__(self) -> None:
        """Begin without a valid time."""
        self.valid = False

    def utc_ms(self, now_ms: int) -> "int | None":
        """Return UTC in milliseconds since 1970, None while the clock is invalid."""
        raise NotImplementedError

    def set(self, utc_ms: int, now_ms: int, signed: bool) -> tuple[str, int]:
        """Judge and apply a time from the twin.

        Returns:
            (decision, offset in ms, signed): `first` (was invalid; flag and event), `slewed`
            (at most 3 s, no flag), `stepped` (flag and event) or `refused` (over 60 s unsigned).
        """
        raise NotImplementedError
