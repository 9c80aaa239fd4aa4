"""What a twin does wrong, but for its applications."""

from typing import Any

from meter_twin import owner_gate, store, store_coverage, store_retention, successor, taking
from meter_wire import twin_intake, word
from meter_wire.names import MAX_SEQ

from . import twin as played_twin
from .replacing import Replace


def marks_are_taken_for_possession(replace: Replace) -> None:
    """A block of which the taker holds anything counts as taken."""

    def has(self: Any, _work: Any, block: Any) -> bool:
        return self._shelf.find_block(*block[:2]) is not None

    replace(taking.Taker, "_has", has)


def the_highest_seen_is_acknowledged(replace: Replace) -> None:
    """The stored mark is the highest number that came, whatever is missing before it."""
    right = twin_intake.Intake._check_order

    def check(self: Any, hole: Any, entries: Any) -> None:
        first = hole.first if hole else entries[0][0] if entries else 0
        if first > self.accepted + 1:
            self.accepted, self._chain = first - 1, b""
        right(self, hole, entries)

    def advance(self: Any, number: int) -> int:
        self.connection.execute(
            "UPDATE incarnation SET stored = max(stored,"
            " ifnull((SELECT max(seq) FROM entry WHERE incarnation = number), 0),"
            " ifnull((SELECT max(last) FROM hole WHERE incarnation = number), 0)) WHERE number = ?",
            (number,),
        )
        return int(self._marks_of(number)[0])

    replace(twin_intake.Intake, "_check_order", check)
    replace(store.Store, "_advance", advance)


def what_a_donor_has_pruned_is_deleted(replace: Replace) -> None:
    """A taker takes over what a donor has deleted as if it were its own time that is over."""
    right = store_coverage.import_entries

    def bring(held: Any, one: Any, now_s: int) -> None:
        right(held, one, now_s)
        if one.stretch and one.stretch.pruned:
            with held.transaction() as connection:
                number = held.find_number(one.incarnation)
                store_retention.delete_until(connection, number, one.stretch.pruned)

    def keep(self: Any, entries: Any) -> None:
        self.held |= set(entries) - self.find_expired(entries)
        pruned = dict(self.store.connection.execute("SELECT id, pruned FROM incarnation"))
        self.held = {entry for entry in self.held if entry[1] > pruned.get(entry[0], 0)}

    replace(successor, "import_entries", bring)
    replace(played_twin.Twin, "keep", keep)


def readings_expire_before_applications_have_begun(replace: Replace) -> None:
    """Retention takes what it finds, also of a candidate, whose application is to be handed it."""
    replace(played_twin, "find_handed", lambda *_: MAX_SEQ)


def authority_without_a_lease(replace: Replace) -> None:
    """A twin acts as long as it has not heard otherwise."""
    replace(owner_gate.OwnerGate, "has_authority", lambda self, _now, **_: self.state == "active")


def control_records_of_any_age(replace: Replace) -> None:
    """A twin obeys what it reads, also what it has outlived."""
    right = owner_gate.OwnerGate._judge

    def judge(self: Any, payload: bytes, now_ms: int) -> Any:
        self.memory = self.memory._replace(term=0, counter=0)
        return right(self, payload, now_ms)

    replace(owner_gate.OwnerGate, "_judge", judge)


def a_retired_twin_goes_on(replace: Replace) -> None:
    """It stores and acknowledges what nobody takes from it any more."""
    replace(owner_gate.OwnerGate, "is_retired", property(lambda _self: False))


def a_twin_forgets_its_orders(replace: Replace) -> None:
    """Frozen or retired, and how old the last order was, end with the process."""
    replace(played_twin, "load_gate_memory", lambda _store: owner_gate.GateMemory())


def a_twin_forgets_a_stop(replace: Replace) -> None:
    """A record that says nothing new leaves load control as it likes."""
    right = owner_gate.GateMemory.take

    def take(self: Any, record: Any) -> Any:
        return right(self, record)._replace(stopped=self.stopped)

    replace(owner_gate.GateMemory, "take", take)


def authority_without_the_meters_word(replace: Replace) -> None:
    """Nobody waits for the one who knows, where everybody else has forgotten what was before."""
    right = owner_gate.OwnerGate.__init__

    def begin(self: Any, *arguments: Any) -> None:
        right(self, *arguments)
        self._is_met = True

    replace(owner_gate.OwnerGate, "__init__", begin)


def a_word_has_a_key_in_it(replace: Replace) -> None:
    """A twin says on the broker what only it may know."""
    right = word.sign_word

    def sign(word: Any, epoch: int, key: bytes) -> Any:
        return right(word, epoch, key) | {"note": key.hex()}

    replace(played_twin, "sign_word", sign)
