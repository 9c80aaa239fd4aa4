"""Takes over from older twins of the meter: asks, compares, commits; then the applications' states.

`taking` says what to ask, this module asks and commits. Entries come first; applications begin
only when every donor named was covered once, and then with the state that the newest donor has, so
that what they have derived does not begin again. A candidate that cannot read a state of the twin
it is to replace, or whose application an error has stopped, says so, which ends the handover before
anything has moved. Neighbours: `taking`,
`succession`, `peer_client`, `giving` (the other side), `shell` (owns the task).
"""

import asyncio
import time
from collections.abc import Callable

from meter_wire.coverage import parse_coverage, parse_entries

from . import log
from .application_host import ApplicationHost
from .inheritance import Inheritance
from .link_loop import LinkLoop
from .owner_gate import OwnerGate
from .peer_client import PeerClient, PeerError
from .store import Store
from .store_conflicts import parse_conflicts
from .store_coverage import arrange, import_entries
from .store_schema import StoreError
from .succession import Succession
from .taking import AskCoverage, Import, Request, Told

_IDLE_S = 30.0


class Successor:
    """The taker's task."""

    def __init__(
        self, succession: Succession, store: Store, gate: OwnerGate, loop: LinkLoop,
        host: ApplicationHost, client: PeerClient, changed: Callable[[], None],
        clock: Callable[[], int],
    ) -> None:  # fmt: skip
        """`changed` is told when the twin's word may be another one."""
        self._succession = succession
        self._taker = succession.taker
        self._store = store
        self._gate = gate
        self._loop = loop
        self._client = client
        self._changed = changed
        self._clock = clock
        self._inheritance = Inheritance(host, store, client)
        self._wake = asyncio.Event()
        self._said: dict[int, str] = {}
        self.failures = 0

    @property
    def may_feed(self) -> bool:
        """Whether the applications may begin."""
        return self._succession.may_feed and self._inheritance.is_done

    def control(self, *, decided: bool) -> None:
        """Look again: the control record was read; `decided`: it tells of another decision."""
        if decided:
            self._taker.hurry(self._clock())
        self._wake.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            while True:
                request = self._taker.next_request(self._clock())
                if request is None:
                    await self._settle()
                    await self._pause()
                    continue
                await self._serve(request)
                self._succession.refuses = self._inheritance.objection
                self._say()
                self._changed()
        finally:
            await self._client.close()

    async def _pause(self) -> None:
        due_ms = self._taker.next_ms
        pause_s = _IDLE_S if due_ms is None else max(0.01, (due_ms - self._clock()) / 1000)
        if not self._inheritance.is_done:
            pause_s = min(pause_s, 1.0)
        try:
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _say(self) -> None:
        """Log once of each older twin that all it has is here: as it serves, frozen, retired."""
        for epoch, covered in self._taker.covered.items():
            state = "retired" if covered.final else "frozen" if covered.frozen else "active"
            if self._said.get(epoch) != state:
                self._said[epoch] = state
                log.log("info", "older twin covered", epoch=epoch, state=state)

    async def _serve(self, request: Request) -> None:
        try:
            if not self._inheritance.is_checked:
                await self._inheritance.check(request.donor)
            imports = await self._ask(request)
        except (PeerError, StoreError, ValueError) as error:
            self.failures += 1
            if self.failures & (self.failures - 1) == 0:
                text = f"{error} ({self.failures} times so far)"
                log.log("warning", "an older twin does not answer", message=text)
            self._taker.failed(request, self._clock())
            return
        await self._import(imports)

    async def _ask(self, request: Request) -> list[Import]:
        """Ask a donor; what it says counts only while we are not retired ourselves.

        Raises:
            PeerError, ValueError: it does not answer, or not well. StoreError: no place for it.
        """
        if isinstance(request, AskCoverage):
            document = await self._client.get_json(request.donor, "/v1/handover/coverage")
            told = _parse_told(document)
            conflicts = parse_conflicts(document.get("conflicts", []))
            self._let_only_the_living()
            order = [one.incarnation for one in told.coverage.stretches]
            arrange(self._store, order, int(time.time()))
            for conflict in conflicts:  # before anything of the donor counts as covered
                self._store.quarantine(*conflict, int(time.time()))
            return self._taker.receive_coverage(request, told, self._clock())
        block = request.block
        path = f"/v1/handover/entries?incarnation={block.incarnation.hex()}&first={block.first}"
        entries = parse_entries(await self._client.get(request.donor, path))
        self._let_only_the_living()
        return self._taker.receive_entries(request, entries, self._clock())

    def _let_only_the_living(self) -> None:
        if self._gate.is_retired:
            raise PeerError("this twin is retired and stores nothing more")

    async def _import(self, imports: list[Import]) -> None:
        while imports:
            (one,) = imports
            try:
                import_entries(self._store, one, int(time.time()))
            except StoreError as error:
                log.log("error", "store", message=str(error), remedy=error.remedy)
                self._taker.dropped(self._clock())
                return
            self._loop.imported()
            imports = self._taker.imported(self._clock())
            await asyncio.sleep(0)

    async def _settle(self) -> None:
        """Take the applications' states once the entries are here that they rest on."""
        if self._succession.may_inherit and not self._inheritance.is_done:
            may_begin = self._succession.may_feed
            await self._inheritance.take(self._succession.donors, may_begin=may_begin)
            self._succession.refuses = self._inheritance.objection
            if self._inheritance.is_done:
                self._loop.imported()
                self._changed()


def _parse_told(document: object) -> Told:
    """Return what a donor said.

    Raises:
        ValueError: it is malformed.
    """
    coverage = parse_coverage(document)
    assert isinstance(document, dict)
    frozen, final = document.get("frozen"), document.get("final")
    if not isinstance(frozen, str) or not isinstance(final, bool):
        raise ValueError("coverage: no frozen, no final")  # noqa: TRY004 - bad input
    return Told(coverage, frozen, final)
