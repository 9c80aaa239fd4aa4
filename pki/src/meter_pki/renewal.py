"""Signs the key of a meter's certificate anew: it may have ended, or its CA may be trusted no more.

The names of the new one are ours. Whoever asks has to be known by something else, K_meter: that is
the caller's business (docs/adr/0029-a-dark-meter-comes-back-by-its-key.md). Neighbour: `authority`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from meter_pki.authorities import FORMER, Authorities
from meter_pki.authority import (
    BACKDATED,
    LIFETIME,
    CredentialError,
    is_p256,
    load_der,
    pem_to_der,
    third_left,
)
from meter_pki.identities import Identity, meter_identity

_PARSE_ERRORS = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, UnsupportedAlgorithm)


def renew_certificate(
    authorities: Authorities, device: str, certificate: bytes, now: datetime
) -> bytes:
    """Return a new certificate (DER) for the key of the one (DER) that a meter shows.

    It lasts as long as the one before lasted, never longer than the CA. One that the end of its CA
    had cut is no measure: at least 30 days then, or each would be shorter than the one before.

    Raises:
        CredentialError: it is not this meter's, none of our CAs signed it, its key is not
            EC P-256, or our CA has ended.
    """
    try:
        shown = x509.load_der_x509_certificate(certificate)
        issuer = _find_issuer(shown, (*authorities.trusted, *authorities.former))
        if issuer is None:
            raise CredentialError(
                f"certificate: none of our CAs signed it; if one did before, put that into {FORMER}"
            )
        identity = meter_identity(device)
        _check_names(shown, identity)
        key = shown.public_key()
    except _PARSE_ERRORS as error:
        if isinstance(error, CredentialError):
            raise
        raise CredentialError(f"certificate: {error}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not is_p256(key):
        raise CredentialError("certificate: its key is not EC P-256")
    signing = authorities.signing
    if now >= signing.certificate.not_valid_after_utc:
        raise CredentialError("certificate authority: it has ended; rotate it")
    return pem_to_der(signing.certify(identity, key, now, _lifetime(shown, issuer)))


def renew_from(certificate: bytes) -> int:
    """Return the UTC second from which on a third of the life of a certificate (DER) is left.

    Raises:
        CredentialError: it cannot be read.
    """
    return int(third_left(load_der(certificate)).timestamp())


def _find_issuer(
    shown: x509.Certificate, candidates: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    """Return the one that signed; several may have one name."""
    for candidate in candidates:
        try:
            shown.verify_directly_issued_by(candidate)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            continue
        return candidate
    return None


def _check_names(shown: x509.Certificate, identity: Identity) -> None:
    names = [one.value for one in shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [identity.common_name]:
        raise CredentialError(f"certificate: it is of {names!r}, not of {identity.common_name}")
    try:
        found = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        found = x509.SubjectAlternativeName([])
    if found.get_values_for_type(x509.UniformResourceIdentifier) != [identity.uri]:
        raise CredentialError(f"certificate: it does not name {identity.uri}")


def _lifetime(shown: x509.Certificate, issuer: x509.Certificate) -> timedelta:
    life = shown.not_valid_after_utc - shown.not_valid_before_utc - BACKDATED
    cut = shown.not_valid_after_utc == issuer.not_valid_after_utc
    if life <= timedelta(0) or cut:
        return max(life, LIFETIME)
    return life
