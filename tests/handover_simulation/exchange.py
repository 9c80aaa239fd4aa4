"""How one twin of a simulated world asks another, over a network that loses and delays.

The mutual TLS port is played: paths go in and bodies come out as they do there, and what asks and
answers is the real code. Neighbours: `twin` (whose `Handover` asks and answers), `nodes` (the
network).
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

from meter_twin import peer_client
from meter_twin.application import QueryError
from meter_twin.handover import Handover
from meter_twin.http_server import ApiError, Request
from meter_twin.peer_client import PeerClient, PeerError
from meter_twin.taking import Donor
from meter_wire.names import build_twin_uri

if TYPE_CHECKING:
    from .twin import Twin

OK = 200
Answer = tuple[int, bytes]
Answered = Callable[[Answer | None], None]
Call = Callable[["Twin", str, str, Answered], None]
"""Ask the twin at an address for a path; None for no answer."""


class PlayedClient(PeerClient):
    """The client of a twin; in the place of a TLS context it is given the twin."""

    async def get(self, donor: Donor, path: str) -> bytes:
        """Return the body of an answer with status 200.

        Raises:
            PeerError: no answer, or a refusal.
        """
        twin: Any = self._tls()
        waiting: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        life = twin.life

        def answered(answer: Answer | None) -> None:
            twin.scheduler.act(twin, life, lambda: waiting.set_result(answer))

        twin.call(twin, donor.address, path, answered)
        answer = await waiting
        if answer is None:
            raise PeerError(f"epoch {donor.epoch}: no answer")
        status, body = answer
        if status != OK:
            raise PeerError(f"epoch {donor.epoch}: status {status}", status)
        return body


class Relay:
    """What a successor needs of the link's loop."""

    def __init__(self, imported: Callable[[], None]) -> None:
        self.imported = imported


def answer_taker(handover: Handover, device: str, epoch: int, path: str) -> Answer:
    """Return what a twin answers the twin of an epoch."""
    parts = urlsplit(path)
    peer = (build_twin_uri(device, epoch),)
    try:
        found = handover.answer(Request("GET", parts.path, dict(parse_qsl(parts.query)), b"", peer))
    except ApiError as error:
        return error.status, b""
    except QueryError:
        return 400, b""
    return found.status, found.body


@contextlib.contextmanager
def played_peers() -> Iterator[None]:
    """Let twins ask each other over the simulated network."""
    with mock.patch.object(peer_client, "PeerClient", PlayedClient):
        yield
