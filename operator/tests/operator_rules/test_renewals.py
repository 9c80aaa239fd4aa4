"""Who gets a new certificate, under which key, at which pace, and what the answer may hold."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from meter_operator.__main__ import Process
from meter_operator.fleet import Fleet, load_fleet
from meter_operator.http_server import RENEWED
from meter_operator.messenger import Messenger
from meter_operator.renewals import (
    MOST_IN_PACE,
    PACE_S,
    RenewalCertificateError,
    RenewalDeviceError,
    RenewalError,
    RenewalKeyError,
    RenewalPaceError,
    Renewals,
    RenewalSizeError,
)
from meter_operator.settings import SettingsError, load_settings
from meter_pki.authorities import Authorities
from meter_pki.authority import Authority, pem_to_der
from meter_pki.identities import meter_identity
from meter_wire.portable.keys import derive_key
from meter_wire.portable.renewal import encode_renewal_request, parse_renewed
from meter_wire.portable.tlv import RemoteProtocolError

from .street import AUTHORITY, MASTER, NAMESPACE

NOW = datetime.now(UTC)
MOST_BYTES = 1536
YEAR = timedelta(days=365)
NONCE = bytes(range(16))
FORMER, ANCHOR, FOREIGN = (Authority.create(NOW - 2 * YEAR) for _ in range(3))


def certificate_of(device="house-1", authority=AUTHORITY):
    """Return a certificate that ended ten months ago."""
    bundle = authority.issue(meter_identity(device), NOW - YEAR, timedelta(days=60))
    return pem_to_der(bundle.certificate)


class World:
    """An operator with some meters, and what they can ask."""

    def __init__(self, operator):
        self.operator = operator
        self.fleet = operator.fleet
        self.renewals = Renewals(self.fleet, MOST_BYTES)
        self.now_s = 1000.0
        operator.add_meter()

    def key(self, label, device="house-1", version=1):
        return derive_key(self.fleet.meter_key(device, version), label, device)

    def request(self, device="house-1", certificate=None, version=1, nonce=NONCE):
        certificate = certificate or certificate_of(device)
        return encode_renewal_request(
            self.key("renew", device, version), device, nonce, certificate
        )

    def answer(self, payload, device="house-1"):
        meter = self.operator.cache.owner_of(device)
        return self.renewals.answer(device, meter, payload, self.now_s, NOW)

    def opened(self, payload, nonce=NONCE, version=1):
        message = self.answer(payload).message
        assert message.topic == "mt/house-1/renewed"
        assert not message.retain
        key = self.key("renewed", version=version)
        return parse_renewed(message.payload, key, "house-1", nonce)

    def trust(self, *anchors, former=()):
        authorities = Authorities(AUTHORITY, anchors, former)
        self.renewals = Renewals(Fleet(authorities, MASTER), MOST_BYTES)


@pytest.fixture
def world(operator):
    return World(operator)


def der_of(*authorities):
    return [one.certificate.public_bytes(Encoding.DER) for one in authorities]


def test_a_meter_gets_a_new_certificate_for_its_key_and_the_anchor_of_its_ca(world):
    before = x509.load_der_x509_certificate(certificate_of())
    found = world.opened(world.request(certificate=before.public_bytes(Encoding.DER)))
    after = x509.load_der_x509_certificate(found.certificate)
    assert after.public_key() == before.public_key()
    assert after.not_valid_after_utc > NOW
    after.verify_directly_issued_by(AUTHORITY.certificate)
    assert found.anchors == der_of(AUTHORITY)
    assert NOW.timestamp() < found.renew_from_s < after.not_valid_after_utc.timestamp()


def test_the_anchors_are_that_of_the_signing_ca_and_the_first_of_the_others(world):
    world.trust(AUTHORITY.certificate, ANCHOR.certificate, FOREIGN.certificate)
    assert world.opened(world.request()).anchors == der_of(AUTHORITY, ANCHOR)


def test_a_meter_of_a_former_ca_comes_back_and_is_not_told_to_trust_that(world):
    payload = world.request(certificate=certificate_of(authority=FORMER))
    with pytest.raises(RenewalCertificateError, match=r"none of our CAs.*former\.crt"):
        world.answer(payload)
    world.trust(former=(FORMER.certificate,))
    assert world.opened(payload).anchors == der_of(AUTHORITY)


def test_it_is_answered_under_the_key_version_of_the_spec_and_no_other(world):
    payload = world.request()
    world.operator.change_meter(keyVersion=2)
    with pytest.raises(RenewalKeyError, match=r"key version 2.*--key-version 2"):
        world.answer(payload)
    assert world.opened(world.request(version=2), version=2)


def test_the_key_of_a_request_opens_no_answer_and_no_hello_is_one(world):
    answer = world.answer(world.request()).message.payload
    with pytest.raises(RemoteProtocolError, match="mac"):
        parse_renewed(answer, world.key("renew"), "house-1", NONCE)
    hello = encode_renewal_request(world.key("hello"), "house-1", NONCE, certificate_of())
    with pytest.raises(RenewalKeyError):
        world.answer(hello)


@pytest.mark.parametrize(
    ("build", "error", "why"),
    [
        pytest.param(lambda w: w.request(certificate=certificate_of("house-2")), RenewalCertificateError, "house-2", id="the certificate of another meter"),
        pytest.param(lambda w: w.request(certificate=certificate_of(authority=FOREIGN)), RenewalCertificateError, "none of our CAs", id="a CA of others"),
        pytest.param(lambda w: w.request(certificate=b"x" * 1024), RenewalCertificateError, "provision the meter again", id="no certificate"),
        pytest.param(lambda w: w.request(certificate=b"x" * 1025), RenewalKeyError, "malformed", id="too long a certificate"),
        pytest.param(lambda w: encode_renewal_request(w.key("renew"), "house-2", NONCE, certificate_of("house-2")), RenewalDeviceError, "names another device", id="another device under this key"),
        pytest.param(lambda w: w.request("house-2"), RenewalKeyError, "mac", id="the request of another device"),
        pytest.param(lambda w: w.request()[:-1] + b"\0", RenewalKeyError, "mac", id="a wrong MAC"),
        pytest.param(lambda _: b"", RenewalKeyError, "malformed", id="nothing"),
        pytest.param(lambda w: b"\2" + w.request()[1:], RenewalKeyError, "version", id="another version"),
        pytest.param(lambda _: bytes(1536), RenewalKeyError, "version", id="zeros"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_with_the_reason(world, build, error, why):
    with pytest.raises(RenewalError, match=why) as caught:
        world.answer(build(world))
    assert type(caught.value) is error


def test_a_device_without_a_resource_is_refused_whatever_it_knows(world):
    with pytest.raises(RenewalDeviceError, match="no SmartMeter"):
        world.answer(world.request("house-2"), "house-2")


def test_the_second_resource_of_a_name_gets_nothing_by_it(world):
    world.operator.add_meter("impostor", device="house-1", keyVersion=7)
    with pytest.raises(RenewalKeyError):
        world.answer(world.request(version=7))
    assert world.opened(world.request())


def test_a_request_that_comes_again_is_answered_for_the_same_key_and_the_old_nonce(world):
    """So whoever repeats it gets nothing that he could use, and the meter no answer that it takes."""
    payload = world.request()
    first = world.opened(payload)
    world.now_s += PACE_S
    message = world.answer(payload).message
    again = parse_renewed(message.payload, world.key("renewed"), "house-1", NONCE)
    one, other = (x509.load_der_x509_certificate(row.certificate) for row in (first, again))
    assert one.public_key() == other.public_key()
    with pytest.raises(RemoteProtocolError, match="nonce"):
        parse_renewed(message.payload, world.key("renewed"), "house-1", bytes(16))


def test_a_device_is_answered_once_in_ten_seconds(world):
    world.answer(world.request())
    world.now_s += PACE_S - 0.1
    with pytest.raises(RenewalPaceError, match="10 s"):
        world.answer(world.request())
    world.now_s += 0.1
    assert world.answer(world.request())


def test_a_refused_certificate_counts_for_the_pace_and_junk_does_not(world):
    for _ in range(3):
        with pytest.raises(RenewalKeyError):
            world.answer(bytes(300))
    with pytest.raises(RenewalCertificateError):
        world.answer(world.request(certificate=b"no"))
    with pytest.raises(RenewalPaceError):
        world.answer(world.request())


def test_a_fleet_is_answered_at_a_pace_and_nothing_is_remembered_for_longer(world):
    meter = world.operator.cache.owner_of("house-1")
    answered, refused = set(), 0
    certificates = {number: certificate_of(f"m-{number}") for number in range(MOST_IN_PACE + 50)}
    for _ in range(2):
        for number, certificate in certificates.items():
            device = f"m-{number}"
            if device in answered:
                continue
            one = replace(meter, device=device)
            payload = world.request(device, certificate)
            try:
                world.renewals.answer(device, one, payload, world.now_s, NOW)
            except RenewalPaceError:
                refused += 1
            else:
                answered.add(device)
        assert len(world.renewals._pace._answered) <= MOST_IN_PACE
        world.now_s += PACE_S
    assert len(answered) == MOST_IN_PACE + 50
    assert refused == 50
    world.answer(world.request())
    assert list(world.renewals._pace._answered) == ["house-1"]


def rsa_ca(bits, name="an RSA CA"):
    """Return the certificate of a CA with an RSA key."""
    key = rsa.generate_private_key(65537, bits)
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(own).issuer_name(own)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + YEAR)
    return builder.add_extension(x509.BasicConstraints(True, 0), True).sign(key, hashes.SHA256())


def test_an_anchor_that_does_not_fit_is_left_out_and_the_answer_keeps_its_bound(world):
    for bits in (2048, 4096):
        world.trust(rsa_ca(bits))
        world.now_s += PACE_S
        message = world.answer(world.request()).message
        found = parse_renewed(message.payload, world.key("renewed"), "house-1", NONCE)
        assert found.anchors == der_of(AUTHORITY)
        assert len(message.payload) <= MOST_BYTES


def long_authority(names):
    """Return an authority whose certificate is large: many names of its issuer."""
    made = Authority.create(NOW)
    rows = [x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "u" * 60)] * names
    own = x509.Name([*made.certificate.subject, *rows])
    builder = x509.CertificateBuilder().subject_name(own).issuer_name(own)
    builder = builder.public_key(made.key.public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + YEAR)
    builder = builder.add_extension(x509.BasicConstraints(True, 0), True)
    return Authority(builder.sign(made.key, hashes.SHA256()), made.key)


@pytest.mark.parametrize(
    ("names", "why"),
    [(4, r"an answer of 1\d{3} bytes, the broker passes 1536 \(mosquitto"), (9, r"\d{4} bytes, a meter takes 1 to 1024")],
)  # fmt: skip
def test_an_answer_that_does_not_fit_is_refused_with_its_size(world, names, why):
    authority = long_authority(names)
    fleet = Fleet(Authorities(authority, (AUTHORITY.certificate,)), MASTER)
    world.renewals = Renewals(fleet, MOST_BYTES)
    with pytest.raises(RenewalSizeError, match=why):
        world.answer(world.request())


def test_the_bound_of_an_answer_is_the_broker_s_and_a_lower_one_costs_the_further_anchor(world):
    world.trust(ANCHOR.certificate)
    both = len(world.answer(world.request()).message.payload)
    for most, anchors in ((both + 9, (AUTHORITY, ANCHOR)), (both - 100, (AUTHORITY,))):
        world.renewals = Renewals(world.renewals._fleet, most)
        assert world.opened(world.request()).anchors == der_of(*anchors)


async def test_the_messenger_keeps_to_the_limit_that_the_chart_says(world):
    world.operator.restart(message_size_limit_bytes=300)
    messenger, noted = await asked(world, world.request())
    assert messenger.refused == {"RenewalSizeError": 1}
    assert not noted


@pytest.mark.parametrize(("value", "limit"), [("1400", 1400), (None, 1536)])
def test_the_chart_says_how_large_a_message_may_be(monkeypatch, value, limit):
    for name in ("NAMESPACE", "BROKER_HOST", "TWIN_IMAGE"):
        monkeypatch.setenv(f"METERTWIN_{name}", "x")
    monkeypatch.delenv("METERTWIN_MESSAGE_SIZE_LIMIT", raising=False)
    if value is not None:
        monkeypatch.setenv("METERTWIN_MESSAGE_SIZE_LIMIT", value)
    assert load_settings().message_size_limit_bytes == limit


def test_a_size_that_is_no_number_is_named(monkeypatch):
    for name in ("NAMESPACE", "BROKER_HOST", "TWIN_IMAGE", "MESSAGE_SIZE_LIMIT"):
        monkeypatch.setenv(f"METERTWIN_{name}", "x")
    with pytest.raises(SettingsError, match="METERTWIN_MESSAGE_SIZE_LIMIT"):
        load_settings()


async def asked(world, payload, device="house-1"):
    """Return a messenger that has heard a request, and until when it noted certificates."""
    noted = []
    operator = world.operator
    messenger = Messenger(
        *(operator.settings, operator.cache, operator.fleet, 7, operator.reconciler.messages_of),
        *(lambda _: None, lambda: None),
        renewed=lambda meter, until: noted.append((meter.device, until)),
    )
    try:
        await messenger._hear(f"mt/{device}/renew", payload)
    except RenewalError as error:
        messenger._refuse(error)
    return messenger, noted


async def test_an_answer_stands_in_the_line_and_is_noted_with_its_end(world):
    messenger, noted = await asked(world, world.request())
    found = messenger._outbox.pending["mt/house-1/renewed"].payload
    opened = parse_renewed(found, world.key("renewed"), "house-1", NONCE)
    end = x509.load_der_x509_certificate(opened.certificate).not_valid_after_utc
    assert noted == [("house-1", end)]
    assert not messenger.refused


async def test_an_answer_is_counted_and_told_on_the_smartmeter_with_its_end(world):
    process = Process(world.operator.settings)
    process.events = world.operator.events
    before = RENEWED._value.get()
    process._note_renewal(
        world.operator.cache.owner_of("house-1"), datetime(2036, 6, 1, tzinfo=UTC)
    )
    await process.events.flush()
    (event,) = [
        body for (kind, *_), body in world.operator.cluster.objects.items() if kind == "events"
    ]
    assert (event["reason"], event["type"]) == ("CertificateRenewed", "Normal")
    assert event["message"].endswith("the meter was given a certificate that lasts until 2036-06-01T00:00:00Z")  # fmt: skip
    assert event["involvedObject"]["name"] == "house-1"
    assert RENEWED._value.get() == before + 1


async def test_refusals_are_counted_by_type_and_said_once_per_device(world, caplog):
    messenger, noted = await asked(world, bytes(300))
    for _ in range(3):
        with pytest.raises(RenewalKeyError):
            await messenger._hear("mt/house-1/renew", bytes(300))
    with pytest.raises(RenewalCertificateError):
        await messenger._hear("mt/house-1/renew", world.request(certificate=b"no"))
    assert messenger.refused == {"RenewalKeyError": 1}
    assert caplog.text.count("--key-version 1") == 1
    assert caplog.text.count("provision the meter again") == 1
    assert not noted
    assert not messenger._outbox.pending


async def test_strangers_are_counted_and_leave_neither_lines_nor_memory(world, caplog):
    with caplog.at_level(logging.DEBUG):
        messenger, _ = await asked(world, bytes(300), "stranger-1")
    assert messenger.refused == {"RenewalDeviceError": 1}
    assert not messenger._complained
    assert "stranger-1" not in caplog.text


async def test_the_operator_reads_further_and_former_cas_where_it_reads_its_own(world, caplog):
    cluster = world.operator.cluster
    secret = {"tls.crt": AUTHORITY.certificate_pem, "tls.key": AUTHORITY.key_pem}
    secrets = {"metertwin-ca": secret, "metertwin-fleet-key": {"master": MASTER}}

    async def read(_namespace, name):
        return secrets[name]

    cluster.read_secret = read

    async def loaded():
        found = (await load_fleet(cluster, NAMESPACE)).authorities
        return found.trusted, found.former

    alone = ((AUTHORITY.certificate,), ())
    assert await loaded() == alone
    secret |= {"anchors.crt": ANCHOR.certificate_pem, "former.crt": FORMER.certificate_pem}
    both = (AUTHORITY.certificate, ANCHOR.certificate)
    assert await loaded() == (both, (FORMER.certificate,))
    secret["former.crt"] = b"nonsense"
    assert await loaded() == alone
    assert "metertwin-ca, former.crt" in caplog.text


def test_every_answer_of_a_usual_ca_with_a_further_anchor_fits(world):
    """The longest device id; CAs as docs/how-to/rotate-the-ca.md makes them have 40 bytes more."""
    device = "m" * 32
    world.trust(ANCHOR.certificate)
    meter = world.operator.cache.owner_of("house-1")
    one = replace(meter, device=device)
    answer = world.renewals.answer(device, one, world.request(device), world.now_s, NOW)
    found = parse_renewed(answer.message.payload, world.key("renewed", device), device, NONCE)
    assert len(found.anchors) == 2
    assert len(answer.message.payload) <= 1400 - 2 * 40
