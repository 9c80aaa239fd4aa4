"""Keeps what the operator writes once a namespace as it should be: soon, and a few at a time.

Neighbours: `directory` (where twins are), `utilities` (where utilities are).
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping

from meter_operator.cluster import ClusterError

log = logging.getLogger("meter_operator.upkeep")
PAUSE_S, LONGEST_PAUSE_S = 5, 300

Write = Callable[[], Awaitable[None]]


class Upkeep(ABC):
    """Of one kind of thing; `what` names it in the log."""

    what: str

    def __init__(self) -> None:
        """Begin with nothing asked for."""
        self._due: set[str] = set()
        self._changed = asyncio.Event()

    @abstractmethod
    def plan_writes(self, namespaces: Iterable[str]) -> Mapping[str, Write]:
        """Return by namespace what writes there that which differs."""

    @abstractmethod
    def forget(self, namespace: str) -> None:
        """Forget what is written in a namespace, so that it is read before it is written."""

    def note(self, namespace: str) -> None:
        """Ask for a look at a namespace: something may have changed."""
        self._due.add(namespace)
        self._changed.set()

    def read_again(self, namespaces: Iterable[str]) -> None:
        """Ask for a look at what is written, which nobody watches."""
        for namespace in namespaces:
            self.forget(namespace)
            self.note(namespace)

    async def run(self) -> None:
        """Write what has changed, at once after a quiet time and then every few seconds.

        Whatever goes wrong here is told, and tried again after a growing pause.
        """
        pause_s = PAUSE_S
        while True:
            await self._changed.wait()
            self._changed.clear()
            due, self._due = sorted(self._due), set()
            writes = self.plan_writes(due)
            failed = [one for one in due if not await self._try(one, writes[one])]
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S) if failed else PAUSE_S
            self.read_again(failed)
            await asyncio.sleep(pause_s)

    async def _try(self, namespace: str, write: Write) -> bool:
        try:
            await write()
        except ClusterError as error:
            log.warning("%s in %s: %s", self.what, namespace, error)
        except Exception:
            log.exception("%s in %s", self.what, namespace)
        else:
            return True
        return False
