"""What the demo applies: the List of credentials, and the server's own manifests."""

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
import yaml
from city_grid.settings import Settings, load_settings, load_vens
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from openleadr.utils import certificate_fingerprint

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]
DEVICES = ("house-1", "feeder-1")


@pytest.fixture(scope="module")
def listed(credentials):
    made = credentials.build_credentials("street", DEVICES, datetime.now(UTC))
    return json.loads(json.dumps(made))


def find(listed, kind, name):
    (one,) = [
        one for one in listed["items"] if (one["kind"], one["metadata"]["name"]) == (kind, name)
    ]
    return one


def read(secret):
    return {name: base64.b64decode(value) for name, value in secret["data"].items()}


def check(files, ca):
    """Check that certificate and key belong together and are of that CA; return the first."""
    certificate = x509.load_pem_x509_certificate(files["tls.crt"])
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(ca))
    key = load_pem_private_key(files["tls.key"], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert key.public_key() == certificate.public_key()
    return certificate


def uses(certificate):
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_each_object_is_there_once_in_the_namespace(listed):
    names = [(one["kind"], one["metadata"]["name"]) for one in listed["items"]]
    assert names == [
        ("Secret", "city-grid-vtn"),
        ("ConfigMap", "city-grid-vens"),
        ("Secret", "city-grid.house-1"),
        ("Secret", "city-grid.feeder-1"),
        ("Utility", "city-grid"),
    ]
    assert {one["metadata"]["namespace"] for one in listed["items"]} == {"street"}


def test_the_servers_certificate_has_the_names_of_its_service(listed):
    files = read(find(listed, "Secret", "city-grid-vtn"))
    certificate = check(files, files["ca.crt"])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = ["city-grid", "city-grid.street", "city-grid.street.svc"]
    assert names.get_values_for_type(x509.DNSName) == hosts
    assert ExtendedKeyUsageOID.SERVER_AUTH in uses(certificate)


def test_each_device_has_a_certificate_that_the_utility_knows(listed, tmp_path):
    ca = read(find(listed, "Secret", "city-grid-vtn"))["ca.crt"]
    vens = tmp_path / "vens.json"
    vens.write_text(find(listed, "ConfigMap", "city-grid-vens")["data"]["vens.json"])
    known = load_vens(str(vens))
    assert set(known) == set(DEVICES)
    for device in DEVICES:
        files = read(find(listed, "Secret", f"city-grid.{device}"))
        certificate = check(files, ca)
        assert certificate.subject.rfc4514_string() == f"CN={device}"
        assert uses(certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}
        assert certificate_fingerprint(files["tls.crt"]) == known[device]


def test_nobody_gets_the_key_of_the_ca(listed):
    secrets = [read(one) for one in listed["items"] if one["kind"] == "Secret"]
    ca = x509.load_pem_x509_certificate(secrets[0]["ca.crt"]).public_key()
    for files in secrets:
        assert load_pem_private_key(files["tls.key"], None).public_key() != ca


def test_the_utility_is_what_its_definition_allows(listed):
    utility = find(listed, "Utility", "city-grid")
    definition = yaml.safe_load((ROOT / "crds/utilities.metertwin.io.yaml").read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"] | {"additionalProperties": False}
    jsonschema.validate(utility["spec"], spec)
    ca = read(find(listed, "Secret", "city-grid-vtn"))["ca.crt"].decode()
    port, path = Settings().port, "OpenADR2/Simple/2.0b"
    assert utility["spec"]["url"] == f"https://city-grid.street.svc:{port}/{path}"
    assert utility["spec"]["trust"] == {"caBundle": ca}
    programme = Settings().programme
    contexts = {programme.peak_context, programme.price_context}
    assert set(utility["spec"]["marketContexts"]) == contexts


def test_the_command_prints_a_list_and_refuses_what_is_no_device():
    command = [sys.executable, str(HERE / "credentials.py"), "-n", "street"]
    done = subprocess.run([*command, "house-1"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["kind"] == "List"
    done = subprocess.run([*command, "House 1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "House 1" in done.stderr


@pytest.fixture(scope="module")
def manifests():
    documents = yaml.safe_load_all((HERE / "vtn.yaml").read_text())
    return {one["kind"]: one for one in documents}


def test_its_settings_are_taken(manifests, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(manifests["ConfigMap"]["data"]["settings.json"])
    assert load_settings(str(path)) == Settings()


def test_the_pod_finds_all_its_files(manifests):
    spec = manifests["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    found = Settings()
    assert mounts == {one["name"]: mounts[one["name"]] for one in spec["volumes"]}
    for file in (found.certificate, found.key, found.ca):
        assert str(Path(file).parent) == mounts["tls"]
    assert str(Path(found.vens).parent) == mounts["vens"]
    assert container["args"][-1] == f"{mounts['settings']}/settings.json"
    assert container["ports"][0]["containerPort"] == found.port


def test_only_twins_reach_it_and_it_reaches_nobody(manifests):
    policy = manifests["NetworkPolicy"]["spec"]
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert manifests["Service"]["spec"]["selector"].items() <= labels.items()
    assert labels["metertwin.io/role"] == "utility"
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    (rule,) = policy["ingress"]
    assert rule == {
        "from": [{"podSelector": {"matchLabels": {"metertwin.io/role": "twin"}}}],
        "ports": [{"protocol": "TCP", "port": 8443}],
    }
