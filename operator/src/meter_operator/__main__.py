"""The process: Lease, then watches, broker, workers. Losing the Lease or a part ends it."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import kopf

from meter_operator import http_server
from meter_operator.broker_errors import RivalError
from meter_operator.cache import Cache
from meter_operator.cluster import Cluster, ClusterError, ConflictError, find_connection
from meter_operator.desired import Key, Meter
from meter_operator.directory import Directory
from meter_operator.drain import Drain
from meter_operator.events import Events
from meter_operator.fleet import Fleet, load_fleet
from meter_operator.journal import start_journal
from meter_operator.lease import Lease, LeaseLostError
from meter_operator.messenger import Messenger
from meter_operator.moments import format_moment
from meter_operator.owner import Message
from meter_operator.reconciler import Reconciler
from meter_operator.relist import read_again, relist
from meter_operator.rollout_metrics import RolloutGauges
from meter_operator.rollouts import Rollouts
from meter_operator.settings import Settings, SettingsError, load_settings
from meter_operator.trust import ensure_trust
from meter_operator.utilities import Utilities
from meter_operator.watches import Watches, build_kopf_settings
from meter_operator.workqueue import WorkQueue

log = logging.getLogger("meter_operator")
# Each look makes up to three writes, one after the other: more workers only wait for each other.
WORKERS = 8
SWEEP_S = 300
BROKER_WAIT_S = 5
STUCK_S = 900
SECRET_WAIT_S = 20


class Process:
    """The parts of a running operator."""

    def __init__(self, settings: Settings) -> None:
        """Make what needs no I/O."""
        self.settings = settings
        self.cache = Cache()
        self.queue = WorkQueue()
        self.acting = False
        self.counted_writes = 0
        self.standing_by = False
        self.gauges = RolloutGauges()

    async def run(self) -> None:
        """Run until the Lease is lost, a part fails or the process is told to stop.

        Raises:
            LeaseLostError: another replica may act now.
        """
        cluster = Cluster(find_connection())
        checks = http_server.Checks(self._alive, self._ready, self._refresh)
        web = await http_server.serve(self.settings.http_port, checks)
        try:
            lease = Lease(cluster, self.settings.namespace, self.settings.holder)
            fleet = await load_fleet(cluster, self.settings.namespace)
            self.standing_by = True
            standing = asyncio.current_task()
            assert standing is not None
            # The first process of a container ignores a signal that it has no handler for.
            _on_signal(standing.cancel)
            await lease.acquire()
            await self._act(cluster, fleet, lease)
        finally:
            await web.cleanup()
            await cluster.close()

    def _messages_of(self, meter: Meter, nonce: bytes) -> list[Message]:
        """Ask the reconciler, which is made after the messenger that needs it."""
        return self.reconciler.messages_of(meter, nonce)

    def _forget(self, gone: Meter) -> None:
        self.reconciler.forget(gone)
        self.utilities.forget_meter(gone)

    def _note_renewal(self, meter: Meter, until: datetime) -> None:
        http_server.RENEWED.inc()
        text = f"the meter was given a certificate that lasts until {format_moment(until)}"
        self.events.add(meter, "CertificateRenewed", text)

    async def _act(self, cluster: Cluster, fleet: Fleet, lease: Lease) -> None:
        self.cluster = cluster
        self.messenger = Messenger(
            self.settings,
            self.cache,
            fleet,
            lease.term,
            self._messages_of,
            self.queue.add,
            lease.confirm,
            raise_term=lease.raise_above,
            renewed=self._note_renewal,
        )
        events = self.events = Events(cluster)
        hears = self.messenger.connected.is_set
        rollouts = Rollouts(self.cache, cluster, self.queue.add, events, hears=hears)
        self.rollouts = rollouts if self.settings.handover else None
        self.reconciler = Reconciler(
            self.cache,
            cluster,
            fleet,
            self.messenger,
            self.settings,
            events,
            rollouts=self.rollouts,
            raise_term=lease.raise_above,
        )
        self.directory = Directory(self.cache, cluster)
        self.utilities = Utilities(self.cache, cluster)
        self.watches = Watches(
            *(self.cache, self.queue, self.messenger, self._forget),
            *(self.directory, self.utilities, self.reconciler.announcements.follow),
        )
        self.acting = True
        stop = asyncio.Event()
        _on_signal(stop.set)
        tasks = [
            asyncio.create_task(lease.keep(self.messenger.renew)),
            asyncio.create_task(self.messenger.run()),
            asyncio.create_task(events.run()),
            asyncio.create_task(self._observe(stop)),
            asyncio.create_task(stop.wait()),
        ]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            task.result()
        await lease.release()

    async def _observe(self, stop: asyncio.Event) -> None:
        """Connect, read everything, then watch and work: in this order (design rule 10)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BROKER_WAIT_S):
                await self.messenger.connected.wait()
        await self._relist()
        self.messenger.synced.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(stop))
            group.create_task(self._sweep())
            group.create_task(self.directory.run())
            group.create_task(self.utilities.run())
            if self.settings.watch_nodes:
                drain = Drain(self.cluster, self.cache, self.queue.add, self.events)
                group.create_task(drain.run())
            if self.rollouts is not None:
                group.create_task(self.rollouts.run())
            for _ in range(WORKERS):
                group.create_task(self.queue.work(self._look))

    async def _relist(self) -> None:
        namespaces = self.settings.watch_namespaces
        await relist(self.cluster, self.cache, namespaces, self.watches.meter_gone)
        await ensure_trust(self.cluster, self.settings)
        self.directory.read_again(namespaces)
        self.utilities.read_again(namespaces)
        self.watches.last_event = time.monotonic()

    async def _watch(self, stop: asyncio.Event) -> None:
        """Watch until told to stop; kopf takes the signals itself, so its end is ours."""
        try:
            await kopf.operator(
                registry=self.watches.registry(),
                settings=build_kopf_settings(),
                namespaces=list(self.settings.watch_namespaces),
                standalone=True,
                stop_flag=stop,
            )
        finally:
            stop.set()

    async def _sweep(self) -> None:
        """Read and look at everything now and then: for what no event told."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self._relist()
            except ClusterError as error:
                log.warning("sweep: %s", error)
            for key in list(self.cache.meters):
                self.queue.add(key)

    async def _look(self, key: Key) -> bool:
        begun = time.monotonic()
        result = "error"
        try:
            again = await self.reconciler.reconcile(key)
            if self._waits_for_a_secret(key):
                self.queue.add_later(key, SECRET_WAIT_S)
            pause_s = self.reconciler.pause_s(key)
            if pause_s is not None:
                self.queue.add_later(key, pause_s)
            result = "requeue" if again else "success"
        except ConflictError:
            await read_again(self.cluster, self.cache, key)
            return True
        except ClusterError as error:
            log.warning("%s", error, extra={"meter": key.name})
            raise
        except Exception:
            log.exception("unexpected", extra={"meter": key.name})
            raise
        else:
            return again
        finally:
            http_server.RECONCILES.labels("smartmeter", result).inc()
            http_server.SECONDS.labels("smartmeter").observe(time.monotonic() - begun)
            # Looks overlap: what is counted is what nobody has counted yet.
            http_server.API_WRITES.inc(self.cluster.writes - self.counted_writes)
            self.counted_writes = self.cluster.writes

    def _waits_for_a_secret(self, key: Key) -> bool:
        """Secrets are read by name and never watched, so nobody tells when one has come."""
        meter = self.cache.meters.get(key)
        rows = (meter.status.get("conditions") or []) if meter else []
        return any(row["reason"] == "SecretMissing" for row in rows)

    def _alive(self) -> bool:
        """Whether something was heard lately: the sweep alone should say so every few minutes."""
        return not self.acting or time.monotonic() - self.watches.last_event < STUCK_S

    def _ready(self) -> bool:
        return self.standing_by

    def _refresh(self) -> None:
        http_server.DEPTH.labels("smartmeter").set(len(self.queue))
        if not self.acting:
            return
        http_server.WATCH_AGE.set(time.monotonic() - self.watches.last_event)
        counts = {"true": 0, "false": 0}
        for meter in self.cache.meters.values():
            rows = meter.status.get("conditions") or []
            good = any(row["type"] == "Ready" and row["status"] == "True" for row in rows)
            counts[str(good).lower()] += 1
        for label, count in counts.items():
            http_server.METERS.labels(label).set(count)
        for reason, count in self.messenger.refused.items():
            http_server.REFUSED.labels(reason).set(count)
        if self.rollouts is not None:
            self.gauges.refresh(self.cache, time.monotonic())


def _on_signal(act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, act)


def main() -> int:
    """Return 0 after a requested stop, 1 when Lease or a part was lost, 2 for settings."""
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    start_journal(settings.log_level)
    return run_to_its_end(Process(settings).run())


def run_to_its_end(work: Coroutine[Any, Any, None]) -> int:
    """Return 0 when it was asked to end, 1 when Lease or broker session were lost to another."""
    try:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(work)
    except (LeaseLostError, RivalError) as error:
        log.error("%s", error)  # noqa: TRY400 - no trace wanted
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
