"""Renewal of a meter's certificate: what a meter asks and how it judges the answer.

The key of the certificate stays, and so does K_meter, which outlives both: a meter that was dark
until nobody took its certificate any more comes back by this alone. The operator answers with
`meter_wire.renewal`; the firmware keeps what it gets.

payload = version u8, fields, mac16 under K_renew (request) or K_renewed (answer).
"""

from .constant import const
from .frame import need, need_uint
from .keys import mac16
from .owner import parse_signed
from .tlv import RemoteProtocolError, pack, take

LONGEST = const(1024)
"""Bytes of the longest certificate."""
MOST_ANCHORS = const(2)

_VERSION = const(1)
_RENEW_DEVICE = const(1)
_RENEW_NONCE = const(2)
_RENEW_CERTIFICATE = const(3)
_RENEWED_DEVICE = const(1)
_RENEWED_NONCE = const(2)
_RENEWED_CERTIFICATE = const(3)
_RENEWED_ANCHORS = const(4)
_RENEWED_RENEW_FROM = const(5)


class Renewed:
    """A parsed and authenticated answer."""

    def __init__(self, fields: dict[int, bytes]) -> None:
        """Take the fields of an answer.

        Raises:
            RemoteProtocolError: `malformed`.
        """
        self.nonce = need(fields, _RENEWED_NONCE, 16)
        self.certificate = _certificate(need(fields, _RENEWED_CERTIFICATE))
        self.anchors = _anchors(need(fields, _RENEWED_ANCHORS))
        self.renew_from_s = need_uint(fields, _RENEWED_RENEW_FROM)
        """UTC second from which on the next request is welcome."""


def _certificate(value: bytes) -> bytes:
    if not 0 < len(value) <= LONGEST:
        raise RemoteProtocolError("malformed")
    return value


def _anchors(value: bytes) -> list[bytes]:
    found = []
    position = 0
    while position < len(value):
        anchor, position = take(value, position, len(value))
        found.append(_certificate(anchor))
    if not 0 < len(found) <= MOST_ANCHORS:
        raise RemoteProtocolError("malformed")
    return found


def encode_renewal_request(key: bytes, device: str, nonce: bytes, certificate: bytes) -> bytes:
    """Return the payload for `mt/<device>/renew`.

    Args:
        key: K_renew.
        device: device id.
        nonce: 16 fresh random bytes.
        certificate: the one that the meter has, in its DER form, valid or not.
    """
    content = bytes([_VERSION]) + pack(
        _RENEW_DEVICE, device.encode(), _RENEW_NONCE, nonce, _RENEW_CERTIFICATE, certificate
    )
    return content + mac16(key, content)


def parse_renewed(payload: bytes, key: bytes, device: str, nonce: bytes) -> Renewed:
    """Return the answer to the request with this nonce; key is K_renewed.

    Raises:
        RemoteProtocolError: `malformed`, `version`, `mac`, `device`, or `nonce`: it answers another
            request.
    """
    fields = parse_signed(payload, key, _RENEWED_RENEW_FROM)
    if need(fields, _RENEWED_DEVICE) != device.encode():
        raise RemoteProtocolError("device")
    found = Renewed(fields)
    if not nonce or found.nonce != nonce:
        raise RemoteProtocolError("nonce")
    return found
