"""Takes the meter's entries in: contiguity, chain, conflicts, holes. Part of `twin_link`.

An entry is accepted once, in order; what is known already is compared byte by byte, so that the
same identity with other content ends in quarantine and never in silence. Accepted entries count
as stored only when the shell says so. Entries stay opaque here: one that does not parse is stored
like any other, because refusing it would hold up all that follow.
"""

from collections import deque
from collections.abc import Iterator

from meter_wire.effects import ChainBroken, Effect, Hole, Quarantine, StoreEntries
from meter_wire.names import MAX_SEQ
from meter_wire.portable.entry import chain, chain_hole
from meter_wire.portable.frame import need, need_uint
from meter_wire.portable.tlv import RemoteProtocolError, take
from meter_wire.ports import Journal, Marks
from meter_wire.tables import HOLES, TAGS, number_of

_TAGS = {row.name: row.number for row in TAGS}
_RESERVED = number_of(HOLES, "reserved")
_HOLE_REASONS = {row.number for row in HOLES}
Numbered = tuple[int, bytes]


class Intake:
    """Where the twin stands in the meter's current incarnation."""

    def __init__(self, journal: Journal, incarnation: bytes, marks: Marks) -> None:
        """`marks`: what the store holds of this incarnation."""
        self.incarnation = incarnation
        self.stored = marks.stored
        self.archived = marks.archived
        self._journal = journal
        self._stored_chain = marks.chain
        self.named = 0
        """Last number that the meter's last frame had."""
        self._waiting: deque[StoreEntries] = deque()
        self._pending: dict[int, bytes] = {}
        self.drop()

    def drop(self) -> None:
        """Forget what was accepted but not stored."""
        self.accepted = self.stored
        self._chain = self._stored_chain
        self._waiting.clear()
        self._pending.clear()

    def catch_up(self, marks: Marks) -> bool:
        """Note that the store got entries from elsewhere; whether the mark has moved.

        While a batch waits for its commit nothing changes: what it brings again is known by then.
        """
        if self._waiting or marks.stored <= self.stored:
            return False
        self.stored = self.accepted = marks.stored
        self._stored_chain = self._chain = marks.chain
        return True

    def committed(self, batch: int) -> bool:
        """Note that a batch is durable; False if it is not the next one expected."""
        if not self._waiting or self._waiting[0].batch != batch:
            return False
        done = self._waiting.popleft()
        self.stored = max(self.stored, done.stored)
        self._stored_chain = done.chain
        for seq, _ in done.entries:
            self._pending.pop(seq, None)
        return True

    def records(self, fields: dict[int, bytes], batch: int) -> list[Effect]:
        """Judge a RECORDS frame.

        Returns:
            Quarantine, ChainBroken and StoreEntries as they apply; nothing when all is known.

        Raises:
            RemoteProtocolError: `malformed`, or `gap`: entries before these are missing.
        """
        hole = _parse_hole(fields.get(_TAGS["hole"]))
        entries = list(_parse_entries(fields))
        self._check_order(hole, entries)
        self.named = entries[-1][0] if entries else hole.last if hole else 0
        accepted, head = self.accepted, self._chain
        effects: list[Effect] = []
        holes: tuple[Hole, ...] = ()
        if hole is not None and hole.last > accepted:
            first = max(hole.first, accepted + 1)
            holes = (Hole(first, hole.last, hole.reason),)
            reserved = hole.reason == _RESERVED and first == hole.first and head
            head = chain_hole(head, self.incarnation, first, hole.last) if reserved else b""
            accepted = hole.last
        new: list[Numbered] = []
        anchor = need(fields, _TAGS["anchor"], 16) if entries else b""
        for seq, entry in entries:
            if seq == accepted + 1:
                if head and anchor != head:
                    effects.append(ChainBroken(self.incarnation, seq))
                new.append((seq, entry))
                accepted = seq
                head = chain(anchor, self.incarnation, seq, entry)
            else:
                effects.extend(self._compare(seq, entry, new))
            anchor = chain(anchor, self.incarnation, seq, entry)
        return effects + self._accept(batch, new, holes, accepted, head)

    def _check_order(self, hole: Hole | None, entries: list[Numbered]) -> None:
        first = hole.first if hole else entries[0][0] if entries else 0
        if not first or (hole and entries and entries[0][0] != hole.last + 1):
            raise RemoteProtocolError("malformed")
        if first > self.accepted + 1:
            raise RemoteProtocolError("gap")

    def _compare(self, seq: int, entry: bytes, new: list[Numbered]) -> Iterator[Effect]:
        known = self._pending.get(seq)
        if known is None:
            known = self._journal.find_entry(self.incarnation, seq)
        if known is None:
            new.append((seq, entry))
        elif known != entry:
            yield Quarantine(self.incarnation, seq, entry)

    def _accept(
        self, batch: int, new: list[Numbered], holes: tuple[Hole, ...], accepted: int, head: bytes
    ) -> list[Effect]:
        if not new and not holes:
            return []
        self.accepted, self._chain = accepted, head
        self._pending.update(new)
        effect = StoreEntries(batch, self.incarnation, tuple(new), holes, accepted, head)
        self._waiting.append(effect)
        return [effect]


def _parse_hole(value: bytes | None) -> Hole | None:
    if value is None:
        return None
    if len(value) != 9 or value[8] not in _HOLE_REASONS:  # noqa: PLR2004
        raise RemoteProtocolError("malformed")
    hole = Hole(int.from_bytes(value[:4], "big"), int.from_bytes(value[4:8], "big"), value[8])
    if not 0 < hole.first <= hole.last:
        raise RemoteProtocolError("malformed")
    return hole


def _parse_entries(fields: dict[int, bytes]) -> Iterator[Numbered]:
    data = fields.get(_TAGS["entries"])
    if data is None:
        return
    seq = need_uint(fields, _TAGS["first"])
    position = 0
    if not seq or not data:
        raise RemoteProtocolError("malformed")
    while position < len(data):
        entry, position = take(data, position, len(data))
        if seq > MAX_SEQ:
            raise RemoteProtocolError("malformed")
        yield seq, entry
        seq += 1
