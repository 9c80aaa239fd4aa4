"""Writes batches durably: what waits is committed together, and answered after the commit.

At most one batch of a device is in a group, as a device's row is locked and read once. What waits
is bounded: beyond it a batch is refused, and its twin keeps it. Neighbours: `intake` decides,
`group` is the transaction, `ingest_port` submits.
"""

import asyncio
import logging
import struct
import time
from collections import deque
from typing import NamedTuple

import asyncpg
from meter_wire.archive_batch import ArchiveAnswer

from meter_archive import figures
from meter_archive.database import Pool
from meter_archive.group import Given, RetiredEpochError, write_group
from meter_archive.partitions import Partitions

log = logging.getLogger("meter_archive.writer")
GROUP_ENTRIES = 4096
WAITING_OCTETS = 32 << 20
_POISON = (
    asyncpg.DataError, asyncpg.IntegrityConstraintViolationError,
    ArithmeticError, LookupError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What one batch of a group may be the reason of; it must not keep the others out."""


class BusyError(Exception):
    """Too much waits; the batch was not taken."""


class AwayError(Exception):
    """The database does not commit; whether it did is unknown, so the batch comes again."""


class PoisonError(Exception):
    """This batch alone cannot be written: a bug, here or in the database."""


class _Waiting(NamedTuple):
    given: Given
    octets: int
    answer: "asyncio.Future[ArchiveAnswer]"


class Writer:
    """One per process; `run` is the task of one connection, several may run."""

    def __init__(self, pool: Pool, retention_days: int) -> None:
        """Begin with nothing that waits."""
        self._pool = pool
        self._retention_days = retention_days
        self.partitions = Partitions(pool)
        self._waiting: deque[_Waiting] = deque()
        self._busy: set[str] = set()
        self._wake = asyncio.Condition()
        self.waiting_octets = 0
        self.layouts: dict[bytes, int] = {}
        self.is_up = False
        """Whether the last group was committed."""
        self.committed_s = 0.0

    def forget(self) -> None:
        """Forget what was seen in the database: it may be another one, restored from a backup."""
        self.layouts.clear()
        self.partitions.forget()

    async def submit(self, given: Given, octets: int) -> ArchiveAnswer:
        """Wait until a batch is durable and return what became of it.

        Raises:
            BusyError, AwayError: give it again later.
            RetiredEpochError: a higher epoch has given entries of this device.
            PoisonError: it cannot be written, whenever it comes.
        """
        if self.waiting_octets + octets > WAITING_OCTETS:
            raise BusyError
        answer: asyncio.Future[ArchiveAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(given, octets, answer))
        self.waiting_octets += octets
        async with self._wake:
            self._wake.notify()
        return await answer

    async def run(self) -> None:
        """Write groups until cancelled."""
        while True:
            async with self._wake:
                while not (group := self._take()):
                    await self._wake.wait()
            try:
                await self._write(group)
            finally:
                self._busy.difference_update(one.given.device for one in group)
                self.waiting_octets -= sum(one.octets for one in group)
                for one in group:
                    if not one.answer.done():
                        one.answer.set_exception(AwayError())
            async with self._wake:
                self._wake.notify()

    def _take(self) -> list[_Waiting]:
        """Take what may be written together, in the order it came."""
        group: list[_Waiting] = []
        later: deque[_Waiting] = deque()
        entries = 0
        while self._waiting and entries < GROUP_ENTRIES:
            one = self._waiting.popleft()
            if one.answer.done():  # nobody waits any more: its twin gives it again
                self.waiting_octets -= one.octets
            elif one.given.device in self._busy:
                later.append(one)
            else:
                self._busy.add(one.given.device)
                entries += len(one.given.batch.entries) + 1
                group.append(one)
        self._waiting.extendleft(reversed(later))
        return group

    async def _write(self, group: list[_Waiting], *, is_again: bool = False) -> None:
        begun = time.monotonic()
        try:
            answers = await write_group(
                self._pool, self.partitions, self.layouts, [one.given for one in group],
                self._retention_days,
            )  # fmt: skip
        except _POISON as error:
            if is_again:
                self._refuse(group[0], error)
                return
            for one in group:  # finds the one that cannot be written, so that the others are
                await self._write([one], is_again=True)
            return
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            self.is_up = False
            log.warning("no commit: %s", type(error).__name__)
            for one in group:
                if not one.answer.done():
                    one.answer.set_exception(AwayError())
            return
        self.is_up, self.committed_s = True, time.time()
        figures.COMMIT.observe(time.monotonic() - begun)
        for one, answer in zip(group, answers, strict=True):
            if one.answer.done():
                continue
            if isinstance(answer, RetiredEpochError):
                one.answer.set_exception(answer)
            else:
                one.answer.set_result(answer)

    def _refuse(self, one: _Waiting, error: Exception) -> None:
        """Refuse a batch that was alone and failed twice: a month may be made in between."""
        log.error("batch of %s refused: %s", one.given.device, type(error).__name__)
        if not one.answer.done():
            one.answer.set_exception(PoisonError())
