"""The checksum of a board whose port has none is everybody's. Both Pythons."""

from crc import crc32, portable_crc32


def test_the_check_value_of_the_standard():
    assert portable_crc32(b"123456789") == 0xCBF43926
    assert crc32(b"123456789") == 0xCBF43926


def test_any_octets_in_any_parts():
    data = bytes([at * at * 7 >> 3 & 255 for at in range(600)])
    whole = 0x53EEA0B8
    begun = {0: 0, 1: 0xD202EF8D, 2: 0x41D912FF, 255: 0x81A1164B, 599: 0x5259F88A, 600: whole}
    for end, checksum in begun.items():
        assert portable_crc32(data[:end]) == crc32(data[:end]) == checksum
        assert portable_crc32(data[end:], checksum) == crc32(data[end:], checksum) == whole
