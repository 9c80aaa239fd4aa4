"""Time and chance of a simulated world: one queue, one seed; nothing else decides what is next."""

import heapq
import random
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any


class Pause:
    """Awaited by simulated processes: goes on after a time in milliseconds."""

    def __init__(self, delay_ms: int) -> None:
        self.delay_ms = delay_ms

    def __await__(self) -> Generator["Pause", None, None]:
        yield self


class Scheduler:
    """Runs what is due, in the order of its time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_ms = 0
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def bytes(self, size: int) -> bytes:
        """Return random bytes of this world."""
        return self.random.randbytes(size)

    def chance(self, percent: float) -> bool:
        return self.random.random() * 100 < percent

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._queue, (self.now_ms + max(0, delay_ms), self._count, action))

    def run_until(self, moment_ms: int) -> None:
        """Let time pass."""
        while self._queue and self._queue[0][0] <= moment_ms:
            self.now_ms, _, action = heapq.heappop(self._queue)
            action()
        self.now_ms = moment_ms

    def start(self, work: Coroutine[Any, Any, None], alive: Callable[[], bool]) -> None:
        """Run a coroutine whose awaits are pauses; it ends where it stands when not `alive`."""

        def step() -> None:
            if not alive():
                work.close()
                return
            try:
                pause = work.send(None)
            except StopIteration:
                return
            self.after(pause.delay_ms, step)

        self.after(0, step)


async def pause(delay_ms: int) -> None:
    """Give up the turn."""
    waiting: Awaitable[None] = Pause(delay_ms)
    await waiting
