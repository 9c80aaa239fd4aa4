"""Contacts of the meter: cover, magnet, button, and the sign that the power fails.

No I/O: levels and time come in, what is to be done goes out. A contact counts when it is steady,
and tells at most so many changes an hour, for whoever plays with a magnet must not drive the
readings out of the ring. The power's failure is not debounced, for want of time; it is believed
so often an hour that a bad contact does not wear the flash. Neighbour: `local_control`.
"""

STEADY_MS = 200
MOST_AN_HOUR = 20
"""Changes of one contact that are told."""
GASPS_AN_HOUR = 4
CALM_MS = 2000
"""The power is back when the sign of its failure was away for so long."""
STUCK_MS = 60000
"""A meter that still runs so long after the sign has power, whatever the sign says."""
HOUR_MS = 3600000

GASP = 1
HELD = 2


class Allowance:
    """At most so many times within an hour."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times_ms = []

    def take(self, now_ms: int) -> bool:
        """Return whether there may be another, and count it."""
        times_ms = self._times_ms
        if len(times_ms) == self._most:
            if now_ms - times_ms[0] < HOUR_MS:
                return False
            times_ms.pop(0)
        times_ms.append(now_ms)
        return True


class Contact:
    """One contact; `told` is the level that was told last."""

    def __init__(self, told: bool) -> None:
        """`told`: the level that the ring knows, from before the boot."""
        self.told = told
        self._level = told
        self._since_ms = 0
        self._allowance = Allowance(MOST_AN_HOUR)

    def poll(self, level: bool, now_ms: int) -> bool:
        """Take the level of this moment; return whether `told` has changed."""
        if level != self._level:
            self._level = level
            self._since_ms = now_ms
        if level == self.told or now_ms - self._since_ms < STEADY_MS:
            return False
        if not self._allowance.take(now_ms):
            return False
        self.told = level
        return True


class LastGasp:
    """What the sign of a failing power asks for: `GASP` once, `HELD` if it did not go."""

    def __init__(self) -> None:
        self._noticed = False
        self._armed = True
        self._gasped_ms: "int | None" = None
        self._calm_ms: "int | None" = None
        self._allowance = Allowance(GASPS_AN_HOUR)

    def notice(self, _source=None) -> None:
        """Note that the power fails, for the next `poll`; an interrupt may call it."""
        self._noticed = True

    def poll(self, failing: bool, now_ms: int) -> int:
        """Take the sign of this moment; return `GASP`, `HELD` or 0."""
        failing = failing or self._noticed
        self._noticed = False
        if self._gasped_ms is not None:
            return self._wait(failing, now_ms)
        if not failing:
            self._armed = True
        elif self._armed:
            self._armed = False
            if self._allowance.take(now_ms):
                self._gasped_ms = now_ms
                self._calm_ms = None
                return GASP
        return 0

    def _wait(self, failing: bool, now_ms: int) -> int:
        if failing:
            self._calm_ms = None
        elif self._calm_ms is None:
            self._calm_ms = now_ms
        is_calm = self._calm_ms is not None and now_ms - self._calm_ms >= CALM_MS
        if is_calm or now_ms - self._gasped_ms >= STUCK_MS:  # type: ignore - gasped
            self._gasped_ms = None
            return HELD
        return 0
