"""Rules of the owner gate."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_twin.owner_gate import LEASE_MS, GateMemory, OwnerGate, sign_record

KEY = b"k" * 32
ID = bytes(16)


def record(state="active", term=1, counter=1, key=KEY, **changes):
    plain = {"epoch": 1, "epochId": ID.hex(), "state": state, "term": term, "counter": counter}
    return json.dumps(sign_record({**plain, **changes}, key)).encode()


@pytest.fixture
def gate():
    return OwnerGate(1, ID, KEY, GateMemory())


def test_an_authentic_record_opens_the_gate(gate):
    verdict = gate.receive(record(), 0)
    assert verdict.accepted
    assert verdict.changed
    assert gate.is_active


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (record(key=b"x" * 32), "mac"),
        (record(epoch=2), "epoch"),
        (record(epochId="ff" * 16), "epoch"),
        (record(state="king"), "malformed"),
        (record(term="7"), "malformed"),
        (record(counter=True), "malformed"),
        (b"", "empty"),
        (b"[]", "malformed"),
        (b"\xff", "malformed"),
        (b"[" * 900, "malformed"),
        (b" " * 2000, "oversized"),
    ],
)
def test_a_record_that_is_not_ours_changes_nothing(gate, payload, reason):
    verdict = gate.receive(payload, 0)
    assert (verdict.accepted, verdict.reason) == (False, reason)
    assert not gate.is_active


def test_a_lower_term_or_counter_is_refused_after_a_restart_too(gate):
    gate.receive(record(term=5, counter=9), 0)
    again = OwnerGate(1, ID, KEY, gate.memory)
    assert again.receive(record(term=4, counter=99), 0).reason == "term"
    assert again.receive(record(term=5, counter=8), 0).reason == "counter"
    assert again.receive(record(term=5, counter=9), 0).accepted
    assert again.receive(record(term=6, counter=1), 0).accepted


def test_active_is_not_remembered_over_a_restart_but_retired_is(gate):
    gate.receive(record(), 0)
    assert not OwnerGate(1, ID, KEY, gate.memory).is_active
    gate.receive(record("retired", counter=2), 0)
    again = OwnerGate(1, ID, KEY, gate.memory)
    assert again.is_retired
    assert again.receive(record(counter=3), 0).reason == "retired"


def test_authority_needs_active_a_session_and_a_fresh_reading(gate):
    assert not gate.has_authority(0, connected=True)
    gate.receive(record(), 1000)
    assert gate.has_authority(1000 + LEASE_MS - 1, connected=True)
    assert not gate.has_authority(1000 + LEASE_MS, connected=True)
    assert not gate.has_authority(1001, connected=False)
    gate.receive(record(), 1000 + LEASE_MS)
    assert gate.has_authority(1000 + LEASE_MS, connected=True)


@pytest.mark.parametrize("state", ["candidate", "frozen", "retired"])
def test_no_other_state_has_authority(gate, state):
    gate.receive(record(state), 0)
    assert not gate.has_authority(0, connected=True)
    assert not gate.is_active


@given(st.binary(max_size=1100))
def test_no_payload_raises(payload):
    assert not OwnerGate(1, ID, KEY, GateMemory()).receive(payload, 0).accepted
