"""An operator of a simulated world: real reconciler, Lease and messenger; their loops are played.

What `__main__` starts as tasks are coroutines here: one keeps the Lease, one the session with the
broker, one works, one reads everything now and then. Any of them may stand still inside of any
call while the others, or another replica, go on.
"""

import contextlib
from collections.abc import Coroutine
from typing import Any, NamedTuple

from meter_operator.cache import Cache
from meter_operator.cluster import ClusterError, ConflictError
from meter_operator.desired import Json, Key, Meter
from meter_operator.events import Events
from meter_operator.fleet import Fleet
from meter_operator.handover import Patience
from meter_operator.lease import RENEW_DEADLINE_S, RETRY_S, Lease
from meter_operator.messenger import SUBSCRIPTIONS
from meter_operator.reconciler import Reconciler
from meter_operator.relist import read_again, relist
from meter_operator.settings import Settings

from .api_server import NAMESPACE, SlowCluster
from .broker import Broker, Session
from .clocks import wall_of
from .operator_voice import Voice
from .scheduler import Actor, Scheduler, Wake, drive, pause

SWEEP_MS = 60_000
BROKER_WAIT_MS = 5_000
FIRST_RETRY_MS, LAST_RETRY_MS = 500, 60_000


class Surroundings(NamedTuple):
    """What replicas share, and what they are told."""

    scheduler: Scheduler
    cluster: SlowCluster
    broker: Broker
    fleet: Fleet
    settings: Settings
    patience: Patience


class OperatorProcess(Actor):
    """One replica."""

    def __init__(self, name: str, around: Surroundings) -> None:
        super().__init__()
        self.name, self.around = name, around
        self.scheduler, self.cluster = around.scheduler, around.cluster
        self.leads = False
        self.pause_at_decision_ms = 0

    # ---- life

    def start(self) -> None:
        self.alive = True
        self.life += 1
        self.leads = False
        self.paused_until_ms = 0
        self.cache = Cache()
        self._queue: list[Key] = []
        self._wake = Wake()
        self._failures = 0
        self._session: Session | None = None
        holder = f"{self.name}-{self.life}"
        self.lease = Lease(
            self.cluster, NAMESPACE, holder, clock=self._clock_s,
            now=lambda: wall_of(self.scheduler),
        )  # fmt: skip
        self._spawn(self._run())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.scheduler.start(work, self)

    def _clock_s(self) -> float:
        return self.scheduler.now_ms / 1000

    def kill(self) -> None:
        """Kill -9."""
        if not self.alive:
            return
        self.alive = self.leads = False
        with contextlib.suppress(ValueError):
            self.cluster.watchers.remove(self._watch)
        if self._session is not None:
            self._session.end()

    def exit(self, after_ms: int = 0) -> None:
        """End as a process does; it is started again."""
        life = self.life
        self.kill()
        after_ms = after_ms or self.scheduler.random.randint(500, 5000)

        def again() -> None:
            if not self.alive and self.life == life:
                self.start()

        self.scheduler.after(after_ms, again)

    def stop(self) -> None:
        """End as asked for: the Lease is given up; the next version starts a little later."""
        leads = self.leads
        self.exit(self.scheduler.random.randint(1000, 8000))
        if leads:
            goodbye = Actor()
            goodbye.alive, goodbye.wall_offset_ms = True, self.wall_offset_ms
            self.scheduler.start(_release(self.lease), goodbye)

    # ---- Lease

    async def _run(self) -> None:
        while not await self._try_lease():
            await pause(RETRY_S * 1000)
        self.leads = True
        self.scheduler.tell(f"{self.name} leads, term {self.lease.term}")
        self.voice = Voice(self.around, self.cache, self.lease, self._say, self._look, self)
        around = self.around
        self.reconciler = Reconciler(
            self.cache, self.cluster, around.fleet, self.voice, around.settings,
            Events(self.cluster), clock=self._clock_s, random=self.scheduler.octets,
            patience=around.patience, raise_term=self.lease.raise_above,
        )  # fmt: skip
        self._spawn(self._keep_lease())
        self._spawn(self._keep_connected())
        for _ in range(BROKER_WAIT_MS // 100):
            if self._session is not None:
                break
            await pause(100)
        try:
            await self._relist()
        except ClusterError:
            self.exit()
            return
        self.voice.synced.set()
        self._spawn(self._sweep())
        await self._work()

    async def _try_lease(self) -> bool:
        try:
            return await self.lease._try()
        except ClusterError:
            return False

    async def _keep_lease(self) -> None:
        renewed_s = self._clock_s()
        while True:
            await pause(RETRY_S * 1000)
            if await self._try_lease():
                renewed_s = self._clock_s()
            if self.lease._stolen or self._clock_s() - renewed_s > RENEW_DEADLINE_S:
                self.scheduler.tell(f"{self.name} has lost the Lease")
                self.exit()
                return
            if self.lease.term != self.voice.term:
                self.scheduler.tell(f"{self.name} leads on, term {self.lease.term}")
                await self.voice.renew(self.lease.term)

    # ---- API server

    async def _relist(self) -> None:
        if self._watch not in self.cluster.watchers:
            self.cluster.watchers.append(self._watch)
        await relist(self.cluster, self.cache, (NAMESPACE,), _meter_gone)
        for key in self.cache.meters:
            self._look(key)

    async def _sweep(self) -> None:
        while True:
            await pause(SWEEP_MS)
            with contextlib.suppress(ClusterError):
                await self._relist()

    def _watch(self, kind: str, body: Json, gone: bool) -> None:
        self.scheduler.act(self, self.life, lambda: self._see(kind, body, gone=gone))

    def _see(self, kind: str, body: Json, *, gone: bool) -> None:
        key: Key | None = None
        if kind == "smartmeters":
            key = self.cache.store_meter(body).key
        elif kind == "pods":
            key = self.cache.store_pod(body, deleted=gone)
        elif kind == "twinprofiles" and self.cache.profiles.store(body):
            drive(self.reconciler.announcements.follow(list(self.cache.meters.values())))
        if key is not None:
            self._look(key)

    def _look(self, key: Key) -> None:
        if key not in self._queue:
            self._queue.append(key)
            self._wake.set()

    async def _work(self) -> None:
        next_ms = 0
        while True:
            if self.scheduler.now_ms >= next_ms:
                for key in self.cache.meters:
                    if self.reconciler.pause_s(key) is not None:
                        self._look(key)
                next_ms = self.scheduler.now_ms + 1000
            if not self._queue:
                await pause(1000, self._wake)
                continue
            key = self._queue.pop(0)
            try:
                if await self._reconcile(key):
                    self._look(key)
                self._failures = 0
            except ClusterError:
                self._failures += 1
                wait_ms = min(LAST_RETRY_MS, FIRST_RETRY_MS << min(self._failures - 1, 8))
                await pause(self.scheduler.random.randint(wait_ms // 2, wait_ms))
                self._look(key)

    async def _reconcile(self, key: Key) -> bool:
        try:
            return await self.reconciler.reconcile(key)
        except ConflictError:
            await read_again(self.cluster, self.cache, key)
            return True

    # ---- broker

    def _say(self, meter: Meter, nonce: bytes) -> Any:
        return self.reconciler.messages_of(meter, nonce)

    async def _keep_connected(self) -> None:
        while True:
            await pause(self.scheduler.random.choice((10, 100, 1000)))
            session = self._connect()
            if session is None:
                await pause(self.scheduler.random.choice((500, 2000, 5000)))
                continue
            while self._session is session and not self.voice.synced.is_set():
                await pause(100)
            if self._session is session:
                await self.voice.begin(session)
            while self._session is session:
                await pause(1000)
                await self.voice._answer_waiting()
            if not await self._try_lease() and self.lease._stolen:
                self.scheduler.tell(f"{self.name} was thrown off the broker by another leader")
                self.exit()
                return

    def _connect(self) -> Session | None:
        made: list[Session] = []

        def hear(topic: str, payload: bytes, retained: bool) -> None:
            del retained
            if self._session is made[0]:
                self.voice.hear(topic, payload)

        def lost() -> None:
            if self._session is made[0]:
                self._session = None

        session = self.around.broker.connect("operator", hear, lost, self)
        if session is not None:
            made.append(session)
            self._session = session
            for topic in SUBSCRIPTIONS:
                session.subscribe(topic)
        return session

    def before_decision(self) -> None:
        """Stand still with the decision in hand, if a fault has asked for it."""
        if self.pause_at_decision_ms:
            self.paused_until_ms = self.scheduler.now_ms + self.pause_at_decision_ms
            self.pause_at_decision_ms = 0
            self.scheduler.tell(f"{self.name} stands still, about to decide")


async def _meter_gone(_meter: Meter) -> None:
    raise AssertionError("no meter is deleted in this world")


async def _release(lease: Lease) -> None:
    with contextlib.suppress(ClusterError):
        await lease.release()
