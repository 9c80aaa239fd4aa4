"""The operator's part of a renewal: opens what a meter asks, signs its public key, answers.

Plays the published contract (`docs/reference/link-v1.md`) for `operator_role`; a test may say
something else first. Neighbour: `test_renewal`.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness import DEVICE, World
from meter_pki import authority, identities
from meter_wire.portable.keys import derive_key
from meter_wire.renewal import Renewal, RenewalRequest, encode_renewal, parse_renewal_request

LIFETIME = timedelta(days=30)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def kept(world: World) -> bool:
    """Whether the meter has stored a renewal."""
    state = world.folder / "meter" / "state"
    return any(file.stat().st_size for file in state.glob("credentials*"))


def provision(world: World, issuer: authority.Authority, issued_at: datetime) -> bytes:
    """Give the meter's folder a certificate of some CA and time, and this CA alone as anchor."""
    folder = world.folder / "meter"
    bundle = issuer.issue(identities.meter_identity(DEVICE), issued_at, LIFETIME)
    certificate = authority.pem_to_der(bundle.certificate)
    (folder / "ca.der").write_bytes(authority.pem_to_der(issuer.certificate_pem))
    (folder / "meter.crt.der").write_bytes(certificate)
    (folder / "meter.key.der").write_bytes(authority.key_to_der(bundle.key))
    return certificate


class RenewalRole:
    """Answers each request; `requests` has what came and `answers` what was said."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.requests: list[RenewalRequest] = []
        self.answers: list[bytes] = []
        self.certificates: list[bytes] = []
        """What was signed for the meter."""
        self.renew_from_s = 4_000_000_000
        self.before: Callable[[RenewalRequest], Iterable[bytes] | None] = lambda _request: ()
        """What is said before the right answer; None: nothing at all is."""
        world.operator.on_renew = self.receive

    def receive(self, payload: bytes) -> Iterable[bytes]:
        """Return what to publish for a request."""
        key = derive_key(self.world.k_meter, "renew", DEVICE)
        request = parse_renewal_request(payload, key)
        self.requests.append(request)
        said = self.before(request)
        if said is None:
            return
        yield from said
        self.answers.append(self.encode(request))
        yield self.answers[-1]

    def encode(
        self,
        request: RenewalRequest,
        *,
        nonce: bytes = b"",
        key: bytes = b"",
        public_key: ec.EllipticCurvePublicKey | None = None,
    ) -> bytes:
        """Return the right answer, or one that is wrong in what is given."""
        asked = x509.load_der_x509_certificate(request.certificate).public_key()
        assert isinstance(asked, ec.EllipticCurvePublicKey)
        issuer = self.world.authority
        certificate = authority.pem_to_der(
            issuer.certify(
                identities.meter_identity(DEVICE), public_key or asked, datetime.now(UTC), LIFETIME
            )
        )
        self.certificates.append(certificate)
        renewal = Renewal(
            DEVICE,
            nonce or request.nonce,
            certificate,
            [der(issuer.certificate)],
            self.renew_from_s,
        )
        return encode_renewal(renewal, key or derive_key(self.world.k_meter, "renewed", DEVICE))


def other_key() -> ec.EllipticCurvePublicKey:
    """Return the public key of another meter."""
    return ec.generate_private_key(ec.SECP256R1()).public_key()
