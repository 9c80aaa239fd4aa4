"""The three ports of a twin, opened and closed together: plain, local and mutual TLS.

Neighbours: `health`, `api` and `peer_port` answer, `shell` builds them, `credentials` renews,
`listening` opens the sockets.
"""

import ssl

from .http_server import Handler, HttpServer
from .listening import Listening


class Ports:
    """All that listens."""

    def __init__(self, plain: Handler, local: Handler, peer: Handler, tls: ssl.SSLContext) -> None:
        """Take who answers on each port; `tls` is for the peer port.

        `peer_refused` counts what the peer port refused: unfinished handshakes and connections.
        """
        self._plain = HttpServer("plain", plain)
        self._local = HttpServer("local", local)
        self._peer = HttpServer("peer", peer, tls)
        self.peer_refused = self._peer.refused

    async def start(self, listening: Listening) -> None:
        """Answer on the sockets, which are closed with the ports."""
        await self._plain.start(listening.plain)
        await self._local.start(listening.local)
        await self._peer.start(listening.peer)

    def renew(self, tls: ssl.SSLContext) -> None:
        """Use `tls` for new handshakes on the peer port."""
        self._peer.renew(tls)

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        for server in (self._plain, self._local, self._peer):
            await server.close()
