"""Ways to break the handover, each of which the simulation has to find.

Each is a function that patches the real code through `replace`, which undoes it afterwards. If one
of them is not found any more, the simulation has lost its teeth: make it sharper, don't remove it.
`RARE` are found in one of some hundred seeds only; `NOT_FOUND` says where the simulation says nothing.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from meter_operator import cluster, decisions, handover, hellos, lease, plan, reconciler
from meter_operator import owner as operator_owner
from meter_operator.handover import COMMIT, FREEZE, WAIT, Decision
from meter_twin import (
    application_host,
    owner_gate,
    store,
    store_coverage,
    store_queries,
    store_retention,
    succession,
    successor,
    taking,
)
from meter_wire import twin_intake, word
from meter_wire.portable import meter_epochs, meter_link, owner

from . import twin as played_twin

Replace = Callable[[Any, str, Any], None]


def donors_are_not_named(replace: Replace) -> None:
    """Nobody is told where older twins can be asked."""
    replace(reconciler, "find_addresses", lambda _pods: {})


def commit_without_proof(replace: Replace) -> None:
    """The candidate need not hold what the frozen twin holds."""
    replace(handover, "_commit", lambda *_, **__: Decision(COMMIT))


def freeze_without_snapshot_and_commit_on_hello(replace: Replace) -> None:
    """The meter's word to the candidate (flow 10) is taken for the proof."""

    def freeze(_handover: Any, _active: Any, candidate: Any, **_: Any) -> Decision:
        return Decision(FREEZE) if candidate.word.joined else Decision(WAIT, "no hello")

    replace(handover, "_freeze", freeze)
    replace(handover, "_commit", lambda *_, **__: Decision(COMMIT))


def old_twin_is_removed_at_commit(replace: Replace) -> None:
    """Whatever is not the active twin or a candidate goes at once."""

    def overdue(observed: Any, found: Any, _clock: Any) -> tuple[Any, ...]:
        kept = {observed.meter.epoch, found.epoch if found else 0}
        return tuple(p for p in observed.pods if p.epoch not in kept and not p.deleting)

    replace(plan, "_overdue", overdue)


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


def authority_without_a_lease(replace: Replace) -> None:
    """A twin acts as long as it has not heard otherwise."""
    replace(owner_gate.OwnerGate, "has_authority", lambda self, _now, **_: self.state == "active")


def no_wait_after_a_takeover(replace: Replace) -> None:
    """The new twin acts at once, whatever the old one may still do."""
    replace(decisions, "AUTHORITY_WAIT_S", 0)


def the_floor_moves_at_candidate(replace: Replace) -> None:
    """A meter that has heard of a candidate refuses the active twin after an abort."""
    right = owner.refusal

    def refuse(record: Any, device: str, current: Any, nonce: bytes) -> str | None:
        if current is not None and record.active < max(current.active, current.candidate):
            return "floor"
        return right(record, device, current, nonce)

    replace(meter_epochs, "refusal", refuse)


def retired_is_not_said(replace: Replace) -> None:
    """An older twin is left with what it was told last."""
    right = operator_owner._build_controls

    def build(meter: Any, term: int, live: Any) -> Any:
        return [row for row in right(meter, term, live) if row[0].state != "retired"]

    replace(operator_owner, "_build_controls", build)


def the_candidate_is_told_it_is_active(replace: Replace) -> None:
    """Two twins have authority before anything is decided."""
    right = operator_owner._build_controls

    def build(meter: Any, term: int, live: Any) -> Any:
        rows = right(meter, term, live)
        return [
            (row._replace(state="active") if row.state == "candidate" else row, version)
            for row, version in rows
        ]

    replace(operator_owner, "_build_controls", build)


def decisions_without_compare_and_swap(replace: Replace) -> None:
    """Status is written whatever has become of it since it was read."""
    right = cluster.Cluster.write_status

    async def write(self: Any, meter: Any, status: Any, *, decision: bool) -> Any:
        del decision
        return await right(self, meter, status, decision=False)

    replace(cluster.Cluster, "write_status", write)


def control_records_of_any_age(replace: Replace) -> None:
    """A twin obeys what it reads, also what it has outlived."""
    right = owner_gate.OwnerGate._judge

    def judge(self: Any, payload: bytes, now_ms: int) -> Any:
        self.memory = self.memory._replace(term=0, counter=0)
        return right(self, payload, now_ms)

    replace(owner_gate.OwnerGate, "_judge", judge)


def owner_records_of_any_age(replace: Replace) -> None:
    """A meter obeys what it reads, also what it has outlived."""
    right = owner.refusal

    def refuse(record: Any, device: str, current: Any, nonce: bytes) -> str | None:
        found = right(record, device, current, nonce)
        return None if found in {"counter", "floor", "conflict"} else found

    replace(meter_epochs, "refusal", refuse)


def epochs_are_used_again(replace: Replace) -> None:
    """The next epoch follows the active one, whoever has seen a higher one."""
    begin, allocation = decisions.build_begin, plan._allocation

    def begin_next(meter: Any, desired: Any, *, epoch: int, **rest: Any) -> Any:
        del epoch
        return begin(meter, desired, epoch=meter.epoch + 1, **rest)

    def allocate_next(observed: Any, reason: str) -> Any:
        found = allocation(observed, reason)
        return dataclasses.replace(found, allocate_epoch=observed.meter.epoch + 1)

    replace(decisions, "build_begin", begin_next)
    replace(plan, "_allocation", allocate_next)


def abort_without_a_new_counter(replace: Replace) -> None:
    """What is withdrawn has the number of what was decided before."""
    right = decisions.build_abort

    def build(meter: Any, *why: str, **more: Any) -> Any:
        return right(meter, *why, **more) | {"ownerCounter": meter.owner_counter}

    replace(decisions, "build_abort", build)


def a_lost_lease_is_taken_again(replace: Replace) -> None:
    """A leader that was away leads on, with what it knew and the term that it had."""
    replace(lease.Lease, "_was_taken", lambda _self, _found: False)


def the_term_of_a_restored_lease(replace: Replace) -> None:
    """A Lease that was put back begins its terms again below those that twins remember."""
    replace(hellos.TermWitness, "hear", lambda *_: None)


def a_restored_status_is_believed(replace: Replace) -> None:
    """Nobody who knows more than status is a reason to go above it."""
    right = plan._find_loss

    def find(observed: Any, desired: Any, pod: Any) -> str:
        found = right(observed, desired, pod)
        return "" if found == plan.RESTORED else found

    replace(plan, "_find_loss", find)


def a_retired_twin_goes_on(replace: Replace) -> None:
    """It stores and acknowledges what nobody takes from it any more."""
    replace(owner_gate.OwnerGate, "is_retired", property(lambda _self: False))


def a_twin_forgets_its_orders(replace: Replace) -> None:
    """Frozen or retired, and how old the last order was, end with the process."""
    replace(played_twin, "load_gate_memory", lambda _store: owner_gate.GateMemory())


def candidates_acknowledge(replace: Replace) -> None:
    """The meter lets go of what only a candidate has."""
    right = meter_link.MeterLink._is_active

    def is_active(self: Any, epoch: int) -> bool:
        return right(self, epoch) or (self.owner is not None and self.owner.candidate == epoch)

    replace(meter_link.MeterLink, "_is_active", is_active)


def a_commit_forgets_the_wait(replace: Replace) -> None:
    """The successor of a twin that has not waited to the end acts at once."""
    right = decisions.build_commit

    def build(meter: Any, found: Any, **more: Any) -> Any:
        return right(meter, found, **more | {"waits": False})

    replace(decisions, "build_commit", build)


def a_proof_of_any_root(replace: Replace) -> None:
    """What the candidate took since the freeze is enough, whatever the frozen twin has by now."""
    right = handover._commit

    def commit(found: Any, active: Any, candidate: Any, **more: Any) -> Any:
        proof = candidate.word.covers.get(found.source)
        root = proof.root if proof is not None else active.word.root
        return right(
            found, active._replace(word=active.word._replace(root=root)), candidate, **more
        )

    replace(handover, "_commit", commit)


def a_donor_is_spent_with_any_cover(replace: Replace) -> None:
    """An older twin goes as soon as the active one has taken anything from it."""

    def is_spent(epoch: int, _old: Any, new: Any) -> bool:
        return epoch in new.word.covers

    replace(handover, "is_spent", is_spent)
    replace(plan, "is_spent", is_spent)


def applications_begin_without_those_before(replace: Replace) -> None:
    """A twin that has nobody to ask begins, whoever has begun before it; and gives that on."""

    def has_all(self: Any) -> bool:
        return self._record is not None and self.taker.covered.keys() >= {
            one.epoch for one in self.donors
        }

    replace(succession.Succession, "has_all", property(has_all))


def an_application_is_not_handed_some_entries(replace: Replace) -> None:
    """Every fifth that is stored is passed over, in every twin."""
    right = store_queries.load_feed

    def load(*arguments: Any) -> Any:
        return [row for row in right(*arguments) if row.position.seq % 5]

    replace(application_host, "load_feed", load)


def an_application_goes_back_an_entry(replace: Replace) -> None:
    """A state that is taken over is said to be from one entry before."""
    right = application_host.ApplicationHost.adopt

    def adopt(self: Any, name: str, saved: Any) -> None:
        place = saved.position._replace(seq=max(0, saved.position.seq - 1))
        right(self, name, saved._replace(position=place))

    replace(application_host.ApplicationHost, "adopt", adopt)


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


FOUND = (
    donors_are_not_named,
    commit_without_proof,
    freeze_without_snapshot_and_commit_on_hello,
    old_twin_is_removed_at_commit,
    marks_are_taken_for_possession,
    the_highest_seen_is_acknowledged,
    what_a_donor_has_pruned_is_deleted,
    authority_without_a_lease,
    no_wait_after_a_takeover,
    the_floor_moves_at_candidate,
    retired_is_not_said,
    the_candidate_is_told_it_is_active,
    decisions_without_compare_and_swap,
    epochs_are_used_again,
    abort_without_a_new_counter,
    a_restored_status_is_believed,
    applications_begin_without_those_before,
    an_application_is_not_handed_some_entries,
    an_application_goes_back_an_entry,
    a_word_has_a_key_in_it,
)
RARE = (
    control_records_of_any_age,
    a_lost_lease_is_taken_again,
    the_term_of_a_restored_lease,
    authority_without_the_meters_word,
)
"""Several things have to go wrong at once: looked for in the long runs only."""
NOT_FOUND = {
    owner_records_of_any_age: "200 seeds; the operator says the record again whenever it connects or"
    " hears another one, a retired twin acknowledges nothing, and a meter without acks asks",
    a_retired_twin_goes_on: "120 seeds; the meter leaves a retired twin with the record of the same"
    " decision, so little comes after what was said to be final",
    a_twin_forgets_its_orders: "not tried in enough; the retained record says the same again",
    candidates_acknowledge: "not tried in enough; stores of given-up candidates are donors too",
    a_commit_forgets_the_wait: "not tried in enough; most old twins hear that they are retired",
    a_proof_of_any_root: "140 seeds; the old twin is a donor after the commit, so what came after the"
    " first proof is taken then, or asked of the meter's ring",
    a_donor_is_spent_with_any_cover: "140 seeds; a taker asks each second, and what it has not taken is"
    " still in the ring unless peers and owner record are both late by all of that",
}
"""Nothing is proved of these: which lock seems to hold instead."""
MUTATIONS = {function.__name__: function for function in FOUND}
RARE_MUTATIONS = {function.__name__: function for function in RARE}
