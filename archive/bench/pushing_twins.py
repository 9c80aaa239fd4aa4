"""Many twins in one process that push as fast as they are answered; a program of its own.

    python archive/bench/pushing_twins.py PLAN.json

The plan: {"ca", "port_of": [[folder of tls.crt and tls.key, port], ...], "entries", "batch",
"first_s", "period_s"}. Every twin has one kept-open connection and one batch under way, as the real
one. It says `ready` when all are connected, begins at a line on its standard input, and then says
{"seconds", "rows", "postponed", "batch_ms": [...]} for the time from the first batch to the last
answer. All twins give the same entries: bodies do not name the device, the certificate does.
"""

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from meter_wire.archive_batch import PATH, encode_batch
from meter_wire.portable.entry import encode_reading, encode_register

INCARNATION = bytes(range(8))
REGISTERS = tuple(
    bytes([1, 0, *short, 255])
    for short in (
        (1, 8, 0), (2, 8, 0), (3, 8, 0), (4, 8, 0), (1, 7, 0),
        (2, 7, 0), (32, 7, 0), (52, 7, 0), (72, 7, 0), (14, 7, 0),
    )
)  # fmt: skip
"""Four energies, two powers, three voltages, the frequency."""
_LINE = 4096
_OK, _LATER = 200, 503


def build_reading(number: int, first_s: int, period_s: int) -> bytes:
    """Return a reading of ten registers with values of the size that a household's have."""
    energy = 12_345_678 + number * 137
    values = (
        energy, energy // 3, energy // 7, energy // 11, 400 + number % 3000,
        number % 900, 2300 + number % 70, 2290 + number % 60, 2310 + number % 50, 5000 + number % 9,
    )  # fmt: skip
    registers = [
        encode_register(code, value) for code, value in zip(REGISTERS, values, strict=True)
    ]
    return encode_reading(0, first_s + number * period_s, number * period_s, 1, registers)


def build_requests(plan: dict[str, Any]) -> list[tuple[int, bytes]]:
    """Return (entries, octets of the request) of each batch."""
    requests = []
    for first in range(1, plan["entries"] + 1, plan["batch"]):
        last = min(first + plan["batch"] - 1, plan["entries"])
        rows = [
            (seq, build_reading(seq, plan["first_s"], plan["period_s"]))
            for seq in range(first, last + 1)
        ]
        body = encode_batch(plan["entries"], (), rows)
        head = f"POST {PATH}{INCARNATION.hex()} HTTP/1.1\r\nHost: localhost\r\n"
        requests.append((len(rows), f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body))
    return requests


class Twin:
    """One connection that gives one batch after the other."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        """Connect later."""
        self._context = context
        self._port = port
        self.batch_ms: list[float] = []
        self.rows = 0
        self.postponed = 0

    async def connect(self) -> None:
        """Open the connection."""
        self._reader, self._writer = await asyncio.open_connection(
            "localhost", self._port, ssl=self._context
        )

    async def push(self, requests: list[tuple[int, bytes]]) -> None:
        """Give all batches; one that is postponed is given again."""
        for rows, request in requests:
            begun = time.monotonic()
            while await self._once(request) == _LATER:
                self.postponed += 1
                await asyncio.sleep(0.2)
            self.batch_ms.append((time.monotonic() - begun) * 1000)
            self.rows += rows

    async def _once(self, request: bytes) -> int:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        status = int(head.split(" ", 2)[1])
        lengths = [one for one in head.lower().split("\r\n") if one.startswith("content-length:")]
        body = await self._reader.readexactly(int(lengths[0].split(":")[1]))
        if status not in {_OK, _LATER}:
            raise RuntimeError(f"{status}: {body[:_LINE].decode()}")
        return status


def build_context(ca: str, folder: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(Path(folder) / "tls.crt", Path(folder) / "tls.key")
    return context


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    requests = build_requests(plan)
    twins = [Twin(build_context(plan["ca"], folder), port) for folder, port in plan["port_of"]]
    for twin in twins:
        await twin.connect()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begun = time.monotonic()
    await asyncio.gather(*(twin.push(requests) for twin in twins))
    return {
        "seconds": time.monotonic() - begun,
        "rows": sum(twin.rows for twin in twins),
        "postponed": sum(twin.postponed for twin in twins),
        "batch_ms": sorted(one for twin in twins for one in twin.batch_ms),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(Path(sys.argv[1]).read_text())))), flush=True)
