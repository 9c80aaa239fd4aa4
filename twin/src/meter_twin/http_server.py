"""A small HTTP/1.1 server on asyncio: capped in size, number and time.

Neighbours: `http_codec` (the protocol), `api` and `health` (handlers), `shell` (opens the ports).
A framework would cost 8 to 10 MiB a twin.
"""

import asyncio
import json
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, cast

from . import log
from .http_codec import (
    MAX_HEAD,
    HttpError,
    Message,
    RequestParser,
    encode_chunk,
    encode_head,
)

MAX_CONNECTIONS = 16
MAX_HANDSHAKES = 8
"""Unfinished ones: each holds 66 KiB for a peer that has not shown who it is."""
HANDSHAKE_TIMEOUT_S = 5.0
BACKLOG = 32
REQUEST_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 30.0
WRITE_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 5.0


class Request(NamedTuple):
    """One request; `peer` holds the URI names of a verified client certificate."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    peer: tuple[str, ...]


class Response(NamedTuple):
    """One answer: whole (`body`) or in pieces that are made while they are sent (`pieces`)."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    pieces: Iterator[bytes] | None = None


Handler = Callable[[Request], Awaitable[Response]]


class ApiError(Exception):
    """A request that is answered with an error body that names field and remedy."""

    def __init__(self, status: int, field: str, message: str, remedy: str) -> None:
        """`status`: HTTP status; the rest as in docs/reference/contracts.md."""
        super().__init__(message)
        self.status = status
        self.document = {"error": {"field": field, "message": message, "remedy": remedy}}


def json_response(document: Any, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(status, json.dumps(document, separators=(",", ":")).encode())


class HttpServer:
    """One port."""

    def __init__(self, name: str, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        """`name` for the log; `tls` with required client certificates, or None."""
        self._name = name
        self._handler = handler
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._handshakes: dict[asyncio.Task[None], asyncio.Transport] = {}
        self.refused: Counter[str] = Counter()

    async def start(self, listening: socket.socket) -> None:
        """Answer on a socket that listens, which is this server's from now on."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Door(self._enter) if self._tls else self._stream(),
            sock=listening,
            backlog=BACKLOG,
        )

    def renew(self, tls: ssl.SSLContext) -> None:
        """Use `tls` for new handshakes; open connections stay."""
        self._tls = tls

    def _stream(self) -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(MAX_HEAD), self._accept)

    def _enter(self, raw: asyncio.Transport) -> None:
        """Begin a handshake; with too many, the oldest gives way: real peers need milliseconds."""
        raw.pause_reading()
        if len(self._handshakes) >= MAX_HANDSHAKES:
            oldest = next(iter(self._handshakes))
            self._handshakes.pop(oldest).abort()
            oldest.cancel()
            self.refused["handshake"] += 1
        task = asyncio.get_running_loop().create_task(self._shake_hands(raw))
        self._handshakes[task] = raw

    async def _shake_hands(self, raw: asyncio.Transport) -> None:
        assert self._tls is not None
        task = asyncio.current_task()
        protocol = self._stream()
        try:
            transport = await asyncio.get_running_loop().start_tls(
                *(raw, protocol, self._tls),
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            )
            assert transport is not None
            protocol.connection_made(transport)
        except OSError:  # no or a wrong certificate, a peer that left, the time is over
            raw.abort()
            if task in self._handshakes:
                self.refused["handshake"] += 1
        finally:
            self._handshakes.pop(task, None)  # type: ignore[arg-type]

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server:
            self._server.close()
        for raw in self._handshakes.values():
            raw.abort()
        for task in (*self._tasks, *self._handshakes):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.5)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            self.refused["connection"] += 1
            return
        self._tasks.add(task)
        try:
            await _Connection(reader, writer, self._handler).serve()
            writer.close()
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await writer.wait_closed()
        except (OSError, TimeoutError, ssl.SSLError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - one connection never ends the process
            log.log_exception("http connection failed", error, name=self._name)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


class _Door(asyncio.Protocol):
    """A connection before its handshake."""

    def __init__(self, enter: Callable[[asyncio.Transport], None]) -> None:
        self._enter = enter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._enter(cast("asyncio.Transport", transport))


class _Connection:
    """One client, its requests one after the other."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._parser = RequestParser()
        self._peer = _uri_names(writer)

    async def serve(self) -> None:
        timeout_s = REQUEST_TIMEOUT_S
        while True:
            try:
                async with asyncio.timeout(timeout_s):
                    message = await self._read()
            except HttpError as error:
                body = _error_body(str(error), "send a valid, smaller request")
                await self._send(json_response(body, error.status), keep_alive=False, chunks=True)
                return
            if message is None:
                return
            response = await self._answer(message)
            if message.method == "HEAD":
                response = response._replace(body=b"", pieces=None)
            await self._send(response, keep_alive=message.keep_alive, chunks=message.is_1_1)
            if not message.keep_alive:
                return
            timeout_s = IDLE_TIMEOUT_S

    async def _read(self) -> Message | None:
        while (message := self._parser.next_request()) is None:
            if self._parser.expects_continue:
                self._parser.expects_continue = False
                await self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = await self._reader.read(MAX_HEAD)
            if not data:
                return None
            self._parser.feed(data)
        return message

    async def _answer(self, message: Message) -> Response:
        request = Request(message.method, message.path, message.query, message.body, self._peer)
        try:
            return await self._handler(request)
        except ApiError as error:
            return json_response(error.document, error.status)
        except Exception as error:  # noqa: BLE001 - answered, logged by type and place
            log.log_exception("http handler failed", error, path=message.path)
            return json_response(_error_body("internal error", "see the twin's log"), 500)

    async def _send(self, response: Response, *, keep_alive: bool, chunks: bool) -> None:
        pieces, body = response.pieces, response.body
        if pieces is not None and not chunks:
            body = b"".join(pieces)
            pieces = None
        length = len(body) if pieces is None else None
        head = encode_head(response.status, response.content_type, length, keep_alive=keep_alive)
        if pieces is None:
            await self._write(head + body)
            return
        await self._write(head)
        for piece in pieces:
            if piece:  # an empty chunk would end the answer
                await self._write(encode_chunk(piece))
            await asyncio.sleep(0)
        await self._write(encode_chunk(b""))

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await self._writer.drain()


def _uri_names(writer: asyncio.StreamWriter) -> tuple[str, ...]:
    certificate = writer.get_extra_info("peercert") or {}
    return tuple(value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI")


def _error_body(message: str, remedy: str) -> dict[str, dict[str, str]]:
    return {"error": {"field": "request", "message": message, "remedy": remedy}}
