"""A proxy between a VEN and its VTN that does to their messages what networks and servers do.

Which fault an exchange gets comes from the caller; what was forwarded, and what was given back, is
kept for the oracle. One exchange a connection, so that a cut is a cut. Neighbour: `fault_world`.
"""

import asyncio
import contextlib
import random
import re
from typing import NamedTuple

FAULTS = (
    "delay",  # nothing but late
    "hang",  # later than the VEN waits
    "error",  # 500, the VTN has not seen it
    "error after",  # 500, the VTN has seen it
    "gone",  # 404
    "junk",  # 200 with a body that is no XML
    "no http",  # octets that are no HTTP
    "truncate",  # the VTN's answer, without its end
    "duplicate",  # the VTN gets it twice
    "older",  # an earlier answer of the same service
    "cut before",  # the connection ends, the VTN has not seen it
    "cut after",  # the connection ends, the VTN has seen it
)
INTACT = {"", "delay", "duplicate"}
HARMLESS_TO_THE_VTN = {"error", "gone", "junk", "no http", "cut before"}
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_NUMBER = re.compile(rb"\r\nx-exchange: (\d+)\r\n")
LATE_S, HANG_S = 0.02, 0.6


class Exchange(NamedTuple):
    """What happened to one question."""

    service: str
    body: bytes
    fault: str
    times_forwarded: int


class FaultProxy:
    """Listens on a port of its own; `choose` returns the fault of the next exchange, or ""."""

    def __init__(self, port, choose, seed):
        self.exchanges = {}
        self._port = port
        self._choose = choose
        self._random = random.Random(seed)
        self._answers = {}
        self._tasks = set()
        self._is_over = asyncio.Event()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = (
            f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/OpenADR2/Simple/2.0b"
        )
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self._is_over.set()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, EOFError):
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(_LENGTH.search(head)[1]))
                await self._exchange(head, body, writer)
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.close()

    async def _exchange(self, head, body, writer):
        service = head.split(b" ", 2)[1].rpartition(b"/")[2].decode()
        fault = self._choose()
        if fault == "older" and service not in self._answers:
            fault = ""
        count = 0 if fault in HARMLESS_TO_THE_VTN else 2 if fault == "duplicate" else 1
        self.exchanges[int(_NUMBER.search(head)[1])] = Exchange(service, body, fault, count)
        answer = b""
        for _ in range(count):
            answer = await self._forward(head, body)
        given = self._spoil(fault, service, answer)
        if count:
            self._answers.setdefault(service, []).append(answer)
        if fault in ("delay", "hang"):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LATE_S if fault == "delay" else HANG_S):
                    await self._is_over.wait()
        writer.write(given)
        await writer.drain()

    async def _forward(self, head, body):
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + body)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()

    def _spoil(self, fault, service, answer):
        if fault in ("error", "error after"):
            return b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        if fault == "gone":
            return b"HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        if fault in ("junk", "no http"):
            octets = self._random.randbytes(self._random.randrange(1, 300))
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(octets)
            return head + octets if fault == "junk" else octets
        if fault == "truncate":
            return answer[: self._random.randrange(len(answer))]
        if fault == "older":
            return self._random.choice(self._answers[service])
        return b"" if fault.startswith("cut") else answer
