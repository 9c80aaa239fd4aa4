"""The CAs of an installation, as the Secret of the CA holds them.

One signs. While it is rotated there are further anchors, trusted by everybody too (`anchors.crt`).
A former CA (`former.crt`) is trusted by nobody any more, but a meter that was dark may still hold a
certificate of it and come back with that (`renewal`). How they move: docs/how-to/rotate-the-ca.md.
"""

from collections.abc import Mapping
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from meter_pki.authority import Authority, CredentialError, is_authority

ANCHORS, FORMER = "anchors.crt", "former.crt"


class Authorities(NamedTuple):
    """The CA that signs, those that are trusted besides, and those that are so no more."""

    signing: Authority
    anchors: tuple[x509.Certificate, ...] = ()
    former: tuple[x509.Certificate, ...] = ()

    @property
    def trusted(self) -> tuple[x509.Certificate, ...]:
        """What everybody trusts, the CA that signs first."""
        own = self.signing.certificate
        return (own, *(anchor for anchor in self.anchors if anchor != own))

    @property
    def trusted_pem(self) -> bytes:
        """The same as one PEM text."""
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.trusted)

    @property
    def trusted_der(self) -> list[bytes]:
        """The same, each in its DER form."""
        return [one.public_bytes(Encoding.DER) for one in self.trusted]


def load_authorities(data: Mapping[str, bytes]) -> Authorities:
    """Return the CAs of the Secret's data.

    Raises:
        CredentialError: a field cannot be used; the message names it, or the certificate authority.
    """
    signing = Authority.load(data.get("tls.crt", b""), data.get("tls.key", b""))
    return Authorities(signing, _load(data, ANCHORS), _load(data, FORMER))


def _load(data: Mapping[str, bytes], field: str) -> tuple[x509.Certificate, ...]:
    """Return the CA certificates of a field, which may be missing or empty."""
    text = data.get(field, b"")
    if not text.strip():
        return ()
    try:
        loaded = x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise CredentialError(f"{field}: {error}") from None
    for one in loaded:
        if not is_authority(one):
            name = one.subject.rfc4514_string()
            raise CredentialError(f"{field}: {name} is no CA certificate")
    return tuple(loaded)
