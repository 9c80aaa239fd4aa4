"""What the operator does wrong."""

import dataclasses
from typing import Any

from meter_operator import announcements, cluster, decisions, handover, hellos, lease, plan
from meter_operator import owner as operator_owner
from meter_operator.handover import COMMIT, FREEZE, WAIT, Decision

from .replacing import Replace


def donors_are_not_named(replace: Replace) -> None:
    """Nobody is told where older twins can be asked."""
    replace(announcements, "find_addresses", lambda _pods: {})


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


def no_wait_after_a_takeover(replace: Replace) -> None:
    """The new twin acts at once, whatever the old one may still do."""
    replace(decisions, "AUTHORITY_WAIT_S", 0)


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


def a_stop_ends_in_its_own_term(replace: Replace) -> None:
    """Load control is permitted again in the order in which it was stopped."""
    right = announcements.Announcements.messages_of

    def messages_of(self: Any, *arguments: Any) -> Any:
        self._raise_term = lambda _: None
        return right(self, *arguments)

    replace(announcements.Announcements, "messages_of", messages_of)


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
