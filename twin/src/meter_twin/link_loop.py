"""Drives the link: frames in, one commit for all that wait, acknowledgements out only after it.

Group commit: while a commit runs, frames queue; the next commit takes them all. Nothing here
raises for what a meter sends. Neighbours: `meter_wire.twin_link` decides, `store` keeps,
`mqtt_shell` carries (through `publish`), `shell` owns the task.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable

from meter_wire.commands import Command
from meter_wire.effects import (
    Answered,
    ChainBroken,
    Described,
    Effect,
    MeterHello,
    Quarantine,
    Refused,
    Send,
    StoreEntries,
)
from meter_wire.ports import Aes
from meter_wire.twin_commands import LOCAL_CODES
from meter_wire.twin_link import EpochKeys, TwinLink

from . import log
from .description import Description
from .store import Batch, Store
from .store_schema import StoreError, StoreFullError

MAX_WAITING = 64
MAX_OUT = 128
GROUP_FRAMES = 32
_STORE_PAUSE_S = 5.0


class Figures:
    """Counters since the start, for metrics and status."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.entries_stored = 0
        self.commits = 0
        self.frames_dropped = 0
        self.chain_breaks = 0
        self.store_failures = 0


class LinkLoop:
    """One per twin; `receive` is called by the broker's callback, `run` is the task."""

    def __init__(
        self,
        device: str,
        keys: EpochKeys,
        store: Store,
        publish: Callable[[bytes], Awaitable[None]],
        on_stored: Callable[[], None],
        description: Description,
        on_described: Callable[[], None],
        on_changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`publish` sends a frame down and may fail with OSError-free loss; `on_stored` is told
        after each commit, `on_described` when `description` has changed, `on_changed` when the
        meter has begun a session or the store has failed or works again."""  # noqa: D205, D209
        self._store = store
        self._description = description
        self._on_described = on_described
        self._on_changed = on_changed
        self._publish = publish
        self._on_stored = on_stored
        self.link = TwinLink(
            device,
            keys,
            store.store_id,
            store,
            os.urandom,
            described=description.digest,
            find_aes=find_aes,
        )
        self.figures = Figures()
        self.store_fault = ""
        self.firmware = ""
        self.last_heard_s: int | None = None
        self.stopped = False
        self.sessions = 0
        self._waiting: deque[tuple[bytes, bool, bool]] = deque()
        self._out: deque[bytes] = deque(maxlen=MAX_OUT)
        self._wake = asyncio.Event()
        self._send = asyncio.Event()
        self._answers: dict[int, asyncio.Future[Answered]] = {}
        self._reported: set[str] = set()

    def receive(self, payload: bytes, *, retained: bool, dup: bool) -> None:
        """Queue a frame; one beyond the cap is dropped, the meter sends it again."""
        if len(self._waiting) >= MAX_WAITING:
            self.figures.frames_dropped += 1
            return
        self._waiting.append((payload, retained, dup))
        self._wake.set()

    def connected(self) -> None:
        """The broker session is up and `up` is subscribed."""
        self._perform(self.link.connected(_now_ms()), [])

    def disconnected(self) -> None:
        """The broker session has ended; frames that wait to go are void."""
        self._out.clear()
        self.link.disconnected()

    def stop(self) -> None:
        """Store and acknowledge nothing more (this epoch is retired)."""
        self.stopped = True
        self._waiting.clear()

    def imported(self) -> None:
        """Another twin brought entries into the store: the meter need not send them."""
        self._perform(self.link.imported(), [])
        self._on_stored()

    def archived(self, incarnation: bytes, mark: int) -> None:
        """Note that the archive holds everything up to `mark`, and tell the meter.

        Raises:
            StoreError: it was not noted, and nobody was told.
        """
        self._store.save_archived(incarnation, mark)
        self._perform(self.link.archived(incarnation, mark), [])

    async def command(self, command: Command, ttl_ms: int) -> Answered:
        """Issue a command and wait for its end; the link bounds the wait.

        Raises:
            ValueError: a field is out of range.
        """
        number, effects = self.link.command(command, ttl_ms, _now_ms())
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self._perform(effects, [])
            self._wake.set()
            return await answer
        finally:
            self._answers.pop(number, None)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_all())
            while True:
                await self._wait()
                if self.stopped:
                    self._waiting.clear()
                    continue
                if self._waiting:
                    await self._take_group()
                self._perform(self.link.poll(_now_ms()), [])

    async def _wait(self) -> None:
        deadline_ms = self.link.next_deadline_ms
        timeout_s = None if deadline_ms is None else max(0.0, (deadline_ms - _now_ms()) / 1000)
        if not self._waiting:
            try:
                await asyncio.wait_for(self._wake.wait(), timeout_s)
            except TimeoutError:
                return
        self._wake.clear()
        await asyncio.sleep(0)

    async def _take_group(self) -> None:
        """Judge what waits, commit it at once, then acknowledge."""
        batches: list[StoreEntries] = []
        try:
            for _ in range(min(len(self._waiting), GROUP_FRAMES)):
                payload, retained, dup = self._waiting.popleft()
                effects = self.link.receive(
                    payload, _now_ms(), time.time_ns() // 1_000_000, retained=retained, dup=dup
                )
                self._perform(effects, batches)
            self._commit(batches)
        except StoreError as error:
            await self._fail(error)

    def _commit(self, batches: list[StoreEntries]) -> None:
        if not batches:
            return
        results = self._store.ingest(
            [Batch(b.incarnation, b.entries, b.holes, b.stored, b.chain) for b in batches],
            int(time.time()),
        )
        if self.store_fault:
            self.store_fault = ""
            self._on_changed()
        self.figures.commits += 1
        self.figures.entries_stored += sum(result.new for result in results)
        for batch in batches:
            self._perform(self.link.stored(batch.batch), [])
        self._on_stored()

    async def _fail(self, error: StoreError) -> None:
        """Nothing of the group was stored: acknowledge nothing, let the meter send it again."""
        self.link.failed()
        self._waiting.clear()
        self.figures.store_failures += 1
        fault = "full" if isinstance(error, StoreFullError) else "failed"
        if fault != self.store_fault:
            log.log("error", "store", error=fault, message=str(error), remedy=error.remedy)
        self.store_fault = fault
        self._on_changed()
        await asyncio.sleep(_STORE_PAUSE_S if fault == "failed" else 1.0)

    def _perform(self, effects: list[Effect], batches: list[StoreEntries]) -> None:
        now_s = int(time.time())
        for effect in effects:
            if isinstance(effect, Send):
                self._out.append(effect.payload)
                self._send.set()
            elif isinstance(effect, StoreEntries):
                self.last_heard_s = now_s
                batches.append(effect)
            elif isinstance(effect, Quarantine):
                self._quarantine(effect, now_s)
            elif isinstance(effect, MeterHello):
                self._hello(effect, now_s)
            elif isinstance(effect, Answered):
                if effect.code not in LOCAL_CODES:
                    self.last_heard_s = now_s
                answer = self._answers.get(effect.command)
                if answer and not answer.done():
                    answer.set_result(effect)
            else:
                self._note(effect)

    def _quarantine(self, entry: Quarantine, now_s: int) -> None:
        if self._store.quarantine(*entry, now_s):
            log.log("error", "conflicting entry quarantined", seq=entry.seq)
        elif self._store.unkept_conflicts and "quarantine" not in self._reported:
            self._reported.add("quarantine")
            log.log("error", "quarantine is full: conflicts are counted only", seq=entry.seq)

    def _hello(self, hello: MeterHello, now_s: int) -> None:
        self.last_heard_s = now_s
        self.firmware = hello.firmware
        self._store.save_hello(hello.incarnation, hello.number, now_s)
        self.sessions += 1
        self._on_changed()
        log.log(
            "info",
            "meter said hello",
            incarnation=hello.incarnation.hex(),
            seq=hello.head,
            encrypted=self.link.is_encrypted,
        )

    def _note(self, effect: Effect) -> None:
        if isinstance(effect, Described):
            self._description.learn(effect)
            self._on_described()
        elif isinstance(effect, ChainBroken):
            self.figures.chain_breaks += 1
            log.log("error", "chain of readings is broken", seq=effect.seq)
        elif isinstance(effect, Refused) and effect.reason not in self._reported:
            self._reported.add(effect.reason)
            log.log("warning", "frame refused (first of its kind)", reason=effect.reason)

    async def _send_all(self) -> None:
        while True:
            await self._send.wait()
            self._send.clear()
            while self._out:
                await self._publish(self._out.popleft())


def find_aes() -> Aes | None:
    """Return libcrypto's AES for a meter that wants encrypted frames, None if there is none."""
    try:
        from meter_wire.libcrypto_aes import aes  # noqa: PLC0415 - ctypes, for few meters
    except (ImportError, OSError) as error:
        log.log("warning", "frames stay unencrypted: no libcrypto", error=str(error))
        return None
    return aes


def _now_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
