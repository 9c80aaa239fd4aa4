"""Read everything once, and again now and then: the level below the watches' events.

A reconcile decides from the cache; were it asked before the cache is full, a pod not listed yet
would look like a pod that is gone. So this runs before the workers start, and later as the sweep
that catches what a silent watch has missed. Neighbours: `cache`, `watches`.
"""

from collections.abc import Awaitable, Callable

from meter_wire.names import LABEL_ROLE, ROLE_TWIN

from meter_operator.cache import Cache
from meter_operator.cluster import Cluster
from meter_operator.desired import Json, Key, Meter

SELECTOR = f"{LABEL_ROLE}%3D{ROLE_TWIN}"


def _names(bodies: list[Json]) -> set[str]:
    return {body["metadata"]["name"] for body in bodies}


async def read_again(cluster: Cluster, cache: Cache, key: Key) -> bool:
    """Read one meter that was changed since; whether it is still there.

    Raises:
        ClusterError: it could not be read.
    """
    fresh = await cluster.find_meter(key)
    if fresh is not None:
        cache.store_meter(fresh)
    return fresh is not None


async def relist(
    cluster: Cluster,
    cache: Cache,
    namespaces: tuple[str, ...],
    meter_gone: Callable[[Meter], Awaitable[None]],
) -> None:
    """Make the cache equal to the cluster.

    Args:
        cluster: where to read.
        cache: what to correct; an object newer than the list stays as it is.
        namespaces: those with meters.
        meter_gone: called for each meter that has vanished unseen.

    Raises:
        ClusterError: a list could not be read; the cache holds what it held.
    """
    for namespace in namespaces:
        profiles, profiles_version = await cluster.list_all("TwinProfile", namespace)
        utilities, utilities_version = await cluster.list_all("Utility", namespace)
        pods, pods_version = await cluster.list_all("Pod", namespace, SELECTOR)
        meters, version = await cluster.list_all("SmartMeter", namespace)
        for body in profiles:
            cache.profiles.store(body)
        cache.profiles.drop_missing(namespace, _names(profiles), profiles_version)
        for body in utilities:
            cache.utilities.store(body)
        cache.utilities.drop_missing(namespace, _names(utilities), utilities_version)
        for body in pods:
            cache.store_pod(body)
        cache.drop_pods(namespace, _names(pods), pods_version)
        for body in meters:
            replaced = cache.drop_replaced(body)
            if replaced is not None:
                await meter_gone(replaced)
            cache.store_meter(body)
        known = _names(meters)
        for key, meter in list(cache.meters.items()):
            vanished = key.namespace == namespace and key.name not in known
            if vanished and int(meter.resource_version or 0) <= version:
                cache.drop_meter(key)
                await meter_gone(meter)
