"""What a meter owns in the cluster: Secret, volume claim and pod of its epoch.

`builders` says what they look like, `plan` when they are due. Neighbour: `reconciler`.
"""

from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

from cryptography import x509
from meter_pki.authority import Bundle
from meter_pki.identities import twin_identity
from meter_wire.names import build_twin_name

from meter_operator import builders
from meter_operator.cache import Cache
from meter_operator.cluster import Cluster, ClusterError
from meter_operator.desired import Desired, Json, Meter
from meter_operator.events import Events
from meter_operator.fleet import Fleet
from meter_operator.handover import Handover
from meter_operator.moments import format_moment
from meter_operator.observed import Observed, Pod
from meter_operator.settings import Settings

SECRETS_LOOKED_FOR = 3


class Twins:
    """Makes and removes the objects of twins."""

    def __init__(
        self, cache: Cache, cluster: Cluster, fleet: Fleet, settings: Settings, events: Events
    ) -> None:
        """Keep the parts."""
        self._cache = cache
        self._cluster = cluster
        self._fleet = fleet
        self._settings = settings
        self._events = events
        self._namespaces: set[str] = set()

    async def create_candidate(
        self, observed: Observed, desired: Desired, handover: Handover
    ) -> None:
        """Make all that the candidate of a handover needs; what the active twin has stays.

        Raises:
            ClusterError: the API refused; what was made is found again.
        """
        status = observed.meter.status | {
            "epoch": handover.epoch,
            "epochId": handover.attempt,
            "keyVersion": handover.key_version,
            "storeClaim": handover.store_claim or None,
        }
        meter = replace(observed.meter, status=status)
        await self._make(meter, desired)

    async def create(self, observed: Observed, desired: Desired) -> None:
        """Make all that the active epoch needs, the pod last.

        Raises:
            ClusterError: the API refused; what was made is found again.
        """
        await self._let_go_of_secrets(observed)
        await self._make(observed.meter, desired)

    async def _make(self, meter: Meter, desired: Desired) -> None:
        namespace = meter.key.namespace
        await self._prepare(namespace)
        if desired.is_persistent:
            await self._cluster.create(builders.build_claim(meter, desired))
        secret, not_after = self._secret(meter, meter.epoch)
        if await self._cluster.create(secret) is None:
            data = {"data": secret["data"]}
            await self._cluster.merge("Secret", namespace, secret["metadata"]["name"], data)
        pod = builders.build_pod(
            meter, desired, meter.epoch, not_after=not_after, pull_policy=self._settings.pull_policy
        )
        created = await self._cluster.create(pod)
        if created is not None:
            self._cache.store_pod(created)

    async def _prepare(self, namespace: str) -> None:
        if namespace not in self._namespaces:
            for manifest in (builders.build_service(namespace), builders.build_budget(namespace)):
                await self._cluster.ensure(manifest)
            self._namespaces.add(namespace)

    def _secret(self, meter: Meter, epoch: int) -> tuple[Json, datetime]:
        """Return the Secret with the epoch's keys and a new certificate, and when that ends."""
        identity = twin_identity(meter.device, epoch, meter.key.namespace)
        bundle: Bundle = self._fleet.authority.issue(identity, datetime.now(UTC))
        key = self._fleet.meter_key(meter.device, meter.epoch_key_version)
        end = x509.load_pem_x509_certificate(bundle.certificate).not_valid_after_utc
        return builders.build_secret(meter, epoch, meter.epoch_id, key, bundle), end

    async def _let_go_of_secrets(self, observed: Observed) -> None:
        """Remove the Secrets of lower epochs, but never from under a pod that is still there.

        Without its Secret such a pod would show FailedMount to whoever looks. It becomes the only
        owner instead, so that the cluster removes the Secret after it, even if we are killed now.
        """
        meter = observed.meter
        pods = {pod.epoch: pod for pod in observed.pods if pod.epoch < meter.epoch}
        looked_for = range(max(1, meter.epoch - SECRETS_LOOKED_FOR), meter.epoch)
        for epoch in sorted({*pods, *looked_for}):
            name = build_twin_name(meter.device, epoch)
            if epoch not in pods:
                await self._cluster.remove("Secret", meter.key.namespace, name)
                continue
            await self._let_go("Secret", name, meter, pods[epoch])

    async def _let_go(self, kind: str, name: str, meter: Meter, pod: Pod) -> None:
        """Let an object go when a pod has gone, and not before."""
        body = {"metadata": {"ownerReferences": builders.build_pod_owner(pod)}}
        try:
            await self._cluster.merge(kind, meter.key.namespace, name, body)
        except ClusterError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def remove(
        self,
        meter: Meter,
        pod: Pod,
        *,
        is_older: bool = False,
        with_claim: bool = False,
    ) -> None:
        """Delete a pod.

        One of an older epoch (`is_older`) takes its Secret with it, if the making of its successor
        has not let go of that. And it stays if the twin that serves is gone by now: the writes
        before take their time, and it may be the last that has everything. `with_claim`: what is
        on its volume is in another store as well. Else the volume stays, and goes with the
        SmartMeter only.
        """
        if is_older:
            await self._let_go("Secret", pod.name, meter, pod)
        if with_claim and pod.claim:
            await self._let_go("PersistentVolumeClaim", pod.claim, meter, pod)
        if is_older and self._is_unserved(meter):
            return
        await self._cluster.remove("Pod", meter.key.namespace, pod.name, pod.uid)

    def _is_unserved(self, meter: Meter) -> bool:
        known = self._cache.meters.get(meter.key)
        active = self._cache.find_active_pod(meter)
        return known is None or known.epoch != meter.epoch or active is None or active.gone

    async def renew(self, meter: Meter, pod: Pod) -> None:
        """Give the running twin a new certificate; its keys stay."""
        secret, not_after = self._secret(meter, pod.epoch)
        body = {"data": secret["data"]}
        await self._cluster.merge("Secret", meter.key.namespace, pod.name, body)
        stamp = format_moment(not_after)
        note = {"metadata": {"annotations": {"metertwin.io/certificate-not-after": stamp}}}
        await self._cluster.merge("Pod", meter.key.namespace, pod.name, note)
        self._events.add(meter, "CertificateRenewed", f"the twin's certificate lasts until {stamp}")
