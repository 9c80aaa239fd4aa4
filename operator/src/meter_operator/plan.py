"""What to do about a meter. Pure: observed and desired in, one decision out.

One epoch, one store: a pod whose emptyDir is gone is never made again, the meter gets the next
epoch (a takeover). A pod is created only in the reconcile that follows its own allocation, or when
its store is a persistent volume that outlives it. Neighbours: `policies`, `reconciler`.
"""

from dataclasses import dataclass

from meter_operator.desired import Desired
from meter_operator.observed import Observed, Pod


@dataclass(frozen=True, slots=True)
class Plan:
    """The next steps, in this order."""

    allocate_epoch: int = 0
    takeover_reason: str = ""
    create_pod: bool = False
    retire: tuple[Pod, ...] = ()
    renew_certificate: bool = False


def _takeover_reason(observed: Observed, desired: Desired, pod: Pod | None) -> str:
    persistent = desired.store.get("type") == "PersistentVolume"
    if observed.highest_witness > observed.meter.highest_epoch:
        return "RestoredCluster"
    if pod is None:
        return "" if persistent or observed.newly_allocated else "PodGone"
    if pod.gone:
        if persistent:
            return ""
        return "PodDeleted" if pod.deleting else "PodFailed"
    if pod.spec_hash != desired.spec_hash:
        return "SpecChanged"
    return ""


def build_plan(observed: Observed, desired: Desired, *, renewal_due: bool = False) -> Plan:
    """Return what to do next; an empty plan means that all is as it should be."""
    meter = observed.meter
    if meter.deleting:
        return Plan()
    if meter.epoch == 0:
        return Plan(allocate_epoch=observed.highest_witness + 1, takeover_reason="First")
    pod = observed.find_pod(meter.epoch)
    reason = _takeover_reason(observed, desired, pod)
    if reason:
        return Plan(allocate_epoch=observed.highest_witness + 1, takeover_reason=reason)
    old = tuple(p for p in observed.pods if p.epoch < meter.epoch and not p.deleting)
    finished = pod is not None and pod.phase in {"Failed", "Succeeded"} and not pod.deleting
    if finished and pod is not None:
        old = (*old, pod)
    return Plan(create_pod=pod is None, retire=old, renew_certificate=renewal_due)
