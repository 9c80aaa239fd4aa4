"""Where readers connect: how many at once, how long one may be silent, what is no HTTP.

Anybody in the cluster's network may connect before a token is asked for, so a connection costs
little and ends by itself. Neighbours: `service` (binds the site), `query_port` (answers).
"""

import asyncio
import ssl
from typing import Any

from aiohttp import web

from meter_archive import figures

MOST_CONNECTIONS = 512
"""Some 20 MiB of the process; one more is closed as it comes."""
SILENCE_S = 15
"""Until the head of a request has come, and between two requests."""
_HANDSHAKE_S = 10


class _TurnedAway(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        figures.CONNECTIONS_REFUSED.labels("too_many").inc()
        transport.close()


class _Connection(web.RequestHandler):
    """A connection of a reader."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Count what is no HTTP; it asks nothing, so there is nothing to note in the audit."""
        if status != 500:  # noqa: PLR2004
            figures.CONNECTIONS_REFUSED.labels("no_http").inc()
            answer = web.Response(status=status, text="this is no request of HTTP\n")
            answer.force_close()
            return answer
        return super().handle_error(request, status, exc, message)


class ReaderSite(web.BaseSite):
    """A TCP site with bounds."""

    __slots__ = ("_host", "_most", "_port")

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        most: int = MOST_CONNECTIONS,
    ) -> None:
        """Listen on a host and a port, 0 lets the system choose, with `context` over TLS."""
        super().__init__(runner, ssl_context=context)
        self._host, self._port, self._most = host, port, most

    @property
    def name(self) -> str:
        """Where it listens."""
        return f"{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen."""
        await super().start()
        options: dict[str, Any] = {}
        if self._ssl_context is not None:
            options = {"ssl": self._ssl_context, "ssl_handshake_timeout": _HANDSHAKE_S}
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, self._host, self._port, **options)

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        if len(server.connections) >= self._most:
            return _TurnedAway()
        loop = asyncio.get_running_loop()
        return _Connection(
            server, loop=loop, keepalive_timeout=SILENCE_S,
            access_log=None,  # type: ignore[arg-type] # as AppRunner has it: no log of questions
        )  # fmt: skip
