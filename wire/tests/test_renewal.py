"""Renewal of a meter's certificate: both ends of the codec, and what each refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_wire.names import DEVICE
from meter_wire.portable.renewal import LONGEST, encode_renewal_request, parse_renewed
from meter_wire.portable.tlv import RemoteProtocolError
from meter_wire.renewal import Renewal, encode_renewal, parse_renewal_request

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
NONCE = bytes(range(16))
DEVICES = st.from_regex(DEVICE, fullmatch=True)
CERTIFICATES = st.binary(min_size=1, max_size=LONGEST)
ANSWER = Renewal("house-1", NONCE, b"certificate", (b"one", b"two"), 1_800_000_000)
REQUEST = encode_renewal_request(KEY, "house-1", NONCE, b"certificate")


def answer(**changes):
    values = {name: getattr(ANSWER, name) for name in ANSWER.__slots__}
    return Renewal(**{**values, **changes})


def refused_as(parse):
    with pytest.raises(RemoteProtocolError) as refusal:
        parse()
    return refusal.value.args[0]


@given(DEVICES, st.binary(min_size=16, max_size=16), CERTIFICATES)
def test_a_request_comes_back(device, nonce, certificate):
    payload = encode_renewal_request(KEY, device, nonce, certificate)
    found = parse_renewal_request(payload, KEY)
    assert (found.device, found.nonce, found.certificate) == (device, nonce, certificate)


@given(
    DEVICES, CERTIFICATES, st.lists(CERTIFICATES, min_size=1, max_size=2), st.integers(1, 2**32 - 1)
)
def test_an_answer_comes_back(device, certificate, anchors, renew_from_s):
    payload = encode_renewal(Renewal(device, NONCE, certificate, anchors, renew_from_s), KEY)
    found = parse_renewed(payload, KEY, device, NONCE)
    assert (found.certificate, found.anchors) == (certificate, anchors)
    assert (found.nonce, found.renew_from_s) == (NONCE, renew_from_s)


def test_the_largest_answer_of_our_own_authority_fits_into_a_message_of_the_broker():
    payload = encode_renewal(answer(certificate=bytes(480), anchors=(bytes(400), bytes(400))), KEY)
    assert len(payload) < 1536


@given(st.data())
def test_no_octet_of_either_can_be_changed_or_cut(data):
    for payload, parse in (
        (REQUEST, lambda octets: parse_renewal_request(octets, KEY)),
        (encode_renewal(ANSWER, KEY), lambda octets: parse_renewed(octets, KEY, "house-1", NONCE)),
    ):
        where = data.draw(st.integers(0, len(payload) - 1))
        changed = bytearray(payload)
        changed[where] ^= data.draw(st.integers(1, 255))
        assert refused_as(lambda parse=parse, changed=changed: parse(bytes(changed))) in (
            "mac",
            "version",
        )
        cut = payload[:where]
        assert refused_as(lambda parse=parse, cut=cut: parse(cut)) in ("mac", "malformed")


@given(st.binary(max_size=200))
def test_what_is_signed_and_no_answer_is_refused_by_its_form(content):
    from meter_wire.portable.keys import mac16

    payload = b"\x01" + content
    payload += mac16(KEY, payload)
    for parse in (
        lambda: parse_renewal_request(payload, KEY),
        lambda: parse_renewed(payload, KEY, "house-1", NONCE),
    ):
        assert refused_as(parse) in ("malformed", "device", "nonce")


@pytest.mark.parametrize(
    ("key", "device", "nonce", "reason"),
    [
        (OTHER_KEY, "house-1", NONCE, "mac"),
        (KEY, "house-2", NONCE, "device"),
        (KEY, "house-1", bytes(16), "nonce"),
        (KEY, "house-1", b"", "nonce"),
    ],
)
def test_an_answer_for_somebody_or_something_else_is_refused(key, device, nonce, reason):
    payload = encode_renewal(ANSWER, KEY)
    assert refused_as(lambda: parse_renewed(payload, key, device, nonce)) == reason


def test_a_request_is_no_answer_to_itself():
    assert refused_as(lambda: parse_renewed(REQUEST, KEY, "house-1", NONCE)) == "malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "House"},
        {"nonce": bytes(8)},
        {"anchors": ()},
        {"anchors": (b"a", b"b", b"c")},
        {"anchors": (b"",)},
        {"certificate": b""},
        {"certificate": bytes(LONGEST + 1)},
        {"anchors": (bytes(LONGEST + 1),)},
        {"renew_from_s": 0},
        {"renew_from_s": 1 << 32},
    ],
)
def test_an_answer_that_no_meter_takes_is_not_encoded(changes):
    name = next(iter(changes))
    with pytest.raises(ValueError, match=name):
        encode_renewal(answer(**changes), KEY)
