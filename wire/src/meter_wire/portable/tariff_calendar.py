"""The bytes of a time-of-use calendar, as an order of the utility brings it; the meter's side.

Weekly switches in local time and a table of UTC offsets, so that no board needs to know a zone.
Neighbours: `order` carries them, `meter_wire.utility_calendar` encodes them, the firmware's
`tariff` acts on them.
"""

from .constant import const
from .tlv import RemoteProtocolError

_VERSION = const(1)
_MOST_NAME = const(16)
_QUARTERS_A_DAY = const(96)
_MOST_OFFSET = const(56)
_QUARTER_S = const(900)
MOST_SWITCHES = const(48)
MOST_OFFSETS = const(40)
"""Rows that a calendar may have: they bound the heap that a board needs for it."""


class _Octets:
    """Takes the bytes one by one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        self.at += length
        if self.at > len(self.data):
            raise RemoteProtocolError("malformed")
        return self.data[self.at - length : self.at]

    def uint(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "big")

    def count(self, most: int) -> int:
        found = self.uint(1)
        if found > most:
            raise RemoteProtocolError("malformed")
        return found


def parse_calendar(
    data: bytes,
) -> "tuple[bytes, list[tuple[int, str, int]], list[tuple[int, int]]]":
    """Return (name, switches, offsets) of a calendar.

    A switch is (minute of the local day, weekdays as ISO digits, rate 1 to 4), an offset (from UTC
    second, local time less UTC in seconds); both ascend.

    Raises:
        RemoteProtocolError: `malformed`, or `version`.
    """
    octets = _Octets(data)
    if octets.uint(1) != _VERSION:
        raise RemoteProtocolError("version")
    name = octets.take(octets.uint(1))
    good = 0 < len(name) <= _MOST_NAME and 32 < min(name) and max(name) < 127
    switches = []
    last = taken = 0
    for _ in range(octets.count(MOST_SWITCHES)):
        number = octets.uint(2)
        quarter, days = number >> 9, number >> 2 & 0x7F
        if quarter != last >> 9:
            taken = 0
        good = good and last < number and days > 0 and not days & taken
        good = good and quarter < _QUARTERS_A_DAY
        last, taken = number, taken | days
        weekdays = "".join([str(day + 1) for day in range(7) if days >> day & 1])
        switches.append((quarter * 15, weekdays, (number & 3) + 1))
    offsets: list[tuple[int, int]] = []
    for _ in range(octets.count(MOST_OFFSETS)):
        start_s, offset = octets.uint(3) * _QUARTER_S, octets.uint(1)
        if offset > 127:
            offset -= 256
        good = good and -_MOST_OFFSET <= offset <= _MOST_OFFSET
        good = good and (not offsets or start_s > offsets[-1][0])
        offsets.append((start_s, offset * _QUARTER_S))
    if not good or octets.at != len(data):
        raise RemoteProtocolError("malformed")
    return name, switches, offsets
