"""Makes a new twin's store whole: takes back from the archive what the meter has no more.

The archive is one more donor: what it brings comes in by `import_entries` like a donor's, is known,
new or a conflict, and moves neither the applications that are past it nor the meter's session. A
page at a time, each one transaction; a kill in between leaves a store that lacks less. How far back
it goes is the data policy's retention, and the room in the store. Loaded when something is lacking;
neighbours: `archive_return` (what is asked next), `archive_lack`, `archive_line` (owner),
`store_coverage` (how it comes in).
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from meter_wire.archive_page import PATH, Page, parse_holdings, parse_page
from meter_wire.coverage import Stretch
from meter_wire.effects import Hole
from meter_wire.names import MAX_SEQ
from meter_wire.ports import Marks
from meter_wire.tables import HOLES, number_of

from . import log
from .archive_lack import ArchiveLack
from .archive_pace import ArchivePace
from .archive_return import ArchiveReturn, AskHoldings, AskPage, find_wants
from .http_answer import HttpAnswer
from .http_client import HttpClientError
from .link_loop import LinkLoop
from .store import Store
from .store_budget import used_bytes
from .store_coverage import arrange, import_entries
from .store_schema import StoreError
from .taking import Import

MOST_PERCENT = 80
"""Of the store's limit: the keeper deletes early from 90 on."""
_DAY_S = 86_400
_OK = 200
_RELEASED = number_of(HOLES, "released")
Draw = Callable[[], float]


class Window(NamedTuple):
    """How much of the past this twin keeps."""

    retention_days: int
    limit_bytes: int


class ArchiveRefill:
    """One per twin that lacks something."""

    def __init__(
        self, store: Store, loop: LinkLoop, lack: ArchiveLack, window: Window,
        ask: Callable[[str], Awaitable[HttpAnswer]], may_ask: Callable[[], bool], draw: Draw,
    ) -> None:  # fmt: skip
        """`ask` returns the answer to a GET of a path or raises HttpClientError."""
        self._store = store
        self._loop = loop
        self._lack = lack
        self._window = window
        self._ask = ask
        self._may_ask = may_ask
        self._draw = draw
        self._round = ArchiveReturn(ArchivePace())
        self._message = ""
        self._reported: set[str] = set()
        self._restored = 0
        self.progressed_ms: int | None = None
        """When the archive gave a good answer last, in monotonic milliseconds."""

    @property
    def next_ms(self) -> int | None:
        """When there is something to do."""
        return self._round.next_ms if self._may_ask() else None

    def begin(self, now_ms: int) -> None:
        """Begin a round if none is under way."""
        self._round.begin(now_ms, self._draw())

    def pause(self) -> None:
        """Forget what is under way: this twin does not own its meter."""
        self._round.pause()

    def describe(self) -> dict[str, Any]:
        """Return its part of `/v1/status`."""
        missing = self._round.missing
        state = "whole" if self._round.is_over else "asking" if missing is None else "filling"
        return {
            "state": "failing" if self._message else state,
            "restored": self._restored,
            "missing": missing,
            "message": self._message,
        }

    async def step(self, clock: Callable[[], int]) -> None:
        """Do what is due, one question at most."""
        step = self._round.next_step(clock())
        if step is None:
            return
        try:
            answer = await self._ask(self._path_of(step))
            if not self._may_ask():
                self._round.pause()
            elif answer.status != _OK:
                self._refuse(answer, clock())
            else:
                self._take(step, answer.body, clock)
        except (HttpClientError, ValueError, RecursionError) as error:
            self._fail(type(error).__name__, str(error), clock())
        except StoreError as error:
            self._fail("store", f"{error}; {error.remedy}", clock())
        await asyncio.sleep(0)

    def _path_of(self, step: AskHoldings | AskPage) -> str:
        if isinstance(step, AskPage):
            return f"{PATH}/{step.incarnation.hex()}?from={step.first}&until={step.until}"
        since_s = max(0, int(time.time()) - self._window.retention_days * _DAY_S)
        return f"{PATH}?since={since_s}"

    def _take(self, step: AskHoldings | AskPage, body: bytes, clock: Callable[[], int]) -> None:
        """Take a good answer.

        Raises:
            ValueError: it is none. StoreError: there is no place for it.
        """
        if isinstance(step, AskPage):
            page = parse_page(body, step.first, step.until)
            self._import(step, page)
            self._round.took(page.end, clock())
        else:
            holdings = parse_holdings(json.loads(body))
            limit = self._window.limit_bytes * MOST_PERCENT // 100
            wants = find_wants(holdings, self._lack.find, limit - used_bytes(self._store))
            wanted = {one.incarnation for one in wants}
            known = self._store.marks().keys() | wanted
            order = [one.incarnation for one in holdings if one.incarnation in known]
            arrange(self._store, order, int(time.time()))
            self._round.told(wants, clock())
        self.progressed_ms = clock()
        self._message = ""
        if self._round.is_over:
            self._lack.note()
            if self._restored:
                log.log("info", "store filled from the archive", restored=self._restored)

    def _import(self, step: AskPage, page: Page) -> None:
        """Commit a page like what a donor brings; the chain is not the archive's to say."""
        stored = self._store.marks().get(step.incarnation, Marks()).stored
        older = (Hole(stored + 1, step.before, _RELEASED),) if stored < step.before else ()
        stretch = Stretch(step.incarnation, MAX_SEQ, 0, page.holes, older)
        found = import_entries(
            self._store, Import(step.incarnation, page.entries, stretch), int(time.time())
        )
        self._restored += found.new
        self._loop.imported()
        if found.conflicts:
            self._report("conflict", "entries of the archive differ from the stored ones")

    def _refuse(self, answer: HttpAnswer, now_ms: int) -> None:
        wait = answer.headers.get("retry-after", "")
        wait_s = int(wait) if wait.isascii() and wait.isdigit() and len(wait) <= 9 else None  # noqa: PLR2004 - digits
        self._message = f"status {answer.status}"
        self._report(self._message, "the archive gives nothing back")
        self._round.refused(answer.status, wait_s, now_ms, self._draw())

    def _fail(self, reason: str, message: str, now_ms: int) -> None:
        self._message = message[: log.MAX_TEXT]
        self._report(reason, message)
        self._round.failed(now_ms, self._draw())

    def _report(self, reason: str, message: str) -> None:
        if reason not in self._reported:
            self._reported.add(reason)
            log.log("warning", "archive's entries (first of its kind)",
                    reason=reason, message=message)  # fmt: skip
