"""Gives stored entries to the archive, and takes back what this store lacks: one body at a time.

Both while this twin owns its meter. Whatever happens here, metering goes on: what the archive does
not have stays in the store, and in memory there is one batch or page. The connection is kept while
there is something to do, and is another one when the certificate is. Neighbours: `archive_push`
(decides), `archive_shelf` (reads), `archive_refill` (takes back), `http_client` (asks), `shell`
(owns the task), `link_loop` (keeps the mark and tells the meter).
"""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from os import urandom
from typing import Any

from meter_wire.archive_batch import PATH, encode_batch, parse_answer

from . import log
from .archive_lack import ArchiveLack
from .archive_push import ArchivePush, Give, Keep
from .archive_shelf import ArchiveShelf
from .configuration import ArchiveAddress
from .http_answer import HttpAnswer
from .http_client import HttpClient, HttpClientError
from .http_url import Url
from .link_loop import LinkLoop
from .presentation import format_time
from .status import now_ms
from .store import Store
from .store_schema import StoreError

IDLE_S = 10.0
TIMEOUT_S = 30.0
MOST_BODY = 40_960
PATIENCE_MS = 60_000
"""So long applications wait for an archive that does not answer; then they begin without."""
_AFTER_ERROR_S = 30.0
_MOST_TEXT = 120
_OK, _BUSY = 200, 503
_CHANCES = 65_536


class ArchiveLine:
    """One per twin that has an archive."""

    def __init__(
        self, address: ArchiveAddress, store: Store, loop: LinkLoop,
        may_push: Callable[[], bool], tls: Callable[[], ssl.SSLContext],
        window: tuple[int, int], *, timeout_s: float = TIMEOUT_S,
    ) -> None:  # fmt: skip
        """`may_push`: whether this epoch owns the meter; `tls` returns the client's context.

        `window`: days that the store goes back, and its limit in bytes.
        """
        self._window = window
        self._host = address.host
        self._loop = loop
        self._may_push = may_push
        self._tls = tls
        self._used: ssl.SSLContext | None = None
        url = Url(True, address.host, address.port, "")
        self._client = HttpClient(url, tls, most_body=MOST_BODY, timeout_s=timeout_s)
        self._store = store
        self._lack = ArchiveLack(store)
        self._refill: Any = None
        """The `ArchiveRefill`, which is loaded when something is lacking."""
        self._owned_ms: int | None = None
        self._held_back = not self._lack.was_asked
        self._shelf = ArchiveShelf(store)
        self.push = ArchivePush(self._shelf)
        self._wake = asyncio.Event()
        self._trouble = self._message = ""
        self._reported: set[str] = set()
        self._answered_s: int | None = None
        self._times = 0

    def look(self) -> None:
        """Entries may have been stored, or the operator has said something."""
        if self._may_push():
            self.push.look(now_ms(), _draw())
            self._owned_ms = self._owned_ms or now_ms()
            if self._lack.is_open:
                self._begin_refill()
        self._wake.set()

    def _begin_refill(self) -> None:
        if self._refill is None:
            from .archive_refill import ArchiveRefill, Window  # noqa: PLC0415 - for few twins

            self._refill = ArchiveRefill(
                *(self._store, self._loop, self._lack, Window(*self._window)),
                *(lambda path: self._ask("GET", path), self._may_push, _draw),
            )
        self._refill.begin(now_ms())

    @property
    def holds_back(self) -> bool:
        """Whether applications that have not begun are to wait for what the archive has."""
        left_ms = self._patience_ms()
        return not self._lack.was_asked and (left_ms is None or left_ms > 0)

    def _patience_ms(self) -> int | None:
        """Return how long they wait from now on, None for as long as nobody knows."""
        if self._owned_ms is None:
            return None
        since_ms = max(self._owned_ms, self._refill.progressed_ms or 0 if self._refill else 0)
        return since_ms + PATIENCE_MS - now_ms()

    def describe(self) -> dict[str, Any]:
        """Return the archive's part of `/v1/status`."""
        behind = self.push.count_behind()
        state = self._trouble or ("behind" if behind else "current")
        return {
            "host": self._host,
            "state": state if self._may_push() else "waiting",
            "behind": behind,
            "refused": self.push.bad,
            "lastAnswer": format_time(self._answered_s),
            "message": self._message if self._may_push() else "this twin does not own its meter",
            "restore": self._describe_refill(),
        }

    def _describe_refill(self) -> dict[str, Any]:
        if self._refill is not None:
            restore: dict[str, Any] = self._refill.describe()
            return restore
        known = self._lack.was_asked
        state = "whole" if known else "asking"
        return {"state": state, "restored": 0, "missing": 0 if known else None, "message": ""}

    async def run(self) -> None:
        """Serve until cancelled; an error here is told, and metering goes on."""
        try:
            while True:
                try:
                    await self._wait()
                    await self._step()
                except Exception as error:  # noqa: BLE001 - whatever it is, the meter is served
                    log.log_exception("archive", error)
                    self.push.unsaved(now_ms(), _draw())
                    await asyncio.sleep(_AFTER_ERROR_S)
        finally:
            await self._client.close()

    async def _wait(self) -> None:
        pause_s = self._pause_s()
        if pause_s is None or pause_s > IDLE_S:
            if await self._is_woken(IDLE_S):
                return
            await self._client.close()
            pause_s = self._pause_s()
        await self._is_woken(pause_s)

    def _pause_s(self) -> float | None:
        if not self._may_push():
            return None
        due_ms = [self.push.next_ms, self._refill.next_ms if self._refill is not None else None]
        pauses_ms = [one - now_ms() for one in due_ms if one is not None]
        if self._held_back and (left_ms := self._patience_ms()) is not None:
            pauses_ms.append(left_ms)
        return max(0.0, min(pauses_ms) / 1000) if pauses_ms else None

    async def _is_woken(self, timeout_s: float | None) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    async def _step(self) -> None:
        if not self._may_push():
            self.push.pause()
            if self._refill is not None:
                self._refill.pause()
            return
        await self._push()
        if self._refill is not None:
            await self._refill.step(now_ms)
        if self._held_back and not self.holds_back:
            self._held_back = False
            self._loop.imported()

    async def _push(self) -> None:
        step = self.push.next_step(now_ms(), _draw())
        try:
            if isinstance(step, Keep):
                self._loop.archived(*step)
                self._recover()
            elif isinstance(step, Give):
                await self._give(step)
        except StoreError as error:
            self._say("waiting", "store", str(error))
            self.push.unsaved(now_ms(), _draw())

    async def _give(self, give: Give) -> None:
        self._shelf.tell(give.incarnation, give.tells)
        body = encode_batch(give.stored, give.piece.holes, give.piece.entries)
        try:
            answer = await self._ask("POST", PATH + give.incarnation.hex(), body)
        except HttpClientError as error:
            self._fail(give, error.reason, str(error))
            return
        if not self._may_push():
            self.push.pause()  # the mark is the next owner's
        elif answer.status == _OK:
            self._take(give, answer)
        else:
            self._refuse(give, answer)

    async def _ask(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        """Return the archive's answer.

        Raises:
            HttpClientError: there is none.
        """
        if self._tls() is not self._used:
            await self._client.close()
            self._used = self._tls()
        answer = await self._client.ask(method, path, body)
        self._answered_s = int(time.time())
        return answer

    def _take(self, give: Give, answer: HttpAnswer) -> None:
        try:
            found = parse_answer(json.loads(answer.body))
        except (ValueError, RecursionError) as error:
            self._fail(give, "BadAnswer", str(error))
            return
        if give.filled is not None:
            self._shelf.settle(give.filled, give.piece)
        self._shelf.note_lacking(give.incarnation, found.holes)
        self.push.answered(give, found, now_ms(), _draw())
        if found.conflicts:
            self._report("conflict", "entries differ from what the archive has under their numbers")
        self._times = 0
        self._recover()
        if give.is_asking and not self.push.bad:
            self._reported.clear()

    def _recover(self) -> None:
        self._trouble = self._message = ""
        if self.push.bad:
            self._trouble, self._message = "refused", "entries stay here, see the log"

    def _fail(self, give: Give, reason: str, message: str) -> None:
        self._say("unreachable", reason, message)
        self.push.failed(give, now_ms(), _draw())

    def _refuse(self, give: Give, answer: HttpAnswer) -> None:
        """Note why, and whether one entry is the cause."""
        self._times += 1
        why = f"{answer.status}{_find_reason(answer.body)}"
        state = "waiting" if answer.status == _BUSY else "refused"
        self._say(state, f"status {answer.status}", f"{why} ({self._times} times)")
        wait = answer.headers.get("retry-after", "")
        wait_s = int(wait) if wait.isascii() and wait.isdigit() and len(wait) <= 9 else None  # noqa: PLR2004 - digits
        found = self.push.refused(give, answer.status, wait_s, now_ms(), _draw())
        if found is not None:
            log.log(
                *("error", "the archive refuses an entry; it stays here and is tried again"),
                incarnation=found.incarnation.hex(),
                seq=found.seq,
                reason=why,
            )

    def _say(self, state: str, reason: str, message: str) -> None:
        self._trouble, self._message = state, message[: log.MAX_TEXT]
        self._report(reason, message)

    def _report(self, reason: str, message: str) -> None:
        if reason not in self._reported:
            self._reported.add(reason)
            log.log("warning", "archive (first of its kind)", reason=reason, message=message)


def _find_reason(body: bytes) -> str:
    """Return field and message of an error, as far as there is one."""
    try:
        error = json.loads(body)["error"]
        text = f": {error['field']} {error['message']}"
    except (ValueError, RecursionError, TypeError, KeyError):
        return ""
    return text[:_MOST_TEXT] if text.isprintable() else ""


def _draw() -> float:
    return int.from_bytes(urandom(2), "big") / _CHANCES
