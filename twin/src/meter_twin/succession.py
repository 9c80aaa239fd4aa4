"""What this twin is to the other twins of its meter: donor, candidate, owner, or retired. Pure.

    succession = Succession(epoch, store_id, shelf)
    succession.control(record)            # the gate has accepted it and memory is durable
    told = succession.tell(peer_epoch)    # a taker asks what we hold
    word = succession.word(joined=…, waits=…)   # for the retained state

What is decided elsewhere is only obeyed here: a frozen twin goes on storing and acknowledging but
acts on nobody; a retired one stores nothing more, so that what it says it holds is final. Neither
ends by itself. Neighbours: `owner_gate` (whether a record counts), `taking` (the taker's work),
`meter_wire.word` (what is said).
"""

from typing import Protocol

from meter_wire.control import ControlRecord
from meter_wire.coverage import Block, Coverage
from meter_wire.word import Cover, Word

from .taking import Donor, Taker, Told


class Shelf(Protocol):
    """Read access to our own store."""

    def find_block(self, incarnation: bytes, first: int) -> Block | None:
        """Return the sum of what we hold of a block, None for nothing."""

    def coverage(self) -> Coverage:
        """Return what we hold."""


class NotATakerError(Exception):
    """A twin asks for what it may not have, or not any more."""


class Succession:
    """One per twin."""

    def __init__(self, store_id: bytes, shelf: Shelf) -> None:
        """Begin as nobody's donor and nobody's taker."""
        self.taker = Taker(shelf)
        self.untaken: frozenset[int] = frozenset()
        """Epochs of older twins that may still give states: not to be called done with yet."""
        self.refuses = ""
        """Why this twin cannot take over, as the operator is to read it; empty if it can."""
        self._store_id = store_id
        self._shelf = shelf
        self._record: ControlRecord | None = None
        self._root = b""

    def control(self, record: ControlRecord) -> bool:
        """Obey a control record; what has to be durable is durable already.

        Returns whether it comes from another decision than the one before.
        """
        before, self._record = self._record, record
        self.taker.assign(Donor(*one) for one in record.donors)
        if record.state in {"frozen", "retired"} and (
            before is None or (before.state, before.attempt) != (record.state, record.attempt)
        ):
            self._root = self._shelf.coverage().root
        return before is None or before.order != record.order

    def tell(self, epoch: int) -> Told:
        """Return what we hold, for the twin of `epoch`.

        Raises:
            NotATakerError: the operator has not named that epoch.
        """
        self.check_taker(epoch)
        coverage = self._shelf.coverage()
        self._root = coverage.root
        return Told(coverage, self.frozen, self.is_retired)

    def check_taker(self, epoch: int) -> None:
        """Let only those pass whom the operator has named.

        Raises:
            NotATakerError: the operator has not named that epoch.
        """
        if epoch not in self.takers:
            raise NotATakerError(f"epoch {epoch} is no taker of this twin")

    @property
    def takers(self) -> tuple[int, ...]:
        """Epochs of the twins that may ask us."""
        return tuple(one.epoch for one in self._record.takers) if self._record else ()

    @property
    def donors(self) -> list[Donor]:
        """The older twins that we ask."""
        return [Donor(*one) for one in self._record.donors] if self._record else []

    @property
    def frozen(self) -> str:
        """The attempt that this twin is frozen for, empty if it is not."""
        record = self._record
        return record.attempt if record is not None and record.state == "frozen" else ""

    @property
    def is_retired(self) -> bool:
        """Whether nothing is stored any more."""
        return self._record is not None and self._record.state == "retired"

    @property
    def givers(self) -> list[Donor]:
        """The older twins that states of applications may be taken from: what they hold is here.

        A candidate follows one twin. An active one takes what it can get, as that may be gone soon.
        """
        state = self._record.state if self._record is not None else ""
        if state not in {"active", "candidate"}:
            return []
        return [one for one in self.donors if one.epoch in self.taker.covered]

    @property
    def has_all(self) -> bool:
        """Whether this twin serves, and all that older twins hold is here: nothing can follow.

        Entries that a donor brings lie before those of the meter; an application that began
        without them would have to begin again. So a candidate begins none before it is decided,
        and one that was given up never does.
        """
        return self.is_active and self.taker.is_over

    @property
    def is_active(self) -> bool:
        """Whether this twin is the one that serves."""
        return self._record is not None and self._record.state == "active"

    def word(self, *, joined: bool, waits: bool) -> Word:
        """Return this twin's word; `joined`: it has a session with the meter.

        `waits`: the time after a takeover is not over (`owner_gate`).
        """
        covers = {
            epoch: Cover(one.root.hex(), one.frozen, one.final and epoch not in self.untaken)
            for epoch, one in self.taker.covered.items()
        }
        return Word(
            store=self._store_id.hex(),
            root=self._root.hex(),
            frozen=self.frozen,
            retired=self.is_retired,
            joined=joined,
            covers=covers,
            refuses=self.refuses,
            waits=waits,
        )
