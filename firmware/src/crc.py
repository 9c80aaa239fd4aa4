"""CRC-32 (ISO/IEC 8802-3, 3.2.9), by the port, or here on a port without: the ESP8266's has none.

Halves of 16 bits: a whole one is no small integer on a board, and each step would take heap.
"""

import binascii

_TABLE = (
    b"\x00\x00\x00\x00\x1d\xb7\x10\x64\x3b\x6e\x20\xc8\x26\xd9\x30\xac"
    b"\x76\xdc\x41\x90\x6b\x6b\x51\xf4\x4d\xb2\x61\x58\x50\x05\x71\x3c"
    b"\xed\xb8\x83\x20\xf0\x0f\x93\x44\xd6\xd6\xa3\xe8\xcb\x61\xb3\x8c"
    b"\x9b\x64\xc2\xb0\x86\xd3\xd2\xd4\xa0\x0a\xe2\x78\xbd\xbd\xf2\x1c"
)
"""What four bits change: 16 values of 32 bits."""


def portable_crc32(data: bytes, before: int = 0) -> int:
    """Return the checksum of what `before` is the checksum of, and then `data`."""
    high = before >> 16 ^ 0xFFFF
    low = before & 0xFFFF ^ 0xFFFF
    for octet in data:
        low ^= octet
        for _half in range(2):
            at = (low & 15) << 2
            low = (low >> 4 | (high & 15) << 12) ^ (_TABLE[at + 2] << 8 | _TABLE[at + 3])
            high = high >> 4 ^ (_TABLE[at] << 8 | _TABLE[at + 1])
    return (high ^ 0xFFFF) << 16 | low ^ 0xFFFF


crc32 = getattr(binascii, "crc32", portable_crc32)
