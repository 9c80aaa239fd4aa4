"""What a batch means for what the archive has of an incarnation: new, known, and the marks. Pure.

    plan = plan_batch(state, batch)
    ... compare plan.known with what is stored, insert plan.new ...
    after = plan.after

A number is known if it is in `held`, which is written in the transaction that writes the entries;
so it needs no look at the table to tell that an entry is new. Neighbours: `numbers`, `writer`.
"""

from typing import NamedTuple

from meter_wire.archive_batch import MOST_HOLES, ArchiveBatch, Numbered
from meter_wire.effects import Hole
from meter_wire.tables import HOLES, number_of

from meter_archive.numbers import Numbers, contains, end_of_prefix, join, spans_of, subtract

_RESERVED = number_of(HOLES, "reserved")


class State(NamedTuple):
    """An incarnation in the archive: numbers that are stored, numbers that will not come.

    `lost` are holes by their reason (`tables.HOLES`); what came after all is in `held` too.
    """

    held: Numbers = ()
    lost: tuple[tuple[int, Numbers], ...] = ()

    @property
    def archived(self) -> int:
        """The end of the contiguous prefix, holes included."""
        return end_of_prefix(join([*self.held, *(one for _, rows in self.lost for one in rows)]))


class Plan(NamedTuple):
    """What is to be done for a batch, and the state when that is committed."""

    new: tuple[Numbered, ...]
    known: tuple[Numbered, ...]
    after: State


def plan_batch(state: State, batch: ArchiveBatch) -> Plan:
    """Divide the entries of a batch and work out the state after it."""
    held = state.held
    new: tuple[Numbered, ...]
    known: tuple[Numbered, ...] = ()
    highest = held[-1][1] if held else 0
    if not batch.entries or batch.entries[0][0] > highest:
        new = batch.entries
    else:
        new = tuple(one for one in batch.entries if not contains(held, one[0]))
        known = tuple(one for one in batch.entries if contains(held, one[0]))
    held = join([*held, *spans_of(seq for seq, _ in new)])
    return Plan(new, known, State(held, _lost(state, batch, held)))


def list_holes(state: State) -> tuple[Hole, ...]:
    """Return the newest holes that entries may come into: reserved numbers never do."""
    holes = [
        Hole(first, last, reason)
        for reason, spans in state.lost
        if reason != _RESERVED
        for first, last in spans
    ]
    return tuple(sorted(holes)[-MOST_HOLES:])


def _lost(state: State, batch: ArchiveBatch, held: Numbers) -> tuple[tuple[int, Numbers], ...]:
    """Add the batch's holes; what the archive holds is none, whoever says so."""
    if not batch.holes:
        return tuple((reason, subtract(rows, held)) for reason, rows in state.lost)
    lost = dict(state.lost)
    for hole in batch.holes:
        lost[hole.reason] = join([*lost.get(hole.reason, ()), (hole.first, hole.last)])
    rows = {reason: subtract(spans, held) for reason, spans in sorted(lost.items())}
    return tuple((reason, spans) for reason, spans in rows.items() if spans)
