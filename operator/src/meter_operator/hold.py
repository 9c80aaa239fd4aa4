"""Keeps a SmartMeter that is being deleted until `deletion` finds nothing against it.

Only our own finalizer is set and removed, each time on the very version that was looked at, so that
nobody else's is lost and no decision is made from an old look. Neighbour: `reconciler`, which asks.
"""

import logging
from http import HTTPStatus

from meter_wire.names import LABEL_DEVICE

from meter_operator import builders
from meter_operator.cache import Cache
from meter_operator.cluster import Cluster, ClusterError, ConflictError
from meter_operator.deletion import (
    HANDOVER_OPEN,
    STORES_NOT_PASSED_ON,
    Obstacle,
    find_obstacle,
    list_others,
)
from meter_operator.desired import Meter
from meter_operator.events import Events
from meter_operator.observed import Observed
from meter_operator.relist import read_again

log = logging.getLogger(__name__)
OF_PODS = (HANDOVER_OPEN, STORES_NOT_PASSED_ON)
"""What keeps a deletion whatever claims there are, so that nobody has to list them."""


class Hold:
    """The finalizers of all meters."""

    def __init__(self, cache: Cache, cluster: Cluster, events: Events) -> None:
        """Keep the parts."""
        self._cache = cache
        self._cluster = cluster
        self._events = events

    async def write(self, meter: Meter, finalizers: list[str]) -> bool:
        """Write the finalizers of a meter; whether it is to be looked at again.

        Raises:
            ClusterError: the API refused.
        """
        key = meter.key
        metadata = {"finalizers": finalizers, "resourceVersion": meter.resource_version}
        try:
            body = await self._cluster.merge(
                "SmartMeter", key.namespace, key.name, {"metadata": metadata}
            )
        except ConflictError:
            return await read_again(self._cluster, self._cache, key)
        except ClusterError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return False  # it is gone, as the watch will tell
        self._cache.store_meter(body)
        return True

    async def find_obstacle(self, observed: Observed) -> Obstacle | None:
        """Return why a deletion waits, None if it need not.

        Raises:
            ClusterError: the volume claims could not be read.
        """
        obstacle = find_obstacle(observed)
        if observed.meter.highest_epoch <= 1 or (obstacle and obstacle.reason in OF_PODS):
            return obstacle
        return find_obstacle(observed, await self._find_claims(observed.meter))

    async def _find_claims(self, meter: Meter) -> list[str]:
        """Return the claims of older epochs that would go with the resource, and not before.

        The cluster is asked, not status: that names the last epochs only.
        """
        namespace, selector = meter.key.namespace, f"{LABEL_DEVICE}%3D{meter.device}"
        bodies, _ = await self._cluster.list_all("PersistentVolumeClaim", namespace, selector)
        names = {body["metadata"]["name"] for body in bodies if builders.is_owned(body, meter)}
        return sorted(names - {meter.store_claim})

    async def release(self, meter: Meter) -> bool:
        """Let a meter go whose readings are safe; whether it is to be looked at again.

        Raises:
            ClusterError: the API refused.
        """
        again = await self.write(meter, list_others(meter))
        known = self._cache.meters.get(meter.key)
        if known is None or not known.is_held:
            log.info("deletion goes on", extra={"meter": meter.key.name, "epoch": meter.epoch})
            text = "nothing that is stored would be lost: the SmartMeter may go"
            self._events.add(meter, "DeletionGoesOn", text)
        return again
