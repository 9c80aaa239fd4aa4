"""The trust ConfigMap of namespaces with meters that are not the release's own.

Twins mount `metertwin-trust` from their own namespace, and the PKI Job writes only the release's.
Called at the start and with each sweep, so a rotated CA follows. Neighbour: `__main__`.
"""

import logging

from meter_wire.names import TRUST_CONFIG_MAP, TRUST_FIELD

from meter_operator.builders import MANAGER, build_trust
from meter_operator.cluster import Cluster, ClusterError
from meter_operator.settings import Settings

log = logging.getLogger(__name__)


async def ensure_trust(cluster: Cluster, settings: Settings) -> None:
    """Make the trust of every other namespace equal to ours; one of somebody else stays.

    What is wrong is logged with the remedy and tried again with the next sweep.
    """
    others = [name for name in settings.watch_namespaces if name != settings.namespace]
    if not others:
        return
    certificates = settings.trust.read_text(encoding="ascii")
    for namespace in others:
        try:
            await _ensure_one(cluster, namespace, certificates)
        except ClusterError as error:
            log.warning(
                "twins in namespace %s cannot start without ConfigMap %s: %s; does the namespace"
                " exist, and is it in the chart's meterNamespaces?",
                namespace, TRUST_CONFIG_MAP, error,
            )  # fmt: skip


async def _ensure_one(cluster: Cluster, namespace: str, certificates: str) -> None:
    found = await cluster.find("ConfigMap", namespace, TRUST_CONFIG_MAP)
    if found is not None and (found.get("data") or {}).get(TRUST_FIELD) == certificates:
        return
    labels = ((found or {}).get("metadata") or {}).get("labels") or {}
    if found is not None and labels.get("app.kubernetes.io/managed-by") != MANAGER:
        log.error(
            "ConfigMap %s/%s holds another CA and is not ours, so twins there will not trust the"
            " broker: remove it, or take the namespace out of the chart's meterNamespaces",
            namespace, TRUST_CONFIG_MAP,
        )  # fmt: skip
        return
    await cluster.ensure(build_trust(namespace, certificates))
    log.info("trust written to namespace %s", namespace)
