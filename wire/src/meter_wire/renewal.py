"""The operator's side of a meter's renewal: parse what it asks, encode the answer.

The meter's side, and why: `meter_wire.portable.renewal`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from meter_wire.names import check_device
from meter_wire.portable.frame import need
from meter_wire.portable.keys import mac16
from meter_wire.portable.owner import parse_signed
from meter_wire.portable.renewal import LONGEST, MOST_ANCHORS
from meter_wire.portable.tlv import RemoteProtocolError, encode_length, pack
from meter_wire.tables import RENEW_TAGS, RENEWED_TAGS, number_of

_NONCE = 16


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """What a meter says on `mt/<device>/renew`; the certificate is DER and need not be valid."""

    device: str
    nonce: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Renewal:
    """The answer: certificate and anchors are DER, the anchor of the CA that signs comes first."""

    device: str
    nonce: bytes
    certificate: bytes
    anchors: Sequence[bytes]
    renew_from_s: int


def parse_renewal_request(payload: bytes, key: bytes) -> RenewalRequest:
    """Return an authentic request; key is K_renew of the device whose topic it came on.

    Raises:
        RemoteProtocolError: `malformed`, `version` or `mac`.
    """
    fields = parse_signed(payload, key, len(RENEW_TAGS))
    tags = {row.name: row.number for row in RENEW_TAGS}
    try:
        device = check_device(need(fields, tags["device"]).decode("ascii"))
    except ValueError:
        raise RemoteProtocolError("malformed") from None
    certificate = need(fields, tags["certificate"])
    if not 0 < len(certificate) <= LONGEST:
        raise RemoteProtocolError("malformed")
    return RenewalRequest(device, need(fields, tags["nonce"], _NONCE), certificate)


def encode_renewal(renewal: Renewal, key: bytes) -> bytes:
    """Return the payload for `mt/<device>/renewed`; key is K_renewed.

    Raises:
        ValueError: naming the field that is out of range.
    """
    check_device(renewal.device)
    if len(renewal.nonce) != _NONCE:
        raise ValueError(f"nonce: {_NONCE} bytes, that of the request")
    if not 1 <= len(renewal.anchors) <= MOST_ANCHORS:
        raise ValueError(f"anchors: a meter holds 1 to {MOST_ANCHORS}")
    for name, certificate in (
        ("certificate", renewal.certificate),
        *(("anchors", anchor) for anchor in renewal.anchors),
    ):
        if not 0 < len(certificate) <= LONGEST:
            raise ValueError(f"{name}: {len(certificate)} bytes, a meter takes 1 to {LONGEST}")
    if not 0 < renewal.renew_from_s < 1 << 32:
        raise ValueError("renew_from_s: not a UTC second below 2106")
    values: dict[str, int | bytes] = {
        "device": renewal.device.encode(),
        "nonce": renewal.nonce,
        "certificate": renewal.certificate,
        "anchors": b"".join(encode_length(len(one)) + one for one in renewal.anchors),
        "renew_from": renewal.renew_from_s,
    }
    items: list[int | bytes] = []
    for name, value in values.items():
        items += (number_of(RENEWED_TAGS, name), value)
    content = bytes([1]) + pack(*items)
    return content + mac16(key, content)
