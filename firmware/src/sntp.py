"""A first time from the network (SNTP, RFC 4330): until a twin has told one, and never above it.

A server's word is not authentic, so it sets a clock that nobody has set, and a twin's first time
may move what it set by any amount. After that the twins keep the time and nobody is asked. Packets
are pure; `Asking` is the task's shell. Neighbours: `timekeeper`, `commands` (sets and records).
"""

import asyncio
import socket
import struct

PORT = 123
PACKET_BYTES = 48
_CLIENT = 0x23  # version 4, mode 3
_SERVER = 4
_UNSYNCHRONISED = 3
_MOST_STRATUM = 15
_EPOCH_S = 2208988800
"""From 1900 to 1970 (RFC 4330, 3)."""
_ERA_S = 1 << 32
_HIGH_BIT = 1 << 31
WAIT_MS = 3000
_LOOK_MS = 20
FIRST_PAUSE_S = 16
MAX_PAUSE_S = 1024
"""RFC 4330, 10: no client asks more often than each 15 s, and less and less while none answers."""


class SntpError(ValueError):
    """The answer is none, or not to be used."""


def encode_request(nonce: bytes) -> bytes:
    """Return a request; `nonce` (8 octets) stands for its transmit time, which comes back."""
    return bytes([_CLIENT]) + bytes(39) + nonce


def parse_answer(data: bytes, nonce: bytes, asked_ms: int, came_ms: int) -> int:
    """Return UTC in milliseconds since 1970 at `came_ms`.

    Args:
        data: the answer.
        nonce: of the request.
        asked_ms: uptime when the request went.
        came_ms: uptime when the answer was there.

    Raises:
        SntpError: it is not the answer to this request, or the server has no time.
    """
    if len(data) < PACKET_BYTES:
        raise SntpError("short")
    if data[24:32] != nonce:
        raise SntpError("not the answer to this request")
    if data[0] & 7 != _SERVER or data[0] >> 6 == _UNSYNCHRONISED:
        raise SntpError("no server's, or it has no time")
    if not 1 <= data[1] <= _MOST_STRATUM:
        raise SntpError("the server refuses or has no time")
    received_ms, sent_ms = _to_ms(data, 32), _to_ms(data, 40)
    there_ms = sent_ms - received_ms
    way_ms = came_ms - asked_ms - there_ms
    if there_ms < 0 or way_ms < 0:
        raise SntpError("its times contradict each other")
    return sent_ms + way_ms // 2


def _to_ms(data: bytes, at: int) -> int:
    """Return a time stamp in ms since 1970; that the era is the one from 2036 is the high bit."""
    seconds, fraction = struct.unpack_from(">II", data, at)
    if not seconds:
        raise SntpError("a time is missing")
    if seconds < _HIGH_BIT:
        seconds += _ERA_S
    return (seconds - _EPOCH_S) * 1000 + (fraction >> 22) * 1000 // 1024


async def ask(host: str, port: int, random, uptime_ms) -> int:
    """Return UTC in milliseconds since 1970 of this moment.

    Args:
        host: name or address of the server.
        port: its UDP port.
        random: n → n random octets.
        uptime_ms: () → milliseconds since boot.

    Raises:
        SntpError: no usable answer within `WAIT_MS`.
        OSError: no such host, or no network.
    """
    address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)[0][-1]
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        line.setblocking(False)
        nonce = random(8)
        asked_ms = uptime_ms()
        line.sendto(encode_request(nonce), address)
        while uptime_ms() - asked_ms < WAIT_MS:
            await asyncio.sleep(_LOOK_MS / 1000)
            try:
                data = line.recv(PACKET_BYTES)
            except OSError:
                continue  # nothing yet
            try:
                return parse_answer(data, nonce, asked_ms, uptime_ms())
            except SntpError:
                continue  # somebody else's, or a server without time: the right one may follow
    finally:
        line.close()
    raise SntpError("no usable answer")


class Asking:
    """The task: asks while the clock is invalid, and is silent from then on."""

    def __init__(self, host: str, port: int, clock, set_clock, random, uptime_ms) -> None:
        """Ask nobody yet.

        Args:
            host: name or address of the server.
            port: its UDP port.
            clock: has `valid`.
            set_clock: (UTC in ms) → None, sets and records it.
            random: n → n random octets.
            uptime_ms: () → milliseconds since boot.
        """
        self._host = host
        self._port = port
        self._clock = clock
        self._set_clock = set_clock
        self._random = random
        self._uptime_ms = uptime_ms
        self.failed = 0

    async def run(self, beat) -> None:
        """Ask until the clock is valid, then look now and then."""
        pause_s = FIRST_PAUSE_S
        while True:
            beat()
            if not self._clock.valid:
                try:
                    utc_ms = await ask(self._host, self._port, self._random, self._uptime_ms)
                except (OSError, SntpError):
                    self.failed += 1
                    pause_s = min(pause_s * 2, MAX_PAUSE_S)
                else:
                    if not self._clock.valid:  # a twin may have been first
                        self._set_clock(utc_ms)
            await self._rest(pause_s, beat)

    async def _rest(self, seconds: int, beat) -> None:
        for _second in range(seconds):
            beat()
            await asyncio.sleep(1)
