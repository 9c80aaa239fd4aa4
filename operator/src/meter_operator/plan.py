"""What to do about a meter. Pure: observed and desired in, one decision out.

One epoch, one store: a pod whose emptyDir is gone is never made again, the meter gets the next
epoch (a takeover). A pod is created only in the reconcile that follows its own allocation, or when
its store is a persistent volume that outlives it; status names that volume's claim, which no other
epoch uses. Neighbours: `policies`, `reconciler`.
"""

from dataclasses import dataclass

from meter_operator.desired import Desired
from meter_operator.observed import Observed, Pod

FIRST = "First"
POD_GONE = "PodGone"
RESTORED = "RestoredCluster"
SPEC_CHANGED = "SpecChanged"
CORDONED = "NodeCordoned"
STORE_CHANGED = "StoreChanged"


@dataclass(frozen=True, slots=True)
class Plan:
    """The next steps, in this order.

    `key_version` is the version of the device's key that the next pod of the epoch is to have.
    """

    allocate_epoch: int = 0
    owner_counter: int = 0
    takeover_reason: str = ""
    key_version: int = 0
    create_pod: bool = False
    retire: tuple[Pod, ...] = ()
    renew_certificate: bool = False
    clear_states: tuple[int, ...] = ()


def _takeover_reason(observed: Observed, desired: Desired, pod: Pod | None) -> str:
    meter = observed.meter
    if observed.highest_witness > meter.highest_epoch:
        return RESTORED
    if observed.highest_counter > meter.owner_counter:
        return RESTORED
    if bool(meter.store_claim) != desired.is_persistent:
        return STORE_CHANGED
    if desired.is_persistent:
        return ""
    if pod is None and not observed.newly_allocated:
        return POD_GONE
    if pod is None:
        return SPEC_CHANGED if _has_new_key(observed) else ""
    if pod.gone:
        return "PodDeleted" if pod.deleting else "PodFailed"
    if pod.spec_hash != desired.spec_hash:
        return SPEC_CHANGED
    return CORDONED if _is_leaving(observed, pod) else ""


def _has_new_key(observed: Observed) -> bool:
    return observed.meter.key_version != observed.meter.epoch_key_version


def _is_leaving(observed: Observed, pod: Pod) -> bool:
    return bool(pod.node) and pod.node == observed.leaving


def _allocation(observed: Observed, reason: str) -> Plan:
    """Return the next decision: above everything that anybody has seen (design rule 4)."""
    return Plan(
        allocate_epoch=observed.highest_witness + 1,
        owner_counter=observed.highest_counter + 1,
        takeover_reason=reason,
    )


def _replaced(observed: Observed, desired: Desired, pod: Pod | None) -> bool:
    """Whether the current pod is to go so that one on the same persistent store can follow."""
    if pod is None or pod.deleting:
        return False
    differs = pod.spec_hash != desired.spec_hash or _is_leaving(observed, pod)
    return (desired.is_persistent and differs) or pod.phase in {"Failed", "Succeeded"}


def build_plan(observed: Observed, desired: Desired, *, renewal_due: bool = False) -> Plan:
    """Return what to do next; an empty plan means that all is as it should be."""
    meter = observed.meter
    if meter.deleting:
        return Plan()
    if meter.epoch == 0:
        return _allocation(observed, FIRST)
    pod = observed.find_pod(meter.epoch)
    reason = _takeover_reason(observed, desired, pod)
    if reason:
        return _allocation(observed, reason)
    if pod is None and _has_new_key(observed):
        return Plan(key_version=meter.key_version)
    old = tuple(p for p in observed.pods if p.epoch < meter.epoch and not p.deleting)
    if pod is not None and _replaced(observed, desired, pod):
        old = (*old, pod)
    # The farewell of a twin whose pod is gone: only the operator can remove it from the broker.
    over = tuple(sorted(e for e in observed.states if e < meter.epoch and not observed.find_pod(e)))
    return Plan(
        create_pod=pod is None, retire=old, renew_certificate=renewal_due, clear_states=over
    )
