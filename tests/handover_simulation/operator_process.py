"""An operator of a simulated world: the real reconciler; lease, watches and messenger are played.

It lists, watches and writes with delays, crashes between any two calls, and may be paused while
another one takes the Lease: what it does after that has to be refused or harmless.
"""

import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

from meter_operator import hellos
from meter_operator.cache import Cache
from meter_operator.cluster import ClusterError
from meter_operator.desired import Json, Key
from meter_operator.events import Events
from meter_operator.fleet import Fleet
from meter_operator.handover import Patience
from meter_operator.memory_cluster import MemoryCluster
from meter_operator.observed import Witness, parse_state
from meter_operator.owner import Message
from meter_operator.reconciler import Reconciler
from meter_operator.settings import Settings
from meter_wire.portable.tlv import RemoteProtocolError

from .broker import Broker, Session
from .scheduler import Scheduler, pause

LOOK_MS = 1_000
RELIST_MS = 20_000
NAMESPACE = "street"


class SlowCluster(MemoryCluster):
    """The API server: every call takes time, and none works while it is away."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.away_until_ms = 0
        self.watchers: list[Callable[[str, Json, bool], None]] = []

    async def _call(
        self, method: str, path: str, doing: str, body: Json | None = None, kind: str = ""
    ) -> Json:
        chance = self.scheduler.random
        await pause(chance.choice((1, 3, 10, 60)))
        if self.scheduler.now_ms < self.away_until_ms:
            raise ClusterError(doing, 0, "connection refused")
        before = {row: body["metadata"]["resourceVersion"] for row, body in self.objects.items()}
        answer = await super()._call(method, path, doing, body, kind)
        self.tell(before)
        await pause(chance.choice((1, 3, 10, 60)))
        if self.scheduler.now_ms < self.away_until_ms:
            raise ClusterError(doing, 0, "the answer was lost")
        return answer

    def tell(self, before: dict[Any, str]) -> None:
        """Bring what has changed to whoever watches, after a delay."""
        for row, body in list(self.objects.items()):
            if before.get(row) != body["metadata"]["resourceVersion"]:
                self._later(row[0], body, gone=False)
        for row in sorted(set(before) - set(self.objects)):
            self._later(row[0], {"metadata": {"name": row[2], "namespace": row[1]}}, gone=True)

    def change(self, change: Callable[[], None]) -> None:
        """Change objects from outside (users, kubelets) so that watchers see it."""
        before = {row: body["metadata"]["resourceVersion"] for row, body in self.objects.items()}
        change()
        self.tell(before)

    def touch(self, body: Json) -> None:
        """Give an object that was changed in place its next version."""
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)

    def _later(self, kind: str, body: Json, *, gone: bool) -> None:
        found = copy.deepcopy(body)
        for watcher in list(self.watchers):
            delay = self.scheduler.random.choice((1, 10, 50, 400))
            self.scheduler.after(delay, lambda w=watcher: w(kind, found, gone))


class Lease:
    """Who may act, as the API server has it."""

    def __init__(self) -> None:
        self.holder = ""
        self.until_ms = 0
        self.transitions = 0


class OperatorProcess:
    """One replica."""

    def __init__(
        self, name: str, scheduler: Scheduler, cluster: SlowCluster, broker: Broker, lease: Lease,
        fleet: Fleet, settings: Settings, patience: Patience,
    ) -> None:  # fmt: skip
        self.name, self.scheduler, self.cluster, self.broker = name, scheduler, cluster, broker
        self.lease, self.fleet, self.settings, self.patience = lease, fleet, settings, patience
        self.term = 0
        self.alive = False
        self.paused_until_ms = 0
        self._life = 0

    # ---- life

    def start(self) -> None:
        self.alive = True
        self._life += 1
        self.cache = Cache()
        self.reconciler = Reconciler(
            self.cache, self.cluster, self.fleet, self, self.settings, Events(self.cluster),
            clock=lambda: self.scheduler.now_ms / 1000,
            random=self.scheduler.bytes, patience=self.patience,
        )  # fmt: skip
        self._session: Session | None = None
        self._pending: dict[str, bytes] = {}
        self._queue: list[Key] = []
        self._listed_ms = -RELIST_MS
        self.cluster.watchers.append(self._watch)
        self.scheduler.start(self._run(self._life), lambda life=self._life: self._lives(life))

    def kill(self) -> None:
        self.alive = False
        with contextlib.suppress(ValueError):
            self.cluster.watchers.remove(self._watch)
        if self._session is not None:
            self._session.end()

    def _lives(self, life: int) -> bool:
        return self.alive and life == self._life

    def _exit(self) -> None:
        """End as a process does; it is started again."""
        self.kill()
        self.scheduler.after(self.scheduler.random.randint(500, 5000), self._again)

    def _again(self) -> None:
        if not self.alive:
            self.start()

    # ---- work

    async def _run(self, life: int) -> None:
        await self._take_lease()
        while self._lives(life):
            while self.scheduler.now_ms < self.paused_until_ms:
                await pause(500)
            if not self._renew():
                self._exit()
                return
            if self._session is None:
                self._connect(life)
            with contextlib.suppress(ClusterError):
                if self.scheduler.now_ms - self._listed_ms >= RELIST_MS:
                    await self._list()
            await self._work()
            await pause(200)

    async def _take_lease(self) -> None:
        while self.lease.holder not in ("", self.name) and (
            self.scheduler.now_ms < self.lease.until_ms
        ):
            await pause(1000)
        self.lease.holder = self.name
        self.lease.transitions += 1
        self.term = self.lease.transitions
        self.lease.until_ms = self.scheduler.now_ms + 15_000

    def _renew(self) -> bool:
        if self.lease.holder != self.name or self.lease.transitions != self.term:
            return False
        if self.scheduler.now_ms >= self.cluster.away_until_ms:
            self.lease.until_ms = self.scheduler.now_ms + 15_000
        return self.scheduler.now_ms < self.lease.until_ms

    async def _list(self) -> None:
        pods: set[str] = set()
        answer = await self.cluster._call(
            "GET", f"/apis/metertwin.io/v1alpha1/namespaces/{NAMESPACE}/smartmeters", "listing"
        )
        for body in answer["items"]:
            self.cache.store_meter(body)
        for (kind, _, name), body in copy.deepcopy(self.cluster.objects).items():
            if kind == "twinprofiles":
                self.cache.profiles[Key(NAMESPACE, name)] = body["spec"]
            elif kind == "pods":
                pods.add(name)
                self.cache.store_pod(body)
        self.cache.drop_pods(NAMESPACE, pods, 1 << 60)
        first = self._listed_ms < 0
        self._listed_ms = self.scheduler.now_ms
        for meter in list(self.cache.meters.values()):
            self._look(meter.key)
            if first and meter.epoch:
                await self.publish(self.reconciler.messages_of(meter))

    def _watch(self, kind: str, body: Json, gone: bool) -> None:
        if not self.alive or self.scheduler.now_ms < self.paused_until_ms:
            return
        key: Key | None = None
        if kind == "smartmeters":
            key = self.cache.store_meter(body).key
        elif kind == "pods":
            if gone:
                for pods in self.cache.pods.values():
                    pods.pop(body["metadata"]["name"], None)
                key = next(iter(self.cache.meters), None)
            else:
                key = self.cache.store_pod(body)
        if key is not None:
            self._look(key)

    def _look(self, key: Key) -> None:
        if key not in self._queue:
            self._queue.append(key)

    async def _work(self) -> None:
        if self._listed_ms < 0:
            return
        for _ in range(20):
            if not self._queue:
                break
            key = self._queue.pop(0)
            try:
                if await self.reconciler.reconcile(key):
                    self._look(key)
            except ClusterError:
                self._look(key)
                await pause(LOOK_MS)
        for key in list(self.cache.meters):
            if self.reconciler.pause_s(key) is not None:
                self._look(key)

    # ---- broker

    async def publish(self, messages: list[Message]) -> None:
        """Keep retained messages, now or when the broker is back (Publisher)."""
        for message in messages:
            self._pending.pop(message.topic, None)
            self._pending[message.topic] = message.payload
        self._send()

    def _send(self) -> None:
        if self._session is None or self.scheduler.now_ms < self.paused_until_ms:
            return
        for topic, payload in self._pending.items():
            self._session.publish(topic, payload, retain=True)
        self._pending.clear()

    def _connect(self, life: int) -> None:  # noqa: C901 - three callbacks of one session
        made: list[Session] = []

        def current() -> bool:
            return self._lives(life) and bool(made) and self._session is made[0]

        def hear(topic: str, payload: bytes, retained: bool) -> None:
            del retained
            if current() and self.scheduler.now_ms >= self.paused_until_ms:
                with contextlib.suppress(ValueError, RemoteProtocolError):
                    self._hear(topic, payload)

        def lost() -> None:
            if current():
                self._session = None
                if self.lease.holder != self.name:
                    self._exit()

        session = self.broker.connect("operator", hear, lost)
        if session is None:
            return
        made.append(session)
        self._session = session
        for topic in ("mt/+/owner", "mt/+/+/state", "mt/+/hello"):
            session.subscribe(topic)
        for meter in self.cache.meters.values():
            if meter.epoch:
                for message in self.reconciler.messages_of(meter):
                    self._pending.setdefault(message.topic, message.payload)
        self._send()

    def _hear(self, topic: str, payload: bytes) -> None:
        parts = topic.split("/")
        meter = self.cache.owner_of(parts[1])
        if meter is None:
            return
        if parts[-1] == "state":
            epoch = int(parts[2])
            states = self.cache.states.setdefault(meter.device, {})
            if payload:
                states[epoch] = parse_state(epoch, payload)
            else:
                states.pop(epoch, None)
            self._look(meter.key)
            return
        if parts[-1] == "hello":
            hello = hellos.open_hello(self.fleet, meter, payload)
            self.cache.nonces[meter.device] = hello.nonce
            seen = Witness(hello.highest, hello.owner_counter)
        elif payload:
            record = hellos.open_record(self.fleet, meter.device, meter.key_version, payload)
            seen = Witness(record.highest, record.counter)
            self.cache.raise_witness(meter.device, seen.epoch, seen.counter)
            if (record.active, record.counter) == (meter.epoch, meter.owner_counter):
                return
        else:
            seen = Witness()
        self.cache.raise_witness(meter.device, seen.epoch, seen.counter)
        ahead = seen.epoch > meter.highest_epoch or seen.counter > meter.owner_counter
        if ahead or not meter.epoch:
            self._look(meter.key)
            return
        for message in self.reconciler.messages_of(meter):
            self._pending[message.topic] = message.payload
        self._send()


def describe(meter_status: Json) -> str:
    """Return a status in one line, for people who read a failing seed."""
    shown = {k: meter_status.get(k) for k in ("epoch", "highestEpoch", "ownerCounter")}
    return json.dumps(shown | {"handover": (meter_status.get("handover") or {}).get("phase")})
