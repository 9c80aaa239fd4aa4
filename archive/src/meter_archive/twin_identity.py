"""Whose certificate it is: device and epoch out of its URI (names of a certificate's SAN). Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from meter_wire.names import TWIN_URI, check_device, check_epoch


class Twin(NamedTuple):
    """A device's twin of one epoch."""

    device: str
    epoch: int


def find_twin(certificate: Mapping[str, Any]) -> Twin | None:
    """Return the twin of a certificate as `ssl.SSLSocket.getpeercert` has it, None for others.

    A certificate with the URIs of two twins is nobody's.
    """
    found = []
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "URI" and value.startswith(TWIN_URI):
            device, _, epoch = value.removeprefix(TWIN_URI).partition(":")
            try:
                found.append(Twin(check_device(device), check_epoch(int(epoch))))
            except ValueError:
                return None
    return found[0] if len(found) == 1 else None
