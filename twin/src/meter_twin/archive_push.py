"""What a twin gives to the archive next, and what an answer means (ADR 31). Pure.

    push = ArchivePush(shelf)
    push.look(now_ms, chance)                # entries were stored, or it may be pushed from now on
    step = push.next_step(now_ms, chance)
    ... Keep: save the mark and tell the meter; Give: send it, then
    push.answered(step, answer, now_ms, chance), push.refused(…) or push.failed(…)

The archive's answers alone say how far it is: one that came from a backup answers with a lower
mark, and it is gone on from there. Entries go up to the stored mark, oldest incarnation first, one
batch at a time, holes with them. A hole that was told may be filled later by another twin's
entries: these are given then (`Told`). What is refused is never passed by in silence: a batch is
halved down to the one entry that the archive does not take, which is reported and tried again for
ever. Neighbours: `archive_pace` (when), `archive_shelf` (reads the store), `archive_line` (sends).
"""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from meter_wire.archive_batch import MOST_ENTRIES, ArchiveAnswer
from meter_wire.effects import Hole

from .archive_pace import ArchivePace

BAD_AGAIN_MS = 600_000
MOST_TRIES = 3
MOST_BAD = 16
"""Entries of an incarnation that are refused, beyond which nothing follows: it is not they."""
_TOO_MUCH = 400, 413


class Held(NamedTuple):
    """An incarnation as the store has it."""

    incarnation: bytes
    stored: int
    archived: int
    pruned: int


class Told(NamedTuple):
    """A hole of which an archive was told, by this twin or one before it."""

    incarnation: bytes
    hole: Hole


class Piece(NamedTuple):
    """Entries and holes without a gap until `end`, but for entries that were to be left out."""

    holes: tuple[Hole, ...]
    entries: tuple[tuple[int, bytes], ...]
    end: int


class Shelf(Protocol):
    """Read access to the store."""

    def held(self) -> list[Held]:
        """Return the incarnations, the oldest first."""

    def read(
        self, held: Held, after: int, until: int, most: int, without: Collection[int] = ()
    ) -> Piece:
        """Return what follows `after`, at most `most` entries and as many bytes as one body has."""

    def count(self, incarnation: bytes, after: int) -> int:
        """Return how many entries of the stored prefix lie after a number."""

    def find_filled(self) -> list[Told]:
        """Return the holes that were told and are none any more, or others."""


class Keep(NamedTuple):
    """Save this mark and tell the meter."""

    incarnation: bytes
    mark: int


class Give(NamedTuple):
    """Send a batch; what `tells` of a hole is durable before that. Empty: it asks for the mark."""

    incarnation: bytes
    stored: int
    piece: Piece
    tells: tuple[Hole, ...] = ()
    filled: Told | None = None
    is_asking: bool = False
    retries: int = 0
    """The entry that was refused by itself and is tried again, 0 for none."""


class Refusal(NamedTuple):
    """An entry that the archive does not take; it stays in the store."""

    incarnation: bytes
    seq: int


class _Line:
    """How far the archive is with one incarnation."""

    def __init__(self) -> None:
        self.mark: int | None = None
        self.position = 0
        """Until here all is in the archive, but for `bad`."""
        self.most = MOST_ENTRIES
        self.bad: dict[int, int] = {}
        self.tries = (0, 0)

    def judge(self, archived: int, end: int) -> None:
        """Take the archive's mark; `end` is in it, unless the mark says otherwise."""
        self.mark = archived
        self.bad = {seq: due_ms for seq, due_ms in self.bad.items() if seq > archived}
        expected = min([end, *(seq - 1 for seq in self.bad)])
        self.position = max(end, archived) if archived >= expected else archived


class ArchivePush:
    """One per twin; one batch is under way at a time."""

    def __init__(self, shelf: Shelf, pace: ArchivePace | None = None) -> None:
        """Begin without knowing what the archive has."""
        self._shelf = shelf
        self._lines: dict[bytes, _Line] = {}
        self._asked: Give | None = None
        self.pace = pace or ArchivePace()

    @property
    def next_ms(self) -> int | None:
        """When there may be something to do; None: after the answer that is waited for."""
        return None if self._asked is not None else self.pace.next_ms

    @property
    def bad(self) -> int:
        """Entries that the archive does not take."""
        return sum(len(line.bad) for line in self._lines.values())

    def count_behind(self) -> int:
        """Return how many entries the archive is not known, durably, to have."""
        total = 0
        for held in self._shelf.held():
            line = self._lines.get(held.incarnation)
            known = held.archived
            if line is not None and line.mark is not None:
                known = min(known, line.mark)
            total += self._shelf.count(held.incarnation, known)
        return total

    def look(self, now_ms: int, chance: float) -> None:
        """Look for entries soon; `chance` in [0, 1) spreads the twins, here and everywhere."""
        self.pace.look(now_ms, chance)

    def pause(self) -> None:
        """Forget what is under way: this twin must not push now, another one may meanwhile."""
        self._asked = None
        self._forget_marks()

    def _forget_marks(self) -> None:
        for line in self._lines.values():
            line.mark = None

    def next_step(self, now_ms: int, chance: float) -> Keep | Give | None:
        """Return what to do now; None while an answer is waited for, or there is nothing."""
        if self._asked is not None or not self.pace.is_due(now_ms):
            return None
        if self.pace.must_ask(now_ms, chance):
            self._forget_marks()
        held = self._shelf.held()
        for one in held:
            step = self._step_of(one, now_ms)
            if step is not None:
                return self._ask(step)
        step = self._find_filled(held)
        if step is None:
            due_ms = [min(line.bad.values()) for line in self._lines.values() if line.bad]
            self.pace.rest(min(due_ms, default=None))
        return self._ask(step)

    def _ask(self, step: Keep | Give | None) -> Keep | Give | None:
        self._asked = step if isinstance(step, Give) else None
        return step

    def _step_of(self, held: Held, now_ms: int) -> Keep | Give | None:
        line = self._lines.setdefault(held.incarnation, _Line())
        if line.mark is None:
            return Give(*held[:2], Piece((), (), line.position), is_asking=True)
        mark = min(line.mark, held.stored)
        if mark > held.archived:
            return Keep(held.incarnation, mark)
        for seq, due_ms in line.bad.items():
            if due_ms <= now_ms:
                return Give(*held[:2], self._shelf.read(held, seq - 1, seq, 1), retries=seq)
        while line.position < held.stored and len(line.bad) < MOST_BAD:
            piece = self._shelf.read(held, line.position, held.stored, line.most, line.bad.keys())
            if piece.entries or piece.holes:
                return Give(*held[:2], piece, piece.holes)
            if piece.end == line.position:
                break
            line.position = piece.end
        return None

    def _find_filled(self, held: list[Held]) -> Give | None:
        """Return what has come into a hole that the archive was told of."""
        found = {one.incarnation: one for one in held}
        for told in self._shelf.find_filled():
            one, line = found[told.incarnation], self._lines[told.incarnation]
            after = max(told.hole.first - 1, one.pruned)
            until = min(told.hole.last, one.stored)
            piece = self._shelf.read(one, after, until, line.most, line.bad.keys())
            if piece.entries or piece.holes:
                return Give(*one[:2], piece, filled=told)
        return None

    def answered(self, give: Give, answer: ArchiveAnswer, now_ms: int, chance: float) -> bool:
        """Take an answer with status 200; False: nobody waits for it any more."""
        if give is not self._asked:
            return False
        self._asked = None
        line = self._lines[give.incarnation]
        known, before = line.mark, line.position
        if give.retries:
            line.bad.pop(give.retries, None)
        line.judge(answer.archived, before if give.filled else max(before, give.piece.end))
        if known is not None and answer.archived < known:
            mark = line.mark
            self._forget_marks()
            line.mark = mark
        if not give.is_asking:
            line.most = min(line.most * 2, MOST_ENTRIES)
        if line.position > before or give.is_asking or give.filled or give.retries:
            self.pace.went_well(now_ms)
        else:  # it took the batch and is no further: go on, but in no hurry
            self.pace.back_off(now_ms, chance)
        return True

    def failed(self, give: Give, now_ms: int, chance: float) -> None:
        """Note that no answer came: perhaps all of it arrived, perhaps the archive is another."""
        if give is self._asked:
            self.pause()
            self.pace.back_off(now_ms, chance)

    def unsaved(self, now_ms: int, chance: float) -> None:
        """Note that the store did not take a mark, or what was to be durable before a batch."""
        self._asked = None
        self.pace.back_off(now_ms, chance)

    def refused(
        self, give: Give, status: int, wait_s: int | None, now_ms: int, chance: float
    ) -> Refusal | None:
        """Note an answer with another status; `wait_s` is its Retry-After.

        Returns:
            The entry that is reported now: it alone was refused, again and again.
        """
        if give is not self._asked:
            return None
        self._asked = None
        if give.retries:
            self._lines[give.incarnation].bad[give.retries] = now_ms + BAD_AGAIN_MS
            self.pace.went_well(now_ms)
            return None
        self.pace.refused(status, wait_s, now_ms, chance)
        if status not in _TOO_MUCH:
            return None
        found = self._shrink(give, now_ms)
        if found is not None:
            self.pace.went_well(now_ms)
        return found

    def _shrink(self, give: Give, now_ms: int) -> Refusal | None:
        line, numbers = self._lines[give.incarnation], give.piece.entries
        if len(numbers) > 1:
            line.most = len(numbers) // 2
        if len(numbers) != 1:
            return None
        seq = numbers[0][0]
        count = line.tries[1] + 1 if line.tries[0] == seq else 1
        line.tries = seq, count
        if count < MOST_TRIES or len(line.bad) >= MOST_BAD:
            return None
        line.bad[seq] = now_ms + BAD_AGAIN_MS
        return Refusal(give.incarnation, seq)
