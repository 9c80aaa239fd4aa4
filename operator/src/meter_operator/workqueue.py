"""Keys that wait to be looked at: each at most once, failures later and later.

The rate-limited queue of controller-runtime in a page. Neighbours: `watches` and `messenger` add,
`__main__` runs the workers.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from meter_operator.desired import Key

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 60.0


class WorkQueue:
    """A queue of meters."""

    def __init__(self) -> None:
        """Begin empty."""
        self._queue: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._working: set[Key] = set()
        self._dirty: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._later: dict[Key, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Ask for a look at `key`; while it is being looked at, once more afterwards."""
        if key in self._working:
            self._dirty.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._queue.put_nowait(key)

    def add_later(self, key: Key, delay_s: float) -> None:
        """Ask for a look after a while; of several only the earliest comes."""
        loop = asyncio.get_running_loop()
        known = self._later.get(key)
        if known is not None and known.when() <= loop.time() + delay_s:
            return
        if known is not None:
            known.cancel()
        self._later[key] = loop.call_later(delay_s, self._add_now, key)

    def _add_now(self, key: Key) -> None:
        self._later.pop(key, None)
        self.add(key)

    async def work(self, look: Callable[[Key], Awaitable[bool]]) -> None:
        """Look at keys for ever; `look` says whether there is more to do, or raises."""
        while True:
            key = await self._queue.get()
            self._waiting.discard(key)
            self._working.add(key)
            again = False
            try:
                again = await look(key)
                self._failures.pop(key, None)
            except Exception:  # noqa: BLE001 - look has reported it; the key must not be lost
                count = self._failures[key] = self._failures.get(key, 0) + 1
                delay = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** (count - 1))
                self.add_later(key, delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            finally:
                self._working.discard(key)
                if again or key in self._dirty:
                    self._dirty.discard(key)
                    self.add(key)
