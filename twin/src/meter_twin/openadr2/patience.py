"""When a VTN that failed is asked again: later and later, never given up.

Neighbour: `ven`.
"""

BACK_OFF_S, MOST_BACK_OFF_S = 2, 300
POLLS_BEFORE_REREGISTRATION = 5
"""So many polls in a row without a good answer, and the VEN registers again."""


class Patience:
    """How often it has failed, and how long to wait now."""

    def __init__(self) -> None:
        """Begin without a failure."""
        self.not_before_s = 0
        self._failures = 0
        self._bad_polls = 0

    def failed(self, now_s: int, chance: float) -> None:
        """Wait at random up to twice as long as the last time; `chance` is in [0, 1)."""
        ceiling = min(MOST_BACK_OFF_S, BACK_OFF_S << min(self._failures, 16))
        self._failures += 1
        self.not_before_s = now_s + 1 + int(ceiling * chance)

    def went_well(self) -> None:
        """Forget the failures."""
        self._failures = self._bad_polls = 0

    def poll_failed(self) -> bool:
        """Count a poll without a good answer; return whether these are too many."""
        self._bad_polls += 1
        if self._bad_polls < POLLS_BEFORE_REREGISTRATION:
            return False
        self._bad_polls = 0
        return True
