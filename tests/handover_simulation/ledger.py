"""What has become of each entry that the meter has measured; and which losses are excused.

An entry has to be in the serving twin's store at the end, whatever happens, but for four cases,
each noted at the moment when it happens:

- *store*: a fault destroyed a store (pod deleted, node lost) while no other store held the entry;
  and the ring did not hold it either, or overwrote it, as the lost store's acknowledgement allowed,
  before any other store had it.
- *flash*: a fault destroyed the meter's flash while the ring held the entry and no store did.
- *overflow*: the ring was full of entries that nobody had acknowledged, and no store held this one.
  The meter declares it.
- *retention*: a twin has deleted it because its time was over, and no other store held it, or the
  last that did was removed while that twin served. The twin that serves at the end may have
  deleted it itself.

An entry that any store held at that moment is not excused, whoever removes that store later. And an
acknowledged entry that leaves the ring while no store holds it, without the first case, ends the
world at once: a false acknowledgement. The operator that gives a store up ("Lost") is no excuse.
"""

from collections import Counter
from collections.abc import Callable, Iterable

Entry = tuple[bytes, int]


class Ledger:
    """One per world."""

    def __init__(self, stores: Callable[[], Iterable[set[Entry]]]) -> None:
        """`stores`: what each store holds that still exists."""
        self._stores = stores
        self.excused: dict[Entry, str] = {}
        self.fail: Callable[[str], None] = lambda _text: None
        self._at_risk: set[Entry] = set()

    @property
    def counts(self) -> Counter[str]:
        """How many are excused, by case."""
        return Counter(self.excused.values())

    def _is_held(self, entry: Entry) -> bool:
        return any(entry in store for store in self._stores())

    def store_lost(self, held: set[Entry], ring: Iterable[Entry]) -> None:
        """Note that a fault took a store; the other ones are those that are left."""
        lost = held.difference(*self._stores())
        kept = lost & set(ring)
        self._at_risk |= kept
        self.excused.update(dict.fromkeys(lost - kept - self.excused.keys(), "store"))

    def deleted(self, entries: Iterable[Entry]) -> None:
        """Note that entries' time was over; what another store holds has to stay there."""
        for entry in entries:
            if not self._is_held(entry):
                self.excused.setdefault(entry, "retention")

    def flash_lost(self, ring: Iterable[Entry]) -> None:
        """Note that a fault took the meter's ring."""
        for entry in ring:
            if entry not in self.excused and not self._is_held(entry):
                self.excused[entry] = "store" if entry in self._at_risk else "flash"

    def left_ring(self, entry: Entry, acknowledged: bool) -> None:
        """Note that the ring has overwritten an entry."""
        if self._is_held(entry):
            return
        if entry in self._at_risk:
            self.excused.setdefault(entry, "store")
        elif not acknowledged:
            self.excused.setdefault(entry, "overflow")
        elif entry not in self.excused:
            self.fail(f"entry {entry[1]} was acknowledged and is held by nobody")
