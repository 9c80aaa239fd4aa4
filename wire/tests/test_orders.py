"""Orders of the utility on the wire: built outside, passed on by the twin, judged by the meter."""

import dataclasses
import random

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_wire import names, tables
from meter_wire.commands import Order
from meter_wire.effects import Answered
from meter_wire.memory import MemoryMeter
from meter_wire.owner_record import parse_owner_hello
from meter_wire.portable import tlv
from meter_wire.portable.keys import derive_key
from meter_wire.portable.order import Order as ParsedOrder
from meter_wire.portable.order import judge, verifier
from meter_wire.portable.tlv import RemoteProtocolError
from meter_wire.utility_order import (
    LAST_ACTIVATION_S,
    UtilityOrder,
    build_signed_message,
    encode_utility_order,
    pack_signature,
    parse_utility_order,
)

NOW_S = 1_800_000_000
KEY = ec.derive_private_key(1 << 200, ec.SECP256R1())
OTHER = ec.derive_private_key(1 << 201, ec.SECP256R1())
DISCONNECT = UtilityOrder("house-1", "disconnect", 7, "dso.example", NOW_S + 600, 1)


def public(key):
    point = key.public_key().public_numbers()
    return point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")


def sign(order, key=KEY):
    der = key.sign(build_signed_message(order), ec.ECDSA(hashes.SHA256()))
    return pack_signature(der)


u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
operators = st.text(min_size=1, max_size=16)
base = {
    "device": st.from_regex(names.DEVICE, fullmatch=True),
    "reason": u16,
    "operator": operators,
    "not_after": u32,
    "counter": st.integers(1, 0xFFFFFFFF),
    "incarnation": st.none() | st.binary(min_size=8, max_size=8),
}
supply = st.builds(UtilityOrder, action=st.sampled_from(["disconnect", "arm"]), **base)
clock = st.builds(
    UtilityOrder,
    action=st.just("set_clock"),
    utc_ms=st.integers(1, (1 << 64) - 1),
    boot=u16,
    uptime_s=u32,
    **base,
)
timed = st.builds(
    UtilityOrder, action=st.just("disconnect"), boot=u16, uptime_s=u32, **base
)  # fmt: skip
calendared = st.builds(
    UtilityOrder,
    action=st.just("set_calendar"),
    activates=st.integers(0, LAST_ACTIVATION_S),
    calendar=st.sampled_from([b"\x01\x01x\x00\x00", b"\x01\x01y\x01\x02\x04\x00"]),
    **base,
)
orders = supply | clock | timed | calendared


@pytest.fixture
def meter():
    world = MemoryMeter("house-1", bytes(range(32)), random.Random(7).randbytes)
    world.verify = verifier(public(KEY))
    world.reboot()
    world.send()
    hello = parse_owner_hello(world.hellos[-1], derive_key(world.key, "hello", "house-1"))
    world.accept(world.record(1, 1, nonce=hello.nonce))
    world.settle()
    return world


def issue(meter, order, signature):
    """Send an order through the twin; return the code of the answer, None if it got an event."""
    twin = meter.twin(1)
    seen = len(meter.events)
    identity, effects = twin.link.command(Order(order, signature), 5000, meter.now_ms)
    twin.act(effects)
    meter.settle()
    if len(meter.events) > seen:
        return None
    return next(e.code for e in twin.effects if isinstance(e, Answered) and e.command == identity)


def parses(data):
    try:
        parse_utility_order(data)
    except RemoteProtocolError:
        return False
    return True


@given(orders)
def test_an_order_comes_back(order):
    assert parse_utility_order(encode_utility_order(order)) == order


@given(orders, st.data())
def test_a_cut_or_longer_order_is_refused(order, data):
    encoded = encode_utility_order(order)
    end = data.draw(st.integers(0, len(encoded) - 1))
    for bad in (encoded[:end], encoded + b"\x01", b"\x02" + encoded[1:]):
        if parses(bad):  # only whole optional fields may be cut off; the signature covers them
            assert bad == encoded[:end]
            assert parse_utility_order(bad) != order


@given(st.binary(max_size=200) | st.dictionaries(
    st.integers(1, 12), st.binary(max_size=70), max_size=12,
).map(lambda rows: b"\x01" + b"".join(tlv.field(tag, value) for tag, value in rows.items())))  # fmt: skip
def test_arbitrary_bytes_end_in_a_refusal_of_the_table(data):
    try:
        order = ParsedOrder(data)
    except RemoteProtocolError as error:
        reason = error.args[0]
    else:
        reason = judge(order, "house-1", 0, bytes(8), NOW_S, 1, 1)
    assert reason in {"", *(row.name for row in tables.REFUSALS)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activates", 5),
        ("device", "House"),
        ("action", "reconnect"),
        ("reason", 1 << 16),
        ("operator", ""),
        ("operator", "x" * 65),
        ("not_after", -1),
        ("counter", 0),
        ("utc_ms", 5),
        ("incarnation", b"short"),
        ("uptime_s", 5),
        ("boot", 1 << 16),
    ],
)
def test_a_field_out_of_range_is_named_where_the_order_is_built(field, value):
    with pytest.raises(ValueError, match=field):
        encode_utility_order(dataclasses.replace(DISCONNECT, **{field: value}))


def test_an_order_that_sets_the_clock_is_not_built_without_its_limits():
    unlimited = dataclasses.replace(DISCONNECT, action="set_clock", utc_ms=NOW_S * 1000)
    with pytest.raises(ValueError, match="boot"):
        encode_utility_order(unlimited)
    assert encode_utility_order(dataclasses.replace(unlimited, boot=7, uptime_s=60))


def test_an_order_that_sets_the_clock_without_boot_and_uptime_is_refused_by_its_own_name():
    limited = dataclasses.replace(
        DISCONNECT, action="set_clock", utc_ms=NOW_S * 1000, boot=7, uptime_s=60
    )
    data = encode_utility_order(limited)
    limits = tlv.number(9, 7) + tlv.number(10, 60)
    assert data.endswith(limits)
    arguments = ("house-1", 0, bytes(8), NOW_S, 7, 60)
    assert judge(ParsedOrder(data), *arguments) == ""
    assert judge(ParsedOrder(data[: -len(limits)]), *arguments) == "unlimited"


def test_a_genuine_order_reaches_the_meter_unchanged(meter):
    order = encode_utility_order(DISCONNECT)
    signature = sign(order)
    assert issue(meter, order, signature) is None
    assert meter.events[-1][0] == "order"
    assert meter.events[-1][3:] == (order, signature)
    assert meter.link.refused == {}


@settings(max_examples=60)
@given(st.data())
def test_a_changed_order_or_signature_is_not_genuine(data):
    order = encode_utility_order(DISCONNECT)
    signature = sign(order)
    genuine = verifier(public(KEY))
    assert genuine(order, signature)
    part = data.draw(st.sampled_from(["order", "signature"]))
    raw = bytearray(order if part == "order" else signature)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    if part == "order":
        assert not genuine(bytes(raw), signature)
    else:
        assert not genuine(order, bytes(raw))


def test_a_wrong_signature_and_another_key_are_refused_and_counted(meter):
    order = encode_utility_order(DISCONNECT)
    assert issue(meter, order, bytes(64)) == "unsigned"
    assert issue(meter, order, sign(order, OTHER)) == "unsigned"
    assert issue(meter, order, sign(encode_utility_order(DISCONNECT) + b"\0")) == "unsigned"
    assert issue(meter, order, sign(order)[:63]) == "unsigned"
    assert meter.link.refused == {"unsigned": 4}


def test_a_signature_over_the_bare_order_is_not_genuine():
    order = encode_utility_order(DISCONNECT)
    der = KEY.sign(order, ec.ECDSA(hashes.SHA256()))
    assert not verifier(public(KEY))(order, pack_signature(der))


def test_a_frame_with_an_order_is_refused_when_it_comes_again(meter):
    order = encode_utility_order(DISCONNECT)
    twin = meter.twin(1)
    _, effects = twin.link.command(Order(order, sign(order)), 5000, meter.now_ms)
    twin.act(effects)
    frame = twin.down[-1]
    meter.settle()
    seen = len(meter.events)
    assert meter.link.receive(1, frame, meter.now_ms) is None
    assert meter.link.receive(1, frame, meter.now_ms, True) is None
    assert meter.link.refused == {"replayed": 1, "retained": 1}
    assert len(meter.events) == seen


@given(orders, u32, u32 | st.none(), u16, u32)
def test_a_meter_judges_device_counter_and_expiry(order, last, utc_s, boot, uptime_s):
    parsed = ParsedOrder(encode_utility_order(order))
    incarnation = order.incarnation or bytes(8)
    verdict = judge(parsed, order.device, last, incarnation, utc_s, boot, uptime_s)
    assert judge(parsed, "x" + order.device, last, incarnation, utc_s, boot, uptime_s) == "device"
    late = order.action != "set_clock" and (
        (utc_s is None and order.boot is None) or (utc_s is not None and utc_s > order.not_after)
    )
    late = late or (order.boot is not None and (order.boot != boot or uptime_s > order.uptime_s))
    if order.counter <= last:
        assert verdict == "repeated"
    else:
        assert verdict == ("expired" if late else "")
    assert verdict in {"", *(row.name for row in tables.REFUSALS)}


@given(st.integers(1, (1 << 256) - 1), st.integers(1, (1 << 256) - 1))
def test_a_der_signature_becomes_r_and_s(r, s):
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    der = encode_dss_signature(r, s)
    assert pack_signature(der) == r.to_bytes(32, "big") + s.to_bytes(32, "big")
    for bad in (der[:-1], der + b"\0", b"\x31" + der[1:], b""):
        with pytest.raises(ValueError, match="signature"):
            pack_signature(bad)
