"""When a meter asks for a new certificate, and which answer it takes; no I/O, clock or chance.

Two ways lead to the operator. Over the session, once a day from `renew_from` on. Over the broker's
renewal port, when the broker was reached `TRIES` times in a row and let nobody in: the meter's
certificate has ended, or no anchor of it knows the broker's. Each meter has its own moments, so a
street does not ask at once. Neighbours: `renewing` (moves the bytes), `credential_store` (keeps
what came), `meter_wire.portable.renewal` (the codec; loaded when it is needed).
"""

from hashlib import sha256

from back_off import BackOff
from meter_wire.portable.keys import derive_key
from meter_wire.portable.tlv import RemoteProtocolError

TRIES = 5
DAY_S = 86400
LATEST_S = 86400
"""A meter first asks up to so long after `renew_from`,"""
SPREAD_MS = 3600000
"""and up to so long after its start."""
SLOWNESS = 150
"""The pauses of a lost session, times this: 5 minutes to 2.5 hours."""
NONCE_BYTES = 16


class Renewal:
    """The decisions of one meter since its boot."""

    def __init__(self, device: str, meter_key: bytes, boot: int, random) -> None:
        """Ask nobody yet.

        Args:
            device: device id.
            meter_key: K_meter.
            boot: number of this boot.
            random: n → n random octets.
        """
        self._device = device
        self._key = meter_key
        self._random = random
        chance = sha256(device.encode()).digest()
        self._late_s = int.from_bytes(chance[:3], "big") % (LATEST_S + 1)
        self._next_ms = int.from_bytes(chance[3:6], "big") % (SPREAD_MS + 1)
        self._back_off = BackOff(device + "/renew", boot)
        self._dial_ms = 0
        self._refused = 0
        self._nonce = self._public_key = b""

    def is_idle(self, now_ms: int) -> bool:
        """Tell whether nothing is to be remembered: no refused try, and no pause between dials."""
        return not self._refused and now_ms >= self._dial_ms

    def is_due(self, renew_from_s: int, utc_s: int, now_ms: int) -> bool:
        """Tell whether to ask over the session; True counts as asked, for a day.

        Args:
            renew_from_s: UTC second from which it is welcome.
            utc_s: the time.
            now_ms: uptime.
        """
        if now_ms < self._next_ms or utc_s < renew_from_s + self._late_s:
            return False
        self._next_ms = now_ms + DAY_S * 1000
        return True

    def tried(self, is_refused: bool) -> None:
        """Note how a try to open a session ended.

        `is_refused`: the broker was reached and ended it before its CONNACK. Else the session is
        open, or the broker is away: neither is a reason to renew.
        """
        self._refused = self._refused + 1 if is_refused else 0

    def welcomed(self) -> None:
        """Note that a session was of use: what the meter has is good."""
        self._refused = 0
        self._back_off.reset()

    def is_dark(self, now_ms: int) -> bool:
        """Tell whether to dial the renewal port; True counts as dialled, for a growing pause.

        The pause goes on whatever comes of it: an answer that did not help is none to ask for again
        at once.
        """
        if self._refused < TRIES or now_ms < self._dial_ms:
            return False
        self._dial_ms = now_ms + SLOWNESS * self._back_off.next_ms()
        return True

    def ask(self, certificate: bytes) -> bytes:
        """Return a request with a fresh nonce; an earlier one is answered no more.

        Raises:
            ValueError: it is no certificate in its DER form.
        """
        from certificate import public_key  # noqa: PLC0415
        from meter_wire.portable.renewal import encode_renewal_request  # noqa: PLC0415

        self._public_key = public_key(certificate)
        self._nonce = self._random(NONCE_BYTES)
        key = derive_key(self._key, "renew", self._device)
        return encode_renewal_request(key, self._device, self._nonce, certificate)

    def accept(self, payload: bytes):
        """Return the answer (`Renewed`) to the request that waits, which is over then.

        Args:
            payload: of `mt/<device>/renewed`.

        Raises:
            RemoteProtocolError: the refusal's name; a request that waits for its answer still does.
        """
        if not self._nonce:
            raise RemoteProtocolError("nonce")
        from certificate import public_key  # noqa: PLC0415
        from meter_wire.portable.renewal import parse_renewed  # noqa: PLC0415

        key = derive_key(self._key, "renewed", self._device)
        found = parse_renewed(payload, key, self._device, self._nonce)
        self._nonce = b""
        try:
            is_ours = public_key(found.certificate) == self._public_key
        except ValueError:
            is_ours = False
        if not is_ours:
            raise RemoteProtocolError("malformed")
        self._refused = 0
        return found
