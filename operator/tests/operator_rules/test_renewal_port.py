"""A dark meter asks over the renewal port: both brokers of the chart's pod, and the real messenger.

The settings of the port's broker are those of the chart in short; charts/tests/test_renewal_port.py
tries who may say what there.
"""

import asyncio
import ssl
import subprocess
from datetime import UTC, datetime, timedelta

import aiomqtt
import pytest
from cryptography import x509
from loopback import free_ports
from meter_operator.renewals import PACE_S, Renewals
from meter_pki.authorities import Authorities
from meter_pki.authority import Authority, pem_to_der
from meter_pki.identities import meter_identity, operator_identity
from meter_wire.owner_record import parse_owner_record
from meter_wire.portable.keys import derive_key
from meter_wire.portable.owner import encode_owner_hello
from meter_wire.portable.renewal import encode_renewal_request, parse_renewed
from meter_wire.portable.tlv import RemoteProtocolError

from .on_a_broker import NEEDS_MOSQUITTO, PROGRAM, RULES, WAIT_S, Broker, Session, until
from .street import AUTHORITY

pytestmark = [
    NEEDS_MOSQUITTO,
    pytest.mark.timeout(120),
]
BRIDGE = """\
connection renewal
address 127.0.0.1:{bridge_port}
topic mt/+/renew in 1
topic mt/+/renewed out 1
cleansession true
notifications false
try_private false
restart_timeout 1 5
"""
PORT = """\
per_listener_settings true
user root
retain_available false
listener {renewal_port} 127.0.0.1
certfile {folder}/broker.crt
keyfile {folder}/broker.key
allow_anonymous true
acl_file {folder}/acl-renewal
listener {bridge_port} 127.0.0.1
allow_anonymous true
"""
PORT_RULES = "pattern write mt/%c/renew\npattern read mt/%c/renewed\n"
OPERATOR_RULES = "topic read mt/+/renew\ntopic write mt/+/renewed\n"
JUNK = 5000
NEVER_S = 3
"""Seconds for what must not come; what comes instead was counted before."""


class TwoBrokers(Broker):
    """The broker of `on_a_broker.py`, and that of the renewal port beside it."""

    def __init__(self, folder):
        super().__init__(folder)
        self.renewal_port, self.bridge_port = free_ports(2)
        self.configuration += BRIDGE.format(bridge_port=self.bridge_port)
        (folder / "acl").write_text(RULES.replace("pattern", f"{OPERATOR_RULES}pattern", 1))
        (folder / "acl-renewal").write_text(PORT_RULES)
        (folder / "acl-renewal").chmod(0o600)
        self.port_process = None

    def launch(self):
        super().launch()
        file = self.folder / "renewal.conf"
        names = {"renewal_port": self.renewal_port, "bridge_port": self.bridge_port}
        file.write_text(PORT.format(folder=self.folder, **names))
        self.port_process = subprocess.Popen([PROGRAM, "-c", str(file)], stderr=subprocess.DEVNULL)

    def kill(self):
        super().kill()
        if self.port_process is not None:
            self.port_process.kill()
            self.port_process.wait(60)
            self.port_process = None

    def dark(self, device="house-1"):
        """Return a client of the renewal port that has no certificate and verifies nobody."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return aiomqtt.Client(
            "127.0.0.1", self.renewal_port, identifier=device, tls_context=context
        )


@pytest.fixture
async def street(operator, tmp_path):
    broker = TwoBrokers(tmp_path)
    broker.identify(operator_identity())
    await broker.start()
    session = Session(operator, broker)
    session.start()
    await session.connected()
    operator.add_meter()
    operator.add_meter("house-2")
    await operator.settle()
    session.now_s = 0.0
    session.messenger._clock = lambda: session.now_s
    street = Street(operator, broker, session)
    await street.bridged()
    yield street
    await session.stop()
    broker.kill()


class Street:
    """What a meter, or somebody in its place, says and hears at the renewal port."""

    def __init__(self, operator, broker, session):
        self.operator, self.broker, self.session = operator, broker, session
        self.messenger = session.messenger
        self.number = 0

    async def bridged(self):
        """Wait until what is said on the port arrives."""
        async with self.broker.dark("probe") as client, asyncio.timeout(WAIT_S):
            while not self.messenger.refused:
                await client.publish("mt/probe/renew", b"probe", qos=1)
                await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)
        self.messenger.refused.clear()

    def certificate(self, device="house-1", authority=AUTHORITY):
        ended = datetime.now(UTC) - timedelta(days=400)
        bundle = authority.issue(meter_identity(device), ended, timedelta(days=30))
        return pem_to_der(bundle.certificate)

    def key(self, label, device="house-1", version=1):
        return derive_key(self.operator.fleet.meter_key(device, version), label, device)

    def request(self, certificate, key=None):
        self.number += 1
        nonce = self.number.to_bytes(16, "big")
        key = key or self.key("renew")
        return nonce, encode_renewal_request(key, "house-1", nonce, certificate)

    async def ask(self, payload):
        """Return the answer to a request of house-1."""
        self.session.now_s += PACE_S
        async with self.broker.dark() as client, asyncio.timeout(WAIT_S):
            await client.subscribe("mt/house-1/renewed", qos=1)
            await client.publish("mt/house-1/renew", payload, qos=1)
            return (await anext(aiter(client.messages))).payload

    async def is_refused(self, payload, reason):
        """The request is counted, and nothing is answered before what comes next."""
        self.session.now_s += PACE_S
        before = self.messenger.refused.get(reason, 0)
        async with self.broker.dark() as client:
            await client.subscribe("mt/house-1/renewed", qos=1)
            await client.publish("mt/house-1/renew", payload, qos=1)
            await until(lambda: self.messenger.refused.get(reason, 0) == before + 1)
            self.session.now_s += PACE_S
            nonce, good = self.request(self.certificate())
            await client.publish("mt/house-1/renew", good, qos=1)
            async with asyncio.timeout(WAIT_S):
                first = (await anext(aiter(client.messages))).payload
        assert self.opened(first, nonce)

    def opened(self, answer, nonce):
        return parse_renewed(answer, self.key("renewed"), "house-1", nonce)


async def test_a_meter_whose_certificate_has_ended_gets_a_new_one_over_the_renewal_port(street):
    certificate = street.certificate()
    nonce, payload = street.request(certificate)
    found = street.opened(await street.ask(payload), nonce)
    before, after = (
        x509.load_der_x509_certificate(one) for one in (certificate, found.certificate)
    )
    assert after.public_key() == before.public_key()
    assert before.not_valid_after_utc < datetime.now(UTC) < after.not_valid_after_utc
    assert await street.broker.retained("mt/+/renewed") == {}
    assert not street.messenger.refused


async def test_others_words_are_refused_and_the_next_request_is_answered(street):
    of_house_2 = street.certificate("house-2")
    unknown = Authority.create(datetime.now(UTC))
    for certificate, key, reason in (
        (street.certificate(), bytes(32), "RenewalKeyError"),
        (street.certificate(), street.key("renew", version=2), "RenewalKeyError"),
        (of_house_2, street.key("renew", "house-2"), "RenewalKeyError"),
        (of_house_2, None, "RenewalCertificateError"),
        (street.certificate(authority=unknown), None, "RenewalCertificateError"),
    ):
        await street.is_refused(street.request(certificate, key)[1], reason)


async def test_a_forgotten_key_version_is_refused_and_a_former_ca_taken_once_it_is_named(street):
    former = Authority.create(datetime.now(UTC) - timedelta(days=500))
    nonce, payload = street.request(street.certificate(authority=former))
    await street.is_refused(payload, "RenewalCertificateError")
    authorities = Authorities(AUTHORITY, former=(former.certificate,))
    street.operator.fleet.authorities = authorities
    street.messenger._renewals = Renewals(street.operator.fleet, 1536)
    assert street.opened(await street.ask(payload), nonce)
    street.operator.change_meter(keyVersion=2)
    street.session.now_s += PACE_S
    async with street.broker.dark() as client:
        await client.publish("mt/house-1/renew", payload, qos=1)
        await until(lambda: "RenewalKeyError" in street.messenger.refused)


async def test_the_answer_to_a_request_that_somebody_repeats_is_of_no_use(street):
    certificate = street.certificate()
    nonce, payload = street.request(certificate)
    await street.ask(payload)
    again = street.opened(await street.ask(payload), nonce)
    one, other = (x509.load_der_x509_certificate(der) for der in (certificate, again.certificate))
    assert one.public_key() == other.public_key()
    answer = await street.ask(payload)
    with pytest.raises(RemoteProtocolError, match="nonce"):
        street.opened(answer, bytes(16))


async def test_while_strangers_fill_the_port_hellos_and_the_meter_are_answered(street):
    """5,000 messages of which none is authentic, from ten clients at once."""
    refused = street.messenger.refused
    payloads = [bytes(300), street.request(street.certificate(), bytes(32))[1], b"x" * 1536, b""]
    devices = ["house-1", "house-2", *[f"stranger-{number}" for number in range(8)]]

    async def fill(device):
        async with street.broker.dark(device) as client:
            client.pending_calls_threshold = 1000
            for number in range(JUNK // len(devices)):
                payload = payloads[number % len(payloads)]
                await client.publish(f"mt/{device}/renew", payload, qos=1)

    async def greet(nonce):
        hello = encode_owner_hello(street.key("hello"), "house-1", nonce, b"abcdefgh", None)
        async with aiomqtt.Client("127.0.0.1", street.broker.open_port) as client:
            await client.subscribe("mt/house-1/owner", qos=1)
            await client.publish("mt/house-1/hello", hello, qos=1)
            async for message in client.messages:
                if parse_owner_record(message.payload, street.key("owner")).nonce == nonce:
                    return

    filling = [asyncio.create_task(fill(device)) for device in devices]
    answered = 0
    async with asyncio.timeout(WAIT_S):
        while not all(task.done() for task in filling):
            street.session.now_s += PACE_S
            await greet(answered.to_bytes(8, "big"))
            answered += 1
    await asyncio.gather(*filling)
    assert answered > 1
    assert sum(refused.values()) > JUNK // 20, refused
    assert set(refused) == {"RenewalKeyError", "RenewalDeviceError"}
    assert not street.session.task.done()
    assert len(street.messenger._complained) == 2  # house-1 and house-2, once each
    nonce, payload = street.request(street.certificate())
    assert street.opened(await street.ask(payload), nonce)
