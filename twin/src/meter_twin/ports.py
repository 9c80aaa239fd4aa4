"""The three ports of a twin, opened and closed together: plain, local and mutual TLS.

Neighbours: `health`, `api` and `peer_port` answer, `shell` builds them, `credentials` renews.
"""

import ssl

from .configuration import Configuration
from .http_server import Handler, HttpServer

LISTEN = "0.0.0.0"  # noqa: S104 - the pod's own address; the local API binds to loopback


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

    async def start(self, configuration: Configuration) -> None:
        """Listen.

        Raises:
            OSError: a port is taken.
        """
        await self._plain.start(LISTEN, configuration.plain_port)
        await self._local.start("127.0.0.1", configuration.local_port)
        await self._peer.start(LISTEN, configuration.peer_port)

    def renew(self, tls: ssl.SSLContext) -> None:
        """Use `tls` for new handshakes on the peer port."""
        self._peer.renew(tls)

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        for server in (self._plain, self._local, self._peer):
            await server.close()
