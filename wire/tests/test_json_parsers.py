"""Whatever JSON is retained at the broker, a parser returns or raises what it documents."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_wire import control, coverage, word
from meter_wire.control import MAX_RECORD, parse_control, sign_record
from meter_wire.coverage import parse_coverage
from meter_wire.owner_record import claimed_device, parse_owner_hello, parse_owner_record
from meter_wire.portable.keys import mac16
from meter_wire.portable.tlv import RemoteProtocolError
from meter_wire.word import parse_word

KEY = bytes(range(32))
DEPTHS = [10, 300, 600, *range(800, 1000, 20)]
TEXTS = st.text(max_size=6) | st.sampled_from(
    ["active", "00" * 8, "00" * 16, "ab" * 20, "\ud800", "x" * 300, "1", "-1"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 600)
    | st.sampled_from([1 << 31, 1 << 32, 1 << 64, 1 << 2000])
    | st.floats()
    | TEXTS
)
NAMES = st.sampled_from(
    [
        "epoch",
        "epochId",
        "state",
        "term",
        "counter",
        "attempt",
        "takers",
        "donors",
        "wait",
        "unmet",
        "mac",
        "store",
        "root",
        "frozen",
        "retired",
        "joined",
        "covers",
        "refuses",
        "stretches",
        "blocks",
        "incarnation",
        "stored",
        "pruned",
        "holes",
        "missed",
        "chain",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES | TEXTS, inner, max_size=5),
    max_leaves=12,
)
CONTROL = {"epoch": 1, "epochId": "00" * 16, "state": "active", "term": 1, "counter": 1}
CONTROL |= {
    "attempt": "",
    "takers": [[1, "00" * 16, "a:1"]],
    "donors": [],
    "wait": 0,
    "unmet": False,
}
WORD = word.encode_word(word.Word(covers={1: word.Cover("a")}))
HOLE, MISSED = coverage.Hole(2, 3, 1), coverage.Hole(4, 4, 3)
HOLED = coverage.Stretch(bytes(8), 5, 1, (HOLE,), (MISSED,), bytes(16))
BLOCK = coverage.Block(bytes(8), 1, 3, bytes(16))
COVERAGE = coverage.encode_coverage(coverage.Coverage((HOLED,), (BLOCK,)))


def nearly(whole):
    """Return documents that are right but for some fields, at any depth."""
    return st.tuples(st.lists(st.integers(0, 200), min_size=1, max_size=3), VALUES).map(
        lambda row: replaced(json.loads(json.dumps(whole)), *row)
    )


def replaced(document, path, value):
    """Return the document with the value that a path of choices leads to replaced."""
    if not path or not isinstance(document, dict | list) or not document:
        return value
    places = sorted(document) if isinstance(document, dict) else range(len(document))
    place = places[path[0] % len(places)]
    document[place] = replaced(document[place], path[1:], value)
    return document


def as_heard(value):
    """Return a value as a parser gets it: json reads infinities, numbers and lone surrogates."""
    return json.loads(json.dumps(value))


@given(VALUES | nearly(WORD))
def test_a_word_is_parsed_or_a_value_error(value):
    try:
        parsed = parse_word(as_heard(value))
    except ValueError:
        return
    assert parse_word(word.encode_word(parsed)) == parsed


@given(VALUES | nearly(WORD), st.booleans())
def test_a_signed_word_is_opened_or_a_value_error(value, signed):
    heard = as_heard(value)
    if signed and isinstance(heard, dict):
        mac = sign_record({**heard, "epoch": 1}, KEY)["mac"]
        heard = {**heard, "mac": mac}
    try:
        word.open_word(heard, 1, KEY)
    except ValueError:
        return
    assert signed


@pytest.mark.parametrize("depth", [*DEPTHS, 2000, 100_000])
def test_a_word_of_any_depth_is_opened_or_a_value_error(depth):
    value = None
    for _ in range(depth):
        value = [value]
    with pytest.raises(ValueError, match="state"):
        word.open_word({"covers": value}, 1, KEY)


@given(VALUES | nearly(COVERAGE))
def test_a_coverage_is_parsed_or_a_value_error(value):
    try:
        parsed = parse_coverage(as_heard(value))
    except ValueError:
        return
    assert parse_coverage(coverage.encode_coverage(parsed)) == parsed


@given(VALUES | nearly(CONTROL), st.booleans())
def test_a_control_record_is_parsed_or_refused(value, signed):
    document = as_heard(value)
    if signed and isinstance(document, dict):
        document = sign_record(document, KEY)
    try:
        parsed = parse_control(json.dumps(document).encode(), KEY)
    except RemoteProtocolError as error:
        assert str(error) in {"empty", "oversized", "mac", "malformed"}  # noqa: PT017
        return
    assert signed
    assert control.parse_control(control.encode_control(parsed, KEY), KEY) == parsed


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("end", ["[]", '{"a":', "{"])
def test_a_control_record_of_any_depth_is_refused(depth, end):
    text = '{"mac":"","a":' + (end[0] * depth + end[-1] * depth if end == "[]" else end * depth)
    for payload in (text, text + "}"):
        with pytest.raises(RemoteProtocolError):
            parse_control(payload.encode()[:MAX_RECORD], KEY)


@given(st.binary(max_size=80), st.booleans())
def test_owner_records_and_hellos_of_any_bytes_are_refused(content, signed):
    payload = content + mac16(KEY, content) if signed else content
    for parse in (parse_owner_record, parse_owner_hello):
        with pytest.raises(RemoteProtocolError):
            parse(payload, KEY)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda rest: b"\1" + rest))
def test_a_claimed_device_of_any_bytes_is_refused_or_a_name(payload):
    try:
        assert claimed_device(payload)
    except RemoteProtocolError:
        return
