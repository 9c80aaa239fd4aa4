"""kopf watches; handlers only note what they saw and ask for a look at the meter.

`on.event` handlers write nothing to the resources: no finalizer, no annotation, no patch, so an
operator restart with nothing to do costs no API write. Retries are the work queue's.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import kopf
from meter_wire.names import GROUP, LABEL_ROLE, ROLE_TWIN, VERSION

from meter_operator.cache import Cache
from meter_operator.cluster import find_connection
from meter_operator.declared import find_key
from meter_operator.desired import Key, Meter
from meter_operator.directory import Directory
from meter_operator.messenger import Messenger
from meter_operator.utilities import Utilities
from meter_operator.workqueue import WorkQueue

IDLE_S = 0.1
WATCH_SERVER_S = 300


class Watches:
    """Registers handlers that feed the cache and the queue."""

    def __init__(
        self,
        cache: Cache,
        queue: WorkQueue,
        messenger: Messenger,
        forget: Callable[[Meter], None],
        directory: Directory,
        utilities: Utilities,
        follow: Callable[[Iterable[Meter]], Awaitable[None]],
    ) -> None:
        """Keep the parts.

        `forget` is told of each SmartMeter that is gone, `follow` of those whose profile says
        something new.
        """
        self._follow = follow
        self._forget = forget
        self._directory = directory
        self._utilities = utilities
        self._cache = cache
        self._queue = queue
        self._messenger = messenger
        self.last_event = time.monotonic()

    def registry(self) -> kopf.OperatorRegistry:
        """Return a registry of our own, a handler for each kind."""
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="login")(self.login)
        kopf.on.event(GROUP, VERSION, "smartmeters", id="meter", registry=registry)(self.on_meter)
        kopf.on.event(GROUP, VERSION, "twinprofiles", id="profile", registry=registry)(
            self.on_profile
        )
        kopf.on.event(GROUP, VERSION, "utilities", id="utility", registry=registry)(self.on_utility)
        kopf.on.event(
            "", "v1", "pods", id="pod", labels={LABEL_ROLE: ROLE_TWIN}, registry=registry
        )(self.on_pod)
        return registry

    def login(self, **_: Any) -> kopf.ConnectionInfo:
        """Give kopf the same credentials as `cluster`, read anew."""
        return find_connection()

    async def on_meter(self, event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        """Note a SmartMeter."""
        self.last_event = time.monotonic()
        replaced = self._cache.drop_replaced(dict(body))
        if replaced is not None:
            await self.meter_gone(replaced)
        key = Key(body.metadata["namespace"], body.metadata["name"])
        if event["type"] != "DELETED":
            meter = self._cache.store_meter(dict(body))
            self._queue.add(meter.key)
            self._directory.note_epoch(meter)
            self._utilities.note_meter(meter)
            return
        self._cache.bury(body.metadata["uid"])
        if key in self._cache.meters and self._cache.meters[key].uid == body.metadata["uid"]:
            gone = self._cache.drop_meter(key)
            assert gone is not None
            await self.meter_gone(gone)

    async def meter_gone(self, gone: Meter) -> None:
        """Clear the broker of a deleted meter, or give the device to the next resource."""
        self._forget(gone)
        if self._cache.owner_of(gone.device) is None:
            await self._messenger.forget(gone)
        elif gone.epoch:
            self._cache.raise_witness(gone.device, gone.highest_epoch, gone.owner_counter)
        for other in self._cache.meters_of(gone.device):
            self._queue.add(other.key)

    async def on_profile(self, event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        """Note a TwinProfile and look at the meters that use it, if it says something new."""
        self.last_event = time.monotonic()
        key = Key(body.metadata["namespace"], body.metadata["name"])
        if event["type"] == "DELETED":
            self._cache.profiles.drop(dict(body))
        elif not self._cache.profiles.store(dict(body)):
            return
        found = [
            meter
            for meter in self._cache.meters.values()
            if meter.key.namespace == key.namespace and meter.spec.get("profile") == key.name
        ]
        for meter in found:
            self._queue.add(meter.key)
        await self._follow(found)

    async def on_utility(self, event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        """Note a Utility, and look at its meters when it comes or goes."""
        self.last_event = time.monotonic()
        key = find_key(dict(body))
        was_there = key in self._cache.utilities.specs
        if event["type"] == "DELETED":
            self._cache.utilities.drop(dict(body))
        else:
            self._cache.utilities.store(dict(body))
        self._utilities.note(key.namespace)
        if was_there == (key in self._cache.utilities.specs):
            return
        for meter in self._cache.meters.values():
            if meter.utility == key:
                self._queue.add(meter.key)

    async def on_pod(self, event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        """Note a twin's pod."""
        self.last_event = time.monotonic()
        self._directory.note(body.metadata["namespace"])
        key = self._cache.store_pod(dict(body), deleted=event["type"] == "DELETED")
        if key is not None:
            self._queue.add(key)


class NoDifferences(kopf.AnnotationsDiffBaseStorage):
    """kopf copies each body to find what changed: a tenth of our time for what nobody asks."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:  # noqa: ARG002
        """Return nothing to compare."""
        return cast("kopf.BodyEssence", {})


def build_kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings; each line is here because its default hurt (docs/explanation)."""
    settings = kopf.OperatorSettings()
    settings.queueing.idle_timeout = IDLE_S
    settings.queueing.worker_limit = None
    settings.watching.server_timeout = WATCH_SERVER_S
    settings.watching.client_timeout = WATCH_SERVER_S + 30
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = NoDifferences(prefix=GROUP)
    return settings
