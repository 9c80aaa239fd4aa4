"""The EMS port on a serial line: the same lines as over TCP, to whoever listens.

A line has no connections, so an EMS is there while it is heard: any line, an empty one too, within
the last minute. Telegrams go out whether or not. Neighbours: `ems` (what is said), `hal`.
"""

import asyncio

from ems import MAX_LINE

PRESENT_MS = 60000
POLL_S = 0.05
PIECE_BYTES = 64
PAUSE_S = 0.01
"""Between two pieces: 64 octets take 6 ms at 115,200 baud, and nothing waits for the line."""


class SerialLine:
    """One line; `run` is the task that listens."""

    def __init__(self, uart, port, uptime_ms) -> None:
        """Hear nobody yet.

        Args:
            uart: see `hal`.
            port: the `ems.EmsPort` whose lines these are.
            uptime_ms: () → milliseconds since boot.
        """
        self._uart = uart
        self._port = port
        self._uptime_ms = uptime_ms
        self._heard_ms: "int | None" = None
        self._rest = b""
        self._is_skipping = False
        self._free = asyncio.Lock()

    def is_heard(self) -> bool:
        """Return whether somebody said a line within the last minute."""
        return self._heard_ms is not None and self._uptime_ms() - self._heard_ms < PRESENT_MS

    async def send(self, data: bytes) -> None:
        """Send octets, piece by piece; a line and a telegram do not mix."""
        async with self._free:
            for at in range(0, len(data), PIECE_BYTES):
                self._uart.write(data[at : at + PIECE_BYTES])
                await asyncio.sleep(PAUSE_S)

    async def run(self, beat) -> None:
        """Listen for ever."""
        while True:
            beat()
            self.poll()
            await asyncio.sleep(POLL_S)

    def poll(self) -> None:
        """Take what has come; the rest of a line that is too long is skipped."""
        data = self._uart.read()
        if not data:
            return
        if self._is_skipping:
            if b"\n" not in data:
                return
            data = data[data.index(b"\n") + 1 :]
            self._is_skipping = False
        if b"\n" in data:
            self._heard_ms = self._uptime_ms()
        self._rest = self._port.feed(self._rest + data)
        if len(self._rest) > MAX_LINE:
            self._port.refused += 1
            self._rest = b""
            self._is_skipping = True
