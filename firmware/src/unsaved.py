"""What the ring has told already of what the state says is untold: found once, at the start.

An event is on the flash when it is recorded, the word that it is told with the next save.
Neighbours: `untold`, `ring`; `start_record` and `small_start`, which call it before they record or
save anything.
"""

import struct

import state as items
from meter_wire.portable.entry import encode_event
from untold import OWNER_CHANGE, RING_OVERFLOW, ROW, ROW_BYTES

_HEAD = 13
"""Octets of an entry that say when and in which state it was made."""


def _is_told(ring, code: int, *arguments) -> bool:
    """Return whether an entry that the state did not know at this start is this event."""
    event = encode_event(0, 0, 0, 0, code, list(arguments))
    for seq in range(ring.unsaved, ring.head + 1):
        row = ring.read(seq)
        if row and row[0][0] == event[0] and row[0][_HEAD:] == event[_HEAD:]:
            return True
    return False


def settle(ring, state) -> None:
    """Take away what is told."""
    if ring.lost != ring.told and _is_told(ring, RING_OVERFLOW, ring.lost):
        ring.told = ring.lost
    rows = state.get(items.UNTOLD)
    while rows and _is_told(ring, OWNER_CHANGE, *struct.unpack_from(ROW, rows)):
        rows = rows[ROW_BYTES:]
        state.set(items.UNTOLD, rows)
