"""The API server of a simulated world: the real verbs in memory; every call takes time.

A call stands where its process stands: one that is paused between its reading and its writing, or
in the middle of a write, goes on when everybody else has moved. Watches tell what has changed a
little later, each object in its own time.
"""

from collections.abc import Callable, Iterable
from typing import Any

from meter_operator.cluster import ClusterError
from meter_operator.desired import Json
from meter_operator.memory_cluster import MemoryCluster, Row, copy_json

from .scheduler import Scheduler, pause

NAMESPACE = "street"
QUICK_MS, SLOW_MS = (1, 3, 10, 60), (50, 300, 1000)
Watcher = Callable[[str, Json, bool], None]


class SlowCluster(MemoryCluster):
    """None of its calls works while it is away."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.away_until_ms = 0
        self._delays_ms = SLOW_MS if scheduler.chance(15) else QUICK_MS
        self.watchers: list[Watcher] = []
        self.seen: Callable[[str, Json, bool], None] = lambda _kind, _body, _gone: None
        """Told at once of every object that was written or removed: for the oracle."""
        self.deciding: Callable[[], None] = lambda: None
        """Told before a decision leaves its process."""
        self.removing: Callable[[str, bool], None] = lambda _name, _asked: None
        """Told the pod whose removal leaves its process, which nobody can take back; or fails."""

    async def _call(
        self, method: str, path: str, doing: str, body: Json | None = None, kind: str = ""
    ) -> Json:
        chance = self.scheduler.random
        if is_decision(method, path, body):
            self.deciding()
        removed = path.rpartition("/")[2] if method == "DELETE" and "/pods/" in path else ""
        self.removing(removed, True)
        await pause(chance.choice(self._delays_ms))
        if self.scheduler.now_ms < self.away_until_ms:
            self.removing(removed, False)
            raise ClusterError(doing, 0, "connection refused")
        if method == "GET":
            answer = await super()._call(method, path, doing, body, kind)
        else:
            before = self._versions()
            try:
                answer = await super()._call(method, path, doing, body, kind)
            finally:
                self._tell(before)
        await pause(chance.choice(self._delays_ms))
        if self.scheduler.now_ms < self.away_until_ms:
            raise ClusterError(doing, 0, "the answer was lost")
        return answer

    def _versions(self) -> dict[Row, tuple[str, Json]]:
        return {row: (body["metadata"]["resourceVersion"], body) for row, body in self.rows()}

    def rows(self) -> Iterable[tuple[Row, Json]]:
        """Return the objects that anybody watches or asks for."""
        return [(row, body) for row, body in self.objects.items() if row[0] != "leases"]

    def _tell(self, before: dict[Row, tuple[str, Json]]) -> None:
        """Bring what has changed to whoever watches, after a delay."""
        for row, body in self.rows():
            if row not in before or before[row][0] != body["metadata"]["resourceVersion"]:
                self._spread(row[0], body, gone=False)
        for row in sorted(set(before) - set(self.objects)):
            self._spread(row[0], before[row][1], gone=True)

    def change(self, change: Callable[[], Any]) -> None:
        """Change objects from outside (users, kubelets) so that watchers see it."""
        before = self._versions()
        change()
        self._tell(before)

    def touch(self, body: Json) -> None:
        """Give an object that was changed in place its next version."""
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)

    def store(self, kind: str, name: str, body: Json) -> None:
        """Make an object, as an administrator does."""
        self._version += 1
        self._store((kind, NAMESPACE, name), body)

    def _spread(self, kind: str, body: Json, *, gone: bool) -> None:
        self.seen(kind, body, gone)
        found = copy_json(body)
        for watcher in list(self.watchers):
            self._bring(watcher, kind, found, gone=gone)

    def _bring(self, watcher: Watcher, kind: str, body: Json, *, gone: bool) -> None:
        """Let a watcher see it, later if the server is away by then."""
        wait_ms = self.scheduler.random.choice((1, 10, 50, 400))
        wait_ms += max(0, self.away_until_ms - self.scheduler.now_ms)
        self.scheduler.after(wait_ms, lambda: watcher(kind, body, gone))


def is_decision(method: str, path: str, body: Json | None) -> bool:
    """Whether a call is a compare-and-swap of what a meter's parties go by."""
    if method != "PATCH" or not path.endswith("/status") or body is None:
        return False
    return not {"ownerCounter", "handovers"}.isdisjoint(body.get("status", {}))
