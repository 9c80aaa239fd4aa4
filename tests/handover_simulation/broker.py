"""A simulated broker: sessions by client id, retained messages, order within a session only.

What is on the way when a session ends is lost, as with clean sessions. Access rules are not played
here: they are tested on the real broker.
"""

from collections.abc import Callable

from .scheduler import Scheduler

Hear = Callable[[str, bytes, bool], None]


class Session:
    """One client's connection."""

    def __init__(self, broker: "Broker", client: str, hear: Hear, lost: Callable[[], None]) -> None:
        self.broker, self.client, self.hear, self.lost = broker, client, hear, lost
        self.topics: set[str] = set()
        self.is_open = True
        self._last_ms = 0

    def subscribe(self, topic: str) -> None:
        """Subscribe; the retained message comes with it. `+` matches a level."""
        self.topics.add(topic)
        for name, payload in list(self.broker.retained.items()):
            if matches(topic, name):
                self.deliver(name, payload, retained=True)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send; lost if the session ends before it arrives."""
        self._later(lambda: self.broker.route(topic, payload, retain=retain))

    def deliver(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Bring a message to the client."""
        self._later(lambda: self.hear(topic, payload, retained))

    def _later(self, action: Callable[[], None]) -> None:
        world = self.broker.scheduler
        delay = world.random.choice((1, 2, 5, 20, 150)) if world.chance(95) else 2000
        self._last_ms = max(self._last_ms, world.now_ms + delay)

        def act() -> None:
            if self.is_open:
                action()

        for _ in range(2 if world.chance(2) else 1):  # at least once
            world.after(self._last_ms - world.now_ms, act)

    def end(self) -> None:
        """End the session; the client learns of it a little later."""
        if self.is_open:
            self.is_open = False
            if self.broker.sessions.get(self.client) is self:
                del self.broker.sessions[self.client]
            self.broker.scheduler.after(self.broker.scheduler.random.randint(1, 500), self.lost)


class Broker:
    """The broker."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.retained: dict[str, bytes] = {}
        self.sessions: dict[str, Session] = {}
        self.up = True

    def connect(self, client: str, hear: Hear, lost: Callable[[], None]) -> Session | None:
        """Open a session; an older one of the same client ends. None while it is away."""
        if not self.up:
            return None
        if client in self.sessions:
            self.sessions[client].end()
        session = self.sessions[client] = Session(self, client, hear, lost)
        return session

    def route(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Keep a retained message, and bring it to whoever subscribed."""
        if retain:
            self.retained[topic] = payload
            if not payload:
                del self.retained[topic]
        for session in list(self.sessions.values()):
            if any(matches(pattern, topic) for pattern in session.topics):
                session.deliver(topic, payload, retained=False)

    def kill(self, away_ms: int, *, persistent: bool) -> None:
        """Kill it; without persistence the retained messages are gone."""
        self.up = False
        for session in list(self.sessions.values()):
            session.end()
        if not persistent:
            self.retained.clear()
        self.scheduler.after(away_ms, self._start)

    def _start(self) -> None:
        self.up = True


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is one that a subscription names."""
    left, right = pattern.split("/"), topic.split("/")
    return len(left) == len(right) and all(
        one in ("+", other) for one, other in zip(left, right, strict=True)
    )
