"""provision: what a bundle holds, who is signed, and what is never written or overwritten."""

import base64
import datetime as dt
import json
import re
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubectl_meter.settings import KNOWN, KNOWN_SMALL, OURS, zone_offsets
from meter_pki.authority import Authority
from meter_wire.fleet_keys import derive_meter_key

pytestmark = pytest.mark.usefixtures("fleet")


def bundle(world, device: str = "house-9") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (world.folder / "out" / device).iterdir()}


def test_a_bundle_has_key_certificate_trust_and_configuration(world, fleet):
    done = world.run("provision", "house-9", "--out", "out", "-n", "demo")
    assert (done.returncode, done.stderr) == (0, "")
    files = bundle(world)
    assert set(files) == {"meter.json", "ca.der", "meter.crt.der", "meter.key.der"}
    certificate = x509.load_der_x509_certificate(files["meter.crt.der"])
    assert certificate.subject.rfc4514_string() == "CN=house-9"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "urn:metertwin:meter:house-9"
    ]
    certificate.verify_directly_issued_by(fleet.certificate)
    key = serialization.load_der_private_key(files["meter.key.der"], None)
    assert key.public_key() == certificate.public_key()
    assert x509.load_der_x509_certificate(files["ca.der"]) == fleet.certificate
    meter = json.loads(files["meter.json"])
    assert meter["key"] == derive_meter_key(bytes(range(32)), "house-9", 1).hex()
    assert meter["broker"] == {"host": "metertwin-mosquitto.demo.svc", "port": 8883}
    due = meter["tls"].pop("renew_from")
    assert meter["tls"] == {"ca": "ca.der", "cert": "meter.crt.der", "key": "meter.key.der"}
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert due == int((certificate.not_valid_after_utc - life / 3).timestamp())
    assert (
        f"; renewed from {dt.datetime.fromtimestamp(due, dt.UTC):%Y-%m-%dT%H:%M:%SZ} on"
        in done.stdout
    )


def test_a_meter_is_told_the_renewal_port_only_if_that_is_asked_for(world):
    done = world.run("provision", "house-9", "--out", "out", "--renewal-port", "8884")
    assert done.returncode == 0, done.stderr
    broker = json.loads(bundle(world)["meter.json"])["broker"]
    assert (broker["port"], broker["renewal_port"]) == (8883, 8884)


def test_a_meter_that_is_provisioned_while_the_ca_is_rotated_trusts_both(world, fleet):
    others = [Authority.create(dt.datetime.now(dt.UTC)) for _ in range(2)]
    data = {
        "tls.crt": fleet.certificate_pem,
        "tls.key": fleet.key_pem,
        "anchors.crt": b"".join(other.certificate_pem for other in others),
    }
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    world.put("secret", "metertwin-ca", {"metadata": {"name": "metertwin-ca"}, "data": encoded})
    done = world.run("provision", "house-9", "--out", "out")
    assert done.returncode == 0, done.stderr
    files = bundle(world)
    assert json.loads(files["meter.json"])["tls"]["ca"] == ["ca.der", "ca-2.der"]
    trusted = [x509.load_der_x509_certificate(files[name]) for name in ("ca.der", "ca-2.der")]
    assert trusted == [fleet.certificate, others[0].certificate]
    wrong = encoded | {"former.crt": base64.b64encode(b"nonsense").decode()}
    world.put("secret", "metertwin-ca", {"metadata": {"name": "metertwin-ca"}, "data": wrong})
    refused = world.run("provision", "house-8", "--out", "out")
    assert "former.crt" in refused.stderr
    assert not (world.folder / "out/house-8").exists()


def test_a_bundle_is_readable_by_its_owner_only_and_never_printed(world):
    done = world.run("provision", "house-9", "--out", "out")
    for path in (world.folder / "out" / "house-9").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(bundle(world)["meter.json"])["key"] not in done.stdout + done.stderr


def test_a_bundle_is_written_once(world):
    world.run("provision", "house-9", "--out", "out")
    before = bundle(world)
    done = world.run("provision", "house-9", "--out", "out")
    assert done.returncode == 1
    assert "exists" in done.stderr
    assert bundle(world) == before


def test_a_board_without_tls_gets_a_password_of_its_own_and_the_broker_its_hash(world):
    wish = ["--constrained", "--out", "out", "-n", "demo"]
    done = world.run("provision", "house-8", "house-9", *wish)
    assert (done.returncode, done.stderr) == (0, "")
    boards = [bundle(world, device) for device in ("house-8", "house-9")]
    assert all(set(files) == {"meter.json", "passwords"} for files in boards)
    meters = [json.loads(files["meter.json"]) for files in boards]
    passwords = [meter["broker"].pop("password") for meter in meters]
    assert len(set(passwords)) == 2
    assert meters[1] == {
        "device": "house-9",
        "broker": {"host": "metertwin-mosquitto.demo.svc", "port": 1883, "user": "house-9"},
        "key": derive_meter_key(bytes(range(32)), "house-9", 1).hex(),
    }
    assert boards[1]["passwords"].startswith(b"house-9:$7$101$")
    assert passwords[1].encode() not in boards[1]["passwords"]
    assert not any(password in done.stdout for password in passwords)


def test_the_broker_of_a_board_without_tls_may_have_another_port(world):
    wish = ["--constrained", "--out", "out", "--set", "ring_bytes=65536"]
    world.run("provision", "house-8", *wish, "--broker", "10.20.0.1:1884")
    assert json.loads(bundle(world, "house-8")["meter.json"])["broker"]["port"] == 1884
    world.run("provision", "house-9", *wish, "--broker", "10.20.0.1")
    meter = json.loads(bundle(world)["meter.json"])
    assert (meter["broker"]["port"], meter["ring_bytes"]) == (1883, 65536)


def request_of(curve: ec.EllipticCurve, common_name: str = "Operator.metertwin"):
    key = ec.generate_private_key(curve)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return key, signed.public_bytes(serialization.Encoding.PEM)


def test_a_request_is_signed_for_the_device_whatever_name_it_claims(world):
    key, request = request_of(ec.SECP256R1())
    (world.folder / "meter.csr").write_bytes(request)
    done = world.run("provision", "house-9", "--csr", "meter.csr", "--out", "out")
    assert done.returncode == 0, done.stderr
    files = bundle(world)
    assert "meter.key.der" not in files
    certificate = x509.load_der_x509_certificate(files["meter.crt.der"])
    assert certificate.subject.rfc4514_string() == "CN=house-9"
    assert certificate.public_key() == key.public_key()


@pytest.mark.parametrize("content", [b"no request", request_of(ec.SECP384R1())[1]])
def test_a_request_that_cannot_be_used_is_refused_with_a_remedy(world, content):
    (world.folder / "meter.csr").write_bytes(content)
    done = world.run("provision", "house-9", "--csr", "meter.csr", "--out", "out")
    assert done.returncode == 1
    assert "--csr" in done.stderr
    assert "openssl req" in done.stderr
    assert not (world.folder / "out").exists()


def test_a_simulated_meter_gets_a_secret(world):
    done = world.run("provision", "house-9", "--secret", "-n", "demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("secret/meter-house-9 created, valid until 20")
    secret = world.created()
    assert secret["metadata"]["name"] == "meter-house-9"
    assert secret["metadata"]["labels"]["metertwin.io/device"] == "house-9"
    assert set(secret["data"]) == {"meter.json", "ca.der", "meter.crt.der", "meter.key.der"}


def test_a_secret_that_exists_is_kept_unless_renewed(world):
    world.put("secret", "meter-house-9", {"metadata": {"name": "meter-house-9"}})
    done = world.run("provision", "house-9", "--secret")
    assert done.returncode == 0
    assert "kept" in done.stdout
    assert not (world.folder / "created.json").exists()
    assert "renewed" in world.run("provision", "house-9", "--secret", "--renew").stdout
    assert world.created()["metadata"]["name"] == "meter-house-9"


def test_writing_a_secret_takes_the_right_to_create_and_no_other(world):
    """The role of admins has no "get": who may read Secrets here may read those of twins."""
    world.run("provision", "house-9", "--secret", "-n", "street", "--system-namespace", "metertwin")
    calls = [call for call in world.lines("calls") if "--namespace=street" in call]
    assert [call.split()[1] for call in calls] == ["create"]


def test_a_renewal_that_is_not_allowed_says_which_right_is_missing(world):
    (world.folder / "apply is forbidden").touch()
    done = world.run("provision", "house-9", "--secret", "--renew")
    assert done.returncode == 1
    assert "forbidden" in done.stderr
    assert "--verb=create,patch --resource=secrets --resource-name=meter-house-9" in done.stderr


def test_settings_of_many_meters_are_merged_and_zones_become_offsets(world):
    document = {
        "shared": {"capture_period_s": 900, "tariff": {"zone": "Europe/Brussels", "switches": []}},
        "meters": {"house-9": {"capture_period_s": 60, "ems": {"port": 7001}}},
    }
    (world.folder / "s.json").write_text(json.dumps(document))
    done = world.run(
        "provision", "--secret", "--settings", "s.json", "--set", "electricity.seed=7",
        "--set", "electricity.start_at=2016-06-14T07:30:00Z", "--broker", "meters.example.org:8884",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    meter = json.loads(base64.b64decode(world.created()["data"]["meter.json"]))
    assert meter["capture_period_s"] == 60
    assert meter["ems"] == {"port": 7001}
    assert meter["electricity"] == {"seed": 7, "start_at": "2016-06-14T07:30:00Z"}
    assert meter["broker"] == {"host": "meters.example.org", "port": 8884}
    assert "zone" not in meter["tariff"]
    assert {offset for _, offset in meter["tariff"]["offsets"]} == {3600, 7200}


def test_offsets_change_when_the_zone_does():
    now = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
    rows = zone_offsets("Europe/Brussels", now)
    assert rows[:3] == [[0, 3600], [1774746000, 7200], [1792890000, 3600]]
    assert zone_offsets("Etc/UTC", now) == [[0, 0]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["house-9"], ["--out DIR", "--secret"]),
        (["house-9", "--out", "out", "--secret"], ["--out DIR", "one of them"]),
        (["--out", "out"], ["no device is named"]),
        (["house-9", "--csr", "x", "--secret"], ["--csr"]),
        (["house-9", "--constrained", "--secret"], ["--constrained", "--out DIR alone"]),
        (["house-9", "--constrained", "--out", "out", "--csr", "x"], ["--constrained", "no cert"]),
        (["a", "b", "--csr", "x", "--out", "out"], ["one device"]),
        (["house-9", "--constrained", "--out", "out", "--days", "9"], ["no certificate"]),
        (["house-9", "--constrained", "--out", "o", "--renewal-port", "8884"], ["no certificate"]),
        (["house-9", "--out", "out", "--renewal-port", "0"], ["--renewal-port", "65535"]),
    ],
)
def test_options_that_do_not_go_together_are_misuse(world, arguments, expected):
    done = world.run("provision", *arguments)
    assert done.returncode == 2
    for part in expected:
        assert part in done.stderr
    assert not (world.folder / "out").exists()
    assert world.lines("calls") == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["House_1", "--out", "out"], ["'House_1' is no device id", "DEVICE"]),
        (["Operator.metertwin", "--out", "out"], ["no device id"]),
        (["house-1/1", "--out", "out"], ["no device id"]),
        (
            ["house-9", "--constrained", "--out", "out", "--set", "tick_ms=200"],
            ["tick_ms is no setting of a constrained board", "known are: broker, capture"],
        ),
        (["house-9", "--out", "out", "--csr", "missing"], ["missing", "--csr", "openssl req"]),
        (
            ["house-9", "--out", "out", "--settings", "missing"],
            ["missing", "--settings", "remedy:"],
        ),
        (
            ["house-9", "--out", "out", "--settings", "bad.json"],
            ["no JSON", "--settings", "remedy:"],
        ),
        (["house-9", "--out", "out", "--settings", "odd.json"], ["nonsense", "known are:"]),
        (["house-9", "--out", "out", "--set", "nonsense=1"], ["nonsense", "known are:"]),
        (["house-9", "--out", "out", "--set", "nonsense.deep=1"], ["nonsense", "known are:"]),
        (["house-9", "--out", "out", "--set", "capture_period_s=7"], ["capture_period_s", "900"]),
        (["house-9", "--out", "out", "--set", "capture_period_s=0"], ["capture_period_s", "900"]),
        (["house-9", "--out", "out", "--set", "capture_period_s=x"], ["capture_period_s", "900"]),
        (["house-9", "--out", "out", "--set", "capture_period_s=true"], ["capture_period_s"]),
        (["house-9", "--out", "out", "--set", "capture_period_s=10080"], ["divide a day"]),
        (["house-9", "--out", "out", "--set", "report_spread_s=3601"], ["report_spread_s", "3600"]),
        (["house-9", "--out", "out", "--set", "report_spread_s=-1"], ["report_spread_s", "3600"]),
        (["house-9", "--out", "out", "--set", "device=house-8"], ["decided by provisioning"]),
        (["house-9", "--out", "out", "--settings", "key.json"], ["key is decided by provisioning"]),
        (["house-8", "--out", "out", "--settings", "many.json"], ["meters.house-8", "house-9"]),
        (["house-9", "--out", "out", "--settings", "zone.json"], ["tariff.zone", "Mars"]),
        (["house-9", "--out", "out", "--set", "x"], ["--set"]),
        (["house-9", "--out", "out", "--broker", "host:"], ["--broker"]),
        (["house-9", "--out", "out", "--ca-secret", "none"], ["no Secret none", "--ca-secret"]),
        (["house-9", "--out", "out", "--fleet-key-secret", "metertwin-ca"], ["data.master"]),
        (["house-9", "--out", "out", "--days", "5475"], ["outlive its CA", "--days 36"]),
    ],
)
def test_a_wrong_wish_is_refused_and_writes_nothing(world, arguments, expected):
    (world.folder / "key.json").write_text('{"key": "00"}')
    (world.folder / "many.json").write_text('{"meters": {"house-9": {}}}')
    (world.folder / "bad.json").write_text("{bad")
    (world.folder / "odd.json").write_text('{"nonsense": 1}')
    (world.folder / "zone.json").write_text('{"tariff": {"zone": "Mars/Base"}}')
    done = world.run("provision", *arguments)
    assert done.returncode == 1
    for part in expected:
        assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert not (world.folder / "out").exists()
    assert not (world.folder / "created.json").exists()


def test_the_settings_that_are_known_are_those_that_the_firmware_reads():
    source = (Path(__file__).parents[2] / "firmware/src/config.py").read_text()
    read = set(re.findall(r'_(?:whole|text|flag|table)\(table, "(\w+)"', source))
    read |= set(re.findall(r'\btable\.get\("(\w+)"', source)) | {"utility_key"}
    assert read == {*KNOWN, *OURS}
    files = (Path(__file__).parents[2] / "firmware/src").glob("small*.py")
    small = "".join(path.read_text() for path in files)
    read = set(re.findall(r'\btable(?:\.get\(|\[)"(\w+)"', small))
    read |= set(re.findall(r'"(\w+)" in \S*table\b', small))
    assert read == {*KNOWN_SMALL, "device", "key"}


@pytest.mark.parametrize("period_s", [1, 5, 60, 300, 900, 3600, 86400])
def test_a_capture_period_that_the_resource_takes_is_taken(world, period_s):
    wish = ["--set", f"capture_period_s={period_s}", "--set", "report_spread_s=3600"]
    assert world.run("provision", "house-9", "--out", "out", *wish).returncode == 0


def test_credentials_are_read_from_the_systems_namespace(world):
    world.run("provision", "house-9", "--secret", "-n", "street", "--system-namespace", "metertwin")
    calls = world.lines("calls")
    assert any("--namespace=metertwin get secret metertwin-ca" in call for call in calls)
    assert any("--namespace=street create" in call for call in calls)
    meter = json.loads(base64.b64decode(world.created()["data"]["meter.json"]))
    assert meter["broker"]["host"] == "metertwin-mosquitto.metertwin.svc"
