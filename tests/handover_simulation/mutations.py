"""Ways to break the handover, each of which the simulation has to find.

Each is a function that patches the real code through `replace`, which undoes it afterwards. If one
of them is not found any more, the simulation has lost its teeth: make it sharper, don't remove it.
Not found yet, so the simulation says nothing about them: decisions without compare-and-swap, control
records of any age, epochs that are used again, an abort without a new counter.
"""

from collections.abc import Callable
from typing import Any

from meter_operator import decisions, handover, plan, reconciler
from meter_operator import owner as operator_owner
from meter_operator.handover import COMMIT, FREEZE, WAIT, Decision
from meter_twin import owner_gate, taking
from meter_wire.portable import meter_epochs, owner

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


MUTATIONS = {
    function.__name__: function
    for function in (
        donors_are_not_named,
        commit_without_proof,
        freeze_without_snapshot_and_commit_on_hello,
        old_twin_is_removed_at_commit,
        marks_are_taken_for_possession,
        authority_without_a_lease,
        no_wait_after_a_takeover,
        the_floor_moves_at_candidate,
        retired_is_not_said,
        the_candidate_is_told_it_is_active,
    )
}
