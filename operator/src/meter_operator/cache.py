"""What the watches and the broker have told, in memory. No I/O; one loop writes and reads it."""

from dataclasses import dataclass, field
from typing import Any

from meter_wire.names import LABEL_DEVICE, MAX_EPOCH

from meter_operator.declared import Declared
from meter_operator.desired import Json, Key, Meter, parse_meter
from meter_operator.observed import Pod, TwinState, Witness, parse_pod

GONE_KEPT = 10_000


@dataclass
class Cache:
    """The last known form of meters, profiles, utilities, twin pods, states; who leaves which node.

    What was deleted stays so: a list or an answer from before its deletion may come after that, and
    brings nothing back, as a uid never comes again.
    """

    meters: dict[Key, Meter] = field(default_factory=dict)
    pods: dict[Key, dict[str, Pod]] = field(default_factory=dict)
    states: dict[str, dict[int, TwinState]] = field(default_factory=dict)
    witnesses: dict[str, Witness] = field(default_factory=dict)
    nonces: dict[str, bytes] = field(default_factory=dict)
    leaving: dict[Key, str] = field(default_factory=dict)
    _by_device: dict[str, set[Key]] = field(default_factory=dict)
    _gone: dict[str, None] = field(default_factory=dict)
    """Uids of what was deleted last, the oldest first."""

    def __post_init__(self) -> None:
        """Begin without a resource."""
        self.profiles = Declared(self._gone, self.bury)
        self.utilities = Declared(self._gone, self.bury)

    def bury(self, uid: str) -> None:
        """Note that the object of a uid was deleted."""
        self._gone[uid] = None
        if len(self._gone) > GONE_KEPT:
            del self._gone[next(iter(self._gone))]

    def store_meter(self, body: Json) -> Meter:
        """Keep a meter unless a newer one is known (our own writes arrive before the watch)."""
        meter = parse_meter(body)
        known = self.meters.get(meter.key)
        if known is not None and _version(known) > _version(meter):
            return known
        if meter.uid in self._gone:
            return meter
        self.meters[meter.key] = meter
        self._by_device.setdefault(meter.device, set()).add(meter.key)
        return meter

    def drop_meter(self, key: Key) -> Meter | None:
        """Forget a meter and return it."""
        meter = self.meters.pop(key, None)
        if meter is not None:
            self.bury(meter.uid)
            self._by_device.get(meter.device, set()).discard(key)
        return meter

    def drop_replaced(self, body: Json) -> Meter | None:
        """Forget and return the meter that one of the same name but another uid has replaced.

        The events of two objects come in any order, so the new one may be the first sign.
        """
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        known = self.meters.get(key)
        if known is None or known.uid == body["metadata"]["uid"]:
            return None
        newer = int(body["metadata"].get("resourceVersion") or 0) > _version(known)
        return self.drop_meter(key) if newer else None

    def meters_of(self, device: str) -> list[Meter]:
        """Return all resources for one device, the oldest first."""
        found = [self.meters[key] for key in self._by_device.get(device, ()) if key in self.meters]
        return sorted(found, key=lambda meter: (meter.created, meter.uid))

    def owner_of(self, device: str) -> Meter | None:
        """Return the resource that a device belongs to."""
        found = self.meters_of(device)
        return found[0] if found else None

    def store_pod(self, body: dict[str, Any], *, deleted: bool = False) -> Key | None:
        """Keep or forget a twin pod; return the meter of its device.

        A pod without an epoch, or that no SmartMeter controls, is ignored: it only looks like a
        twin's. Which meter controls it is asked when its pods are: a pod may be seen before it.
        """
        device = (body["metadata"].get("labels") or {}).get(LABEL_DEVICE, "")
        pods = self.pods.setdefault(Key(body["metadata"]["namespace"], device), {})
        if deleted:
            known = pods.get(body["metadata"]["name"])
            if known is not None and known.uid == body["metadata"]["uid"]:
                del pods[known.name]
            self.bury(body["metadata"]["uid"])
        else:
            pod = parse_pod(body)
            if not pod.epoch or not pod.meter_uid:
                return None
            known = pods.get(pod.name)
            same = known if known is not None and known.uid == pod.uid else None
            is_older = same is not None and same.version_number > pod.version_number
            if not is_older and pod.uid not in self._gone:
                pods[pod.name] = pod
        meter = self.owner_of(device)
        return meter.key if meter else None

    def drop_pods(self, namespace: str, known: set[str], version: int) -> None:
        """Forget the pods of a namespace that a list of this version no longer has."""
        for key, pods in self.pods.items():
            if key.namespace != namespace:
                continue
            for name, pod in list(pods.items()):
                if name not in known and pod.version_number <= version:
                    del pods[name]
                    self.bury(pod.uid)

    def forget_device(self, device: str) -> None:
        """Forget what the broker told about a device."""
        for table in (self.states, self.witnesses, self.nonces):
            table.pop(device, None)

    def raise_witness(self, device: str, epoch: int, counter: int) -> None:
        """Note what an authentic hello or record of a device named, if a decision can be above."""
        if max(epoch, counter) >= MAX_EPOCH:
            return
        known = self.witnesses.get(device, Witness())
        self.witnesses[device] = known.raised(epoch, counter)

    def pods_of(self, meter: Meter) -> tuple[Pod, ...]:
        """Return the twin pods that this very meter controls, the lowest epoch first."""
        pods = self.pods.get(Key(meter.key.namespace, meter.device), {}).values()
        own = (pod for pod in pods if pod.meter_uid == meter.uid)
        return tuple(sorted(own, key=lambda pod: pod.epoch))

    def find_active_pod(self, meter: Meter) -> Pod | None:
        """Return the pod of a meter's active epoch, None if there is none."""
        return next((pod for pod in self.pods_of(meter) if pod.epoch == meter.epoch), None)


def _version(meter: Meter) -> int:
    return int(meter.resource_version) if meter.resource_version.isdigit() else 0
