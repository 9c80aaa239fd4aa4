"""The meter of a simulated world: the real link core over a ring in memory, with a log of its own.

The log is the oracle: what the meter has measured, whoever got it.
"""

from collections.abc import Callable

from meter_wire.memory import MemoryRing
from meter_wire.portable.entry import encode_reading
from meter_wire.portable.meter_link import MeterInfo, MeterLink

from .broker import Broker, Session
from .clocks import BEGIN_S
from .scheduler import Scheduler

TICK_MS = 1_000
PERIODS_MS = (2_000, 5_000)
CAPACITIES = (12, 30, 400)
Entry = tuple[bytes, int]
_OK = 0


class WatchedRing(MemoryRing):
    """A ring that tells what it lets go of, and whether the meter had been told that it may."""

    def __init__(
        self, incarnation: bytes, capacity: int, gone: Callable[[Entry, bool], None]
    ) -> None:
        super().__init__(incarnation, capacity)
        self._gone = gone

    def append(self, entry: bytes) -> int:
        oldest = self.oldest
        seq = super().append(entry)
        for one in range(oldest, self.oldest):
            if not self._is_reserved(one):
                self._gone((self.incarnation, one), one not in self.lost)
        return seq

    def _is_reserved(self, seq: int) -> bool:
        return any(first <= seq <= last for first, last in self._reserved)


class Meter:
    """One meter; ring, owner record and boot number survive a reboot."""

    def __init__(
        self, scheduler: Scheduler, broker: Broker, device: str, key: bytes,
        gone: Callable[[Entry, bool], None], forwarded: Callable[[int], None],
    ) -> None:  # fmt: skip
        """`gone`: an entry has left the ring, acknowledged or not; `forwarded`: for the EMS."""
        self.scheduler, self.broker, self.device, self._key = scheduler, broker, device, key
        self._gone, self._forwarded = gone, forwarded
        self.capacity = scheduler.random.choice(CAPACITIES)
        self.ring = WatchedRing(scheduler.octets(8), self.capacity, gone)
        self.log: dict[Entry, bytes] = {}
        self.owner = b""
        self.boot = 0
        self.clock_wrong_s = 0
        self.offline_until_ms = scheduler.random.randint(0, 12_000)
        self.measures = True
        self.remembered: Callable[[bytes], None] = lambda _record: None
        self._period_ms = scheduler.random.choice(PERIODS_MS)
        self.session: Session | None = None
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
            self.device, self._key, self.ring, info, self.scheduler.octets, self.owner
        )

    def lose_flash(self) -> None:
        """Begin as a new meter does: another incarnation, no owner record, the first boot."""
        self.ring = WatchedRing(self.scheduler.octets(8), self.capacity, self._gone)
        self.owner = b""
        self.boot = 0
        self.reboot()

    def cut(self, for_ms: int) -> None:
        """No way to the broker for a while."""
        self.offline_until_ms = self.scheduler.now_ms + for_ms
        self._drop()

    def _drop(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.end()
            self.link.disconnected()

    def _tick(self) -> None:
        if self.measures and self.scheduler.now_ms >= self._next_ms:
            self._next_ms = self.scheduler.now_ms + self._period_ms
            self._measure()
        if self.session is None and self.scheduler.now_ms >= self.offline_until_ms:
            self._connect()
        self._work()
        self.scheduler.after(TICK_MS, self._tick)

    def _measure(self) -> None:
        time_s = BEGIN_S + self.scheduler.now_ms // 1000 + self.clock_wrong_s
        entry = encode_reading(0, time_s, self.uptime_ms // 1000, self.boot, [])
        self.log[self.ring.incarnation, self.ring.head + 1] = entry
        self.ring.append(entry)

    def _connect(self) -> None:
        made: list[Session] = []

        def hear(topic: str, payload: bytes, retained: bool) -> None:
            if self.session is made[0]:
                self._hear(topic, payload, retained)

        def lost() -> None:
            if self.session is made[0]:
                self.session = None
                self.link.disconnected()

        session = self.broker.connect(f"meter {self.device}", hear, lost)
        if session is None:
            return
        made.append(session)
        self.session = session
        self._topics = set()
        session.subscribe(f"mt/{self.device}/owner")
        self._subscribe()
        self.link.connected(self.uptime_ms)

    def _subscribe(self) -> None:
        for epoch in self.link.epochs:
            topic = f"mt/{self.device}/{epoch}/down"
            if self.session is not None and topic not in self._topics:
                self._topics.add(topic)
                self.session.subscribe(topic)

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:
        parts = topic.split("/")
        if parts[2] == "owner":
            event = self.link.receive_owner(payload, self.uptime_ms)
        else:
            event = self.link.receive(int(parts[2]), payload, self.uptime_ms, retained, False)
        if event is not None:
            self._obey(event)
        self._work()

    def _obey(self, event: tuple[object, ...]) -> None:
        name = event[0]
        if name == "owner":
            assert isinstance(event[1], bytes)
            self.owner = event[1]  # in flash before anything else
            self.remembered(self.owner)
        elif name == "forward":
            _, epoch, command = event[:3]
            assert isinstance(epoch, int)
            assert isinstance(command, int)
            self._forwarded(epoch)
            self.link.answer(epoch, command, _OK)
        elif name == "time":
            self.clock_wrong_s = 0

    def _work(self) -> None:
        session = self.session
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
