"""The control record: what is written is read, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_wire.control import (
    MOST_PEERS,
    STATES,
    ControlRecord,
    Peer,
    encode_control,
    parse_control,
    sign_record,
)
from meter_wire.portable.tlv import RemoteProtocolError

KEY = b"k" * 32
numbers = st.integers(0, 2**32 - 1)
ids = st.binary(min_size=16, max_size=16)
peers = st.lists(
    st.builds(Peer, numbers, ids, st.text("0123456789.:", max_size=21)), max_size=MOST_PEERS
).map(tuple)
records = st.builds(
    ControlRecord, numbers, ids, st.sampled_from(STATES), numbers, numbers,
    ids.map(bytes.hex) | st.just(""), peers, peers, numbers, st.booleans(),
    st.none() | st.booleans(),
)  # fmt: skip


@given(records)
def test_a_record_survives_the_wire(record):
    assert parse_control(encode_control(record, KEY), KEY) == record


def read(payload):
    """Return the record, or nothing where it is refused."""
    try:
        return parse_control(payload, KEY)
    except RemoteProtocolError:
        return None


@given(records, st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_never_makes_another_record(record, place, change):
    payload = bytearray(encode_control(record, KEY))
    payload[place % len(payload)] ^= change
    assert read(bytes(payload)) in (None, record)  # a digit of the MAC in capitals is no change


@given(records)
def test_another_key_reads_nothing(record):
    with pytest.raises(RemoteProtocolError, match="mac"):
        parse_control(encode_control(record, KEY), b"x" * 32)


def test_a_field_of_a_newer_operator_is_skipped():
    record = ControlRecord(1, b"i" * 16, "active", 3, 4)
    document = json.loads(encode_control(record, KEY)) | {"later": [1]}
    assert parse_control(json.dumps(sign_record(document, KEY)).encode(), KEY) == record


@pytest.mark.parametrize(
    "change",
    [
        {"state": "owner"}, {"counter": -1}, {"term": True}, {"epoch": 2**32}, {"attempt": 7},
        {"attempt": "0" * 33}, {"donors": [[1, "00" * 16, "a"]] * 9}, {"donors": [[1, "00", "a"]]},
        {"takers": [[1, "00" * 16, "a" * 65]]}, {"takers": 5}, {"epochId": "zz"}, {"epochId": ""},
        {"takers": {}}, {"donors": ""}, {"donors": [[1, "00" * 16, []]]}, {"donors": [[1]]},
        {"wait": -1}, {"unmet": 1}, {"unmet": None}, {"stop": 1}, {"stop": None}, {"stop": "no"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_malformed_even_with_a_mac(change):
    document = json.loads(encode_control(ControlRecord(1, b"i" * 16, "active", 3, 4), KEY)) | change
    with pytest.raises(RemoteProtocolError, match="malformed"):
        parse_control(json.dumps(sign_record(document, KEY)).encode(), KEY)
