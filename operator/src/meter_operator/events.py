"""Events of the API: what people read in `kubectl describe`. Written behind the work, one by one.

A reconcile never waits for one: they stand in a bounded line, equal ones are counted together, and
one that cannot be written is only logged. Neighbour: `reconciler`, which adds them.
"""

import asyncio
import contextlib
import logging
import secrets
from datetime import UTC, datetime

from meter_operator import builders
from meter_operator.cluster import Cluster
from meter_operator.desired import Json, Meter

log = logging.getLogger(__name__)
MOST_WAITING = 2000
LAST_WORDS_S = 2
Line = tuple[str, str, str]  # uid, reason, message


class Events:
    """The line of events that are not written yet."""

    def __init__(self, cluster: Cluster) -> None:
        """Begin empty; `run` writes."""
        self._cluster = cluster
        self._waiting: dict[Line, Json] = {}
        self._wake = asyncio.Event()

    def add(self, meter: Meter, reason: str, message: str, kind: str = "Normal") -> None:
        """Tell people what happened to a meter; beyond the bound the oldest is forgotten."""
        line = (meter.uid, reason, message)
        if line in self._waiting:
            self._waiting[line]["count"] += 1
            self._waiting[line]["lastTimestamp"] = _now()
            return
        if len(self._waiting) >= MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[line] = _manifest(meter, reason, message, kind)
        self._wake.set()

    async def run(self) -> None:
        """Write for ever; what waits when it is cancelled gets two seconds more."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self.flush()
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self.flush()
            raise

    async def flush(self) -> None:
        """Write all that waits."""
        while self._waiting:
            manifest = self._waiting.pop(next(iter(self._waiting)))
            try:
                await self._cluster.create(manifest)
            except Exception:
                name = manifest["involvedObject"]["name"]
                log.exception("event not written", extra={"meter": name})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _manifest(meter: Meter, reason: str, message: str, kind: str) -> Json:
    involved = builders.build_owner(meter)[0]
    now = _now()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{meter.key.name}.{secrets.token_hex(8)}",
            "namespace": meter.key.namespace,
        },
        "involvedObject": {
            "apiVersion": involved["apiVersion"],
            "kind": "SmartMeter",
            "name": meter.key.name,
            "namespace": meter.key.namespace,
            "uid": meter.uid,
        },
        "reason": reason,
        "message": message[:1000],
        "type": kind,
        "source": {"component": builders.MANAGER},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
