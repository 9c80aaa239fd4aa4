"""Rules of the owner gate."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_twin.control_reading import READ_MS, ControlReading
from meter_twin.owner_gate import LEASE_MS, GateMemory, OwnerGate
from meter_wire.control import sign_record

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
        (b" " * 2049, "oversized"),
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


def test_a_twin_that_took_over_waits_before_it_acts_on_others(gate):
    gate.receive(record(wait=120), 0)
    gate.receive(record(counter=2, wait=120), 100_000)
    assert gate.may_command(100_001, connected=True)
    assert not gate.has_authority(119_999, connected=True)
    assert gate.has_authority(120_000, connected=True)


def test_the_wait_is_over_once_and_for_a_restarted_twin_too(gate):
    gate.receive(record(wait=120), 0)
    assert not gate.end_wait(119_999)
    again = OwnerGate(1, ID, KEY, gate.memory)
    again.receive(record(wait=120), 50_000)
    assert not again.has_authority(60_000, connected=True), "killed meanwhile: it waits anew"
    assert again.end_wait(170_000)
    assert not again.end_wait(170_001)
    later = OwnerGate(1, ID, KEY, again.memory)
    later.receive(record(wait=120), 200_000)
    assert later.has_authority(200_001, connected=True)


@pytest.mark.parametrize("is_met_first", [True, False])
def test_a_twin_whose_meter_nobody_has_heard_acts_on_others_once_it_has(is_met_first):
    """All others may have forgotten that there were epochs above; a meter speaks to none below."""
    gate = OwnerGate(2, ID, KEY, GateMemory())
    if is_met_first:
        gate.meet(0)
    gate.receive(record(epoch=2, unmet=True), 0)
    assert gate.may_command(1, connected=True)
    assert gate.has_authority(1, connected=True) == is_met_first
    assert gate.end_wait(1) == is_met_first
    gate.meet(2)
    assert gate.has_authority(2, connected=True)
    gate.end_wait(2)
    again = OwnerGate(2, ID, KEY, gate.memory)
    again.receive(record(epoch=2, unmet=True), 3)
    assert again.has_authority(3, connected=True), "it has acted before its process was killed"


def test_the_wait_after_a_takeover_begins_with_the_meters_first_word_where_nobody_had_it():
    gate = OwnerGate(2, ID, KEY, GateMemory())
    gate.receive(record(epoch=2, unmet=True, wait=120), 0)
    assert not gate.has_authority(30_000, connected=True)
    gate.receive(record(epoch=2, unmet=True, wait=120), 50_000)
    gate.meet(60_000)
    gate.receive(record(epoch=2, wait=120), 179_000)
    assert not gate.has_authority(179_999, connected=True)
    assert gate.has_authority(180_000, connected=True)


def test_authority_comes_with_the_operators_word_that_the_meter_was_heard():
    gate = OwnerGate(2, ID, KEY, GateMemory())
    gate.receive(record(epoch=2, unmet=True), 0)
    assert not gate.has_authority(1, connected=True)
    gate.receive(record(epoch=2, counter=2), 2)
    assert gate.has_authority(3, connected=True)


@pytest.mark.parametrize("has_waited", [True, False])
def test_a_frozen_twin_that_was_killed_says_that_it_waits_until_it_knows_better(has_waited):
    """Its successor begins without a wait where it says that there is none."""
    gate = OwnerGate(2, ID, KEY, GateMemory())
    gate.receive(record(epoch=2, wait=120), 0)
    assert gate.waits(20_000)
    if has_waited:
        gate.end_wait(120_000)
    again = OwnerGate(2, ID, KEY, gate.memory)
    assert not again.waits(0), "it does not know yet what it is"
    again.receive(record("frozen", counter=2, epoch=2), 0)
    assert again.waits(0) != has_waited


@pytest.mark.parametrize("state", ["candidate", "frozen", "retired"])
def test_no_other_state_has_authority(gate, state):
    gate.receive(record(state), 0)
    assert not gate.has_authority(0, connected=True)
    assert not gate.is_active


class Broker:
    """A retained `ctl` and a clock; a session that asks for it each second, as the shell does."""

    def __init__(self, gate):
        self.gate = gate
        self.now_ms = 0
        self.connected = True
        self.retained = b""
        self.reading = ControlReading(gate, self._subscribe, lambda: self.now_ms)

    async def _subscribe(self):
        if self.retained:
            self.reading.receive(self.retained)

    async def publish(self, payload):
        self.retained = payload
        if self.connected:
            self.reading.receive(payload)

    async def wait(self, duration_ms):
        for _ in range(duration_ms // 1000):
            self.now_ms += 1000
            if self.connected:
                await self.reading.step()

    @property
    def authority(self):
        return self.gate.has_authority(self.now_ms, connected=self.connected)

    def lose(self):
        self.connected = False
        self.reading.lost()

    async def connect(self):
        self.connected = True
        await self._subscribe()


@pytest.fixture
async def broker(gate):
    made = Broker(gate)
    await made.publish(record())
    await made.wait(5 * LEASE_MS)
    assert made.authority
    assert not gate.refused
    return made


REMOVED = {"deleted": b"", "unreadable": b"\xff{", "a stranger's": record(key=b"x" * 32)}


@pytest.mark.parametrize("payload", REMOVED.values(), ids=REMOVED.keys())
async def test_authority_ends_a_lease_after_the_last_reading_that_found_active(broker, payload):
    last_ms = broker.now_ms
    await broker.wait(READ_MS - 1000)
    await broker.publish(payload)
    assert (broker.authority, broker.gate.is_active) == (True, True)
    await broker.wait(last_ms + LEASE_MS - 1000 - broker.now_ms)
    assert (broker.authority, broker.gate.is_active) == (True, True)
    await broker.wait(1000)
    assert (broker.authority, broker.gate.is_active) == (False, False)
    assert broker.gate.label == "lapsed"
    assert broker.gate.refused["missing"] == 2
    reasons = {b"": "empty", b"\xff{": "malformed"}
    assert broker.gate.refused[reasons.get(payload, "mac")] >= 1


async def test_a_record_that_is_there_again_gives_authority_back(broker):
    await broker.publish(b"")
    await broker.wait(2 * LEASE_MS)
    assert not broker.gate.is_active
    await broker.publish(record(term=2))
    assert (broker.authority, broker.gate.label) == (True, "active")
    await broker.wait(2 * LEASE_MS)
    assert broker.authority


async def test_a_lapsed_lease_is_not_remembered_and_hides_no_other_state(broker):
    await broker.publish(record("frozen", counter=2))
    await broker.publish(b"")
    await broker.wait(2 * LEASE_MS)
    assert broker.gate.label == broker.gate.memory.state == "frozen"


async def test_a_broker_that_is_away_takes_authority_but_leaves_the_twin_ready(broker):
    broker.lose()
    await broker.wait(10 * LEASE_MS)
    assert (broker.authority, broker.gate.is_active) == (False, True)
    assert not broker.gate.refused
    broker.lose()
    await broker.wait(READ_MS + 5000)
    await broker.connect()
    assert broker.authority
    await broker.wait(3 * LEASE_MS)
    assert broker.authority
    assert not broker.gate.refused


async def test_what_comes_counts_from_before_it_was_asked_for(broker):
    broker.lose()
    await broker.wait(5000)
    await broker.connect()
    await broker.wait(READ_MS - 5000 - 1000)
    broker.connected = False
    await broker.wait(LEASE_MS - READ_MS)
    assert broker.gate.has_authority(broker.now_ms, connected=True)
    await broker.wait(1000)
    assert not broker.gate.has_authority(broker.now_ms, connected=True)


@given(st.binary(max_size=1100))
def test_no_payload_raises(payload):
    assert not OwnerGate(1, ID, KEY, GateMemory()).receive(payload, 0).accepted


def test_a_stop_is_remembered_over_a_restart_and_ends_only_in_a_higher_order(gate):
    assert gate.receive(record(stop=True, term=2, counter=5), 0).changed
    for later in (record(stop=False, term=2, counter=5), record(term=2, counter=6)):
        gate = OwnerGate(1, ID, KEY, gate.memory)
        assert gate.receive(later, 0).accepted, "it says who owns the meter all the same"
        assert gate.memory.stopped
    gate.receive(record(stop=False, term=2, counter=6), 0)
    assert not gate.memory.stopped


def test_a_stop_needs_no_higher_order(gate):
    gate.receive(record(stop=False), 0)
    assert gate.receive(record(stop=True), 0).changed
    assert gate.memory.stopped


@given(
    st.lists(
        st.tuples(st.integers(1, 2), st.integers(1, 2), st.sampled_from((True, False, None))),
        max_size=8,
    )
)
def test_no_record_of_before_a_stop_was_heard_ends_it(said):
    """Orders only grow; whoever holds the broker brings any older record again."""
    gate, heard = OwnerGate(1, ID, KEY, GateMemory()), []
    for term, counter, stop in sorted(said, key=lambda one: one[:2]):
        changes = {} if stop is None else {"stop": stop}
        heard.append(record(term=term, counter=counter, **changes))
        gate.receive(heard[-1], 0)
        for older in heard if gate.memory.stopped else ():
            gate.receive(older, 0)
            assert gate.memory.stopped
