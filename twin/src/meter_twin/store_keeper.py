"""Keeps the store small: retention every ten minutes, the budget after writing, a few rows a time.

Neighbours: `store_retention` and `store_budget` delete, `shell` owns the task, `status` shows
`describe`.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from . import log
from .presentation import format_time
from .store import Store
from .store_budget import (
    HIGH_PERCENT,
    MOST_RECORDS_PERCENT,
    estimate_records_bytes,
    has_entries_to_spare,
    limit_file,
    marks_of,
    prune_oldest,
    used_bytes,
)
from .store_queries import Position
from .store_retention import prune
from .store_schema import StoreError

LOOK_EVERY_S = 1.0
LOOK_AT_REST_S = 5.0
PRUNE_EVERY_S = 600
_PAUSE_S = 0.02
_REMEDY = "shorten retentionDays or give the store more space"


class StoreKeeper:
    """Of one store."""

    def __init__(
        self, store: Store, *, retention_days: int, limit_bytes: int, keep_unarchived: bool,
        handed: Callable[[], Position | None] = lambda: None,
    ) -> None:  # fmt: skip
        """Limit the file; nothing is deleted yet. `handed`: how far the slowest application is."""
        self._store = store
        self._retention_s = retention_days * 86400
        self._limit_bytes = limit_bytes
        self._keep_unarchived = keep_unarchived
        self._handed = handed
        self._marks = marks_of(limit_bytes, 0)
        self._records_bytes = 0
        self._measured_s = -float(PRUNE_EVERY_S)
        self._is_short = False
        self._written = asyncio.Event()
        self._written.set()
        limit_file(store, limit_bytes)

    def written(self) -> None:
        """Something was written: look again in a second, and not only in five."""
        self._written.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        pruned_s = -float(PRUNE_EVERY_S)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AT_REST_S):
                    await self._written.wait()
            await asyncio.sleep(LOOK_EVERY_S)
            self._written.clear()
            try:
                if time.monotonic() - pruned_s > PRUNE_EVERY_S:
                    pruned_s = time.monotonic()
                    await self._expire()
                await self.keep_within_budget()
            except StoreError as error:
                log.log("error", "retention waits for the store", message=str(error))

    async def _expire(self) -> None:
        before_s = int(time.time()) - self._retention_s
        total = 0
        while removed := prune(
            self._store, before_s, keep_unarchived=self._keep_unarchived, handed=self._handed()
        ):
            total += removed
            await asyncio.sleep(_PAUSE_S)
        if total:
            log.log("info", "entries past their retention deleted", removed=total)

    async def keep_within_budget(self) -> int:
        """Delete the oldest entries if the store is near its limit; return how many went.

        Raises:
            StoreError: what was deleted until then is counted.
        """
        total = 0
        if used_bytes(self._store) <= self._limit_bytes * HIGH_PERCENT // 100:
            self._is_short = False
            return total
        self._measure()
        if used_bytes(self._store) > self._marks.high:
            while used_bytes(self._store) > self._marks.low and has_entries_to_spare(self._store):
                removed = prune_oldest(
                    self._store, int(time.time()), keep_unarchived=self._keep_unarchived
                )
                if not removed:
                    break
                total += removed
                await asyncio.sleep(_PAUSE_S)
        self._judge()
        if total:
            log.log("warning", "store near its limit, oldest entries deleted early",
                    removed=total, remedy=_REMEDY)  # fmt: skip
        return total

    def _measure(self) -> None:
        """Find the marks, seldom: it reads every record."""
        if time.monotonic() - self._measured_s > PRUNE_EVERY_S:
            self._measured_s = time.monotonic()
            self._records_bytes = estimate_records_bytes(self._store)
            self._marks = marks_of(self._limit_bytes, self._records_bytes)

    def _judge(self) -> None:
        """Say once that the readings that may go do not bring the store below its marks."""
        full = self._limit_bytes * MOST_RECORDS_PERCENT // 100
        short = self._records_bytes >= full or used_bytes(self._store) > self._marks.high
        if short and not self._is_short:
            log.log("error", "readings do not make space in the store", remedy=_REMEDY)
        self._is_short = short

    def describe(self) -> dict[str, Any]:
        """Return the budget's part of /v1/status."""
        return {
            "storeBytes": used_bytes(self._store),
            "storeLimitBytes": self._limit_bytes,
            "storeShort": self._is_short,
            "prunedEarly": self._store.find_property("pruned_early") or 0,
            "prunedEarlyAt": format_time(self._store.find_property("pruned_early_s")),
        }
