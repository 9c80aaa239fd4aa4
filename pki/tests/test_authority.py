"""The private CA: what it signs, what it refuses."""

import hashlib
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from meter_pki.__main__ import main
from meter_pki.authority import Authority, CredentialError, key_to_der, pem_to_der, renewal_due
from meter_pki.identities import (
    archive_client_identity,
    broker_identity,
    meter_identity,
    operator_identity,
    reader_identity,
    service_identity,
    twin_identity,
)
from meter_pki.init import ensure_installation

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(NOW)


class MemorySecrets:
    def __init__(self):
        self.secrets = {}
        self.maps = {}
        self.writes = 0

    def find_secret(self, name):
        return self.secrets.get(name)

    def create_secret(self, name, _kind, data):
        self.writes += 1
        return self.secrets.setdefault(name, data) is data

    def replace_secret(self, name, data):
        self.writes += 1
        self.secrets[name] = data

    def ensure_config_map(self, name, data):
        self.maps[name] = data


LONG = hashlib.sha256(b"a" * 63).hexdigest()[:16]
"""A common name has 64 characters at most; at the broker it has to be nobody else's."""


def common_name(certificate):
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


@pytest.mark.parametrize(
    ("identity", "name", "uri"),
    [
        (meter_identity("house-1"), "house-1", "urn:metertwin:meter:house-1"),
        (twin_identity("house-1", 7, "ns"), "house-1/7", "urn:metertwin:twin:house-1:7"),
        (operator_identity(), "Operator.metertwin", "urn:metertwin:operator"),
        (archive_client_identity(), "Archive.metertwin", "urn:metertwin:archive"),
        (reader_identity("utility"), "Reader.utility", "urn:metertwin:reader:utility"),
        (
            reader_identity("a" * 63),
            f"Reader.{'a' * 40}.{LONG}",
            f"urn:metertwin:reader:{'a' * 63}",
        ),
    ],
)
def test_a_certificate_names_its_party_and_nothing_else(authority, identity, name, uri):
    loaded = x509.load_pem_x509_certificate(authority.issue(identity, NOW).certificate)
    loaded.verify_directly_issued_by(authority.certificate)
    names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert common_name(loaded) == name
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [uri]
    assert not loaded.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_only_twins_and_servers_may_serve(authority):
    for identity, serves in [
        (meter_identity("a"), False),
        (operator_identity(), False),
        (archive_client_identity(), False),
        (service_identity("n", "metertwin-postgres"), True),
        (twin_identity("a", 1, "n"), True),
        (broker_identity("n"), True),
    ]:
        loaded = x509.load_pem_x509_certificate(authority.issue(identity, NOW).certificate)
        uses = loaded.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert (ExtendedKeyUsageOID.SERVER_AUTH in uses) is serves


def test_a_request_gets_our_names_not_its_own(authority):
    key = ec.generate_private_key(ec.SECP256R1())
    wanted = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Operator.metertwin")])
    request = x509.CertificateSigningRequestBuilder().subject_name(wanted)
    pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    signed = authority.sign_request(meter_identity("house-1"), pem, NOW)
    loaded = x509.load_pem_x509_certificate(signed)
    assert common_name(loaded) == "house-1"
    assert loaded.public_key() == key.public_key()


def test_a_request_with_an_rsa_key_is_refused(authority):
    key = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(CredentialError, match="P-256"):
        authority.sign_request(meter_identity("house-1"), pem, NOW)


@pytest.mark.parametrize("device", ["House", "a/1", "", "-a", "a" * 33, "a.b", "a\n"])
def test_a_device_outside_the_alphabet_gets_no_certificate(device):
    with pytest.raises(ValueError, match="device"):
        meter_identity(device)


def test_renewal_is_due_when_one_third_is_left(authority):
    certificate = authority.issue(meter_identity("a"), NOW, timedelta(days=30)).certificate
    loaded = x509.load_pem_x509_certificate(certificate)
    third = (loaded.not_valid_after_utc - loaded.not_valid_before_utc) / 3
    edge = loaded.not_valid_after_utc - third
    assert not renewal_due(certificate, edge - timedelta(seconds=1))
    assert renewal_due(certificate, edge)


def test_no_certificate_outlives_the_authority(authority):
    late = authority.certificate.not_valid_after_utc - timedelta(days=1)
    loaded = x509.load_pem_x509_certificate(authority.issue(meter_identity("a"), late).certificate)
    assert loaded.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_an_authority_whose_key_belongs_to_another_is_refused(authority):
    with pytest.raises(CredentialError, match="does not belong"):
        Authority.load(authority.certificate_pem, Authority.create(NOW).key_pem)


def test_a_certificate_that_is_no_authority_is_refused(authority):
    bundle = authority.issue(meter_identity("a"), NOW)
    with pytest.raises(CredentialError, match="no CA"):
        Authority.load(*bundle)


def test_the_der_forms_are_read_by_another_tls_stack(authority):
    bundle = authority.issue(meter_identity("a"), NOW)
    assert pem_to_der(bundle.certificate) == ssl.PEM_cert_to_DER_cert(bundle.certificate.decode())
    assert serialization.load_der_private_key(key_to_der(bundle.key), None)


def test_an_installation_is_made_once_and_then_kept():
    store = MemorySecrets()
    ensure_installation(store, "ns", NOW)
    before, writes = dict(store.secrets), store.writes
    lines = ensure_installation(store, "ns", NOW + timedelta(days=1))
    assert store.secrets == before
    assert store.writes == writes
    assert all("kept" in line for line in lines)


def test_certificates_are_renewed_and_the_keys_of_the_fleet_are_not():
    store = MemorySecrets()
    also = {"archive": archive_client_identity()}
    ensure_installation(store, "ns", NOW, also=also)
    before = dict(store.secrets)
    ensure_installation(store, "ns", NOW + timedelta(days=21), also=also)
    assert store.secrets["metertwin-fleet-key"] == before["metertwin-fleet-key"]
    assert store.secrets["metertwin-ca"] == before["metertwin-ca"]
    for name in ("metertwin-operator-tls", "metertwin-mosquitto-tls", "archive"):
        assert store.secrets[name] != before[name]


OF_THE_ARCHIVE = {
    "--archive-secret": ("metertwin-archive", ["archive.example.org"]),
    "--archive-client-secret": ("Archive.metertwin", []),
    "--postgres-secret": ("metertwin-postgres", []),
}


def test_the_job_makes_those_certificates_of_the_archive_that_it_is_told_to(monkeypatch):
    for asked in ([], ["--archive-secret"], list(OF_THE_ARCHIVE)):
        store = MemorySecrets()
        monkeypatch.setattr("meter_pki.__main__.ClusterSecrets", lambda _, made=store: made)
        options = [f"{option}={option.strip('-')}" for option in asked]
        arguments = ["init", "--namespace=n", "--archive-host=archive.example.org", *options]
        monkeypatch.setattr("sys.argv", ["meter_pki", *arguments])
        assert main() == 0
        made = {name for name in store.secrets if not name.startswith("metertwin-")}
        assert made == {option.strip("-") for option in asked}
        for option in asked:
            found = x509.load_pem_x509_certificate(store.secrets[option.strip("-")]["tls.crt"])
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            name, extra = OF_THE_ARCHIVE[option]
            service = [f"{name}{end}" for end in ("", ".n", ".n.svc", ".n.svc.cluster.local")]
            hosts = [] if option == "--archive-client-secret" else [*service, *extra]
            assert common_name(found) == name
            assert names.get_values_for_type(x509.DNSName) == hosts


def rotated(store: MemorySecrets, signing: Authority, *others: Authority) -> list[str]:
    """Put a CA and further anchors into the Secret, and let the daily run see it."""
    store.secrets["metertwin-ca"] = {
        "tls.crt": signing.certificate_pem,
        "tls.key": signing.key_pem,
        "anchors.crt": b"".join(other.certificate_pem for other in others),
    }
    return ensure_installation(store, "ns", NOW + timedelta(days=1))


def accepts(store: MemorySecrets, leaf: str) -> bool:
    """Whether what everybody trusts contains the issuer of a certificate."""
    trust = store.maps["metertwin-trust"]["ca.crt"].encode()
    certificate = x509.load_pem_x509_certificate(store.secrets[leaf]["tls.crt"])
    for anchor in x509.load_pem_x509_certificates(trust):
        try:
            certificate.verify_directly_issued_by(anchor)
        except InvalidSignature:
            continue
        return True
    return False


def test_the_ca_is_rotated_in_three_steps_and_every_certificate_is_trusted_at_each():
    store = MemorySecrets()
    ensure_installation(store, "ns", NOW)
    old = Authority.load(*[store.secrets["metertwin-ca"][name] for name in ("tls.crt", "tls.key")])
    before, new = dict(store.secrets), Authority.create(NOW)
    leaf = "metertwin-mosquitto-tls"

    rotated(store, old, new)
    assert store.secrets[leaf]["tls.crt"] == before[leaf]["tls.crt"]
    assert store.secrets[leaf]["ca.crt"] == old.certificate_pem + new.certificate_pem
    assert accepts(store, leaf)

    lines = rotated(store, new, old)
    assert store.secrets[leaf]["tls.crt"] != before[leaf]["tls.crt"]
    assert accepts(store, leaf)
    assert store.maps["metertwin-trust"]["ca.crt"].count("BEGIN CERTIFICATE") == 2
    assert any("renewed" in line for line in lines)

    kept = store.secrets[leaf]["tls.crt"]
    rotated(store, new)
    assert store.secrets[leaf]["tls.crt"] == kept
    assert store.maps["metertwin-trust"]["ca.crt"] == new.certificate_pem.decode()


def test_a_fleet_key_of_the_wrong_length_is_refused_and_not_replaced():
    store = MemorySecrets()
    store.secrets["metertwin-fleet-key"] = {"master": b"short"}
    with pytest.raises(CredentialError, match="metertwin-fleet-key"):
        ensure_installation(store, "ns", NOW)
    assert store.secrets["metertwin-fleet-key"] == {"master": b"short"}


def test_a_reader_gets_a_folder_that_is_never_overwritten(authority, tmp_path, monkeypatch, capsys):
    (tmp_path / "ca.crt").write_bytes(authority.certificate_pem)
    (tmp_path / "ca.key").write_bytes(authority.key_pem)
    out = tmp_path / "utility"
    files = ["--ca-certificate", str(tmp_path / "ca.crt"), "--ca-key", str(tmp_path / "ca.key")]
    monkeypatch.setattr("sys.argv", ["meter_pki", "reader", "utility", *files, "--out", str(out)])
    assert main() == 0
    loaded = x509.load_pem_x509_certificate((out / "tls.crt").read_bytes())
    loaded.verify_directly_issued_by(authority.certificate)
    assert (out / "tls.key").stat().st_mode & 0o077 == 0
    assert b"PRIVATE" in (out / "tls.key").read_bytes()
    assert main() == 1
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "Utility", "twin:house-1", "a" * 64, "-a", "a-"])
def test_a_reader_outside_the_alphabet_is_refused(name):
    with pytest.raises(ValueError, match="reader"):
        reader_identity(name)
