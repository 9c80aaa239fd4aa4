"""What OpenADR 2.0b's own schema says, as openleadr ships it."""

import datetime as dt
import importlib.util
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree


@pytest.fixture(scope="session")
def schema():
    found = importlib.util.find_spec("openleadr")
    return etree.XMLSchema(etree.parse(Path(found.origin).parent / "schema" / "oadr_20b.xsd"))


@pytest.fixture
def valid(schema):
    """Return a check that a payload is what the XSD allows."""

    def check(payload):
        document = etree.fromstring(payload.encode())
        schema.assertValid(document)
        return document

    return check


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Return a maker of certificates that are trusted: (name) -> (certificate, key), and its CA."""
    return Authority(tmp_path_factory.mktemp("utility"))


class Authority:
    """A utility's CA, with EC keys."""

    def __init__(self, folder):
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, folder.name)])
        self.ca = self._write("ca.crt", self._sign(self._name, self._key, is_ca=True))

    def issue(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        certificate = self._write(f"{name}.crt", self._sign(subject, key))
        return certificate, self._write(f"{name}.key", text)

    def context(self, name=None):
        """Return a client's context that trusts this CA and shows a certificate of it."""
        context = ssl.create_default_context(cafile=self.ca)
        if name:
            context.load_cert_chain(*self.issue(name))
        return context

    def _sign(self, subject, key, *, is_ca=False):
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder(self._name, subject, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _write(self, name, content):
        path = self._folder / name
        path.write_bytes(content)
        return str(path)
