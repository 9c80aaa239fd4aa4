"""This twin's part in a handover; nothing of it is loaded until the operator names one.

A twin that is alone with its meter, as most are for most of their life, needs no donor's side and
no taker's side: their modules are 0.5 MiB of private memory and a tenth of the start. They come
with the first control record that names takers or donors, or that says frozen or retired.
Neighbours: `shell` (owner), `status` (says the word), `peer_port` (asks for answers); behind this:
`succession`, `successor`, `giving`, `peer_client`.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from meter_wire.control import ControlRecord
from meter_wire.word import Word

from .application_host import ApplicationHost
from .http_server import ApiError, Request, Response
from .link_loop import LinkLoop
from .owner_gate import OwnerGate
from .store import Store
from .store_schema import StoreError

_HAS_FED = "has_fed"
ALONE_S = 5.0
IN_HANDOVER_S = 1.0
PREFIX = "/v1/handover/"
"""Of the paths on the mutual TLS port that only takers may ask."""


class Parties(NamedTuple):
    """What a handover works on: the parts of one twin."""

    device: str
    namespace: str
    store: Store
    gate: OwnerGate
    loop: LinkLoop
    host: ApplicationHost


def not_a_taker() -> ApiError:
    """Return the refusal of a client that the operator has not named."""
    remedy = "the operator names the twins that may take over from this one"
    return ApiError(403, "certificate", "is of no twin that may take over", remedy)


class _Roles:
    """Donor's and taker's side of one twin."""

    def __init__(
        self, parties: Parties, tls: Callable[[], ssl.SSLContext], changed: Callable[[], None],
        clock: Callable[[], int],
    ) -> None:  # fmt: skip
        # loaded here: see the module's docstring
        from .giving import Giver  # noqa: PLC0415
        from .peer_client import PeerClient  # noqa: PLC0415
        from .store_coverage import StoreShelf  # noqa: PLC0415
        from .succession import Succession  # noqa: PLC0415
        from .successor import Successor  # noqa: PLC0415

        device, namespace, store, gate, loop, host = parties
        shelf = StoreShelf(store)
        client = PeerClient(device, namespace, tls)
        self.succession = Succession(store.store_id, shelf)
        self.giver = Giver(device, store, shelf, self.succession, host, changed)
        self.successor = Successor(self.succession, store, gate, loop, host, client, changed, clock)


class Handover:
    """One per twin."""

    def __init__(
        self, parties: Parties, tls: Callable[[], ssl.SSLContext], changed: Callable[[], None],
        clock: Callable[[], int],
    ) -> None:  # fmt: skip
        """`tls` returns the client's context; `changed`: the word may be another; `clock`: ms."""
        self._store = parties.store
        self._build = partial(_Roles, parties, tls, changed, clock)
        self._roles: _Roles | None = None
        self._begun = asyncio.Event()
        self._is_named = asyncio.Event()
        self._is_told = False
        self._has_fed = bool(parties.store.find_property(_HAS_FED))
        self._parties = parties
        self.waits_for_archive: Callable[[], bool] = lambda: False
        """Whether an archive may still bring what applications that begin have to begin with."""

    def control(self, record: ControlRecord) -> None:
        """Obey a control record that the gate has accepted and whose memory is durable."""
        self._is_told = True
        if record.state == "active" and not record.takers and not record.donors:
            self._is_named.clear()
        else:
            self._is_named.set()
        if self._roles is None:
            if not self._is_named.is_set():
                return
            self._roles = self._build()
            self._begun.set()
        decided = self._roles.succession.control(record)
        self._roles.successor.control(decided=decided)

    @property
    def may_feed(self) -> bool:
        """Whether applications may go on: told by the operator, and begun with all that donors had.

        Those that nobody gives a state begin with what the archive has, too, if it answers.

        Donors that are named once they have begun do not stop them, nor does a restart: one of a
        handover that was given up has little that is not here, and may never answer.
        """
        if not self._has_fed and self._is_told:
            roles = self._roles
            begins = roles is None or roles.successor.may_begin
            self._has_fed = begins and not (
                self.waits_for_archive() and self._parties.host.beginners
            )
            if self._has_fed:
                with contextlib.suppress(StoreError):  # told again after the next start
                    self._store.save_properties({_HAS_FED: 1})
        return self._has_fed

    def word(self, *, joined: bool, waits: bool) -> Word:
        """Return what this twin says about a handover; see `Succession.word`."""
        if self._roles is None:
            return Word(store=self._store.store_id.hex(), joined=joined, waits=waits)
        return self._roles.succession.word(joined=joined, waits=waits)

    def answer(self, request: Request) -> Response:
        """Answer a taker.

        Raises:
            ApiError: who asks is none, or what it asks for does not exist.
            QueryError: a parameter is wrong.
        """
        if self._roles is None:
            raise not_a_taker()
        return self._roles.giver.answer(request)

    async def rest(self) -> None:
        """Wait until it is time to look at what changes with time: seldom in a twin that is alone.

        Half of what an idle twin costs is waking up, and each one looked at its state in vain.
        """
        if self._is_named.is_set():
            await asyncio.sleep(IN_HANDOVER_S)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALONE_S):
                await self._is_named.wait()

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._begun.wait()
        assert self._roles is not None
        await self._roles.successor.run()
