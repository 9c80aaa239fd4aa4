"""Time and chance of a simulated world: one queue, one seed; nothing else decides what is next.

A process is an `Actor`: its coroutines and whatever is addressed to it wait while it stands still,
wherever it stands, and go on later as if nothing had been. All that happens is traced, so that two
runs of a seed can be compared.
"""

import hashlib
import heapq
import random
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any


class Wake:
    """Ends a pause before its time."""

    def __init__(self) -> None:
        self.end: Callable[[], None] = _nothing

    def set(self) -> None:
        """Let whoever waits for it go on."""
        end, self.end = self.end, _nothing
        end()


def _nothing() -> None:
    """Nobody waits."""


class Pause:
    """Awaited by simulated processes: goes on after a time in milliseconds, or when woken."""

    def __init__(self, delay_ms: int, wake: Wake | None = None) -> None:
        self.delay_ms = delay_ms
        self.wake = wake

    def __await__(self) -> Generator["Pause", None, None]:
        yield self


class Actor:
    """A process: it lives, it may stand still for a while, and it believes a clock on its wall."""

    def __init__(self) -> None:
        self.alive = False
        self.life = 0
        """Rises with each start: what belongs to an earlier life is over."""
        self.paused_until_ms = 0
        self.wall_offset_ms = 0


class Scheduler:
    """Runs what is due, in the order of its time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_ms = 0
        self.actor: Actor | None = None
        """The process that is at work just now."""
        self.broken: Exception | None = None
        """What must not be, found while somebody else's code was at work."""
        self.story: list[tuple[int, str]] = []
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._digest = hashlib.blake2b(digest_size=16)

    def octets(self, size: int) -> bytes:
        """Return random bytes of this world."""
        return self.random.randbytes(size)

    def chance(self, percent: float) -> bool:
        return self.random.random() * 100 < percent

    # ---- what happened

    def tell(self, text: str) -> None:
        """Add a line to the story that people read."""
        self.story.append((self.now_ms, text))
        self.trace(text.encode())

    def trace(self, *parts: bytes) -> None:
        """Add to what two runs of a seed must have in common."""
        self._digest.update(self.now_ms.to_bytes(6, "big"))
        for part in parts:
            self._digest.update(part)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    # ---- time

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._queue, (self.now_ms + max(0, delay_ms), self._count, action))

    def run_until(self, moment_ms: int) -> None:
        """Let time pass; raise what was found to be broken."""
        while self._queue and self._queue[0][0] <= moment_ms:
            self.now_ms, _, action = heapq.heappop(self._queue)
            action()
            if self.broken is not None:
                raise self.broken
        self.now_ms = moment_ms

    # ---- processes

    def act(self, actor: Actor, life: int, action: Callable[[], None]) -> None:
        """Let a process do something now, or when it goes on again; never after its end."""
        if not actor.alive or actor.life != life:
            return
        wait_ms = actor.paused_until_ms - self.now_ms
        if wait_ms > 0:
            self.after(wait_ms, lambda: self.act(actor, life, action))
            return
        before, self.actor = self.actor, actor
        try:
            action()
        finally:
            self.actor = before

    def start(self, work: Coroutine[Any, Any, None], actor: Actor) -> None:
        """Run a coroutine whose awaits are pauses; it ends where it stands with its process."""
        life = actor.life

        def go_on() -> None:
            try:
                pause = work.send(None)
            except StopIteration:
                return
            if pause.wake is None:
                self.after(pause.delay_ms, step)
                return
            waits = [step]

            def resume() -> None:
                if waits:
                    waits.pop()()

            self.after(pause.delay_ms, resume)
            pause.wake.end = lambda: self.after(1, resume)

        def step() -> None:
            if not actor.alive or actor.life != life:
                work.close()
            else:
                self.act(actor, life, go_on)

        self.after(0, step)


async def pause(delay_ms: int, wake: Wake | None = None) -> None:
    """Give up the turn."""
    waiting: Awaitable[None] = Pause(delay_ms, wake)
    await waiting


def drive(work: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine that never really waits."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")
