"""The meter's flash ring: readings and events under one sequence of numbers, bounded, cut-safe.

Implements the port `meter_wire.ports.Ring` that the link reads. An entry has its number and is
durable when `append` returns; the oldest segment is overwritten when space is needed, never
because of an acknowledgement, so a lost twin is rebuilt to the ring's depth. What was overwritten
before its acknowledgement is counted and declared as a hole.

A number is never used twice in an incarnation: the state holds a reserve above the last number,
and if the flash lost entries that were known, counting goes on above the reserve. If the state or
the whole ring is lost, a new incarnation begins. Neighbours: `segments` and `state` below,
`recorder` above.
"""

import struct

import state as items
from meter_wire.portable.entry import chain, chain_hole
from segments import SegmentError, Segments

OVERFLOW = 1
RESERVED = 2
RELEASED = 3

_STATE = ">IIIIII"
_STATE_BYTES = 24
_RANGE = ">IIB"
_RANGE_BYTES = 9
_MAX_RANGES = 8
_RESERVE = 256


class Ring:
    """Entries by number, from 1; see the module's docstring."""

    def __init__(self, flash, state, ring_bytes: int, count: int, random) -> None:
        """Open the ring, or begin a new incarnation.

        Args:
            flash: folder of the segment files.
            state: the durable items, see `state.State`.
            ring_bytes: bytes of flash that the segments may take together.
            count: number of segments, at least 3.
            random: n → n random octets.
        """
        self.archived = 0
        self.stored = 0
        self.lost = 0
        """Entries overwritten or damaged before their acknowledgement, in this incarnation."""
        self.told = int.from_bytes(state.get(items.TOLD), "big")
        """What `lost` was when an event last said it; its owner sets it, see `untold`."""
        self._state = state
        self._ranges = []
        self._layout = (flash, count, ring_bytes // count)
        self.unsaved = known = self._load()
        """First number that the state did not know at this start; entries below it are older."""
        self.incarnation = state.get(items.INCARNATION)
        self.is_new = len(self.incarnation) != 8
        if not self.is_new:
            self._open(known)
        if self.is_new:
            self._begin(random)

    def _load(self) -> int:
        """Read the ring's item; return the number that was to be given next when it was saved."""
        data = self._state.get(items.RING)
        self.oldest = known = self._reserved = 1
        if len(data) >= _STATE_BYTES:
            values = struct.unpack_from(_STATE, data, 0)
            self.oldest, known, self._reserved, self.stored, self.archived, self.lost = values
            for at in range(_STATE_BYTES, len(data), _RANGE_BYTES):
                self._ranges.append(struct.unpack_from(_RANGE, data, at))
        return max(known, self.stored + 1)

    def _segments_of(self, incarnation: bytes, oldest: int):
        flash, count, size = self._layout
        return Segments(flash, incarnation, count, size, oldest)

    def _open(self, known: int) -> None:
        self._segments = self._segments_of(self.incarnation, self.oldest)
        first = self._segments.first
        if first is None:
            self.is_new = known > 1
            self._next = 1
            self._chain = bytes(16)
            return
        self._overwrite(first)  # what is missing at the old end without being given up is lost
        last = self._segments.end - 1  # type: ignore - there is a first one
        before, entry = self._segments.read(last)  # type: ignore
        self._chain = chain(before, self.incarnation, last, entry)
        self._next = last + 1
        if self._next < known and self._ranges:
            start, end, reason = self._ranges[-1]
            if start == self._next and reason == RESERVED:
                self._leave_out(end)
        if self._next < known:
            self.lost += known - self._next
            self._remember(self._next, self._reserved - 1, RESERVED)
            self._leave_out(self._reserved - 1)
            self.save()

    def _leave_out(self, last: int) -> None:
        """Go on above `last`: numbers up to it may have been given to entries that are gone."""
        self._chain = chain_hole(self._chain, self.incarnation, self._next, last)
        self._next = last + 1

    def _begin(self, random) -> None:
        """Begin a new incarnation; the files of the old one are removed."""
        flash = self._layout[0]
        for name in flash.names():
            if name.startswith("ring"):
                flash.remove(name)
        self.incarnation = random(8)
        self.oldest = self._next = self._reserved = 1
        self.stored = self.archived = self.lost = self.told = 0
        self._ranges = []
        self._chain = bytes(16)
        self._segments = self._segments_of(self.incarnation, 0)
        self._state.set(items.INCARNATION, self.incarnation)
        self.save()

    def save(self) -> None:
        """Make marks and holes durable, and with them all that waits in the state."""
        values = (self.oldest, self._next, self._reserved, self.stored, self.archived, self.lost)
        data = struct.pack(_STATE, *values)
        for hole in self._ranges:
            data += struct.pack(_RANGE, *hole)
        self._state.set_both(items.RING, data, items.TOLD, self.told.to_bytes(4, "big"))
        self._state.save()

    @property
    def head(self) -> int:
        """Last number that was given, 0 before the first entry."""
        return self._next - 1

    @property
    def unacknowledged(self) -> int:
        """Numbers above the active twin's mark that are still held or in a hole."""
        return self.head - max(self.stored, self.oldest - 1)

    def append(self, entry: bytes) -> int:
        """Write an entry and return its number; it is on the medium then.

        Raises:
            OSError: the medium refused; no number was given.
        """
        seq = self._next
        victim = self._segments.next_victim(len(entry))
        if victim is not None:
            self._overwrite(victim)
        if victim is not None or seq >= self._reserved:
            self._reserved = max(self._reserved, seq + _RESERVE)
            self.save()
        # Nothing may fail once the entry is on the medium, or its number would be given again.
        link, end = chain(self._chain, self.incarnation, seq, entry), seq + 1
        self._segments.append(seq, self._chain, entry)
        self._chain, self._next = link, end
        return seq

    def _overwrite(self, oldest: int) -> None:
        """Give up the entries below `oldest`; those never acknowledged are lost and declared."""
        first = max(self.stored + 1, self.oldest)
        if first < oldest:
            self.lost += oldest - first
            self._remember(first, oldest - 1, OVERFLOW)
        self.oldest = oldest

    def _remember(self, first: int, last: int, reason: int) -> None:
        if self._ranges and reason == OVERFLOW:
            start, end, kind = self._ranges[-1]
            if kind == reason and end + 1 == first:
                first = start
                self._ranges.pop()
        self._ranges.append((first, last, reason))
        if len(self._ranges) > _MAX_RANGES:
            self._ranges.pop(0)

    def read(self, seq: int) -> tuple | None:
        """Return (entry, chain value before it), None if `seq` lies in a hole."""
        if not self.oldest <= seq < self._next:
            return None
        try:
            record = self._segments.read(seq)
        except SegmentError:
            self._damaged(seq)
            return None
        return None if record is None else (record[1], record[0])

    def _damaged(self, seq: int) -> None:
        for first, last, _reason in self._ranges:
            if first <= seq <= last:
                return
        if seq > self.stored:
            self.lost += 1
        self._remember(seq, seq, OVERFLOW)

    def hole(self, seq: int) -> tuple:
        """Return (last number of the hole that `seq` lies in, reason as in `tables.HOLES`)."""
        for first, last, reason in self._ranges:
            if first <= seq <= last:
                return last, reason
        if seq < self.oldest:
            last = self.oldest - 1
            for first, _last, _reason in self._ranges:
                if seq < first <= last:
                    last = first - 1
            return last, RELEASED
        for first, last in self._segments.gaps():
            if first <= seq <= last:
                return last, OVERFLOW
        return seq, OVERFLOW

    def release(self, stored: int, archived: int) -> None:
        """Note the marks of the active epoch; they only grow (durable with the next save)."""
        self.stored = max(self.stored, min(stored, self.head))
        self.archived = max(self.archived, min(archived, self.head))

    def close(self) -> None:
        """Close the files."""
        self._segments.close()
