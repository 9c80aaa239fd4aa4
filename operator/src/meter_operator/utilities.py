"""Keeps each namespace's ConfigMap of utilities, and says in a Utility how it is with its meters.

Written a few seconds after a change, however many there were: twins poll the file, and nobody
decides by the counts. Neighbours: `addresses` (what is written), `watches` (who notes changes).
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

from meter_wire.names import UTILITIES_CONFIG_MAP

from meter_operator.addresses import build_entries, find_fault
from meter_operator.builders import build_utilities
from meter_operator.cache import Cache
from meter_operator.cluster import Cluster
from meter_operator.desired import Json, Key, Meter
from meter_operator.moments import format_moment
from meter_operator.status import find_condition
from meter_operator.upkeep import Upkeep, Write
from meter_operator.utility_status import UTILITY_REGISTERED

ACCEPTED = "Accepted"


class Utilities(Upkeep):
    """Of all namespaces."""

    what = "utilities"

    def __init__(self, cache: Cache, cluster: Cluster) -> None:
        """Keep the parts."""
        super().__init__()
        self._cache = cache
        self._cluster = cluster
        self._written: dict[str, dict[str, str]] = {}
        self._standing: dict[str, tuple[Key | None, bool]] = {}

    def note_meter(self, meter: Meter) -> None:
        """Ask for a look if a meter stands otherwise with its utility than at the last look."""
        now = meter.utility, _is_registered(meter)
        if self._standing.get(meter.uid, (None, False)) != now:
            self._standing[meter.uid] = now
            self.note(meter.key.namespace)

    def forget_meter(self, meter: Meter) -> None:
        """Forget a meter that was deleted."""
        if self._standing.pop(meter.uid, (None, False))[0] is not None:
            self.note(meter.key.namespace)

    def plan_writes(self, namespaces: Iterable[str]) -> dict[str, Write]:
        """Return by namespace what publishes its ConfigMap and the status of its Utilities."""
        return {name: partial(self.publish, name) for name in namespaces}

    def forget(self, namespace: str) -> None:
        """Forget what the ConfigMap was; somebody else may have written it."""
        self._written.pop(namespace, None)

    async def publish(self, namespace: str) -> None:
        """Write the ConfigMap and the status of each Utility, where they differ.

        Raises:
            ClusterError: the API refused.
        """
        bodies = self._cache.utilities.bodies
        own = {key: body for key, body in bodies.items() if key.namespace == namespace}
        faults = {key: find_fault(body["spec"]) for key, body in own.items()}
        await self._write_map(namespace, own, faults)
        total, registered = self._count(namespace)
        for key, body in own.items():
            status = build_status(body, faults[key], total[key], registered[key])
            before = body.get("status") or {}
            if any(before.get(name) != value for name, value in status.items()):
                written = await self._cluster.report_status("Utility", key, status)
                self._cache.utilities.store(written)

    async def _write_map(
        self, namespace: str, own: dict[Key, Json], faults: dict[Key, str]
    ) -> None:
        written = self._written.get(namespace)
        if written is None:
            found = await self._cluster.find("ConfigMap", namespace, UTILITIES_CONFIG_MAP) or {}
            written = dict(found.get("data") or {})
        entries: dict[str, str] = {}
        for key, body in sorted(own.items()):
            names = (f"{key.name}.json", f"{key.name}.crt")
            kept = {name: written[name] for name in names if name in written}
            # What cannot be used is not passed on: twins go on with what was good.
            entries |= kept if faults[key] else build_entries(key.name, body["spec"])
        if entries != written:
            await self._cluster.ensure(build_utilities(namespace, entries))
        self._written[namespace] = entries

    def _count(self, namespace: str) -> tuple[Counter[Key], Counter[Key]]:
        total: Counter[Key] = Counter()
        registered: Counter[Key] = Counter()
        for meter in self._cache.meters.values():
            key = meter.utility if meter.key.namespace == namespace else None
            if key is not None:
                total[key] += 1
                registered[key] += _is_registered(meter)
        return total, registered


def _is_registered(meter: Meter) -> bool:
    row = find_condition(meter.status, UTILITY_REGISTERED)
    return row is not None and row["status"] == "True"


def build_status(body: Json, fault: str, total: int, registered: int) -> Json:
    """Return the status of a Utility."""
    generation = int(body["metadata"].get("generation", 1))
    before = find_condition(body.get("status") or {}, ACCEPTED)
    status = "False" if fault else "True"
    since = format_moment(datetime.now(UTC))
    if before is not None and before["status"] == status:
        since = before["lastTransitionTime"]
    accepted = {
        "type": ACCEPTED,
        "status": status,
        "reason": "Misconfigured" if fault else "Accepted",
        "message": fault or "twins are told of it",
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }
    return {
        "observedGeneration": generation,
        "meters": {"total": total, "registered": registered},
        "conditions": [accepted],
    }
