"""A simulated broker: sessions by client id, retained messages, last wills, order per direction.

MQTT over TCP allows that a message is late, that all that was on the way is lost with its session,
and that a client sends again what was not acknowledged. It does not allow that one message
overtakes another of the same session and direction; messages of different sessions, and those on
their way up and down, do. A network that stands still delays all that follows and is noticed when
the keep-alive ends. What is retained may be older than it was when the broker comes back: it saves
now and then, and a kill loses what came after. Access rules are not played: they are tested on the
real broker.
"""

from collections.abc import Callable

from .scheduler import Actor, Scheduler

Hear = Callable[[str, bytes, bool], None]
KEEP_ALIVE_MS = 45_000
QUICK_MS, SLOW_MS = (1, 2, 5, 20, 150), (40, 200, 900)
SNAPSHOT_MS = 20_000
SNAPSHOTS = 8
UP, DOWN = 0, 1


class Session:
    """One client's connection, a process's or (without `actor`) a device's."""

    def __init__(
        self, broker: "Broker", client: str, hear: Hear, lost: Callable[[], None],
        actor: Actor | None = None, will: tuple[str, bytes] | None = None,
    ) -> None:  # fmt: skip
        self.broker, self.client, self.hear, self.lost = broker, client, hear, lost
        self.topics: set[str] = set()
        self.is_open = True
        self._actor, self._life = actor, actor.life if actor else 0
        self._will = will
        self._last_ms = [0, 0]

    def subscribe(self, topic: str) -> None:
        """Subscribe; the retained message comes with it. `+` matches a level."""

        def arrive() -> None:
            self.topics.add(topic)
            for name, payload in list(self.broker.retained.items()):
                if matches(topic, name):
                    self.deliver(name, payload, retained=True)

        self._later(UP, arrive)

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False,
        acknowledged: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Send; lost if the session ends before it arrives."""

        def arrive() -> None:
            self.broker.route(topic, payload, retain=retain)
            if acknowledged is not None:
                self._later(DOWN, acknowledged)

        self._later(UP, arrive)

    def deliver(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Bring a message to the client."""
        self._later(DOWN, lambda: self.hear(topic, payload, retained))

    def stand_still(self, for_ms: int) -> None:
        """Let nothing through for a while; beyond the keep-alive the session ends."""
        until_ms = self.broker.scheduler.now_ms + min(for_ms, KEEP_ALIVE_MS)
        self._last_ms = [max(one, until_ms) for one in self._last_ms]
        if for_ms > KEEP_ALIVE_MS:
            self.broker.scheduler.after(KEEP_ALIVE_MS - 1, self.end)

    def _later(self, way: int, action: Callable[[], None]) -> None:
        world = self.broker.scheduler
        delay = world.random.choice(self.broker.delays_ms) if world.chance(95) else 2000
        self._last_ms[way] = max(self._last_ms[way], world.now_ms + delay)

        def act() -> None:
            if not self.is_open:
                return
            if way == UP or self._actor is None:
                action()
            else:  # in the buffer of its socket: read even if the session ends meanwhile
                world.act(self._actor, self._life, action)

        for _ in range(2 if world.chance(2) else 1):  # at least once
            world.after(self._last_ms[way] - world.now_ms, act)

    def end(self, *, quietly: bool = False) -> None:
        """End the session; the client learns of it a little later, others by its last will.

        `quietly`: the broker itself is gone, and with it the will.
        """
        if not self.is_open:
            return
        self.is_open = False
        broker = self.broker
        if broker.sessions.get(self.client) is self:
            del broker.sessions[self.client]
        if self._will is not None and not quietly:
            broker.route(*self._will, retain=True)
        wait_ms = broker.scheduler.random.randint(1, 500)
        if self._actor is None:
            broker.scheduler.after(wait_ms, self.lost)
        else:
            actor, life = self._actor, self._life
            broker.scheduler.after(wait_ms, lambda: broker.scheduler.act(actor, life, self.lost))


class Broker:
    """The broker."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.retained: dict[str, bytes] = {}
        self.sessions: dict[str, Session] = {}
        self.up = True
        self.delays_ms = SLOW_MS if scheduler.chance(10) else QUICK_MS
        self.watchers: list[Callable[[str, bytes], None]] = []
        """Told of every message that arrives."""
        self._saved: list[dict[str, bytes]] = []
        self._save()

    def connect(
        self, client: str, hear: Hear, lost: Callable[[], None],
        actor: Actor | None = None, will: tuple[str, bytes] | None = None,
    ) -> Session | None:  # fmt: skip
        """Open a session; an older one of the same client ends. None while it is away."""
        if not self.up:
            return None
        if client in self.sessions:
            self.sessions[client].end()
        self.sessions[client] = made = Session(self, client, hear, lost, actor, will)
        return made

    def route(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Keep a retained message, and bring it to whoever subscribed."""
        self.scheduler.trace(topic.encode(), payload)
        for watcher in self.watchers:
            watcher(topic, payload)
        if retain:
            self.retained[topic] = payload
            if not payload:
                del self.retained[topic]
        for session in list(self.sessions.values()):
            if any(matches(pattern, topic) for pattern in session.topics):
                session.deliver(topic, payload, retained=False)

    def kill(self, away_ms: int, *, retained: dict[str, bytes] | None = None) -> None:
        """Kill it; it comes back with what is retained now, or with `retained`."""
        self.up = False
        for session in list(self.sessions.values()):
            session.end(quietly=True)
        if retained is not None:
            self.retained = dict(retained)
        self.scheduler.after(away_ms, self._start)

    def find_snapshot(self) -> dict[str, bytes]:
        """Return what was retained at some moment of the last minutes."""
        return self.scheduler.random.choice(self._saved)

    def _save(self) -> None:
        self._saved = [*self._saved, dict(self.retained)][-SNAPSHOTS:]
        self.scheduler.after(SNAPSHOT_MS, self._save)

    def _start(self) -> None:
        self.up = True


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is one that a subscription names."""
    if pattern == topic:
        return True
    if "+" not in pattern:
        return False
    left, right = pattern.split("/"), topic.split("/")
    return len(left) == len(right) and all(
        one in ("+", other) for one, other in zip(left, right, strict=True)
    )
