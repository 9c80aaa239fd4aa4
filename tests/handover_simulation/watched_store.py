"""The store of a simulated twin: the real one, and it tells what it has committed."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from meter_twin.store import Batch, Ingested, Store

from .ledger import Entry


class WatchedStore(Store):
    """Tells of each entry once the transaction that brought it has been committed."""

    def __init__(self, path: str, committed: Callable[[Iterable[Entry]], None]) -> None:
        super().__init__(path)
        self._committed = committed
        self._fresh: list[Entry] = []

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self._fresh = []
        with super().transaction() as connection:
            yield connection
        self._committed(self._fresh)

    def ingest_within(self, batch: Batch, now_s: int) -> Ingested:
        self._fresh += [(batch.incarnation, seq) for seq, _ in batch.entries]
        return super().ingest_within(batch, now_s)
