"""What the store holds, for other twins of the meter; and how what they hold comes into it.

The digest of a block is computed once and kept as long as the block has the same numbers, because
the content of an entry never changes: the tail of a handover asks every second. Neighbours:
`taking` and `succession` (who compares), `store` (the entries).
"""

from collections.abc import Iterable, Sequence

from meter_wire.coverage import BLOCK, Block, Coverage, Stretch, digest_entries
from meter_wire.effects import Hole
from meter_wire.portable.entry import chain, chain_hole
from meter_wire.ports import Marks
from meter_wire.tables import HOLES, number_of

from .archive_told import note_told
from .store import NUMBER_STEP, Batch, Ingested, Store
from .taking import Import

_RESERVED = number_of(HOLES, "reserved")
_RELEASED = number_of(HOLES, "released")
_NO_MARK = -1
_Shape = tuple[int, int, int, int]


class StoreShelf:
    """Read access for `Succession`."""

    def __init__(self, store: Store) -> None:
        """Begin with nothing summed up."""
        self._store = store
        self._digests: dict[tuple[int, int], tuple[_Shape, bytes]] = {}

    def find_block(self, incarnation: bytes, first: int) -> Block | None:
        """Return the sum of what is held of a block, None for nothing."""
        number = self._store.find_number(incarnation)
        entries = [] if number is None else self._entries(number, first)
        if not entries:
            return None
        return Block(incarnation, first, len(entries), digest_entries(entries))

    def _entries(self, number: int, first: int) -> list[tuple[int, bytes]]:
        return self._store.connection.execute(
            "SELECT seq, raw FROM entry WHERE incarnation = ? AND seq >= ? AND seq < ?"
            " ORDER BY seq",
            (number, first, first + BLOCK),
        ).fetchall()

    def entries_of(self, incarnation: bytes, first: int) -> list[tuple[int, bytes]]:
        """Return the entries of a block in rising order."""
        number = self._store.find_number(incarnation)
        return [] if number is None else self._entries(number, first)

    def coverage(self) -> Coverage:
        """Return all that is held, incarnations in the order of their first sight."""
        stretches: list[Stretch] = []
        blocks: list[Block] = []
        rows = self._store.connection.execute(
            "SELECT number, id, stored, pruned, chain FROM incarnation ORDER BY number"
        ).fetchall()
        for number, incarnation, stored, pruned, head in rows:
            holes, missed = self._holes(number)
            stretches.append(Stretch(incarnation, stored, pruned, holes, missed, head))
            blocks.extend(self._blocks(number, incarnation))
        return Coverage(tuple(stretches), tuple(blocks))

    def _holes(self, number: int) -> tuple[tuple[Hole, ...], tuple[Hole, ...]]:
        """Return the holes that the meter declared, and those that only we have."""
        found = self._store.connection.execute(
            "SELECT first, last, reason FROM hole WHERE incarnation = ? ORDER BY first", (number,)
        ).fetchall()
        holes = [Hole(*row) for row in found]
        return (
            tuple(hole for hole in holes if hole.reason != _RELEASED),
            tuple(hole for hole in holes if hole.reason == _RELEASED),
        )

    def _blocks(self, number: int, incarnation: bytes) -> Iterable[Block]:
        shapes = self._store.connection.execute(
            "SELECT (seq - 1) / ?, count(*), min(seq), max(seq), sum(seq) FROM entry"
            " WHERE incarnation = ? GROUP BY 1 ORDER BY 1",
            (BLOCK, number),
        ).fetchall()
        for place, *shape in shapes:
            first = place * BLOCK + 1
            known = self._digests.get((number, first))
            if known is None or known[0] != tuple(shape):
                entries = self._entries(number, first)
                known = (shape[0], shape[1], shape[2], shape[3]), digest_entries(entries)
                self._digests[number, first] = known
            yield Block(incarnation, first, shape[0], known[1])


def arrange(store: Store, order: Sequence[bytes], now_s: int) -> None:
    """Give the incarnations that a donor knows, and we do not, their places among ours.

    Applications are fed in this order. Before the one that followed it at the donor; what the donor
    does not know came after it.

    Args:
        store: ours.
        order: the donor's incarnations, the oldest first.
        now_s: UTC seconds, kept as the time of first sight.

    Raises:
        StoreError: nothing was written.
    """
    with store.transaction() as connection:
        ours = connection.execute("SELECT number, id FROM incarnation ORDER BY number").fetchall()
        places = {identity: number for number, identity in ours}
        shared = max((places[one] for one in order if one in places), default=0)
        following = min((number for number, _ in ours if number > shared), default=0)
        for identity in reversed(order):
            if identity not in places:
                places[identity] = _find_place(sorted(places.values()), following)
                connection.execute(
                    "INSERT INTO incarnation (number, id, first_seen_s) VALUES (?, ?, ?)",
                    (places[identity], identity, now_s),
                )
            following = places[identity]


def _find_place(numbers: Sequence[int], following: int) -> int:
    """Return a free number before `following` (0: at the end) and after all that are lower."""
    end = (numbers[-1] if numbers else 0) + NUMBER_STEP
    if not following:
        return end
    before = max((number for number in numbers if number < following), default=0)
    return (before + following) // 2 if following - before > 1 else end


def import_entries(store: Store, one: Import, now_s: int) -> Ingested:
    """Store what a donor holds, in one transaction; return what became of it.

    The mark and its chain follow.

    What the donor has pruned was acknowledged: it is a hole of this store like any that only this
    one has, is not asked of the meter again, and another donor may fill it. The chain is walked
    from what is stored; where that is not possible, after such a hole, from the donor's mark.

    Raises:
        StoreFullError, StoreError: nothing of it was stored.
    """
    stretch = one.stretch
    holes = _holes_of(stretch) if stretch else ()
    with store.transaction() as connection:
        before = store.marks().get(one.incarnation, Marks())
        found = store.ingest_within(
            Batch(one.incarnation, one.entries, holes, _NO_MARK, b""), now_s
        )
        stored = found.stored
        number = store.find_number(one.incarnation)
        assert number is not None
        start, head = before.stored, before.chain
        if stored > start:
            head = _walk(store, one.incarnation, start, stored, head)
        if stretch and not head and stretch.stored <= stored:
            head = _walk(store, one.incarnation, stretch.stored, stored, stretch.chain)
        connection.execute("UPDATE incarnation SET chain = ? WHERE number = ?", (head, number))
        if stretch and stretch.holes + stretch.missed:
            note_told(connection, number, stretch.holes + stretch.missed)
    return found


def _holes_of(stretch: Stretch) -> tuple[Hole, ...]:
    pruned = (Hole(1, stretch.pruned, _RELEASED),) if stretch.pruned else ()
    return stretch.holes + stretch.missed + pruned


def _walk(store: Store, incarnation: bytes, start: int, end: int, head: bytes) -> bytes:
    """Return the chain hash at `end`; b"" if it cannot be known from what is stored."""
    number = store.find_number(incarnation)
    rows = store.connection.execute(
        "SELECT seq, seq, raw FROM entry WHERE incarnation = :n AND seq > :a AND seq <= :b"
        " UNION ALL SELECT first, last, reason FROM hole"
        " WHERE incarnation = :n AND first > :a AND last <= :b ORDER BY 1",
        {"n": number, "a": start, "b": end},
    )
    position = start
    for first, last, what in rows:
        if first != position + 1:
            return b""
        if isinstance(what, bytes):
            head = chain(head, incarnation, first, what) if head else b""
        else:
            head = chain_hole(head, incarnation, first, last) if head and what == _RESERVED else b""
        position = last
    return head if position == end else b""
