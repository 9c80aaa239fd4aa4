"""How the broker is reached: where it is, whom to trust, one dial, the pause before the next.

Neighbours: `mqtt_shell` keeps a session over what is dialled here, `credentials` makes the contexts
of a running twin.
"""

import asyncio
import asyncio.sslproto
import socket
import ssl
from os import PathLike
from typing import NamedTuple

# 143 instead of 590 KiB of buffers a TLS connection (docs/explanation, the twin's memory)
asyncio.sslproto.SSLProtocol.max_size = 16384

StrPath = str | PathLike[str]

BACK_OFF_MIN_S = 0.5
BACK_OFF_MAX_S = 30.0
CONNECT_TIMEOUT_S = 10.0


class BrokerSettings(NamedTuple):
    """Where the broker is and who we are; `will` is (topic, payload, qos, retain)."""

    host: str
    port: int
    client_id: str
    keep_alive_s: int = 30
    will: tuple[str, bytes, int, bool] | None = None
    max_packet: int = 4096
    max_in_flight: int = 8
    username: str | None = None
    password: bytes | None = None

    def __repr__(self) -> str:
        """Show where, and no secret."""
        return f"BrokerSettings({self.host}:{self.port})"


def tls_context(
    ca: StrPath, certificate: StrPath | None = None, key: StrPath | None = None
) -> ssl.SSLContext:
    """Return a client's context that trusts `ca` only and shows `certificate`, if there is one.

    Raises:
        OSError: a file cannot be read, or is no certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def back_off_s(failures: int, chance: float) -> float:
    """Return the pause after `failures` failed tries; `chance` in [0, 1) spreads the twins."""
    ceiling = min(BACK_OFF_MAX_S, BACK_OFF_MIN_S * 2.0 ** min(failures, 16))
    return BACK_OFF_MIN_S + (ceiling - BACK_OFF_MIN_S) * chance


async def dial(
    settings: BrokerSettings, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to the broker, plain if `tls` is None.

    Raises:
        OSError, TimeoutError: nobody there, or the handshake failed.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(
            settings.host, settings.port, ssl=tls, limit=settings.max_packet
        )
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return reader, writer
