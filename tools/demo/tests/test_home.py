"""The demo's home gets a certificate that its meter's twin believes, and a new one in time."""

import base64
import datetime as dt
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from cryptography import x509
from meter_pki.authority import Authority, Bundle
from meter_pki.identities import reader_identity

DEMO = Path(__file__).resolve().parents[1]
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)
AUTHORITY = Authority.create(NOW - 100 * DAY)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import it as `make demo` does: its folder is no package."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(DEMO))
    import home

    yield home
    for name in set(sys.modules) - before:
        del sys.modules[name]


def files(begin: dt.datetime) -> dict[str, bytes]:
    bundle: Bundle = AUTHORITY.issue(reader_identity("home-2"), begin, 30 * DAY)
    pair = {"tls.crt": bundle.certificate, "tls.key": bundle.key}
    return pair | {"ca.crt": AUTHORITY.certificate_pem}


def test_a_home_without_a_certificate_needs_one(home: ModuleType) -> None:
    assert home.needs_certificate({}, NOW)
    half = {name: value for name, value in files(NOW).items() if name != "tls.key"}
    assert home.needs_certificate(half, NOW)
    assert home.needs_certificate(files(NOW) | {"tls.crt": b"junk"}, NOW)


@pytest.mark.parametrize(("days", "needed"), [(0, False), (19, False), (21, True), (31, True)])
def test_a_certificate_is_made_anew_when_a_third_of_its_time_is_left(
    home: ModuleType, days: int, needed: bool
) -> None:
    assert home.needs_certificate(files(NOW - days * DAY), NOW) is needed


def test_the_secret_has_what_a_home_needs_and_nothing_of_the_ca_but_its_certificate(
    home: ModuleType,
) -> None:
    ca = {"tls.crt": AUTHORITY.certificate_pem, "tls.key": AUTHORITY.key_pem}
    secret = json.loads(home.make_secret("street", ca))
    assert secret["metadata"] == {"name": "ems-home-2", "namespace": "street"}
    found = {name: base64.b64decode(text) for name, text in secret["data"].items()}
    assert set(found) == {"ca.crt", "tls.crt", "tls.key"}
    assert found["ca.crt"] == AUTHORITY.certificate_pem
    assert found["tls.key"] != AUTHORITY.key_pem
    certificate = x509.load_pem_x509_certificate(found["tls.crt"])
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(found["ca.crt"]))
    assert certificate.subject.rfc4514_string() == "CN=Reader.home-2"


def test_a_ca_that_cannot_be_used_is_said(home: ModuleType) -> None:
    with pytest.raises(SystemExit):
        home.make_secret("street", {})


def test_the_manifest_gets_the_built_image_and_the_namespace(home: ModuleType) -> None:
    manifest = yaml.safe_load(home.build_manifest("street", "registry.example/ems:dev-1"))
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/ems:dev-1"
    assert "--mqtt=metertwin-mosquitto.street.svc" in container["args"]
    (volume,) = manifest["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["secretName"] == home.SECRET
    assert manifest["metadata"]["name"] == home.DEPLOYMENT
