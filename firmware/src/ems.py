"""The local port of the home's energy management system: readable lines, over TCP and serial.

Every few seconds each connected EMS is sent a telegram in the manner of the P1 port (DSMR 5):
`OBIS(value*unit)` lines between `/` and `!`, closed with CRC-16/ARC. The port also hands over what
the twin forwards, and takes the answer. It needs neither twin nor broker, and no client can cost
the meter more than one bounded buffer. docs/reference/ems-port.md is its contract.
"""

import asyncio
import binascii
import socket
import time

from register_table import unit_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from serial_ems import SerialLine

MAX_LINE = 1200
ANSWER_S = 3
WRITE_S = 5

DELIVERED = 0
ABSENT = 1
REFUSED = 3
BUSY = 7


def crc16(data: bytes) -> int:
    """Return CRC-16/ARC (polynomial 0xA001 reflected, begin 0)."""
    crc = 0
    for octet in data:
        crc ^= octet
        for _bit in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def _number(value: int, scaler: int) -> str:
    if scaler >= 0:
        return str(value * 10**scaler)
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), 10**-scaler)
    digits = str(rest)
    return sign + str(whole) + "." + "0" * (-scaler - len(digits)) + digits


def stamp(utc_s: int) -> str:
    """Return UTC as YYMMDDhhmmssZ."""
    epoch_s = 946684800 if time.gmtime(0)[0] == 2000 else 0
    when = time.gmtime(utc_s - epoch_s)
    return "%02d%02d%02d%02d%02d%02dZ" % (
        when[0] % 100,
        when[1],
        when[2],
        when[3],
        when[4],
        when[5],
    )


def _line(row: tuple) -> str:
    code, value, at_s = row
    name = "%d-%d:%d.%d.%d(" % (code[0], code[1], code[2], code[3], code[4])
    if code[2:5] == b"\x01\x00\x00":
        return name + (stamp(value) if value else "") + ")"
    if isinstance(value, bytes):
        return name + value.decode() + ")"
    unit, scaler = unit_of(code)
    text = _number(value, scaler)
    if unit:
        text += "*" + unit
    return name + (stamp(at_s) + ")(" if at_s else "") + text + ")"


def telegram(serial: str, rows: list) -> bytes:
    """Return a telegram of rows (OBIS octets, value, time or None)."""
    lines = ["/MTW5" + serial, ""] + [_line(row) for row in rows] + ["!"]
    body = "\r\n".join(lines).encode()
    return body + b"%04X\r\n" % crc16(body)


class EmsPort:
    """TCP server; `run` is the task, `forward` hands over bytes from the twin."""

    def __init__(self, config, snapshot, local_action) -> None:
        """Serve later.

        Args:
            config: ems_host, ems_port, ems_period_s, ems_clients, serial.
            snapshot: () → (UTC, rows) of the registers.
            local_action: () → whether the supply relay was closed by hand.
        """
        self._config = config
        self._snapshot = snapshot
        self._local_action = local_action
        self._clients = []
        self._readers = {}
        self._pending = None
        self._number = 0
        self.refused = 0
        self.line: "SerialLine | None" = None
        """The serial line, a `serial_ems.SerialLine`, where the board has one."""

    @property
    def is_present(self) -> bool:
        """Whether an EMS is connected, or was heard on the serial line."""
        return bool(self._clients) or (self.line is not None and self.line.is_heard())

    async def run(self, beat) -> None:
        """Listen and push for ever."""
        config = self._config
        server = None
        if config.ems_port is not None:
            server = await asyncio.start_server(self._serve, config.ems_host, config.ems_port)
        try:
            while True:
                beat()
                await asyncio.sleep(config.ems_period_s)
                if self._clients or self.line is not None:
                    data = telegram(config.serial, self._snapshot()[1])
                    for client in list(self._clients):
                        await self._send(client, data)
                    if self.line is not None:
                        await self.line.send(data)
        finally:
            if server is not None:
                server.close()
            for client in list(self._clients):
                self._drop(client)

    async def _send(self, client, data: bytes) -> bool:
        try:
            client.write(data)
            await asyncio.wait_for(client.drain(), WRITE_S)
        except (OSError, asyncio.TimeoutError):
            self._drop(client)
            return False
        return True

    def _drop(self, client) -> None:
        if client in self._clients:
            self._clients.remove(client)
        task = self._readers.pop(id(client), None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()  # before its socket is closed: a closed one never wakes it
        getattr(client, "s", client).close()

    async def _serve(self, reader, writer) -> None:
        if len(self._clients) >= self._config.ems_clients:
            self.refused += 1
            getattr(writer, "s", writer).close()
            return
        raw = writer.s if hasattr(writer, "s") else writer.get_extra_info("socket")
        try:
            raw.setsockopt(6, getattr(socket, "TCP_NODELAY", 1), 1)
        except (AttributeError, OSError):
            pass
        self._clients.append(writer)
        self._readers[id(writer)] = asyncio.current_task()
        buffer = b""
        try:
            while True:
                data = await reader.read(256)
                if not data:
                    break
                buffer = self.feed(buffer + data)
                if len(buffer) > MAX_LINE:
                    self.refused += 1
                    break
        except (OSError, asyncio.CancelledError):
            pass
        self._drop(writer)

    def feed(self, octets: bytes) -> bytes:
        """Take the whole lines of what an EMS has sent; return the rest."""
        while b"\n" in octets:
            at = octets.index(b"\n")
            self._take(octets[:at].strip())
            octets = octets[at + 1 :]
        return octets

    def _take(self, line: bytes) -> None:
        """Take a line of the EMS: ANSWER n [hex], REFUSE n, RECONNECT."""
        words = line.split()
        pending = self._pending
        if line == b"RECONNECT":
            self._local_action()
        elif len(words) > 1 and pending is not None and words[1] == pending[0]:
            if words[0] == b"REFUSE":
                pending[1] = REFUSED
                pending[2].set()
            elif words[0] == b"ANSWER":
                try:
                    data = binascii.unhexlify(words[2]) if len(words) > 2 else b""
                except ValueError:
                    data = b""
                    self.refused += 1
                pending[1] = DELIVERED
                pending[3] = data[:512]
                pending[2].set()
        elif line:
            self.refused += 1

    async def forward(self, data: bytes) -> tuple:
        """Hand `data` to the EMS that connected first; return (answer code, its reply).

        At most once: it is written to one connection and never again. Delivered without a reply
        means that the EMS took it and said nothing within `ANSWER_S`.
        """
        if self._pending is not None:
            return BUSY, b""
        if not self.is_present:
            return ABSENT, b""
        self._number = self._number + 1 & 0xFFFF
        name = str(self._number).encode()
        self._pending = pending = [name, DELIVERED, asyncio.Event(), b""]
        try:
            line = b"FORWARD " + name + b" " + binascii.hexlify(data) + b"\r\n"
            if self._clients:
                if not await self._send(self._clients[0], line):
                    return ABSENT, b""
            elif self.line is not None:
                await self.line.send(line)
            try:
                await asyncio.wait_for(pending[2].wait(), ANSWER_S)
            except asyncio.TimeoutError:
                pass
            return pending[1], pending[3]
        finally:
            self._pending = None
