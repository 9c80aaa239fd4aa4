"""Takes over what older twins of the meter have stored: compare, fetch what differs, compare again.

    taker = Taker(shelf)
    taker.assign(donors)                        # from the control record
    while request := taker.next_request(now_ms):
        effects = taker.receive(request, answer, now_ms)     # or taker.failed(request, now_ms)
        ... for Import: commit, then taker.imported()

Snapshot, tail, resumption after a crash and the refill of holes are one and the same: a donor's
coverage is compared block by block with our own store, and blocks that differ are fetched. A donor
is *covered* when every entry that it named was committed here, as new, as known, or as a conflict
in quarantine. Pure. Neighbours: `meter_wire.coverage` (what is compared), `giving` (the donor).
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from meter_wire.coverage import BLOCK, Block, Coverage, Stretch, digest_entries

TAIL_MS = 1_000
HURRY_MS = 100
_HURRY_ENDS_MS = 1_000
_MOST_PAUSE_MS = 15_000

Numbered = tuple[int, bytes]


class Donor(NamedTuple):
    """An older twin: who it is, and where it can be reached (host:port)."""

    epoch: int
    epoch_id: bytes
    address: str


class Shelf(Protocol):
    """Read access to our own store."""

    def find_block(self, incarnation: bytes, first: int) -> Block | None:
        """Return the sum of what we hold of a block, None for nothing."""


class AskCoverage(NamedTuple):
    """Ask a donor what it holds."""

    donor: Donor


class AskEntries(NamedTuple):
    """Ask a donor for the entries of a block."""

    donor: Donor
    block: Block


Request = AskCoverage | AskEntries


class Told(NamedTuple):
    """A donor's coverage, the handover for which it is frozen, and whether nothing will follow."""

    coverage: Coverage
    frozen: str
    final: bool


class Import(NamedTuple):
    """Commit this in one transaction, then call `imported`: entries, or what is known beside them.

    A stretch follows its entries: holes, and what the donor has deleted as its time was over.
    """

    incarnation: bytes
    entries: tuple[Numbered, ...] = ()
    stretch: Stretch | None = None


class Covered(NamedTuple):
    """We hold all that the donor said it holds; `root` stands for it."""

    root: bytes
    frozen: str
    final: bool


class _Work:
    """How far we are with one donor."""

    def __init__(self, donor: Donor) -> None:
        self.donor = donor
        self.told: Told | None = None
        self.blocks: deque[Block] = deque()
        self.stretches: deque[Stretch] = deque()
        self.known: dict[tuple[bytes, int], bytes] = {}
        self.taken: dict[bytes, Stretch] = {}
        self.changed = False
        self.covered: Covered | None = None
        self.due_ms = 0
        self.failures = 0

    @property
    def is_over(self) -> bool:
        return self.covered is not None and self.covered.final


class Taker:
    """One per twin; one request is under way at a time."""

    def __init__(self, shelf: Shelf) -> None:
        """Begin without donors."""
        self._shelf = shelf
        self._work: dict[Donor, _Work] = {}
        self._asked: Request | None = None
        self._importing: tuple[_Work, Block | Stretch] | None = None
        self._hurry_until_ms = 0

    def hurry(self, now_ms: int) -> None:
        """Ask often for a moment: something was decided, and somebody is frozen until we know.

        The donor may hear of the decision after us, so once is not enough.
        """
        self._hurry_until_ms = now_ms + _HURRY_ENDS_MS
        for work in self._work.values():
            if not work.failures:
                work.due_ms = min(work.due_ms, now_ms)

    def assign(self, donors: Iterable[Donor]) -> None:
        """Take from these and no others; what was taken stays."""
        wanted = list(donors)
        self._work = {one: self._work.get(one) or _Work(one) for one in wanted}

    @property
    def covered(self) -> dict[int, Covered]:
        """What is covered, by epoch of the donor."""
        return {work.donor.epoch: work.covered for work in self._work.values() if work.covered}

    @property
    def is_over(self) -> bool:
        """Whether every donor was covered when nothing could follow any more."""
        return all(work.is_over for work in self._work.values())

    @property
    def next_ms(self) -> int | None:
        """When there is something to ask, None for never."""
        return min((work.due_ms for work in self._work.values() if not work.is_over), default=None)

    def next_request(self, now_ms: int) -> Request | None:
        """Return what to ask now; None while an answer or a commit is outstanding, or too early."""
        if self._asked is not None or self._importing is not None:
            return None
        due = [w for w in self._work.values() if not w.is_over and w.due_ms <= now_ms]
        if not due:
            return None
        work = min(due, key=lambda one: (one.due_ms, one.donor.epoch))
        if work.blocks:
            self._asked = AskEntries(work.donor, work.blocks[0])
        else:
            self._asked = AskCoverage(work.donor)
        return self._asked

    def failed(self, request: Request, now_ms: int) -> None:
        """Note that a donor did not answer, or not what was asked: it is asked again later."""
        self._asked = None
        work = self._work.get(request.donor)
        if work is not None:
            work.failures += 1
            pause = TAIL_MS << min(work.failures - 1, 4)
            work.due_ms = now_ms + min(pause, _MOST_PAUSE_MS)

    def receive_coverage(self, request: AskCoverage, told: Told, now_ms: int) -> list[Import]:
        """Take a donor's coverage; returns what is to be committed already."""
        self._asked = None
        work = self._work.get(request.donor)
        if work is None:
            return []
        work.failures = 0
        work.told = told
        work.changed = False
        work.blocks = deque(one for one in told.coverage.blocks if not self._has(work, one))
        work.stretches = deque(one for one in told.coverage.stretches)
        return self._go_on(work, now_ms)

    def _has(self, work: _Work, block: Block) -> bool:
        known = work.known.get((block.incarnation, block.first))
        return known == block.digest or self._shelf.find_block(*block[:2]) == block

    def receive_entries(
        self, request: AskEntries, entries: list[Numbered], now_ms: int
    ) -> list[Import]:
        """Take the entries of a block.

        Raises:
            ValueError: they are not of that block or not in rising order; treat it as `failed`.
        """
        block = request.block
        numbers = [seq for seq, _ in entries]
        inside = all(block.first <= seq < block.first + BLOCK for seq in numbers)
        if not inside or numbers != sorted(set(numbers)):
            raise ValueError("entries: not those of the block that was asked for")
        self._asked = None
        work = self._work.get(request.donor)
        if work is None or not work.blocks or work.blocks[0] != block:
            return []
        work.failures = 0
        work.blocks.popleft()
        if digest_entries(entries) != block.digest:
            work.changed = True  # the donor goes on: what it has now is compared again
            block = block._replace(digest=digest_entries(entries))
        if not entries:
            return self._go_on(work, now_ms)
        self._importing = (work, block)
        return [Import(block.incarnation, tuple(entries))]

    def _go_on(self, work: _Work, now_ms: int) -> list[Import]:
        """Return what follows the entries: the stretches, one at a time, then the end."""
        work.due_ms = now_ms
        if work.blocks or work.told is None:
            return []
        while work.stretches:
            stretch = work.stretches.popleft()
            is_news = work.taken.get(stretch.incarnation) != stretch
            if is_news and (stretch.holes or stretch.missed or stretch.pruned):
                self._importing = (work, stretch)
                return [Import(stretch.incarnation, stretch=stretch)]
        pause_ms = HURRY_MS if now_ms < self._hurry_until_ms else TAIL_MS
        work.due_ms = now_ms + (0 if work.changed else pause_ms)
        if not work.changed:
            work.covered = Covered(work.told.coverage.root, work.told.frozen, work.told.final)
        work.told = None
        return []

    def imported(self, now_ms: int) -> list[Import]:
        """Go on after a commit; returns what is to be committed next."""
        if self._importing is None:
            return []
        work, done = self._importing
        self._importing = None
        if isinstance(done, Block):
            work.known[done.incarnation, done.first] = done.digest
        else:
            work.taken[done.incarnation] = done
        return self._go_on(work, now_ms)

    def dropped(self, now_ms: int) -> None:
        """Note that a commit failed: the same is fetched again."""
        if self._importing is None:
            return
        work, _ = self._importing
        self._importing = None
        work.told, work.due_ms = None, now_ms + TAIL_MS
        work.blocks.clear()
        work.stretches.clear()
