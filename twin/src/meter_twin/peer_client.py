"""Asks another twin of the same meter over its mutual TLS port, one request at a time.

The certificate has to be that of the twin asked for: its DNS name says the namespace, its URI
device and epoch (the name alone might be that of a device called `house-1-e3`), so an address that
another pod has got meanwhile is no danger. Neighbours: `successor` (asks),
`giving` (answers), `http_codec` (the server's side of the same protocol).
"""

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import Callable
from typing import Any

from meter_wire.names import build_twin_host, build_twin_uri

from .taking import Donor

TIMEOUT_S = 10.0
MOST_BODY = 4 << 20
_MAX_HEAD = 8192


class PeerError(Exception):
    """A twin did not answer, or not well; `status` is 0 without an answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        """Keep the status."""
        super().__init__(message)
        self.status = status


class PeerClient:
    """The client of one twin; keeps the connection to whom it asked last."""

    def __init__(self, device: str, namespace: str, tls: Callable[[], ssl.SSLContext]) -> None:
        """`tls` returns the client's context as it is now."""
        self._device = device
        self._namespace = namespace
        self._tls = tls
        self._donor: Donor | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.received_bytes = 0

    async def get_json(self, donor: Donor, path: str) -> Any:
        """Return a document.

        Raises:
            PeerError: no answer, a refusal, or no JSON.
        """
        try:
            return json.loads(await self.get(donor, path))
        except (ValueError, RecursionError) as error:
            raise PeerError(f"{path}: no JSON") from error

    async def get(self, donor: Donor, path: str) -> bytes:
        """Return the body of an answer with status 200.

        Raises:
            PeerError: no answer, or a refusal.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await self._open(donor)
                writer.write(f"GET {path} HTTP/1.1\r\nhost: {self._host(donor)}\r\n\r\n".encode())
                await writer.drain()
                status, body = await _read_answer(reader)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, ValueError) as error:
            await self.close()
            raise PeerError(f"epoch {donor.epoch}: {type(error).__name__}") from error
        self.received_bytes += len(body)
        if status != 200:  # noqa: PLR2004 - OK
            raise PeerError(f"epoch {donor.epoch}: status {status}", status)
        return body

    def _host(self, donor: Donor) -> str:
        return build_twin_host(self._device, donor.epoch, self._namespace)

    async def _open(self, donor: Donor) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and self._donor == donor:
            return self._streams
        await self.close()
        address, _, port = donor.address.rpartition(":")
        self._streams = await asyncio.open_connection(
            *(address.strip("[]"), int(port)),
            ssl=self._tls(),
            server_hostname=self._host(donor),
            limit=_MAX_HEAD,
        )
        self._donor = donor
        certificate = self._streams[1].get_extra_info("peercert") or {}
        uri = build_twin_uri(self._device, donor.epoch)
        if ("URI", uri) not in certificate.get("subjectAltName", ()):
            raise ValueError("another twin's certificate")
        return self._streams

    async def close(self) -> None:
        """Drop the connection; the next question opens another one."""
        streams, self._streams, self._donor = self._streams, None, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await streams[1].wait_closed()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return status and body of an answer with a Content-Length.

    Raises:
        EOFError, ValueError: it ends early, is malformed or too large.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    line = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
    length = re.search(rb"\r\ncontent-length: (\d{1,9})\r\n", head, re.IGNORECASE)
    if line is None or length is None or int(length[1]) > MOST_BODY:
        raise ValueError("answer")
    return int(line[1]), await reader.readexactly(int(length[1]))
