"""The wire between a simulated street's houses and its feeder's meter (unix port only).

On a real street the feeder's meter sees what flows, contactors included. Here each house tells the
feeder's meter, once a second in a datagram, what of its load is connected: `house-1 700 1` is name,
share of the load in thousandths, and whether the supply is closed. It stands for copper: nothing of
MeterTwin reads it. A datagram that is lost or wrong changes nothing. Neighbour: `electricity`.
"""

import asyncio
import socket

PERIOD_S = 1
RESOLVE_EVERY = 30
"""Datagrams to one address before the name is asked again: the feeder's pod may be another one."""
MOST_AT_ONCE = 64


def parse_telegram(text: str) -> tuple[str, int, bool] | None:
    """Return (name, permille, supply) of a datagram, None if it is none."""
    parts = text.split(" ")
    if len(parts) != 3 or parts[2] not in ("0", "1"):
        return None
    try:
        permille = int(parts[1])
    except ValueError:
        return None
    return (parts[0], permille, parts[2] == "1") if 0 <= permille <= 1000 else None


class HouseWire:
    """Of a house: tells what is connected."""

    def __init__(self, name: str, host: str, port: int) -> None:
        """Nothing is opened yet."""
        self._name = name
        self._host = host
        self._port = port
        self._socket = None
        self._address = None
        self._sent = 0

    def step(self, load_permille: int, supply: bool) -> None:
        """Tell it once."""
        try:
            if self._address is None or self._sent % RESOLVE_EVERY == 0:
                self._address = socket.getaddrinfo(self._host, self._port)[0][-1]
            if self._socket is None:
                self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            text = "%s %d %d" % (self._name, load_permille, int(supply))
            self._socket.sendto(text.encode(), self._address)
        except OSError:
            self._address = None
        self._sent += 1

    async def run(self, beat, front_end) -> None:
        """Tell it for ever."""
        while True:
            beat()
            self.step(front_end.load_permille, front_end.supply)
            await asyncio.sleep(PERIOD_S)


class FeederWire:
    """Of the feeder's meter: hears what is connected in each house."""

    def __init__(self, port: int, members: dict) -> None:
        """`members`: name → `Household`, whose `connected_permille` and `is_supplied` are set."""
        self._members = members
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(socket.getaddrinfo("0.0.0.0", port)[0][-1])
        self._socket.setblocking(False)

    def step(self) -> None:
        """Take what has come."""
        for _ in range(MOST_AT_ONCE):
            try:
                octets = self._socket.recv(64)
            except OSError:
                return
            try:
                told = parse_telegram(octets.decode())
            except UnicodeError:
                told = None
            if told is not None and told[0] in self._members:
                house = self._members[told[0]]
                house.connected_permille, house.is_supplied = told[1], told[2]

    async def run(self, beat, _front_end) -> None:
        """Hear for ever."""
        while True:
            beat()
            self.step()
            await asyncio.sleep(PERIOD_S / 4)
