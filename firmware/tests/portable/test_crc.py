"""The checksum of a board whose port has none is everybody's. Both Pythons."""

import binascii

from crc import crc32, portable_crc32


def test_the_check_value_of_the_standard():
    assert portable_crc32(b"123456789") == 0xCBF43926
    assert crc32(b"123456789") == 0xCBF43926


def test_any_octets_in_any_parts():
    data = bytes([at * at * 7 >> 3 & 255 for at in range(600)])
    for end in (0, 1, 2, 255, 256, 599, 600):
        assert portable_crc32(data[:end]) == binascii.crc32(data[:end])
        assert portable_crc32(data[end:], portable_crc32(data[:end])) == binascii.crc32(data)
