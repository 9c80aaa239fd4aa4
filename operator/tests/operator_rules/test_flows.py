"""The handover's table: what is decided is in it, what is in it can be decided, the matrix has it."""

import importlib.util
import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_operator import flows
from meter_operator.desired import Key, Meter
from meter_operator.handover import (
    ANNOUNCE,
    COMMITTED,
    FROZEN,
    PHASES,
    PREPARING,
    WAIT,
    Handover,
    Patience,
    Side,
    decide,
    describe_wait,
    encode_handover,
)
from meter_operator.owner import build_messages
from meter_wire.control import parse_control
from meter_wire.owner_record import parse_owner_record
from meter_wire.portable.keys import derive_key
from meter_wire.word import Cover, Word

ROOT = Path(__file__).resolve().parents[3]
IDENTITY = bytes(range(16))
FIELDS = inspect.signature(Handover).parameters
words = st.builds(
    Word,
    store=st.sampled_from(["", "5e"]),
    root=st.sampled_from(["", "aa"]),
    frozen=st.sampled_from(["", IDENTITY.hex()]),
    retired=st.booleans(),
    joined=st.booleans(),
    covers=st.dictionaries(
        st.just(1),
        st.builds(
            Cover, st.sampled_from(["", "aa"]), st.sampled_from(["", IDENTITY.hex()]), st.booleans()
        ),
    ),
    refuses=st.sampled_from(["", "no common version"]),
)
ages_s = st.sampled_from([0.0, 31.0, 10_000.0])
sides = st.builds(
    Side, st.booleans(), st.booleans(), st.just(""), words, served_s=ages_s, steady_s=ages_s
)


def handover(phase):
    given_here = {"phase": phase, "epoch": 2, "epoch_id": IDENTITY, "key_version": 1, "source": 1,
                  "spec_hash": "a"}  # fmt: skip
    return Handover(**{name: given_here.get(name, "") for name in FIELDS})


def decided(phase, active, candidate, wanted="a", age_s=0.0, *, commits=False):
    return decide(
        handover(phase), active, candidate, wanted=wanted, age_s=age_s, patience=Patience(),
        offline_commits=commits,
    )  # fmt: skip


@given(
    st.sampled_from(PHASES), sides, sides, st.sampled_from(["a", "b"]),
    st.sampled_from([0.0, 31.0, 61.0, 601.0, 10_000.0]), st.booleans(),
)  # fmt: skip
def test_what_is_decided_is_in_the_table(phase, active, candidate, wanted, age_s, commits):
    verb = decided(phase, active, candidate, wanted, age_s, commits=commits).verb
    assert verb in {WAIT, ANNOUNCE} or flows.may_follow(phase, verb)


@given(
    st.sampled_from(PHASES),
    sides,
    sides,
    st.sampled_from([0.0, 31.0]),
    st.sampled_from([9.9, 10.0]),
)
def test_what_is_waited_for_is_a_flow_of_the_table_or_the_soak(
    phase, active, candidate, age_s, phase_s
):
    decision = decided(phase, active, candidate, age_s=age_s)
    told = describe_wait(decision, phase_s)
    if decision.verb in {WAIT, ANNOUNCE} and decision.reason != "soaking":
        assert decision.flow in [flow.number for flow in flows.FLOWS]
        assert told == ("" if phase_s < 10 else f"flow {decision.flow}: {decision.reason}")
    else:
        assert told == ""


def test_of_what_the_cluster_says_of_a_pod_only_the_reason_is_told():
    trouble = 'ErrImagePull: failed to pull "a/b:c": Head "https://a/v2" (refused)'
    decision = decided(PREPARING, SERVES, Side(True, False, trouble))
    assert trouble in decision.reason
    told = "flow 2: the candidate has not connected yet (ErrImagePull)"
    assert describe_wait(decision, 10) == told


HOLDS = Word(store="5e", joined=True, covers={1: Cover("aa", IDENTITY.hex(), final=True)})
SERVES = Side(True, True, "", Word(root="aa", frozen=IDENTITY.hex(), retired=True))
GONE = Side(exists=False)
WAYS = {
    (PREPARING, "Freeze"): (SERVES, Side(True, True, "", HOLDS)),
    (PREPARING, "Abort"): (SERVES, GONE),
    (PREPARING, "Commit"): (GONE, Side(True, True, "", HOLDS)),
    (PREPARING, "TakeOver"): (GONE, GONE),
    (FROZEN, "Commit"): (SERVES, Side(True, True, "", HOLDS)),
    (FROZEN, "Abort"): (SERVES, GONE),
    (FROZEN, "TakeOver"): (GONE, GONE),
    (COMMITTED, "Finish"): (SERVES, Side(True, True, "", HOLDS, served_s=31.0)),
}


@pytest.mark.parametrize(("phase", "verb"), WAYS)
def test_what_is_in_the_table_can_be_decided(phase, verb):
    age_s = 31.0 if phase == COMMITTED else 0.0
    assert decided(phase, *WAYS[phase, verb], age_s=age_s).verb == verb


BY_THE_PLAN = {(COMMITTED, "TakeOver"), (COMMITTED, "Begin")}
"""Decided like any takeover, and any handover: see test_handover_of_volumes and test_soak."""


def test_each_decision_of_the_table_is_tried_here():
    rows = {(row.before, row.verb) for row in flows.TRANSITIONS if row.before != flows.BEGIN}
    assert rows == set(WAYS) | BY_THE_PLAN


def row(epoch):
    return {"epoch": epoch, "epochId": f"{epoch:032x}", "keyVersion": 1}


def status(epoch, *previous, phase=""):
    found = row(epoch) | {"highestEpoch": 3, "ownerCounter": 3}
    found["previousEpochs"] = [row(one) for one in previous]
    if phase:
        candidate = 3 if (epoch, phase) == (2, PREPARING) else 2
        identity = bytes.fromhex(row(candidate)["epochId"])
        begun = handover(phase)._replace(epoch=candidate, epoch_id=identity, source=epoch)
        found["handover"] = encode_handover(begun)
    return found


STATUSES = [
    (flows.TOLD[flows.BEGIN], status(1)),
    *((flows.TOLD[phase], status(1, phase=phase)) for phase in (PREPARING, FROZEN)),
    (flows.TOLD[COMMITTED], status(2, 1, phase=COMMITTED)),
    (flows.TOLD_AT_END["Abort"], status(1, 2)),
    (flows.TOLD_AT_END["TakeOver"], status(3, 2, 1)),
    (flows.TOLD_AT_END["Finish"], status(2, 1)),
    (flows.TOLD_OF_NEXT, status(2, 1, phase=PREPARING)),
]


@pytest.mark.parametrize(("told", "found"), STATUSES)
def test_the_parties_are_told_what_the_table_says(told, found):
    meter = Meter(Key("a", "b"), "uid", "house-1", 1, "", {}, found, "1", False, False)
    messages = build_messages(meter, lambda _version: bytes(32), 1, b"")
    said = {}
    for message in messages:
        epoch, _, channel = message.topic.removeprefix("mt/house-1/").partition("/")
        if channel == "ctl" and message.payload:
            identity = bytes.fromhex(row(int(epoch))["epochId"])
            key = derive_key(bytes(32), "ctl", "house-1", int(epoch), identity)
            said[int(epoch)] = parse_control(message.payload, key).state
    owner = parse_owner_record(messages[-1].payload, derive_key(bytes(32), "owner", "house-1"))
    letters = {1: "A", 2: "B", 3: "C"}
    name = letters[owner.active]
    if owner.candidate:
        name += f"_and_candidate_{letters[owner.candidate]}"
    assert (said.get(1, ""), said.get(2, ""), name) == told


@pytest.mark.parametrize("told", [flows.find_told(row) for row in flows.TRANSITIONS])
def test_no_decision_brings_a_retired_twin_back(told):
    before, after = told
    for was, becomes in ((before.old, after.old), (before.new, after.new)):
        assert was != "retired" or becomes == "retired"
        assert was != "active" or becomes in {"active", "frozen", "retired"}


@pytest.mark.parametrize(("last_seen", "unmet"), [("", True), ("2026-01-01T00:00:00Z", False)])
@pytest.mark.parametrize(("epoch", "phase"), [(1, ""), (2, COMMITTED), (1, PREPARING)])
def test_the_active_twin_is_told_while_nobody_has_heard_the_meter(epoch, phase, last_seen, unmet):
    found = status(epoch, *range(1, epoch), phase=phase) | {"lastSeen": last_seen}
    meter = Meter(Key("a", "b"), "uid", "house-1", 1, "", {}, found, "1", False, False)
    for message in build_messages(meter, lambda _version: bytes(32), 1, b""):
        number, _, channel = message.topic.removeprefix("mt/house-1/").partition("/")
        if channel == "ctl" and message.payload:
            identity = bytes.fromhex(row(int(number))["epochId"])
            key = derive_key(bytes(32), "ctl", "house-1", int(number), identity)
            told = parse_control(message.payload, key)
            assert told.unmet == (unmet and told.state == "active")


def test_the_matrix_on_the_cluster_has_a_row_for_each_flow():
    path = ROOT / "tests/handover_matrix/flows.py"
    spec = importlib.util.spec_from_file_location("matrix_flows", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert list(module.FLOWS) == [flow.number for flow in flows.FLOWS]
