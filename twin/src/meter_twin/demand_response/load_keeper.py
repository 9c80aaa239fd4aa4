"""Keeps a load of the meter at its limit: says it, renews it, lifts it.

The meter lets each limit expire by itself, on its own clock; so a limit is said for ten minutes at
a time and again after five. A twin that dies, or is cut off, leaves no load limited for longer.
Pure: what is wanted and the time in, a command out. Neighbours: `load_limit` (what is wanted), the
link's `load` target (docs/reference/link-v1.md).
"""

from typing import NamedTuple

from .load_limit import LoadLimit

HOLD_S, RENEW_S = 600, 300
RETRY_S = 30
"""After a command that the meter did not do, or did not answer."""
LIFT_S = 1
"""A limit that lasts this long is lifted: there is no command for that."""


class LoadCommand(NamedTuple):
    """Limit a load to W for seconds."""

    limit_w: int
    seconds: int


class LoadKeeper:
    """Of one load."""

    def __init__(self) -> None:
        """Begin as if nothing had been said: what an earlier twin said expires."""
        self._said: LoadCommand | None = None
        self._said_s = 0
        self._not_before_s = 0

    @property
    def is_limited(self) -> bool:
        """Whether the meter was told of a limit that was not lifted since."""
        return self._said is not None

    def find_command(self, wanted: LoadLimit | None, now_s: int) -> LoadCommand | None:
        """Return what to tell the meter now, None if it knows."""
        if now_s < self._not_before_s:
            return None
        said = self._said
        if said is not None and now_s >= self._said_s + said.seconds:
            said = self._said = None  # it has expired
        if wanted is None:
            return None if said is None else LoadCommand(said.limit_w, LIFT_S)
        left_s = HOLD_S if wanted.until_s is None else max(wanted.until_s - now_s, 1)
        if said is not None and said.limit_w == wanted.limit_w:
            ends_s, due_s = self._said_s + said.seconds, now_s + left_s
            is_fresh = said.seconds == HOLD_S and now_s < self._said_s + RENEW_S
            if ends_s == due_s or (ends_s < due_s and is_fresh):
                return None
        return LoadCommand(wanted.limit_w, min(left_s, HOLD_S))

    def done(self, command: LoadCommand, now_s: int) -> None:
        """Note that the meter has done it."""
        self._said, self._said_s = (None if command.seconds == LIFT_S else command), now_s

    def failed(self, now_s: int) -> None:
        """Note that it has not, or that nobody knows; it is told again a little later."""
        self._not_before_s = now_s + RETRY_S
