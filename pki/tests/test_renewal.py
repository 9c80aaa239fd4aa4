"""A meter's certificate is signed anew for its own key, and for nobody else's certificate."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from meter_pki.authorities import ANCHORS, FORMER, Authorities, load_authorities
from meter_pki.authority import BACKDATED, LIFETIME, Authority, CredentialError, pem_to_der
from meter_pki.identities import Identity, meter_identity, twin_identity
from meter_pki.init import ensure_installation
from meter_pki.renewal import renew_certificate, renew_from

from .test_authority import MemorySecrets

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = 365 * DAY
DEVICE = "house-1"
SIGNING, ANCHOR, FORMER_ONE, FOREIGN = (Authority.create(NOW - 5 * YEAR) for _ in range(4))
OURS = Authorities(SIGNING, (ANCHOR.certificate,), (FORMER_ONE.certificate,))


def shown(authority=SIGNING, identity=None, made=NOW - YEAR, lifetime=90 * DAY) -> bytes:
    """Return a meter's certificate; of this one nothing is valid any more."""
    identity = identity or meter_identity(DEVICE)
    return pem_to_der(authority.issue(identity, made, lifetime).certificate)


def renewed(certificate: bytes, now=NOW, authorities=OURS) -> x509.Certificate:
    return x509.load_der_x509_certificate(renew_certificate(authorities, DEVICE, certificate, now))


def life_of(certificate: x509.Certificate) -> timedelta:
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc


@pytest.mark.parametrize("issuer", [SIGNING, ANCHOR, FORMER_ONE], ids=["CA", "anchor", "former"])
def test_the_same_key_gets_a_certificate_of_the_ca_that_signs(issuer):
    before = x509.load_der_x509_certificate(shown(issuer))
    after = renewed(shown_as_der(before))
    after.verify_directly_issued_by(SIGNING.certificate)
    assert after.public_key() == before.public_key()
    assert after.subject == before.subject
    kind = x509.SubjectAlternativeName
    names = [one.extensions.get_extension_for_class(kind).value for one in (before, after)]
    assert names[0] == names[1]
    assert after.not_valid_before_utc <= NOW < after.not_valid_after_utc
    assert after.serial_number != before.serial_number


def shown_as_der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def test_it_lasts_as_long_as_the_one_before_however_often():
    certificate = shown(lifetime=90 * DAY)
    for number in range(5):
        now = NOW + number * 60 * DAY
        certificate = renew_certificate(OURS, DEVICE, certificate, now)
        loaded = x509.load_der_x509_certificate(certificate)
        assert loaded.not_valid_after_utc == now + 90 * DAY
        assert life_of(loaded) == 90 * DAY + BACKDATED


def test_it_never_outlives_the_ca_and_the_next_ca_gives_thirty_days_at_least():
    """Else each would be shorter than the one before, as the days of the CA are cut off each."""
    end = SIGNING.certificate.not_valid_after_utc
    cut = renew_certificate(OURS, DEVICE, shown(), end - DAY)
    assert x509.load_der_x509_certificate(cut).not_valid_after_utc == end
    new = Authorities(Authority.create(end), former=(SIGNING.certificate,))
    after = renewed(cut, end + YEAR, new)
    assert after.not_valid_after_utc == end + YEAR + LIFETIME


def test_a_life_of_ten_years_that_its_ca_cut_to_two_stays_one_of_two():
    end = SIGNING.certificate.not_valid_after_utc
    cut = shown(made=end - 2 * YEAR, lifetime=10 * YEAR)
    after = renewed(
        cut, end - DAY, Authorities(Authority.create(end - DAY), (SIGNING.certificate,))
    )
    assert after.not_valid_after_utc == end - DAY + 2 * YEAR


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        pytest.param(b"", "certificate: ", id="nothing"),
        pytest.param(b"\x30\x03\x02\x01\x01", "certificate: ", id="other DER"),
        pytest.param(shown()[:-1], "certificate: ", id="cut off"),
        pytest.param(shown() + b"\0", "certificate: ", id="more behind it"),
        pytest.param(shown()[:-3] + b"\1\1\1", r"none of our CAs .*former\.crt", id="forged"),
        pytest.param(shown(FOREIGN), r"none of our CAs .*former\.crt", id="a CA of others"),
        pytest.param(shown(identity=meter_identity("house-2")), "house-2.*not of house-1", id="another meter's"),
        pytest.param(shown(identity=twin_identity(DEVICE, 1, "ns")), "not of house-1", id="its twin's"),
        pytest.param(shown(identity=Identity(DEVICE)), "urn:metertwin:meter:house-1", id="without the URI"),
        pytest.param(shown(identity=Identity(DEVICE, "urn:metertwin:operator")), "urn:metertwin:meter", id="another URI"),
        pytest.param(pem_to_der(SIGNING.certificate_pem), "MeterTwin CA", id="the CA itself"),
    ],
)  # fmt: skip
def test_what_is_not_this_meters_certificate_is_refused_with_the_reason(certificate, why):
    with pytest.raises(CredentialError, match=why):
        renew_certificate(OURS, DEVICE, certificate, NOW)


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=["P-384", "RSA"],
)
def test_a_key_that_is_not_of_p256_is_refused_though_our_ca_signed_it(key):
    pem = SIGNING.certify(meter_identity(DEVICE), key.public_key(), NOW, DAY)
    with pytest.raises(CredentialError, match="not EC P-256"):
        renew_certificate(OURS, DEVICE, pem_to_der(pem), NOW)


def test_a_ca_that_has_ended_signs_nothing():
    with pytest.raises(CredentialError, match="has ended; rotate it"):
        renew_certificate(OURS, DEVICE, shown(), SIGNING.certificate.not_valid_after_utc)


def test_cas_of_one_name_are_told_apart_by_their_signature():
    assert SIGNING.certificate.subject == FORMER_ONE.certificate.subject
    assert renewed(shown(FORMER_ONE)).issuer == SIGNING.certificate.subject


def test_an_anchor_with_an_rsa_key_is_a_ca_like_another():
    key = rsa.generate_private_key(65537, 2048)
    own = Authority.create(NOW).certificate
    builder = x509.CertificateBuilder().subject_name(own.subject).issuer_name(own.subject)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + DAY)
    ca = builder.add_extension(x509.BasicConstraints(True, 0), True).sign(key, hashes.SHA256())
    with pytest.raises(CredentialError, match="none of our CAs"):
        renew_certificate(OURS._replace(anchors=(ca,)), DEVICE, shown(FOREIGN), NOW)
    assert renewed(shown(), authorities=OURS._replace(anchors=(ca,)))


def test_the_next_renewal_is_welcome_when_a_third_is_left():
    certificate = shown(made=NOW, lifetime=90 * DAY)
    third = (90 * DAY + BACKDATED) / 3
    assert renew_from(certificate) == int((NOW + 90 * DAY - third).timestamp())


def data_of(signing, **fields) -> dict[str, bytes]:
    own = {"tls.crt": signing.certificate_pem, "tls.key": signing.key_pem}
    return own | {name.replace("_", "."): value for name, value in fields.items()}


def test_a_former_ca_is_read_and_is_in_nobodys_trust():
    data = data_of(
        SIGNING,
        anchors_crt=SIGNING.certificate_pem + ANCHOR.certificate_pem,
        former_crt=FORMER_ONE.certificate_pem,
    )
    found = load_authorities(data)
    assert found.former == (FORMER_ONE.certificate,)
    assert found.trusted == (SIGNING.certificate, ANCHOR.certificate)
    store = MemorySecrets()
    ensure_installation(store, "ns", NOW)
    store.secrets["metertwin-ca"] = data
    ensure_installation(store, "ns", NOW + DAY)
    trusted = SIGNING.certificate_pem + ANCHOR.certificate_pem
    assert store.maps["metertwin-trust"]["ca.crt"] == trusted.decode()
    for leaf in ("metertwin-mosquitto-tls", "metertwin-operator-tls"):
        assert store.secrets[leaf]["ca.crt"] == trusted
    assert store.secrets["metertwin-ca"] == data


@pytest.mark.parametrize("field", [ANCHORS, FORMER])
def test_an_entry_that_is_no_ca_is_refused_by_its_field_and_nothing_is_changed(field):
    store = MemorySecrets()
    ensure_installation(store, "ns", NOW)
    leaf = store.secrets["metertwin-operator-tls"]["tls.crt"]
    for wrong in (b"nonsense", leaf):
        store.secrets["metertwin-ca"][field] = wrong
        before, maps = dict(store.secrets), dict(store.maps)
        with pytest.raises(CredentialError, match=f"metertwin-ca, {field}"):
            ensure_installation(store, "ns", NOW + DAY)
        assert (store.secrets, store.maps) == (before, maps)
