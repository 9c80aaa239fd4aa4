"""A small HTTP/1.1 server on h11 and asyncio: capped in size, number and time.

Why not a framework: aiohttp costs 8 to 10 MiB a process, this about 0.4. Neighbours: `api` and
`health` are its handlers, `shell` opens the ports.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import h11

from . import log

MAX_HEAD = 8192
MAX_BODY = 4096
MAX_CONNECTIONS = 16
REQUEST_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 30.0
WRITE_TIMEOUT_S = 30.0


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

    async def start(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the port is taken or not allowed.
        """
        self._server = await asyncio.start_server(
            self._accept, host, port, ssl=self._tls, limit=MAX_HEAD, backlog=32
        )

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.5)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            await _Connection(reader, writer, self._handler).serve()
        except (OSError, TimeoutError, ssl.SSLError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - one connection never ends the process
            log.log_exception("http connection failed", error, name=self._name)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


class _Connection:
    """One client, its requests one after the other."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._peer = _uri_names(writer)

    async def serve(self) -> None:
        timeout_s = REQUEST_TIMEOUT_S
        while True:
            try:
                request = await self._read_request(timeout_s)
            except h11.RemoteProtocolError as error:
                await self._refuse(error.error_status_hint)
                return
            except ApiError as error:
                await self._send(json_response(error.document, error.status))
                return
            if request is None:
                return
            await self._send(await self._answer(request))
            if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
                return
            self._h11.start_next_cycle()
            timeout_s = IDLE_TIMEOUT_S

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._handler(request)
        except ApiError as error:
            return json_response(error.document, error.status)
        except Exception as error:  # noqa: BLE001 - answered, logged by type and place
            log.log_exception("http handler failed", error, path=request.path)
            return json_response(_error_body("internal error", "see the twin's log"), 500)

    async def _read_request(self, timeout_s: float) -> Request | None:
        head: h11.Request | None = None
        body = b""
        async with asyncio.timeout(timeout_s):
            while True:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    if self._h11.they_are_waiting_for_100_continue:
                        await self._write(self._h11.send(_CONTINUE))
                    self._h11.receive_data(await self._reader.read(MAX_HEAD))
                elif isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body += event.data
                    if len(body) > MAX_BODY:
                        raise ApiError(413, "body", "is too long", f"send at most {MAX_BODY} bytes")
                elif isinstance(event, h11.EndOfMessage) and head is not None:
                    return _build_request(head, body, self._peer)
                else:
                    return None

    async def _refuse(self, status: int) -> None:
        if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            body = _error_body("not HTTP/1.1, or too large", "send a smaller, valid request")
            await self._send(json_response(body, status))

    async def _send(self, response: Response) -> None:
        headers = [("content-type", response.content_type), ("cache-control", "no-store")]
        if response.pieces is None:
            headers.append(("content-length", str(len(response.body))))
        head = h11.Response(status_code=response.status, headers=headers)
        out = self._h11.send(head) or b""
        if response.pieces is None:
            out += self._h11.send(h11.Data(data=response.body)) or b""
        else:
            await self._write(out)
            for piece in response.pieces:
                await self._write(self._h11.send(h11.Data(data=piece)))
                await asyncio.sleep(0)
            out = b""
        await self._write(out + (self._h11.send(h11.EndOfMessage()) or b""))

    async def _write(self, data: bytes | None) -> None:
        if data:
            self._writer.write(data)
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._writer.drain()


_CONTINUE = h11.InformationalResponse(status_code=100, headers=[])


def _build_request(head: h11.Request, body: bytes, peer: tuple[str, ...]) -> Request:
    path, _, query = head.target.decode("ascii", "replace").partition("?")
    with contextlib.suppress(ValueError):
        return Request(
            head.method.decode(),
            unquote(path),
            dict(parse_qsl(query, keep_blank_values=True, max_num_fields=16)),
            body,
            peer,
        )
    raise ApiError(400, "query", "has too many parameters", "send at most 16")


def _uri_names(writer: asyncio.StreamWriter) -> tuple[str, ...]:
    certificate = writer.get_extra_info("peercert") or {}
    return tuple(value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI")


def _error_body(message: str, remedy: str) -> dict[str, dict[str, str]]:
    return {"error": {"field": "request", "message": message, "remedy": remedy}}
