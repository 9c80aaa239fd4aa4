"""A street that stood for a month keeps its broker: certificates are renewed, meters restarted."""

import base64
import datetime as dt
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from meter_pki.authority import Authority, key_to_der, pem_to_der, renewal_due
from meter_pki.identities import meter_identity
from own_checkout import Checkout
from own_street import OwnStreet

ROOT = Path(__file__).resolve().parents[3]
MICROPYTHON = ROOT / "tools/micropython/micropython"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)
AUTHORITY = Authority.create(NOW - 100 * DAY)


def issued(device: str, begin: dt.datetime, life: dt.timedelta) -> dict[str, bytes]:
    """Return certificate and key of a meter, made some time ago."""
    bundle = AUTHORITY.issue(meter_identity(device), begin, life)
    return {
        "meter.crt.der": pem_to_der(bundle.certificate),
        "meter.key.der": key_to_der(bundle.key),
        "meter.json": b'{"key": "of the frames"}',
    }


def rule(checkout: Checkout, code: str) -> str:
    """Return what an expression about `credentials` prints, in the demo's own Python."""
    head = "import base64, datetime as dt, credentials as c; now = dt.datetime.now(dt.UTC);"
    done = checkout.ask(f"{head} print({code})")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def literal(certificate: bytes) -> str:
    """Return bytes as an expression."""
    return f"base64.b64decode('{base64.b64encode(certificate).decode()}')"


def moment(when: dt.datetime) -> str:
    """Return a moment as an expression."""
    return f"dt.datetime.fromisoformat('{when.isoformat()}')"


@pytest.mark.parametrize("life", [dt.timedelta(hours=1), 30 * DAY, 3650 * DAY])
def test_a_certificate_is_due_when_the_rest_of_the_system_says_so(
    checkout: Checkout, life: dt.timedelta
) -> None:
    """Both sides of the edge, against `meter_pki`, which reads with another library."""
    pem = AUTHORITY.issue(meter_identity("house-1"), NOW, life).certificate
    loaded = x509.load_pem_x509_certificate(pem)
    begin, end = loaded.not_valid_before_utc, loaded.not_valid_after_utc
    edge = end - (end - begin) / 3
    moments = [begin, edge - dt.timedelta(seconds=1), edge, end, end + DAY]
    expected = [renewal_due(pem, when) for when in moments]
    der = literal(pem_to_der(pem))
    asked = ", ".join(f"c.is_due({der}, {moment(when)})" for when in moments)
    assert rule(checkout, f"[{asked}]") == str(expected)
    assert expected == [False, False, True, True, True]


def test_a_certificate_of_the_next_half_of_the_century_is_read(checkout: Checkout) -> None:
    """From 2050 on, times have four digits of the year (RFC 5280, 4.1.2.5)."""
    begin = dt.datetime(2049, 12, 31, tzinfo=dt.UTC)
    late = Authority.create(begin).issue(meter_identity("house-1"), begin, 30 * DAY)
    read = f"[str(one) for one in c.read_validity({literal(pem_to_der(late.certificate))})]"
    assert "'2050-01-30 00:00:00+00:00'" in rule(checkout, read)


def test_what_is_no_certificate_is_due_however_it_is_cut(checkout: Checkout) -> None:
    der = issued("house-1", NOW, 30 * DAY)["meter.crt.der"]
    cuts = f"{{c.is_due({literal(der)}[:n], now) for n in range({len(der)})}}"
    assert rule(checkout, cuts) == "{True}"
    assert rule(checkout, f"c.is_due({literal(der)}, now)") == "False"
    assert rule(checkout, "c.is_due(b'no certificate at all', now)") == "True"


@pytest.mark.parametrize(
    ("started_s", "older"),
    [
        pytest.param(-1, True, id="it started before"),
        pytest.param(0, False, id="it started with it"),
        pytest.param(None, False, id="it does not run: it will start with it"),
    ],
)
def test_a_meter_that_started_before_its_certificate_was_made_runs_with_another(
    checkout: Checkout, started_s: int | None, *, older: bool
) -> None:
    der = issued("house-1", NOW, 30 * DAY)["meter.crt.der"]
    started = "" if started_s is None else f"{NOW + dt.timedelta(seconds=started_s):%FT%TZ}"
    assert rule(checkout, f"c.is_older('{started}', {literal(der)})") == str(older)


class Street(OwnStreet):
    """The fake cluster of a checkout, with the real plugin and the CA of these tests."""

    def put(self, secrets: dict[str, dict[str, bytes]], started: dt.datetime) -> None:
        """Set the cluster's state: Secrets, and meters that all started at one time."""
        self.begin(AUTHORITY, secrets, dict.fromkeys(secrets, f"{started:%FT%TZ}"))

    def renew(self) -> dict[str, str]:
        """Run the demo's step and return what it returned."""
        code = (
            "import json; from renewing import renew_meters; from target import Target;"
            "print(json.dumps(renew_meters(Target('none', 'local'), 'street')))"
        )
        done = self.checkout.ask(code)
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return found


def test_a_street_of_which_some_certificates_are_due_gets_new_ones_once(checkout: Checkout) -> None:
    """Day 31 of a certificate of 30 days, one of a day, and one that has time."""
    street = Street(checkout)
    secrets = {
        "meter-house-1": issued("house-1", NOW - 31 * DAY, 30 * DAY),
        "meter-house-2": issued("house-2", NOW - 0.9 * DAY, DAY),
        "meter-house-3": issued("house-3", NOW - 9 * DAY, 30 * DAY),
    }
    street.put(secrets, started=NOW - DAY / 2)
    assert street.renew() == {f"meter-house-{n}": f"c-meter-house-{n}" for n in (1, 2)}
    state = street.state()
    assert sorted(state["restarted"]) == ["meter-house-1", "meter-house-2"]
    for name, before in secrets.items():
        data = {key: base64.b64decode(value) for key, value in state["secrets"][name].items()}
        certificate = x509.load_der_x509_certificate(data["meter.crt.der"])
        key = serialization.load_der_private_key(data["meter.key.der"], None)
        assert key.public_key() == certificate.public_key()
        assert certificate.not_valid_after_utc > NOW + 7 * DAY
        assert data["meter.json"] == before["meter.json"]
        assert (data["meter.crt.der"] == before["meter.crt.der"]) == (name == "meter-house-3")
    assert street.renew() == {}
    assert street.state() == state


def test_a_meter_that_was_not_restarted_after_its_renewal_is_restarted_by_the_next_run(
    checkout: Checkout,
) -> None:
    street = Street(checkout)
    street.put({"meter-house-1": issued("house-1", NOW, 30 * DAY)}, started=NOW - 31 * DAY)
    assert street.renew() == {"meter-house-1": "c-meter-house-1"}
    assert street.state()["restarted"] == ["meter-house-1"]


@pytest.fixture
def restart_code(checkout: Checkout) -> str:
    """Return what is run in a meter's pod."""
    return checkout.ask("import renewing; print(renewing.RESTART)").stdout


@pytest.fixture
def meter(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of the real MicroPython that runs as the firmware does; process 1 in a pod."""
    program = tmp_path / "meter.py"
    program.write_text(
        "import asyncio\nasync def run():\n    print('up')\n    await asyncio.sleep(99)\n"
        "asyncio.run(run())\n"
    )
    command = [str(MICROPYTHON), str(program)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def test_a_meter_ends_when_its_pod_has_the_new_certificate_and_not_before(
    tmp_path: Path, restart_code: str, meter: subprocess.Popen[str]
) -> None:
    mounted, new = tmp_path / "meter.crt.der", b"new"
    mounted.write_bytes(b"old")
    arguments = [hashlib.sha256(new).hexdigest(), str(mounted), str(meter.pid)]
    command = [str(MICROPYTHON), "-c", restart_code, *arguments]
    early = subprocess.run([*command, "1"], capture_output=True, text=True, check=False, timeout=60)
    assert (early.returncode, "not in the pod" in early.stdout) == (1, True), early.stderr
    assert meter.poll() is None
    with subprocess.Popen([*command, "60"], stdout=subprocess.PIPE, text=True) as waiting:
        mounted.write_bytes(new)
        said, _ = waiting.communicate(timeout=60)
    assert said == "ends\n"
    assert meter.wait(60) == 1
