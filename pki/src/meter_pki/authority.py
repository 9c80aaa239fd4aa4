"""A private certificate authority: makes itself, issues and signs. EC P-256 throughout.

Sources: RFC 5280 (profile), RFC 6125 (names). Certificates last 30 days and are renewed when one
third is left, but those of meters, which last as their CA and are renewed if the meter asks
(`renewal`); no certificate outlives the CA. Fencing never relies on revocation, so there is none.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meter_pki.identities import Identity

LIFETIME = timedelta(days=30)
AUTHORITY_LIFETIME = timedelta(days=3650)
METER_LIFETIME = AUTHORITY_LIFETIME
"""A meter that nobody renews is visited when its CA ends in any case: it needs the next one's."""
BACKDATED = timedelta(minutes=5)
MAX_COMMON_NAME = 64


class CredentialError(ValueError):
    """A certificate, key or request cannot be used; the message names which and why."""


class Bundle(NamedTuple):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def _name(common_name: str) -> x509.Name:
    if len(common_name) > MAX_COMMON_NAME:
        raise CredentialError(f"common name: {common_name!r} is longer than {MAX_COMMON_NAME}")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _alternative_names(identity: Identity) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    if identity.uri:
        names.append(x509.UniformResourceIdentifier(identity.uri))
    for host in identity.dns:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


@dataclass(frozen=True)
class Authority:
    """A certificate authority in memory."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, now: datetime, common_name: str = "MeterTwin CA") -> "Authority":
        """Return a new authority, valid ten years."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(common_name)
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> "Authority":
        """Return the authority of two PEM texts.

        Raises:
            CredentialError: one cannot be read, they do not belong together, or it is no CA.
        """
        try:
            loaded = x509.load_pem_x509_certificate(certificate)
            private = serialization.load_pem_private_key(key, None)
        except (ValueError, TypeError) as error:
            raise CredentialError(f"certificate authority: {error}") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise CredentialError("certificate authority: its key is not an EC key")
        if private.public_key() != loaded.public_key():
            raise CredentialError("certificate authority: tls.key does not belong to tls.crt")
        if not is_authority(loaded):
            raise CredentialError("certificate authority: tls.crt is no CA certificate")
        return cls(loaded, private)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate that everybody trusts."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key; goes into one Secret and nowhere else."""
        return _private_pem(self.key)

    def issue(self, identity: Identity, now: datetime, lifetime: timedelta = LIFETIME) -> Bundle:
        """Return a new key and its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certify(identity, key.public_key(), now, lifetime)
        return Bundle(certificate, _private_pem(key))

    def sign_request(
        self, identity: Identity, request: bytes, now: datetime, lifetime: timedelta = LIFETIME
    ) -> bytes:
        """Return a certificate for the key of a signing request; its names are ours, not its.

        Raises:
            CredentialError: unreadable, its own signature is wrong, or the key is not EC P-256.
        """
        try:
            loaded = x509.load_pem_x509_csr(request)
        except ValueError as error:
            raise CredentialError(f"signing request: {error}") from None
        key = loaded.public_key()
        if not loaded.is_signature_valid:
            raise CredentialError("signing request: it is not signed by its own key")
        if not isinstance(key, ec.EllipticCurvePublicKey) or not is_p256(key):
            raise CredentialError("signing request: the key must be EC P-256 (prime256v1)")
        return self.certify(identity, key, now, lifetime)

    def certify(
        self, identity: Identity, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
    ) -> bytes:
        """Return a certificate (PEM) of a public key; who owns the key is the caller's business."""
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if identity.server:
            uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(identity.common_name))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(min(now + lifetime, self.certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(issuer_key, critical=False)
        )
        names = _alternative_names(identity)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate may sign others."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def is_p256(key: ec.EllipticCurvePublicKey) -> bool:
    """Whether a key is of the one curve that every board has."""
    return key.curve.name == "secp256r1"


def is_issued_by(certificate: bytes, authority: Authority) -> bool:
    """Whether an authority signed a certificate.

    Raises:
        CredentialError: it cannot be read.
    """
    try:
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(authority.certificate)
    except InvalidSignature:
        return False
    except (ValueError, TypeError):
        renewal_due(certificate, authority.certificate.not_valid_before_utc)  # is it one at all?
        return False
    return True


def renewal_due(certificate: bytes, now: datetime) -> bool:
    """Whether at most one third of a certificate's life is left.

    Raises:
        CredentialError: it cannot be read.
    """
    try:
        loaded = x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise CredentialError(f"certificate: {error}") from None
    return now >= third_left(loaded)


def third_left(certificate: x509.Certificate) -> datetime:
    """Return from when on one third of a certificate's life is left."""
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - life / 3


def load_der(certificate: bytes) -> x509.Certificate:
    """Return a certificate in its DER form.

    Raises:
        CredentialError: it cannot be read.
    """
    try:
        return x509.load_der_x509_certificate(certificate)
    except ValueError as error:
        raise CredentialError(f"certificate: {error}") from None


def end_of(certificate: bytes) -> datetime:
    """Return when a certificate in its DER form ends.

    Raises:
        CredentialError: it cannot be read.
    """
    return load_der(certificate).not_valid_after_utc


def pem_to_der(certificate: bytes) -> bytes:
    """Return the DER form of a PEM certificate, which small TLS stacks read.

    Raises:
        CredentialError: it cannot be read.
    """
    try:
        loaded = x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise CredentialError(f"certificate: {error}") from None
    return loaded.public_bytes(serialization.Encoding.DER)


def key_to_der(key: bytes) -> bytes:
    """Return the DER form (SEC 1) of a PEM private key, which mbedTLS and axTLS read.

    Raises:
        CredentialError: it cannot be read.
    """
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise CredentialError(f"private key: {error}") from None
    return private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
