"""What the meter has to read in a certificate: DER form, public key, from when on it is valid.

No verification: that is TLS's business, and a renewed certificate is authentic by its message.
Source of the layout: RFC 5280, 4.1; of PEM: RFC 7468. Neighbours: `renewal`,
`credential_store`, `assembly`.
"""

from binascii import a2b_base64

_SEQUENCE = 0x30
_VERSION = 0xA0
_UTC_TIME = 0x17
_BEFORE_VALIDITY = 3
"""Serial number, signature algorithm, issuer."""
_BEFORE_KEY = 5
"""These, validity, subject."""


def to_der(data: bytes) -> bytes:
    """Return the DER form of one certificate that is DER or PEM.

    Raises:
        ValueError: it is neither.
    """
    if data[:1] == b"\x30":
        return data
    begin = data.find(b"CERTIFICATE-----")
    end = data.find(b"-----END")
    if begin < 0 or end < begin:
        raise ValueError("certificate: neither DER nor PEM")
    return a2b_base64(data[begin + 16 : end])


def public_key(der: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a certificate, with its tag and length.

    Raises:
        ValueError: it is no certificate.
    """
    at, end = _field(der, _BEFORE_KEY)
    begin, after = _element(der, at, end)
    if der[at] != _SEQUENCE or begin == after:
        raise ValueError("certificate: no public key")
    return der[at:after]


def valid_from_s(der: bytes) -> int:
    """Return the UTC second from which on a certificate is valid (RFC 5280, 4.1.2.5).

    Raises:
        ValueError: it is no certificate.
    """
    at, end = _enter(der, *_field(der, _BEFORE_VALIDITY))
    begin, after = _element(der, at, end)
    digits = der[begin:after].decode()
    if der[at] == _UTC_TIME:
        digits = ("19" if digits >= "5" else "20") + digits
    if len(digits) != 15 or digits[14] != "Z":
        raise ValueError("certificate: no time")
    year, month = int(digits[:4]), int(digits[4:6])
    month, year = (month + 9) % 12, year - (month < 3)  # the year begins in March
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5
    days += int(digits[6:8]) - 719469
    return days * 86400 + int(digits[8:10]) * 3600 + int(digits[10:12]) * 60 + int(digits[12:14])


def _field(der: bytes, number: int) -> tuple:
    """Return (place of the field after so many others, end of them all)."""
    at, end = _enter(der, *_enter(der, 0, len(der)))
    if der[at] == _VERSION:
        at = _element(der, at, end)[1]
    for _other in range(number):
        at = _element(der, at, end)[1]
    return at, end


def _enter(der: bytes, at: int, end: int) -> tuple:
    begin, after = _element(der, at, end)
    if der[at] != _SEQUENCE:
        raise ValueError("certificate: not DER")
    return begin, after


def _element(der: bytes, at: int, end: int) -> tuple:
    """Return (begin, end) of the content of the element at `at`, which ends before `end`."""
    begin = at + 2
    if begin > end:
        raise ValueError("certificate: cut")
    length = der[at + 1]
    if length & 0x80:
        octets = length & 0x7F
        if octets > 2:
            raise ValueError("certificate: too long")
        length = int.from_bytes(der[begin : begin + octets], "big")
        begin += octets
    if begin + length > end:
        raise ValueError("certificate: cut")
    return begin, begin + length
