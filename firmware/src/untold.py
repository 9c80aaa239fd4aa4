"""What the flash already has and no event has told yet: overwritten entries, changes of owner.

Both are in the state before their event is in the ring, in the same save as what is told: a power
cut between the two leaves the event to the next start, where `unsaved` finds what was told without
a save since. Neighbours: `ring`, whose `lost` and `told` are the same of what it overwrote;
`recorder`, `commands` and `small_record`, which tell.
"""

import struct

import state as items

RING_OVERFLOW = 14
OWNER_CHANGE = 15
ROW = ">II"
ROW_BYTES = 8


def keep_owner(ring, state, record: bytes, owner) -> None:
    """Make an owner record durable, and with it that it is to be told: one save."""
    rows = state.get(items.UNTOLD)
    if owner is not None:
        rows += struct.pack(ROW, owner.active, owner.candidate)
    state.set_both(items.LINK, record, items.UNTOLD, rows)
    ring.save()


def tell_owner(ring, state, event) -> None:
    """Call `event(OWNER_CHANGE, active, candidate)` for each change; what fails stays."""
    while True:
        rows = state.get(items.UNTOLD)
        if not rows:
            return
        rest, head = rows[ROW_BYTES:], ring.head
        try:
            event(OWNER_CHANGE, *struct.unpack_from(ROW, rows))
        finally:
            if ring.head != head:
                state.set(items.UNTOLD, rest)  # durable with the next save
