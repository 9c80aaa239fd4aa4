"""What to do about a meter. Pure: observed and desired in, one decision out.

One epoch, one store: a pod whose emptyDir is gone is never made again, the meter gets the next
epoch (a takeover). A pod is created only in the reconcile that follows its own allocation, or when
its store is a persistent volume that outlives it; status names that volume's claim, which no other
epoch uses. A twin that is to be another one is replaced while it runs where a `Clock` is given, by
takeover otherwise (ADR 5). Neighbours: `policies`, `under_way`, `reconciler`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from meter_operator.desired import Desired
from meter_operator.handover import (
    TAKE_OVER,
    WAIT,
    Decision,
    Handover,
    is_spent,
    parse_handover,
)
from meter_operator.observed import Observed, Pod
from meter_operator.rollout import HANDOVER, REPLACE
from meter_operator.tries import may_try
from meter_operator.under_way import NOTHING, Clock, build_side, decide_end, decide_open

FIRST = "First"
POD_GONE = "PodGone"
RESTORED = "RestoredCluster"
SPEC_CHANGED = "SpecChanged"
CORDONED = "NodeCordoned"
STORE_CHANGED = "StoreChanged"
PROFILE_CHANGED = "ProfileChanged"


@dataclass(frozen=True, slots=True)
class Plan:
    """The next steps, in this order.

    `amend`: what status is to say of the epoch's next pod before that is made; `begin`: the reason
    for a handover; `decision`: what is next in the one under way; `is_rollout`: the rollout's
    permit is used.
    """

    allocate_epoch: int = 0
    owner_counter: int = 0
    takeover_reason: str = ""
    amend: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    begin: str = ""
    decision: Decision = NOTHING
    create_candidate: bool = False
    create_pod: bool = False
    retire: tuple[Pod, ...] = ()
    renew_certificate: bool = False
    clear_states: tuple[int, ...] = ()
    is_rollout: bool = False


def _find_loss(observed: Observed, desired: Desired, pod: Pod | None) -> str:
    """Return why the active twin cannot go on, empty if it can."""
    meter = observed.meter
    if observed.is_restored:
        return RESTORED
    if meter.store_claim or desired.is_persistent:
        return ""
    if pod is None:
        return "" if observed.newly_allocated else POD_GONE
    if pod.gone:
        return "PodDeleted" if pod.deleting else "PodFailed"
    return ""


def _find_change(observed: Observed, desired: Desired, pod: Pod | None) -> str:
    """Return why the active twin is to be another one, empty if it is as it should be."""
    if pod is not None and observed.is_left_alone(pod):
        return ""
    if bool(observed.meter.store_claim) != desired.is_persistent:
        return STORE_CHANGED
    if pod is None:
        return SPEC_CHANGED if _has_new_key(observed) and not desired.is_persistent else ""
    if pod.spec_hash != desired.spec_hash:
        return SPEC_CHANGED
    return CORDONED if observed.is_leaving(pod) else ""


def _has_new_key(observed: Observed) -> bool:
    return observed.meter.key_version != observed.meter.epoch_key_version


def _allocation(observed: Observed, reason: str) -> Plan:
    """Return the next decision: above everything that anybody has seen (design rule 4)."""
    return Plan(
        allocate_epoch=observed.highest_witness + 1,
        owner_counter=observed.highest_counter + 1,
        takeover_reason=reason,
    )


def _replaced(
    observed: Observed, desired: Desired, pod: Pod | None, clock: Clock | None
) -> tuple[Pod, ...]:
    """Return the current pod if it is to go so that one on the same persistent store can follow.

    One that serves is handed over instead, where there is a `clock`.
    """
    if pod is None or pod.deleting or (clock is not None and pod.ready):
        return ()
    decided = observed.meter.content_hash == desired.content_hash
    differs = pod.spec_hash != desired.spec_hash or observed.is_leaving(pod)
    differs |= decided and pod.profile_hash != desired.profile_hash
    differs = differs and not observed.is_left_alone(pod)
    ends = (desired.is_persistent and differs) or pod.phase in {"Failed", "Succeeded"}
    return (pod,) if ends else ()


def build_plan(
    observed: Observed, desired: Desired, *, renewal_due: bool = False, clock: Clock | None = None
) -> Plan:
    """Return what to do next; an empty plan means that all is as it should be.

    Without a `clock` nothing is handed over: a changed twin is taken over.
    """
    meter = observed.meter
    if meter.is_going:
        return Plan()
    if meter.epoch == 0:
        return _allocation(observed, FIRST)
    pod = observed.find_pod(meter.epoch)
    loss = _find_loss(observed, desired, pod)
    handover = parse_handover(meter.status)
    if handover is not None and handover.is_open and clock is not None and loss != RESTORED:
        return _plan_open(observed, desired, handover, clock)
    change = _find_change(observed, desired, pod)
    if loss:
        return _allocation(observed, loss)
    serves = clock is not None and pod is not None and pod.ready
    begin = change if change and clock and serves and _may_begin(observed, desired, clock) else ""
    is_free = handover is None or (clock is not None and clock.is_broken)
    if not serves and (
        change == STORE_CHANGED or (change and not desired.is_persistent and is_free)
    ):
        return _allocation(observed, change)
    if pod is None and _has_new_key(observed):
        return Plan(amend={"keyVersion": meter.key_version})
    if serves and pod is not None and pod.content_hash not in {"", meter.content_hash}:
        return Plan(amend={"contentHash": pod.content_hash})  # what was decided has not come about
    may_roll = (is_free or serves) and not begin and not meter.is_held
    rolled = _roll(observed, desired, clock) if may_roll else None
    if rolled is not None:
        return rolled
    return Plan(
        begin=begin,
        decision=decide_end(observed, handover, clock),
        create_pod=pod is None,
        retire=_overdue(observed, handover, clock) + _replaced(observed, desired, pod, clock),
        renew_certificate=renewal_due,
        clear_states=_find_over(observed),
    )


def _may_begin(observed: Observed, desired: Desired, clock: Clock) -> bool:
    """Whether the pause is over that follows the failed tries of the twin that is wanted."""
    rows = observed.meter.status.get("handovers") or []
    return may_try(rows, desired.spec_hash, desired.profile_hash, clock.tried_s)


def _find_over(observed: Observed) -> tuple[int, ...]:
    """Return the epochs whose twins said farewell: only the operator can clear the broker of it."""
    meter = observed.meter
    gone = (e for e in observed.states if e != meter.epoch and not observed.find_pod(e))
    return tuple(sorted(e for e in gone if e < meter.highest_epoch))


def _roll(observed: Observed, desired: Desired, clock: Clock | None) -> Plan | None:
    """Return how a twin gets what its profile says now, as the rollout permits.

    One that serves is handed over, never taken over. One that has not been ready for a while is
    replaced: on a persistent volume its pod is made again, as it was before there were handovers.
    """
    pod = observed.find_pod(observed.meter.epoch)
    if clock is None or pod is None or pod.profile_hash == desired.profile_hash:
        return None
    if clock.permit == HANDOVER and pod.ready and _may_begin(observed, desired, clock):
        return Plan(begin=PROFILE_CHANGED, is_rollout=True)
    if clock.permit != REPLACE or pod.ready or pod.deleting:
        return None
    if desired.is_persistent:  # what is decided stays so when the permit is gone
        decided = observed.meter.content_hash == desired.content_hash
        amend = {} if decided else {"contentHash": desired.content_hash}
        return Plan(retire=(pod,) if decided else (), amend=amend, is_rollout=True)
    return replace(_allocation(observed, PROFILE_CHANGED), is_rollout=True)


def _plan_open(observed: Observed, desired: Desired, handover: Handover, clock: Clock) -> Plan:
    """Return what is next in a handover that can still be withdrawn."""
    meter = observed.meter
    is_due = observed.newly_allocated and observed.find_pod(handover.epoch) is None
    wanted = desired.spec_hash if _is_wanted(handover, desired) else ""
    decision = decide_open(observed, handover, clock, wanted=wanted, is_due=is_due)
    if decision.verb == TAKE_OVER:
        return _allocation(observed, decision.reason.partition(":")[0])
    if is_due and decision.verb == WAIT:
        return Plan(create_candidate=True)
    pod = observed.find_pod(meter.epoch)
    old = _overdue(observed, handover, clock)
    if meter.store_claim and pod is not None and pod.gone and not pod.deleting:
        old = (*old, pod)  # its store is still there: made again in its epoch
    lost = bool(meter.store_claim) and pod is None
    return Plan(decision=decision, create_pod=lost, retire=old)


def _is_wanted(handover: Handover, desired: Desired) -> bool:
    """Whether the profile says what it said when the candidate was made."""
    return handover.profile_hash in {"", desired.profile_hash}


def _overdue(observed: Observed, handover: Handover | None, clock: Clock | None) -> tuple[Pod, ...]:
    """Return the older twins that can go: nobody misses what they hold (design rule 7)."""
    own = observed.meter.epoch
    if clock is None:
        return tuple(p for p in observed.pods if p.epoch < own and not p.deleting)
    kept = {own, handover.source, handover.epoch} if handover is not None else {own}
    older = [p for p in observed.pods if not p.deleting]
    active = build_side(observed, observed.meter.epoch)
    return tuple(
        pod
        for pod in older
        if pod.epoch not in kept
        and (
            _never_began(observed, pod, clock)
            or is_spent(pod.epoch, build_side(observed, pod.epoch), active)
            or clock.older_s.get(pod.epoch, 0.0) >= clock.patience.final_s
        )
    )


def is_passed_on(observed: Observed, pod: Pod) -> bool:
    """Whether the active twin has all that an older one will ever have: its volume may go, too."""
    active = build_side(observed, observed.meter.epoch)
    return is_spent(pod.epoch, build_side(observed, pod.epoch), active)


def _never_began(observed: Observed, pod: Pod, clock: Clock) -> bool:
    """Whether a twin cannot hold anything: it was never ready, and never spoke to the broker.

    One that has just taken its first entries may not have been heard yet.
    """
    age_s = clock.older_s.get(pod.epoch, 0.0)
    unheard = not pod.ready and pod.epoch not in observed.states
    return pod.gone or (unheard and age_s >= clock.patience.frozen_s)
