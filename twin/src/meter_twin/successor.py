"""Takes over from older twins of the meter: asks, compares, commits; then the applications' states.

`taking` says what to ask, this module asks and commits. Entries come first; then the states that
the newest donor has, so that what applications have derived does not begin again. They begin in the
active twin, when what donors hold is final; after a handover that is waited for so long only, as
its proof has brought all but the last moments. A candidate that cannot read a state of the twin
it is to replace, or whose application an error has stopped, says so, which ends the handover before
anything has moved. Neighbours: `taking`,
`succession`, `peer_client`, `giving` (the other side), `shell` (owns the task).
"""

import asyncio
import contextlib
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
_FINAL_MS = 60_000
_QUICK_ROUNDS, _SLOW_MS = 10, 15_000
_TOOK_STATES = "took_states"


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
        self._active_ms: int | None = None
        self._has_followed = bool(store.find_property(_TOOK_STATES))
        self._rounds = self._round_ms = 0
        self._said: dict[int, str] = {}
        self.failures = 0

    @property
    def may_begin(self) -> bool:
        """Whether the applications may begin: states came, and all entries, or it was waited."""
        if not self._inheritance.is_done:
            return False
        if self._succession.has_all:
            return True
        waited_ms = 0 if self._active_ms is None else self._clock() - self._active_ms
        return self._has_followed and waited_ms >= _FINAL_MS

    def control(self, *, decided: bool) -> None:
        """Look again: the control record was read; `decided`: it tells of another decision."""
        if not self._succession.is_active:
            self._active_ms = None
        elif self._active_ms is None:
            self._active_ms = self._clock()
        if decided:
            self._taker.hurry(self._clock())
            self._rounds = self._round_ms = 0
        self._withhold()
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
        givers, may_begin = self._succession.givers, self._succession.has_all
        if self._inheritance.is_done or not (givers or may_begin):
            return
        if self._clock() < self._round_ms:
            return
        self._rounds += 1
        pause_ms = 0 if self._rounds < _QUICK_ROUNDS else _SLOW_MS
        await self._inheritance.take(givers, may_begin=may_begin)
        self._round_ms = self._clock() + pause_ms
        self._succession.refuses = self._inheritance.objection
        self._withhold()
        if self._inheritance.is_done:
            self._note_states()
            self._loop.imported()
        self._changed()

    def _withhold(self) -> None:
        """Call no older twin done with that may still give states: the operator removes it then."""
        donors = () if self._inheritance.is_done else (one.epoch for one in self._succession.donors)
        self._succession.untaken = frozenset(donors) - self._inheritance.tried

    def _note_states(self) -> None:
        """Note that the states came from the twin that is handed over: its end is near."""
        if not self._succession.is_active:
            self._has_followed = True
            with contextlib.suppress(StoreError):  # it waits for longer then after a restart
                self._store.save_properties({_TOOK_STATES: 1})


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
