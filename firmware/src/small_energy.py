"""What the small profile counts: watt-hours of one source of pulses, exact, and kept over resets.

The flash has the register each quarter hour at the latest (`small` says when). A reset without a
power cut loses nothing: parts of a watt-hour and what came since are in the board's memory that
survives it (`pack`, once a second; no flash wears). Neighbours: `small_record`; `small_start`,
which reads it; `counter`, the same of power and time in the whole firmware.
"""

import struct

from crc import crc32

PULSE_UJ = 2250000000
"""1600 pulses a kWh: 2250 J each."""
UNIT_MJ = 3600000
ROW = ">QIH"
ROW_BYTES = 14
HEAD_BYTES = 9
"""A flag of the board's own (its watchdog), then the ring's incarnation: whose energy this is."""


class Register:
    """One source; `units` are its watt-hours, and no pulse or part of it is lost."""

    def __init__(self, pulse_uj: int) -> None:
        """Begin at zero; `pulse_uj` is what a pulse is worth."""
        self.pulse_uj = pulse_uj
        self.units = self.remainder = self.rest_uj = self.counted = 0

    def take(self, pulses: int, count: int) -> None:
        """Add pulses, and those by which the board's count has grown.

        A MemoryError leaves everything as it was: what is assigned below needs no memory.
        """
        worth_uj = (pulses + count - self.counted) * self.pulse_uj + self.rest_uj
        whole_mj, rest_uj = divmod(worth_uj, 1000)
        whole_wh, remainder = divmod(self.remainder + whole_mj, UNIT_MJ)
        units = self.units + whole_wh
        self.counted = count
        self.rest_uj = rest_uj
        self.remainder = remainder
        self.units = units


def pack(incarnation: bytes, registers: list) -> bytes:
    """Return what the board's memory has over a reset."""
    data = incarnation
    for one in registers:
        data += struct.pack(ROW, one.units, one.remainder, one.rest_uj)
    return b"\0" + data + struct.pack(">I", crc32(data))
