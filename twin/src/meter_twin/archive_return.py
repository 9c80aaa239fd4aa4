"""What a twin asks the archive for that it lacks, and when. Pure.

    round = ArchiveReturn(pace)
    round.begin(now_ms, chance)
    step = round.next_step(now_ms)
    ... AskHoldings: round.told(wants, now_ms); AskPage: commit the page, then round.took(end, …)
    ... or round.failed(…) and round.refused(…): then it begins again with what there is

A round asks what there is, then for one page after the other, the oldest first, until it has asked
for everything that the store lacked. Neighbours: `archive_refill` (asks and commits),
`meter_wire.archive_page` (what is asked), `archive_pace` (waits).
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from meter_wire.archive_page import PAGE_ENTRIES, Holding, Span

from .archive_pace import ArchivePace

_ROW = 40
"""Bytes of the store that an entry takes beside its own, keys of two indices."""


class Want(NamedTuple):
    """Numbers that the archive has and the store lacks.

    What lies below the first number of an incarnation, until `before`, is in the archive alone and
    stays there: it is older than this store goes back.
    """

    incarnation: bytes
    before: int
    first: int
    last: int


class AskHoldings(NamedTuple):
    """Ask what there is."""


class AskPage(NamedTuple):
    """Ask for numbers of an incarnation; see `Want`."""

    incarnation: bytes
    before: int
    first: int
    until: int


def find_wants(
    holdings: Sequence[Holding], find_lack: Callable[[bytes], Iterable[Span]], room_bytes: int
) -> list[Want]:
    """Return what is to be asked for, the oldest first: of too much the newest.

    Args:
        holdings: of the archive, the oldest incarnation first.
        find_lack: incarnation → numbers that the store lacks, in rising order.
        room_bytes: how much the store may grow.
    """
    wants: list[Want] = []
    for holding in reversed(holdings):
        cost = (holding.octets + _ROW) * 3 // 2  # pages that are two thirds full
        allowed = max(room_bytes // cost, 0)
        spans = _keep_newest(_overlap(find_lack(holding.incarnation), holding.spans), allowed)
        room_bytes -= cost * sum(last - first + 1 for first, last in spans)
        before = min(spans[0][0] - 1, holding.archived) if spans else 0
        wants = [Want(holding.incarnation, before, *span) for span in spans] + wants
    return wants


def _overlap(left: Iterable[Span], right: Sequence[Span]) -> list[Span]:
    """Return what is in both of two rising lists of ranges."""
    found: list[Span] = []
    at = 0
    for first, last in left:
        while at < len(right) and right[at][1] < first:
            at += 1
        for low, high in right[at:]:
            if low > last:
                break
            found.append((max(first, low), min(last, high)))
    return found


def _keep_newest(spans: list[Span], most: int) -> list[Span]:
    kept: list[Span] = []
    for first, last in reversed(spans):
        if most <= 0:
            break
        kept.append((max(first, last - most + 1), last))
        most -= last - first + 1
    return kept[::-1]


class ArchiveReturn:
    """One per twin; one question is under way at a time."""

    def __init__(self, pace: ArchivePace) -> None:
        """Wait for `begin`."""
        self._pace = pace
        self._wants: deque[Want] = deque()
        self._knows = False
        self._asked: AskHoldings | AskPage | None = None
        self.is_over = True
        """Whether all was asked for."""

    @property
    def next_ms(self) -> int | None:
        """When there is something to ask; None: after an answer, or never."""
        return None if self.is_over or self._asked is not None else self._pace.next_ms

    @property
    def missing(self) -> int | None:
        """Entries that are still to come, about; None while that is not known."""
        if self.is_over:
            return 0
        if not self._knows:
            return None
        return sum(want.last - want.first + 1 for want in self._wants)

    def begin(self, now_ms: int, chance: float) -> None:
        """Begin a round if none is under way."""
        if self.is_over:
            self.is_over = False
            self._forget()
            self._pace.look(now_ms, chance)

    def pause(self) -> None:
        """Forget what is under way: this twin must not ask now."""
        self._forget()

    def _forget(self) -> None:
        self._asked = None
        self._knows = False
        self._wants.clear()

    def next_step(self, now_ms: int) -> AskHoldings | AskPage | None:
        """Return what to ask now; None while an answer is waited for, or there is nothing."""
        due_ms = self.next_ms
        if due_ms is None or due_ms > now_ms:
            return None
        if not self._knows:
            self._asked = AskHoldings()
        else:
            want = self._wants[0]
            until = min(want.last, want.first + PAGE_ENTRIES - 1)
            self._asked = AskPage(want.incarnation, want.before, want.first, until)
        return self._asked

    def told(self, wants: Iterable[Want], now_ms: int) -> None:
        """Take what is to be asked for."""
        self._asked = None
        self._knows = True
        self._wants = deque(wants)
        self._go_on(now_ms)

    def took(self, end: int, now_ms: int) -> None:
        """Note that a page is durable that spoke of the numbers until `end`."""
        self._asked = None
        want = self._wants.popleft()
        if end < want.last:
            self._wants.appendleft(want._replace(first=end + 1))
        self._go_on(now_ms)

    def _go_on(self, now_ms: int) -> None:
        self._pace.went_well(now_ms)
        self.is_over = not self._wants

    def failed(self, now_ms: int, chance: float) -> None:
        """Note that no good answer came, or that it could not be kept: look again later."""
        self._forget()
        self._pace.back_off(now_ms, chance)

    def refused(self, status: int, wait_s: int | None, now_ms: int, chance: float) -> None:
        """Note an answer with another status than 200; `wait_s` is its Retry-After."""
        self._forget()
        self._pace.refused(status, wait_s, now_ms, chance)
