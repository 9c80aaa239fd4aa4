"""provision --days: how long a meter's certificate lasts, and that it never outlives its CA."""

import base64
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubectl_meter.errors import MeterError
from kubectl_meter.lifetimes import MAX_DAYS, choose_lifetime
from meter_pki.authority import METER_LIFETIME, Authority

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def authority():
    return Authority.create(NOW)


def end_of(document: bytes) -> dt.datetime:
    return x509.load_der_x509_certificate(document).not_valid_after_utc


@pytest.mark.parametrize(
    ("days", "later_days", "expected_days"),
    [
        pytest.param(None, 0, 3650, id="ten years without a wish"),
        pytest.param(None, 1, 3649, id="what the CA has left, if that is less"),
        pytest.param(90, 0, 90, id="a wish"),
        pytest.param(3650, 0, 3650, id="as long as the CA"),
        pytest.param(1, 3649, 1, id="the last whole day of the CA"),
    ],
)
def test_a_certificate_lasts_as_wished_or_as_long_as_its_ca(
    authority, days, later_days, expected_days
):
    found = choose_lifetime(authority, days, NOW + later_days * DAY)
    assert found == expected_days * DAY
    assert found <= METER_LIFETIME


@pytest.mark.parametrize(
    ("days", "later", "field", "said"),
    [
        pytest.param(3650, DAY, "--days", "--days 3649 at most, or rotate the CA", id="by a day"),
        pytest.param(1, 3649.5 * DAY, "--days", "rotate the CA first", id="its last day"),
        pytest.param(None, 3650 * DAY, "--ca-secret", "rotate the CA", id="the CA has ended"),
        pytest.param(1, 3651 * DAY, "--ca-secret", "rotate the CA", id="ended a day ago"),
    ],
)
def test_a_wish_that_outlives_the_ca_is_refused_with_what_is_left(
    authority, days, later, field, said
):
    with pytest.raises(MeterError) as caught:
        choose_lifetime(authority, days, NOW + later)
    assert caught.value.field == field
    assert caught.value.remedy.startswith(said)


@pytest.mark.usefixtures("fleet")
def test_provision_says_until_when_a_certificate_is_valid(world):
    done = world.run("provision", "house-9", "--out", "out", "--days", "7")
    end = end_of((world.folder / "out/house-9/meter.crt.der").read_bytes())
    assert f"meter.key.der, valid until {end:%Y-%m-%dT%H:%M:%SZ}; renewed from 20" in done.stdout
    assert abs(end - dt.datetime.now(dt.UTC) - 7 * DAY) < dt.timedelta(minutes=5)


@pytest.mark.usefixtures("fleet")
def test_a_request_is_signed_for_as_many_days(world):
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (world.folder / "meter.csr").write_bytes(signed)
    wish = ["--csr", "meter.csr", "--out", "out", "--days", "1000"]
    done = world.run("provision", "house-9", *wish)
    end = end_of((world.folder / "out/house-9/meter.crt.der").read_bytes())
    assert f"valid until {end:%Y-%m-%dT%H:%M:%SZ}" in done.stdout
    assert abs(end - dt.datetime.now(dt.UTC) - 1000 * DAY) < dt.timedelta(minutes=5)


@pytest.mark.usefixtures("fleet")
def test_a_certificate_that_is_cut_to_its_ca_says_so(world):
    old = Authority.create(dt.datetime.now(dt.UTC) - 3640 * DAY)
    pair = {"tls.crt": old.certificate_pem, "tls.key": old.key_pem}
    data = {name: base64.b64encode(value).decode() for name, value in pair.items()}
    world.put("secret", "metertwin-ca", {"metadata": {"name": "metertwin-ca"}, "data": data})
    done = world.run("provision", "house-9", "--secret")
    end = old.certificate.not_valid_after_utc
    assert f"created, valid until {end:%Y-%m-%dT%H:%M:%SZ}, when the CA ends" in done.stdout
    made = base64.b64decode(world.created()["data"]["meter.crt.der"])
    assert end_of(made) == end


@pytest.mark.usefixtures("fleet")
def test_a_renewed_secret_has_a_lifetime_of_its_own_and_a_kept_one_is_not_said_to_be_new(world):
    world.put("secret", "meter-house-9", {"metadata": {"name": "meter-house-9"}})
    kept = world.run("provision", "house-9", "--secret", "--days", "7")
    assert kept.stdout == "secret/meter-house-9 kept (--renew replaces it)\n"
    renewed = world.run("provision", "house-9", "--secret", "--renew", "--days", "7")
    assert renewed.stdout.startswith("secret/meter-house-9 renewed, valid until 20")
    left = end_of(base64.b64decode(world.created()["data"]["meter.crt.der"])) - dt.datetime.now(
        dt.UTC
    )
    assert 6 * DAY < left < 8 * DAY


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("days", ["0", "-1", str(MAX_DAYS + 1), "x"])
def test_days_that_are_no_lifetime_are_refused_with_field_and_remedy(world, days):
    done = world.run("provision", "house-9", "--out", "out", "--days", days)
    assert done.returncode == 2
    for part in ("Invalid value for '--days'", "field:  --days", "remedy: kubectl meter provision"):
        assert part in done.stderr
    assert not (world.folder / "out").exists()
