"""How much is let in at once, and how often something may be wrong. Pure: the time is an argument.

Neighbours: `query_port` (questions at once), `token_identity` (wrong tokens of an address).
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from meter_archive.refusal import Refusal

_AGAIN = {"Retry-After": "1"}


class Gate:
    """Questions at once: of all askers, and of each."""

    def __init__(self, most: int, most_each: int) -> None:
        """Let so many in."""
        self._most, self._most_each = most, most_each
        self._inside = 0
        self._each: dict[str, int] = {}

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Let a question in, whoever asks it.

        Raises:
            Refusal: 503, there are too many.
        """
        if self._inside >= self._most:
            what = f"is answering {self._most} questions already"
            raise Refusal(503, "", f"the archive {what}", "ask again", headers=_AGAIN)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    @contextmanager
    def enter_as(self, who: str) -> Iterator[None]:
        """Let a question of this asker in.

        Raises:
            Refusal: 429, this one has too many already.
        """
        inside = self._each.get(who, 0)
        if inside >= self._most_each:
            what = f"has {self._most_each} questions under way"
            remedy = "ask one after the other"
            raise Refusal(429, "token", what, remedy, headers=_AGAIN, who=who)
        self._each[who] = inside + 1
        try:
            yield
        finally:
            if self._each[who] == 1:
                del self._each[who]
            else:
                self._each[who] -= 1


class Allowance:
    """So many of something for each key, which come back one after the other over a period."""

    def __init__(self, most: int, period_s: float, keys: int) -> None:
        """Remember so many keys; the one that was seen longest ago is forgotten first."""
        self._most, self._period_s, self._keys = most, period_s, keys
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def is_left(self, key: str, now_s: float) -> bool:
        """Return whether a key has one left."""
        return self._level(key, now_s) + 1 <= self._most

    def spend(self, key: str, now_s: float) -> bool:
        """Take one; return whether there was one left."""
        level = self._level(key, now_s)
        left = level + 1 <= self._most
        self._spent[key] = (level + 1 if left else level, now_s)
        self._spent.move_to_end(key)
        if len(self._spent) > self._keys:
            self._spent.popitem(last=False)
        return left

    def _level(self, key: str, now_s: float) -> float:
        spent, at_s = self._spent.get(key, (0.0, now_s))
        return max(0.0, spent - max(0.0, now_s - at_s) * self._most / self._period_s)
