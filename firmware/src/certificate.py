"""What the meter has to read in a certificate: its DER form and its public key, nothing else.

No verification: that is TLS's business, and a renewed certificate is authentic by its message.
Source of the layout: RFC 5280, 4.1; of PEM: RFC 7468. Neighbours: `renewal`, `credential_store`.
"""

from binascii import a2b_base64

_SEQUENCE = 0x30
_VERSION = 0xA0
_BEFORE_KEY = 5
"""Serial number, signature algorithm, issuer, validity, subject."""


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
    at, end = _enter(der, *_enter(der, 0, len(der)))
    if der[at] == _VERSION:
        at = _element(der, at, end)[1]
    for _field in range(_BEFORE_KEY):
        at = _element(der, at, end)[1]
    begin, after = _element(der, at, end)
    if der[at] != _SEQUENCE or begin == after:
        raise ValueError("certificate: no public key")
    return der[at:after]


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
