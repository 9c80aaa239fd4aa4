"""How the meter stands with its utility, in a word that does not flicker.

A VTN that restarts must not change the condition of ten thousand meters: who is registered stays
so for five minutes of trouble that may pass. A refusal is said at once. Pure. Neighbours:
`utility_loop` (tells), `twin_state` (says it to the operator).
"""

from typing import NamedTuple

PASSING_S = 300
REGISTERED = "Registered"
_PASSING = frozenset({"Unreachable", "Timeout", "Closed", "HttpError", "BadAnswer"})
MOST_MESSAGE = 200


class Standing(NamedTuple):
    """One word, and a sentence for people."""

    reason: str
    message: str


class StandingKeeper:
    """Of one meter."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.standing: Standing | None = None
        self._troubled_s: int | None = None

    def note(self, reason: str, message: str, now_s: int) -> bool:
        """Take how it is now; return whether the standing is another one."""
        before = self.standing
        if reason not in _PASSING:
            self._troubled_s = None
        elif self._troubled_s is None:
            self._troubled_s = now_s
        was_well = before is not None and before.reason == REGISTERED
        if was_well and self._troubled_s is not None and now_s < self._troubled_s + PASSING_S:
            return False
        if before is not None and before.reason == reason:
            return False  # another wording of the same is no news
        self.standing = Standing(reason, message[:MOST_MESSAGE])
        return True
