"""When a meter's certificate is to be renewed, and whether the meter runs with an older one. Pure.

Certificates are read from their DER form (RFC 5280, 4.1) with the standard library alone: the
demo's Python may have nothing else. The rule is that of ``meter_pki.authority.renewal_due``.
Neighbour: ``renewing.py``, which does it.
"""

import datetime as dt
from typing import NamedTuple

VALIDITY = 4  # after version, serial number, algorithm and issuer
UTC_TIME = 0x17
LONG = 0x80  # so many bytes of length follow
BACKDATED = dt.timedelta(minutes=5)  # as meter_pki issues


class Validity(NamedTuple):
    """From when until when a certificate is valid."""

    begin: dt.datetime
    end: dt.datetime


class Element(NamedTuple):
    """A DER element: its tag, and where its value begins and ends."""

    tag: int
    begin: int
    end: int


def read_element(der: bytes, at: int) -> Element:
    """Return the element that begins at `at`.

    Raises:
        ValueError: there is none, or it is cut off.
    """
    if at + 2 > len(der):
        raise ValueError("no certificate")
    tag, length, begin = der[at], der[at + 1], at + 2
    if length & LONG:
        begin += length & ~LONG
        length = int.from_bytes(der[at + 2 : begin], "big")
    if begin + length > len(der):
        raise ValueError("no certificate")
    return Element(tag, begin, begin + length)


def read_time(der: bytes, element: Element) -> dt.datetime:
    """Return a UTCTime, whose years are 1950 to 2049, or a GeneralizedTime.

    Raises:
        ValueError: it is neither.
    """
    text = der[element.begin : element.end].decode("ascii")
    if element.tag == UTC_TIME:
        text = ("20" if text < "50" else "19") + text
    return dt.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=dt.UTC)


def read_validity(der: bytes) -> Validity:
    """Return from when until when a certificate is valid.

    Raises:
        ValueError: it is no certificate.
    """
    field = read_element(der, read_element(der, read_element(der, 0).begin).begin)
    for _ in range(VALIDITY):
        field = read_element(der, field.end)
    begin = read_element(der, field.begin)
    end = read_element(der, begin.end)
    return Validity(read_time(der, begin), read_time(der, end))


def is_due(certificate: bytes, now: dt.datetime) -> bool:
    """Return whether at most a third of a certificate's life is left, or it is none at all."""
    try:
        begin, end = read_validity(certificate)
    except ValueError:
        return True
    return now >= end - (end - begin) / 3


def is_older(started: str, certificate: bytes) -> bool:
    """Return whether a container started before its certificate was made: it has another one.

    Args:
        started: of its status, RFC 3339; empty if it does not run.
        certificate: of the Secret, DER.
    """
    if not started:
        return False  # when it starts it takes what is there
    made = read_validity(certificate).begin + BACKDATED
    return dt.datetime.fromisoformat(started) < made
