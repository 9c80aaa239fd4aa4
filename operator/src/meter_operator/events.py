"""Events of the API: what people read in `kubectl describe`. Written behind the work, one by one.

A reconcile never waits for one: they stand in a bounded line, equal ones are counted together, and
one that cannot be written is only logged. Neighbours: `reconciler` and `rollouts`, which add them.
"""

import asyncio
import contextlib
import logging
import secrets
from typing import NamedTuple

from meter_wire.names import API_VERSION

from meter_operator import builders
from meter_operator.cluster import Cluster
from meter_operator.desired import Json, Key, Meter
from meter_operator.moments import format_now

log = logging.getLogger(__name__)
MOST_WAITING = 2000
LAST_WORDS_S = 2
METER, PROFILE = "SmartMeter", "TwinProfile"
MOST_OF_A_NAME = 200
"""Characters: the name of an event has no more than 253."""
Line = tuple[str, str, str]  # uid, reason, message


class Subject(NamedTuple):
    """The resource that an event is about."""

    kind: str
    key: Key
    uid: str


def build_given_up(meter: Meter, epoch: int) -> tuple[Meter, str, str, str]:
    """Return the event that an older twin is removed though it proved nothing, as `add` takes it.

    One that was the meter's twin may have had readings that nobody else has; a candidate hardly.
    """
    text = (
        f"the twin of epoch {epoch} is removed: it has not shown in its time that epoch"
        f" {meter.epoch} has all that it stored; what the meter's ring still has is asked for again"
    )
    return meter, "StoreGivenUp", text, "Warning" if epoch < meter.epoch else "Normal"


class Events:
    """The line of events that are not written yet."""

    def __init__(self, cluster: Cluster) -> None:
        """Begin empty; `run` writes."""
        self._cluster = cluster
        self._waiting: dict[Line, Json] = {}
        self._wake = asyncio.Event()

    def add(self, about: Meter | Subject, reason: str, message: str, kind: str = "Normal") -> None:
        """Tell people what happened to a resource; beyond the bound the oldest is forgotten."""
        line = (about.uid, reason, message)
        if line in self._waiting:
            self._waiting[line]["count"] += 1
            self._waiting[line]["lastTimestamp"] = format_now()
            return
        if len(self._waiting) >= MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[line] = _manifest(about, reason, message, kind)
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
                about = manifest["involvedObject"]
                extra = {"meter": about["name"]} if about["kind"] == METER else {}
                what = (manifest["reason"], about["kind"], about["name"])
                log.exception("event %s of %s %s not written", *what, extra=extra)


def _manifest(about: Meter | Subject, reason: str, message: str, kind: str) -> Json:
    involved = about if isinstance(about, Subject) else Subject(METER, about.key, about.uid)
    now = format_now()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{involved.key.name[:MOST_OF_A_NAME].rstrip('.-')}.{secrets.token_hex(8)}",
            "namespace": involved.key.namespace,
        },
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": involved.kind,
            "name": involved.key.name,
            "namespace": involved.key.namespace,
            "uid": involved.uid,
        },
        "reason": reason,
        "message": message[:1000],
        "type": kind,
        "source": {"component": builders.MANAGER},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
