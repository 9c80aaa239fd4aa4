"""What a meter that asks for a new certificate gets, and when it gets nothing. No I/O.

Anybody who reaches the broker's renewal port may say anything here, so nothing costs more than a
MAC until that is the meter's; then a pace holds, for each device and for all together. A request
that is repeated by others is answered once more, which is of no use to them: the answer has the
same public key and the old nonce (docs/reference/link-v1.md, Renewal of a meter's certificate).
Time is an argument. Neighbours: `messenger`, which hears and answers; `meter_pki.renewal` signs.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from meter_pki.authority import CredentialError, end_of
from meter_pki.renewal import renew_certificate, renew_from
from meter_wire.names import build_topic
from meter_wire.portable.keys import derive_key
from meter_wire.portable.renewal import LONGEST, MOST_ANCHORS
from meter_wire.portable.tlv import RemoteProtocolError
from meter_wire.renewal import Renewal, RenewalRequest, encode_renewal, parse_renewal_request

from meter_operator.desired import Meter
from meter_operator.fleet import Fleet
from meter_operator.owner import Message

PACE_S = 10.0
MOST_IN_PACE = 200
"""Devices that are answered in `PACE_S`: a fleet of 20,000 in a quarter of an hour, and one tenth
of a processor at the most."""
_SMALLER = "a CA with an EC key and a short name is smaller, else provision the meter again"


class RenewalError(ValueError):
    """A request that is refused; the message says why, and what to do."""


class RenewalDeviceError(RenewalError):
    """It names a device that is not there, or not the one of its topic."""


class RenewalKeyError(RenewalError):
    """It is not authentic under the key version that the meter is to have."""


class RenewalPaceError(RenewalError):
    """It comes too early: of this device, or of all."""


class RenewalCertificateError(RenewalError):
    """The certificate in it is not one that is renewed."""


class RenewalSizeError(RenewalError):
    """The answer has more bytes than a message may have."""


class Answer(NamedTuple):
    """What the meter is told, and until when its new certificate lasts."""

    message: Message
    until: datetime


class RenewalPace:
    """Per device one answer in `PACE_S`, and `MOST_IN_PACE` of all; it remembers no more."""

    def __init__(self) -> None:
        """Begin with nothing answered."""
        self._answered: dict[str, float] = {}

    def check(self, device: str, now_s: float) -> None:
        """Count an authentic request.

        Raises:
            RenewalPaceError: it is too early for another.
        """
        while self._answered:
            oldest = next(iter(self._answered))
            if self._answered[oldest] + PACE_S > now_s:
                break
            del self._answered[oldest]
        if device in self._answered:
            raise RenewalPaceError(
                f"renewal of {device}: again within {PACE_S:.0f} s; do two boards have its key?"
            )
        if len(self._answered) >= MOST_IN_PACE:
            raise RenewalPaceError(f"renewal of {device}: too many ask; it asks again by itself")
        self._answered[device] = now_s


class Renewals:
    """Judges requests and builds the answers."""

    def __init__(self, fleet: Fleet, most_bytes: int) -> None:
        """Nothing was asked yet.

        Args:
            fleet: what signs.
            most_bytes: of an answer; the broker passes no more.
        """
        self._fleet = fleet
        self._most_bytes = most_bytes
        self._pace = RenewalPace()

    def answer(
        self, device: str, meter: Meter | None, payload: bytes, now_s: float, now: datetime
    ) -> Answer:
        """Return the answer to what came on the topic of a device.

        Args:
            device: of the topic.
            meter: the resource that owns this name, None if there is none.
            payload: as it came.
            now_s: any clock that only goes on, for the pace.
            now: for the certificate.

        Raises:
            RenewalError: it is refused; nothing is answered.
        """
        if meter is None:
            raise RenewalDeviceError(f"renewal of {device}: no SmartMeter has this device")
        key = self._fleet.meter_key(device, meter.key_version)
        request = _open(meter, payload, derive_key(key, "renew", device))
        self._pace.check(device, now_s)
        authorities = self._fleet.authorities
        try:
            certificate = renew_certificate(authorities, device, request.certificate, now)
        except CredentialError as error:
            raise RenewalCertificateError(
                f"renewal of {device}: {error}, or provision the meter again"
            ) from None
        sealed = derive_key(key, "renewed", device)
        content = self._encode(request, certificate, authorities.trusted_der, sealed)
        message = Message(build_topic(device, "renewed"), content, retain=False)
        return Answer(message, end_of(certificate))

    def _encode(
        self, request: RenewalRequest, certificate: bytes, anchors: Sequence[bytes], key: bytes
    ) -> bytes:
        """Return an answer that fits, with the further anchor if that fits too.

        Raises:
            RenewalSizeError: not even with the anchor of the CA that signs.
        """
        own, *others = (one for one in anchors if len(one) <= LONGEST or one == anchors[0])
        until_s = renew_from(certificate)
        size = 0
        for chosen in ([own, *others][:MOST_ANCHORS], [own]):
            answer = Renewal(request.device, request.nonce, certificate, chosen, until_s)
            try:
                content = encode_renewal(answer, key)
            except ValueError as error:
                raise RenewalSizeError(
                    f"renewal of {request.device}: {error}; {_SMALLER}"
                ) from None
            size = len(content)
            if size <= self._most_bytes:
                return content
        raise RenewalSizeError(
            f"renewal of {request.device}: an answer of {size} bytes, the broker passes"
            f" {self._most_bytes} (mosquitto.messageSizeLimit); {_SMALLER}"
        )


def _open(meter: Meter, payload: bytes, key: bytes) -> RenewalRequest:
    try:
        request = parse_renewal_request(payload, key)
    except RemoteProtocolError as error:
        raise RenewalKeyError(
            f"renewal of {meter.device}: {error}: it is not authentic under key version"
            f" {meter.key_version}; if it is the meter, provision it with --key-version"
            f" {meter.key_version}"
        ) from None
    if request.device != meter.device:
        raise RenewalDeviceError(f"renewal of {meter.device}: names another device")
    return request
