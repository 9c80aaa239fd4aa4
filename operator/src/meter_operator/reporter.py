"""Says how a meter is: its status when that differs, an event when people should look.

Neighbours: `status` (what it says), `reconciler` (which has looked).
"""

from datetime import UTC, datetime

from meter_operator.cache import Cache
from meter_operator.cluster import Cluster
from meter_operator.deletion import DELETABLE, Obstacle
from meter_operator.desired import Desired, Json, Meter
from meter_operator.events import Events
from meter_operator.observed import Observed
from meter_operator.policies import Violation
from meter_operator.status import build_status, changed


class Reporter:
    """Writes what follows from a look."""

    def __init__(self, cache: Cache, cluster: Cluster, events: Events) -> None:
        """Keep the parts."""
        self._cache = cache
        self._cluster = cluster
        self._events = events

    async def report(
        self,
        observed: Observed,
        desired: Desired | None,
        violation: Violation | None,
        obstacle: Obstacle | None,
        waits_for: str = "",
    ) -> None:
        """Write the status from what was observed before acting, if it differs.

        `waits_for`: what a handover that is slow waits for.

        Raises:
            ClusterError: the API refused.
        """
        meter = observed.meter
        wanted = build_status(observed, desired, violation, datetime.now(UTC), obstacle)
        wanted["waitsFor"] = waits_for or None
        different = changed(meter.status, wanted, fleet_size=len(self._cache.meters))
        if not different:
            return
        body = await self._cluster.write_status(meter, different, decision=False)
        self._cache.store_meter(body)
        before = {row["type"]: row for row in meter.status.get("conditions") or []}
        for row in wanted["conditions"]:
            if row["type"] in {"Ready", DELETABLE}:
                self._tell(meter, before.get(row["type"]), row, is_wrong=violation is not None)

    def _tell(self, meter: Meter, old: Json | None, row: Json, *, is_wrong: bool) -> None:
        """Add an event for a condition that has another status or reason than before."""
        if old is not None and (old["status"], old["reason"]) == (row["status"], row["reason"]):
            return
        usual = row["type"] == "Ready" and (row["status"] == "True" or not is_wrong)
        kind = "Normal" if usual else "Warning"
        self._events.add(meter, row["reason"], row["message"], kind)
