"""DESCRIBE: what the meter is and which registers it has; made once at boot."""

from .constant import const
from .entry import encode_code
from .tlv import pack

_TAG_FIRMWARE = const(20)
_TAG_SERIAL = const(46)
_TAG_REGISTERS = const(47)


def encode_description(
    serial: str, firmware: str, registers: list[tuple[bytes, int, int]]
) -> bytes:
    """Return a description.

    Args:
        serial: serial number.
        firmware: version.
        registers: (six-byte OBIS code, DLMS unit code, scaler: value times 10**scaler).
    """
    rows = [encode_code(code) + bytes([unit, scaler & 0xFF]) for code, unit, scaler in registers]
    return pack(
        _TAG_SERIAL, serial.encode(), _TAG_FIRMWARE, firmware.encode(),
        _TAG_REGISTERS, b"".join(rows),
    )  # fmt: skip
