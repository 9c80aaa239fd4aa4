"""The meter of a simulated world: the real link core over a ring in memory, with a log of its own.

The log is the oracle: what the meter has measured, whoever got it.
"""

from meter_wire.memory import MemoryRing
from meter_wire.portable.entry import encode_reading
from meter_wire.portable.meter_link import MeterInfo, MeterLink

from .broker import Broker, Session
from .scheduler import Scheduler

TICK_MS = 500
PERIODS_MS = (2_000, 5_000)


class Meter:
    """One meter; ring, owner record and boot number survive a reboot."""

    def __init__(
        self, scheduler: Scheduler, broker: Broker, device: str, key: bytes, capacity: int
    ) -> None:
        """`capacity`: entries that the ring holds."""
        self.scheduler, self.broker, self.device, self._key = scheduler, broker, device, key
        self.ring = MemoryRing(scheduler.bytes(8), capacity=capacity)
        self.log: dict[tuple[bytes, int], bytes] = {}
        self.owner = b""
        self.boot = 0
        self.offline_until_ms = 0
        self.measures = True
        self._period_ms = scheduler.random.choice(PERIODS_MS)
        self._session: Session | None = None
        self._topics: set[str] = set()
        self._next_ms = 0
        self.reboot()
        self._tick()

    @property
    def uptime_ms(self) -> int:
        return self.scheduler.now_ms - self._booted_ms

    def reboot(self) -> None:
        """Lose everything that is not in flash; numbers that were reserved are skipped."""
        self._drop()
        self.boot += 1
        self._booted_ms = self.scheduler.now_ms
        if self.boot > 1:
            self.ring.reserve(self.scheduler.random.randint(1, 8))
        info = MeterInfo(self.boot, "1.0.0", b"")
        self.link = MeterLink(
            self.device, self._key, self.ring, info, self.scheduler.bytes, self.owner
        )

    def cut(self, for_ms: int) -> None:
        """No way to the broker for a while."""
        self.offline_until_ms = self.scheduler.now_ms + for_ms
        self._drop()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.end()
            self.link.disconnected()

    def _lost(self, session: Session) -> None:
        if self._session is session:
            self._session = None
            self.link.disconnected()

    def _tick(self) -> None:
        if self.measures and self.scheduler.now_ms >= self._next_ms:
            self._next_ms = self.scheduler.now_ms + self._period_ms
            self._measure()
        if self._session is None and self.scheduler.now_ms >= self.offline_until_ms:
            self._connect()
        self._work()
        self.scheduler.after(TICK_MS, self._tick)

    def _measure(self) -> None:
        time_s = 1_750_000_000 + self.scheduler.now_ms // 1000
        entry = encode_reading(0, time_s, self.uptime_ms // 1000, self.boot, [])
        seq = self.ring.append(entry)
        self.log[self.ring.incarnation, seq] = entry

    def _connect(self) -> None:
        made: list[Session] = []

        def hear(topic: str, payload: bytes, retained: bool) -> None:
            if made and self._session is made[0]:
                self._hear(topic, payload, retained)

        session = self.broker.connect(
            f"meter {self.device}", hear, lambda: made and self._lost(made[0])
        )
        if session is None:
            return
        made.append(session)
        self._session = session
        self._topics = set()
        session.subscribe(f"mt/{self.device}/owner")
        self._subscribe()
        self.link.connected(self.uptime_ms)

    def _subscribe(self) -> None:
        for epoch in self.link.epochs:
            topic = f"mt/{self.device}/{epoch}/down"
            if self._session is not None and topic not in self._topics:
                self._topics.add(topic)
                self._session.subscribe(topic)

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:
        parts = topic.split("/")
        if parts[2] == "owner":
            event = self.link.receive_owner(payload, self.uptime_ms)
            if event is not None:
                self.owner = event[1]  # in flash before anything else
        else:
            self.link.receive(int(parts[2]), payload, self.uptime_ms, retained, False)
        self._work()

    def _work(self) -> None:
        session = self._session
        if session is None:
            return
        for _ in range(50):
            self._subscribe()
            out = self.link.poll(self.uptime_ms)
            if not out:
                break
            epoch, payload = out
            name = f"mt/{self.device}/{epoch}/up" if epoch else f"mt/{self.device}/hello"
            session.publish(name, payload)
        if self.link.reread:
            self.link.reread = False
            session.subscribe(f"mt/{self.device}/owner")
