"""One active replica, by a Lease (15 s, renewed every 2 s, given up after 10 s without an answer).

kopf has no leader election by Lease. The Lease is taken before the watches start; losing it ends
the process. Its transition count is the *term* in every control record.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from meter_wire.names import OPERATOR_LEASE

from meter_operator.cluster import Cluster, ClusterError, ConflictError
from meter_operator.desired import Json

log = logging.getLogger(__name__)
DURATION_S = 15
RENEW_DEADLINE_S = 10
RETRY_S = 2


class LeaseLostError(Exception):
    """Another replica may act now: this process must end."""


def _now() -> datetime:
    return datetime.now(UTC)


class Lease:
    """The right to act, for as long as it is renewed."""

    def __init__(
        self, cluster: Cluster, namespace: str, holder: str, *,
        clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = _now,
    ) -> None:  # fmt: skip
        """Keep the parts; `acquire` takes it. `clock`: monotonic seconds; `now`: of the wall."""
        self._clock = clock
        self._now = now
        self._cluster = cluster
        self._namespace = namespace
        self._holder = holder
        self._seen: tuple[str, float] = ("", 0.0)
        self._stolen = False
        self._least = 0
        self.term = 0

    def _spec(self, found: Json | None) -> Json:
        now = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict((found or {}).get("spec") or {})
        if spec.get("holderIdentity") != self._holder:
            spec["leaseTransitions"] = int(spec.get("leaseTransitions", 0)) + 1
            spec["acquireTime"] = now
        spec["leaseTransitions"] = max(int(spec.get("leaseTransitions", 0)), self._least)
        spec["holderIdentity"] = self._holder
        spec["leaseDurationSeconds"] = DURATION_S
        spec["renewTime"] = now
        return spec

    async def _try(self) -> bool:
        """Take or renew the Lease; False when another holder is alive."""
        found = await self._cluster.find("Lease", self._namespace, OPERATOR_LEASE)
        spec = self._spec(found)
        metadata: Json = {"name": OPERATOR_LEASE, "namespace": self._namespace}
        manifest = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }
        if found is None:
            if await self._cluster.create(manifest) is None:
                return False
        else:
            self._stolen = self._was_taken(found) or self._held_by_another(found)
            if self._stolen:
                return False
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
            try:
                await self._cluster.replace(manifest)
            except ConflictError:
                return False
        self.term = int(spec["leaseTransitions"])
        return True

    def _was_taken(self, found: Json) -> bool:
        """Whether somebody has led since we began: our term, and what we have read, are of before.

        Even if that one has given it up or looks dead: only a new process may take it again.
        """
        holder = (found.get("spec") or {}).get("holderIdentity") or ""
        return self.term > 0 and holder != self._holder

    def _held_by_another(self, found: Json) -> bool:
        """Judge by our own clock: a holder is alive until its record stood still long enough."""
        spec = found.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if not holder or holder == self._holder:
            return False
        mark = f"{holder}/{spec.get('renewTime')}"
        now = self._clock()
        if self._seen[0] != mark:
            self._seen = (mark, now)
            return not _long_expired(spec, self._now())
        return now - self._seen[1] < DURATION_S

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        while True:
            try:
                if await self._try():
                    log.info("lease acquired, term %d", self.term)
                    return
            except ClusterError as error:
                log.warning("lease: %s", error)
            await asyncio.sleep(RETRY_S)

    def raise_above(self, term: int) -> None:
        """Have a higher term than this at the next renewal: a twin has heard it already."""
        self._least = max(self._least, term + 1)

    async def keep(self, renewed_term: Callable[[int], Awaitable[None]]) -> None:
        """Renew for ever; `renewed_term` is told a term that is another one.

        Raises:
            LeaseLostError: it could not be renewed in time, or another one has it.
        """
        renewed, term = self._clock(), self.term
        while True:
            await asyncio.sleep(RETRY_S)
            try:
                async with asyncio.timeout(RENEW_DEADLINE_S / 2):
                    if await self._try():
                        renewed = self._clock()
            except (ClusterError, TimeoutError) as error:
                log.warning("lease not renewed: %s", error)
            if self._stolen:
                raise LeaseLostError("another replica holds the lease: ending this process")
            if self.term != term:
                term = self.term
                await renewed_term(term)
            if self._clock() - renewed > RENEW_DEADLINE_S:
                raise LeaseLostError("the lease could not be renewed: ending this process")

    async def confirm(self) -> None:
        """Renew now: whoever was thrown off the broker may have been replaced (design rule 10).

        Raises:
            LeaseLostError: another replica has it.
        """
        try:
            async with asyncio.timeout(RENEW_DEADLINE_S / 2):
                await self._try()
        except (ClusterError, TimeoutError) as error:
            log.warning("lease not confirmed: %s", error)
        if self._stolen:
            raise LeaseLostError("another replica holds the lease: ending this process")

    async def release(self) -> None:
        """Give the Lease up, so that the next replica need not wait."""
        found = await self._cluster.find("Lease", self._namespace, OPERATOR_LEASE)
        if found and (found.get("spec") or {}).get("holderIdentity") == self._holder:
            found["spec"]["holderIdentity"] = ""
            await self._cluster.replace(found)


def _long_expired(spec: Json, now: datetime) -> bool:
    try:
        renewed = datetime.fromisoformat(str(spec["renewTime"]))
    except (KeyError, ValueError):
        return True
    return now - renewed > timedelta(seconds=4 * DURATION_S)
