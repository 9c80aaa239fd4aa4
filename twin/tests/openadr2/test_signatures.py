"""XML signatures: openleadr proves ours, ours prove openleadr's, and what does not hold is refused."""

import asyncio
import functools
import re
import time
from pathlib import Path

import pytest
from distributed import describe, event
from lxml import etree
from meter_twin.demand_response.event_book import EventBook, Offer, Opt
from meter_twin.http_answer import HttpAnswer
from meter_twin.http_client import HttpClientError
from meter_twin.openadr2 import registration_codec
from meter_twin.openadr2.dialogue import (
    Delivered,
    EventsCame,
    Question,
    Registered,
    ReportsAsked,
    Trouble,
)
from meter_twin.openadr2.message_codec import parse_message
from meter_twin.openadr2.report_codec import Point, Report, ReportedValue, ReportOffer
from meter_twin.openadr2.signature_rules import (
    MOST_AGE_S,
    MOST_NONCES,
    Sealed,
    SignatureError,
    SignatureRules,
    find_fingerprint,
)
from meter_twin.openadr2.xml_codec import MOST_OCTETS
from meter_twin.signed_client import REASON, SignedClient
from meter_twin.xml_signatures import XmlSignatures
from openleadr import messaging
from openleadr.utils import certificate_fingerprint
from vtn_process import VenDriver, VtnProcess

pytestmark = pytest.mark.timeout(300)
VEN_ID = "ven-of-house-1"
NOW = 1_800_000_000
POLL = registration_codec.build_poll("ven-1")
DSIG = "{http://www.w3.org/2000/09/xmldsig#}"
DSP = "{http://openadr.org/oadr-2.0b/2012/07/xmldsig-properties}"


@pytest.fixture
def pairs(authority):
    """Return certificate and key of the VEN and of the VTN."""
    return authority.issue("house-1"), authority.issue("vtn")


@pytest.fixture
def ours(pairs):
    return XmlSignatures(*pairs[0])


def say(pair, name="oadrResponse", **content):
    """Return a message that openleadr has signed."""
    certificate, key = (Path(file).read_bytes() for file in pair)
    content = content or {
        "ven_id": "ven-1",
        "response": {"response_code": 200, "response_description": "OK", "request_id": "q1"},
    }
    return messaging.create_message(name, cert=certificate, key=key, **content).encode()


def fingerprint(pair):
    return certificate_fingerprint(Path(pair[0]).read_text())


# Cryptography: the port against openleadr's own.


def test_openleadr_proves_what_is_signed_here(ours, pairs):
    octets = ours.sign(POLL, int(time.time()), "nonce-1")
    tree = messaging.validate_xml_schema(octets)
    messaging.validate_xml_signature(tree, fingerprint(pairs[0]))
    with pytest.raises(ValueError, match="already used"):
        messaging.validate_xml_signature(tree, fingerprint(pairs[0]))
    assert parse_message(octets).name == "oadrPoll"


def test_what_openleadr_signs_is_proved_here(ours, pairs):
    now_s = int(time.time())
    sealed = ours.open(say(pairs[1]))
    assert find_fingerprint(sealed.certificate) == fingerprint(pairs[1])
    assert now_s - 2 <= sealed.signed_s <= now_s + 2
    assert parse_message(sealed.payload).name == "oadrResponse"
    SignatureRules([fingerprint(pairs[1])], now_s - 5).check(sealed, now_s)


def test_events_are_read_as_they_were_signed(ours, pairs):
    events = [event(describe("peak-1"))]
    response = {"response_code": 200, "response_description": "OK", "request_id": "q"}
    octets = say(pairs[1], "oadrDistributeEvent", request_id="r", response=response, events=events)
    message = parse_message(ours.open(octets).payload)
    plain = parse_message(octets)
    assert message.name == "oadrDistributeEvent"
    path = "oadrEvent/eiEvent/eventDescriptor/eventID"
    assert message.element.get_text(path) == plain.element.get_text(path) == "peak-1"


def test_a_changed_message_is_refused(ours, pairs):
    octets = say(pairs[1]).replace(b">200<", b">463<")
    with pytest.raises(SignatureError, match="does not hold"):
        ours.open(octets)


@pytest.mark.parametrize("what", ["timestamp", "nonce"])
def test_a_changed_replay_protect_is_refused(ours, pairs, what):
    root = etree.fromstring(say(pairs[1]))
    root.find(f".//{DSP}{what}").text = "2030-01-01T00:00:00Z"
    with pytest.raises(SignatureError, match="does not hold"):
        ours.open(etree.tostring(root))


def test_a_message_without_a_signature_is_refused(ours):
    for octets in (POLL.encode(), b"<oadrPayload/>"):
        with pytest.raises(SignatureError, match="is not signed"):
            ours.open(octets)


def test_another_certificate_in_a_signature_is_refused(ours, pairs):
    root = etree.fromstring(say(pairs[1]))
    other = Path(pairs[0][0]).read_text()
    root.find(f".//{DSIG}X509Certificate").text = other.split("-----")[2].strip()
    with pytest.raises(SignatureError, match="does not hold"):
        ours.open(etree.tostring(root))


def test_a_signature_without_a_certificate_is_refused(ours, pairs):
    root = etree.fromstring(say(pairs[1]))
    information = root.find(f".//{DSIG}KeyInfo")
    information.getparent().remove(information)
    with pytest.raises(SignatureError, match="names no certificate"):
        ours.open(etree.tostring(root))


def test_only_what_is_signed_is_handed_on(ours, pairs):
    """XML signature wrapping: the signed object is moved away, another one takes its place."""
    said = registration_codec.build_response(200, "OK", "q", "ven-1")
    root = etree.fromstring(XmlSignatures(*pairs[1]).sign(said, NOW, "n"))
    signed = root.find("{*}oadrSignedObject")
    forged = etree.fromstring(said.replace(">200<", ">463<").encode()).find("{*}oadrSignedObject")
    forged.attrib.clear()
    root.replace(signed, forged)
    etree.SubElement(root.find(f"{DSIG}Signature"), f"{DSIG}Object").append(signed)
    octets = etree.tostring(root)
    assert parse_message(octets).element.get_text("eiResponse/responseCode") == "463"
    found = parse_message(ours.open(octets).payload).element
    assert found.get_text("eiResponse/responseCode") == "200"


def test_a_signature_that_covers_no_replay_protect_is_refused(ours, pairs):
    from signxml import XMLSigner, methods

    certificate, key = (Path(file).read_bytes() for file in pairs[1])
    root = etree.fromstring(POLL.encode())
    signer = XMLSigner(method=methods.detached, signature_algorithm="ecdsa-sha256")
    root.insert(0, signer.sign(root, key=key, cert=certificate.decode(), reference_uri="#oadrSignedObject"))  # fmt: skip
    with pytest.raises(SignatureError, match="does not hold"):
        ours.open(etree.tostring(root))


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"<a",
        b"<a>" * 100_000,
        b"<a/>" + b" " * MOST_OCTETS,
        b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><a>&d;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    ],
    ids=["nothing", "cut", "deep", "long", "entities", "a file"],
)
def test_libxml2_sees_nothing_that_our_parser_refuses(ours, octets, monkeypatch):
    monkeypatch.setattr(etree, "fromstring", lambda *_: pytest.fail("libxml2 has read it"))
    with pytest.raises(SignatureError, match="no XML that is read"):
        ours.open(octets)


def test_a_key_that_cannot_sign_is_told_without_its_text(pairs, tmp_path):
    broken = tmp_path / "key"
    broken.write_text("-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n")
    for key in (str(broken), str(tmp_path / "none")):
        with pytest.raises(SignatureError, match="certificate or key cannot be used") as told:
            XmlSignatures(pairs[0][0], key).sign(POLL, NOW, "n")
        assert "secret" not in str(told.value)


# The decision, without cryptography.

SEALED = Sealed(b"<x/>", b"certificate", NOW - 1000, NOW + 1000, NOW, "n1")
KNOWN = find_fingerprint(b"certificate")


def rules(began_s=NOW - 500):
    return SignatureRules([KNOWN], began_s)


@pytest.mark.parametrize(
    ("changes", "now_s"),
    [
        ({}, NOW),
        ({}, NOW + MOST_AGE_S),
        ({}, NOW - MOST_AGE_S),
        ({"valid_from_s": NOW}, NOW),
        ({"valid_until_s": NOW}, NOW),
        ({"nonce": "n" * 256}, NOW),
    ],
)
def test_what_is_known_fresh_and_new_is_believed(changes, now_s):
    rules().check(SEALED._replace(**changes), now_s)


@pytest.mark.parametrize(
    ("changes", "now_s", "reason"),
    [
        ({"certificate": b"another"}, NOW, "unknown certificate, fingerprint "),
        ({}, NOW + MOST_AGE_S + 1, "more than 60 s ago"),
        ({}, NOW - MOST_AGE_S - 1, "in the future"),
        ({"valid_from_s": NOW + 1}, NOW, "not valid now"),
        ({"valid_until_s": NOW - 1}, NOW, "not valid now"),
        ({"nonce": ""}, NOW, "nonce is empty"),
        ({"nonce": "n" * 257}, NOW, "or too long"),
    ],
)
def test_what_is_unknown_or_stale_is_refused(changes, now_s, reason):
    with pytest.raises(SignatureError, match=reason):
        rules().check(SEALED._replace(**changes), now_s)


def test_a_nonce_is_believed_once_however_long_it_is_tried():
    judge = rules()
    judge.check(SEALED, NOW)
    for now_s in range(NOW, NOW + 2 * MOST_AGE_S):
        with pytest.raises(SignatureError, match=r"came before|s ago"):
            judge.check(SEALED, now_s)
        judge.check(SEALED._replace(signed_s=now_s, nonce=f"m{now_s}"), now_s)


def test_what_was_refused_does_not_use_up_its_nonce():
    judge = rules()
    with pytest.raises(SignatureError):
        judge.check(SEALED._replace(certificate=b"another"), NOW)
    judge.check(SEALED, NOW)


@pytest.mark.parametrize(("signed_s", "is_believed"), [(NOW - 1, False), (NOW, True)])
def test_what_was_signed_before_the_process_began_is_refused(signed_s, is_believed):
    judge, sealed = rules(began_s=NOW), SEALED._replace(signed_s=signed_s)
    if is_believed:
        judge.check(sealed, NOW)
    else:
        with pytest.raises(SignatureError, match="before the time from which nonces are known"):
            judge.check(sealed, NOW)


def test_nonces_are_bounded_and_what_is_forgotten_is_not_believed_again():
    judge = rules()
    for number in range(3 * MOST_NONCES):
        at_s = NOW - 30 + number // 100
        judge.check(SEALED._replace(signed_s=at_s, nonce=f"x{number}"), NOW)
        assert len(judge._nonces) <= MOST_NONCES
    for number in range(3 * MOST_NONCES):
        at_s = NOW - 30 + number // 100
        with pytest.raises(SignatureError):
            judge.check(SEALED._replace(signed_s=at_s, nonce=f"x{number}"), NOW)


# The client.


class Answers:
    """A client that gives one answer."""

    def __init__(self, status, body):
        self.answer = HttpAnswer(status, {}, body, True)
        self.asked = []

    async def ask(self, question):
        self.asked.append(question.octets)
        return self.answer

    async def close(self):
        pass


def ask(pairs, status, body, question=POLL, known=None):
    client = Answers(status, body)
    judge = SignatureRules([known or fingerprint(pairs[1])], int(time.time()) - 5)
    signed = SignedClient(client, XmlSignatures(*pairs[0]), judge, lambda: "nonce")
    answer = asyncio.run(signed.ask(Question("OadrPoll", question, "poll")))
    return answer, client.asked[0]


def test_a_question_is_signed_and_its_answer_opened(pairs):
    answer, asked = ask(pairs, 200, say(pairs[1]))
    assert b"Signature" in asked
    assert b"Signature" not in answer.body
    assert parse_message(answer.body).name == "oadrResponse"


@pytest.mark.parametrize("known", ["00:11:22:33:44:55:66:77:88:99", None])
def test_an_answer_that_is_not_believed_is_none(pairs, known):
    body = say(pairs[1]) if known else POLL.encode()
    with pytest.raises(HttpClientError, match="not believed") as told:
        ask(pairs, 200, body, known=known)
    assert told.value.reason == REASON == "BadSignature"


def test_a_refusal_by_status_needs_no_signature(pairs):
    assert ask(pairs, 403, b"Invalid Signature")[0].status == 403


def test_an_empty_body_confirms_nothing_but_what_has_no_answer(pairs):
    bare = registration_codec.build_response(200, "OK", "q", "ven-1")
    assert ask(pairs, 200, b"", bare)[0].body == b""
    with pytest.raises(HttpClientError, match="not believed"):
        ask(pairs, 200, b"")


# The whole conversation with openleadr's VTN.


def secure(authority, pair, **settings):
    certificate, key = pair
    return VtnProcess(cert=certificate, key=key, ca_file=authority.ca, signs=True, **settings)


def signing(pair, known):
    numbers = iter(range(10**9))
    began = f"{time.time_ns():x}"
    return functools.partial(
        SignedClient,
        signatures=XmlSignatures(*pair),
        rules=SignatureRules([known], int(time.time()) - 1),
        new_nonce=lambda: f"{began}-{next(numbers)}",
    )


class House:
    """Answers events and accepts reports."""

    def __init__(self):
        self.book = EventBook()
        self.requests = []

    def __call__(self, ven, happening):
        now_s = int(time.time())
        if isinstance(happening, EventsCame):
            offer = Offer(ven.ven_id, {"SIMPLE"})
            answers = self.book.take(happening.events, offer, lambda *_: Opt(True), now_s)
            ven.outbox.answer_events(happening.request_id, answers)
        if isinstance(happening, ReportsAsked):
            self.requests += happening.requests
            pending = [one.request_id for one in happening.requests]
            ven.outbox.accept_reports(happening.request_id, pending)


def context(authority, pair):
    found = authority.context()
    found.load_cert_chain(*pair)
    return found


async def test_everything_is_said_under_signatures(authority, pairs):
    ven_pair, vtn_pair = pairs
    tls, house = context(authority, ven_pair), House()
    point = Point("energy", "usage", "Direct Read", "Wh", "house-1", 900, 900)
    offers = (ReportOffer("usage", "TELEMETRY_USAGE", 86_400, (point,)),)
    sign = signing(ven_pair, fingerprint(vtn_pair))
    async with (
        secure(authority, vtn_pair) as vtn,
        VenDriver(vtn.url("https"), None, offers, tls=tls, on=house, sign=sign) as ven,
    ):
        await ven.until(ReportsAsked)
        start_s = int(time.time()) // 900 * 900 - 900
        value = ReportedValue("energy", start_s, 900, 42)
        report = Report(
            *("r-1", house.requests[0].request_id, "usage", "TELEMETRY_USAGE"),
            *(start_s + 900, start_s, 900, (value,)),
        )
        ven.ven.outbox.send_report(report)
        await ven.until(Delivered)
        assert await vtn.until("report") == [[[start_s, 42]]]
        vtn.say(do="event", ven_id=VEN_ID, event_id="peak-1", duration_s=3600, value=2, start_s=int(time.time()))  # fmt: skip
        assert await vtn.until("opt") == [{"ven": VEN_ID, "event": "peak-1", "opt": "optIn"}]
        assert not [one for one in ven.happened if isinstance(one, Trouble)]


async def test_a_vtn_with_another_certificate_than_was_told_is_refused(authority, pairs):
    ven_pair, vtn_pair = pairs
    sign = signing(ven_pair, "00:11:22:33:44:55:66:77:88:99")
    async with (
        secure(authority, vtn_pair) as vtn,
        VenDriver(vtn.url("https"), tls=context(authority, ven_pair), sign=sign) as ven,
    ):
        (trouble, *_) = await ven.until(Trouble)
        assert trouble.reason == "BadSignature"
        assert re.search(
            f"unknown certificate, fingerprint {fingerprint(vtn_pair)}$", trouble.message
        )
        assert not [one for one in ven.happened if isinstance(one, Registered)]


async def test_a_vtn_that_does_not_sign_is_refused(authority, pairs):
    ven_pair, vtn_pair = pairs
    vtn = VtnProcess(cert=vtn_pair[0], key=vtn_pair[1], ca_file=authority.ca)
    sign = signing(ven_pair, fingerprint(vtn_pair))
    async with (
        vtn,
        VenDriver(vtn.url("https"), tls=context(authority, ven_pair), sign=sign) as ven,
    ):
        (trouble, *_) = await ven.until(Trouble)
        assert (trouble.reason, "is not signed" in trouble.message) == ("BadSignature", True)


async def test_a_ven_that_does_not_sign_is_refused_by_a_vtn_that_wants_it(authority, pairs):
    """The counterpart does verify: without this, the tests above would prove little."""
    async with (
        secure(authority, pairs[1]) as vtn,
        VenDriver(vtn.url("https"), tls=context(authority, pairs[0])) as ven,
    ):
        await ven.until(Registered)
        found = await ven.until(Trouble)
        assert found[0].reason in ("HttpError", "Forbidden", "BadAnswer", "Refused")
