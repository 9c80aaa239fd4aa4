"""Whether a signed payload of the VTN is believed: whose it is, how old, whether it came before.

A decision without I/O, clock or cryptography: what a `Sealed` says has been proved by a
`SignaturePort` (the signature holds, and `payload` is what it covers). Nonces are kept as long as
their age would let them pass, and not over a restart: nothing that was signed before this process
began is believed.

Source: OpenADR 2.0b Profile Specification, 10.6 (XML signatures, ReplayProtect). Neighbours:
`xml_signatures` (the port with signxml), `signed_client` (who asks), `message_codec`.
"""

import hashlib
from collections.abc import Collection
from typing import NamedTuple, Protocol

MOST_AGE_S = 60
"""A payload is believed so long after it was signed, and so long before: clocks differ."""
MOST_NONCES = 1_000
MOST_NONCE = 256
_FINGERPRINT_OCTETS = 10


class SignatureError(ValueError):
    """A payload that is not believed; the text says why."""


class Sealed(NamedTuple):
    """What a signature proves."""

    payload: bytes
    """An oadrPayload with nothing but what is signed."""
    certificate: bytes
    """DER of whoever signed it."""
    valid_from_s: int
    valid_until_s: int
    signed_s: int
    nonce: str


class SignaturePort(Protocol):
    """XML signatures; the one that is used is heavy, and behind this."""

    def sign(self, payload: str, now_s: int, nonce: str) -> bytes:
        """Return a payload with its signature.

        Raises:
            SignatureError: certificate or key cannot be used.
        """

    def open(self, octets: bytes) -> Sealed:
        """Return what a payload's signature proves.

        Raises:
            SignatureError: there is none, or it does not hold.
        """


def find_fingerprint(certificate: bytes) -> str:
    """Return the fingerprint of a certificate (DER): the last ten octets of its SHA-256."""
    return hashlib.sha256(certificate).digest()[-_FINGERPRINT_OCTETS:].hex(":").upper()


class SignatureRules:
    """The VTN's certificates, and the nonces it has used."""

    def __init__(self, fingerprints: Collection[str], began_s: int) -> None:
        """`began_s`: of this process."""
        self._fingerprints = frozenset(fingerprints)
        self._floor_s = began_s - 1
        self._nonces: dict[str, int] = {}

    def check(self, sealed: Sealed, now_s: int) -> None:
        """Take note of a payload that is believed.

        Raises:
            SignatureError: it is not.
        """
        found = find_fingerprint(sealed.certificate)
        if found not in self._fingerprints:
            raise SignatureError(f"signed by an unknown certificate, fingerprint {found}")
        if not sealed.valid_from_s <= now_s <= sealed.valid_until_s:
            raise SignatureError("signed by a certificate that is not valid now")
        if sealed.signed_s > now_s + MOST_AGE_S:
            raise SignatureError("signed in the future: one of the two clocks is wrong")
        if sealed.signed_s < now_s - MOST_AGE_S:
            raise SignatureError(f"signed more than {MOST_AGE_S} s ago")
        if sealed.signed_s <= self._floor_s:
            raise SignatureError("signed before the time from which nonces are known")
        if not 0 < len(sealed.nonce) <= MOST_NONCE:
            raise SignatureError("its nonce is empty or too long")
        if sealed.nonce in self._nonces:
            raise SignatureError("came before: its nonce is known")
        self._remember(sealed, now_s)

    def _remember(self, sealed: Sealed, now_s: int) -> None:
        oldest_s = now_s - MOST_AGE_S
        self._nonces = {one: at_s for one, at_s in self._nonces.items() if at_s >= oldest_s}
        self._nonces[sealed.nonce] = sealed.signed_s
        if len(self._nonces) > MOST_NONCES:
            # what is forgotten early could come again: nothing as old as it is believed any more
            self._floor_s = max(self._floor_s, min(self._nonces.values()))
            kept = self._nonces.items()
            self._nonces = {one: at_s for one, at_s in kept if at_s > self._floor_s}
