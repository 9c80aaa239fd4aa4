"""What a twin of a simulated world asks older ones, over a network that loses and delays.

The real taker, shelf and import; the mutual TLS port is played, its answers are the bytes of the
real one's. Neighbour: `twin`.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from meter_twin.store import Store
from meter_twin.store_coverage import StoreShelf, arrange, import_entries
from meter_twin.succession import NotATakerError, Succession
from meter_twin.taking import AskCoverage, Import, Request, Told
from meter_wire.coverage import encode_coverage, encode_entries, parse_coverage, parse_entries

if TYPE_CHECKING:
    from .twin import Twin

Answered = Callable[[bytes | None], None]
Call = Callable[["Twin", str, Request, Answered], None]
"""Ask the twin at an address; None for no answer."""


class Exchange:
    """One process's part, of a life."""

    def __init__(self, twin: "Twin", store: Store, call: Call) -> None:
        self._twin, self._store, self._call = twin, store, call
        self._shelf = StoreShelf(store)
        self.succession = Succession(store.store_id, self._shelf)

    # ---- as a taker

    def ask(self) -> None:
        """Ask what is to be asked now."""
        twin = self._twin
        request = self.succession.taker.next_request(twin.now_ms)
        if request is None:
            return
        life = twin.life

        def answered(answer: bytes | None) -> None:
            twin.scheduler.act(twin, life, lambda: self._take(request, answer))

        self._call(twin, request.donor.address, request, answered)

    def _take(self, request: Request, answer: bytes | None) -> None:
        twin, taker = self._twin, self.succession.taker
        if answer is None or twin.gate.is_retired:
            taker.failed(request, twin.now_ms)
            return
        if isinstance(request, AskCoverage):
            document = json.loads(answer)
            told = Told(parse_coverage(document), document["frozen"], document["final"])
            order = [one.incarnation for one in told.coverage.stretches]
            arrange(self._store, order, twin.now_ms // 1000)
            imports = taker.receive_coverage(request, told, twin.now_ms)
        else:
            imports = taker.receive_entries(request, parse_entries(answer), twin.now_ms)
        self._import(imports)
        twin.say()
        self.ask()

    def _import(self, imports: list[Import]) -> None:
        twin = self._twin
        while imports:
            (one,) = imports
            import_entries(self._store, one, twin.now_ms // 1000)
            twin.keep((one.incarnation, seq) for seq, _ in one.entries)
            twin.perform(twin.link.imported())
            imports = self.succession.taker.imported(twin.now_ms)

    # ---- as a donor

    def answer(self, epoch: int, request: Request) -> bytes | None:
        """Answer the twin of an epoch; None for a refusal."""
        try:
            if isinstance(request, AskCoverage):
                told = self.succession.tell(epoch)
                self._twin.say()
                document = {"frozen": told.frozen, "final": told.final}
                return json.dumps(document | encode_coverage(told.coverage)).encode()
            self.succession.check_taker(epoch)
        except NotATakerError:
            return None
        block = request.block
        return encode_entries(self._shelf.entries_of(block.incarnation, block.first))
