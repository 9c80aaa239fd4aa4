"""A VTN that says anything: nothing raises, nothing is flooded, what is kept can be read again."""

import json
import tracemalloc

from fake_vtn import NOW, URL, FakeVtn, describe_event, make
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin.demand_response.capacity_bid import BidRule
from meter_twin.demand_response.event_book import Opt
from meter_twin.openadr3.json_codec import MOST_OCTETS
from test_agent31 import Status31
from test_capacity31 import offer
from test_events31 import JSON

EVENT = {"id": "e-1", "modificationDateTime": "2027-01-15T08:00:00Z"}
GOOD = {
    "server": {"tokenURL": URL + "/auth/token"},
    "token": {"access_token": "t", "token_type": "Bearer", "expires_in": 60},
    "ven": {"id": "v-1", "venName": "house-1", "targets": ["a"]},
    "event": EVENT | describe_event(reportDescriptors=[{"payloadType": "USAGE"}], targets=["a"]),
    "offer": EVENT | {"id": "e-2"} | offer(),
    "report": {"id": "r", "clientName": "house-1", "reportName": "opt-1-out"},
    "topics": {"topics": {"ALL": "x"}, "WEBHOOK": True},
}
PIECE = st.sampled_from(sorted(GOOD)).map(GOOD.get)
MUTATED = st.tuples(PIECE, st.dictionaries(st.text(max_size=12), JSON, max_size=2)).map(
    lambda pair: pair[0] | pair[1]
)
VALUE = PIECE | MUTATED | JSON | st.lists(PIECE | MUTATED, max_size=3)
BODY = (
    VALUE.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=40)
    | st.just(b"[" * 5000)
    | st.just(b" " * (MOST_OCTETS + 1))
)
STATUS = st.sampled_from([200, 200, 200, 200, 201, 400, 401, 403, 404, 409, 500, 503])
SAID = st.lists(st.none() | st.tuples(STATUS, BODY), max_size=40)
CHANCE = 0.5


def decline():
    return make(opt=Opt(False, "economic"), bidding=BidRule(4000, 10**6).bid)


@settings(max_examples=120, deadline=None)
@given(SAID)
def test_whatever_a_vtn_says_the_agent_goes_on(said):
    agent, now_s = decline(), NOW
    for answer in said:
        for _ in range(700):
            if (question := agent.find_next(now_s)) is not None:
                break
            now_s += 1
        assert question is not None
        assert question.path.isascii()
        assert not set(question.path) & set(" \r\n")
        assert all(value.isascii() and value.isprintable() for value in question.headers.values())
        if answer is None:
            agent.fail("Timeout", "no answer", now_s, CHANCE)
        else:
            agent.take(*answer, now_s, CHANCE)
        memory = json.loads(json.dumps(agent.export()))
        again = make(memory)
        assert json.loads(json.dumps(again.export())) == memory
        json.dumps(agent.describe(now_s))
        due = agent.find_due_report(now_s, lambda _, now_s=now_s: now_s)
        if due is not None:
            agent.send_report(due, [], Status31, now_s)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.tuples(STATUS, BODY), min_size=1, max_size=3))
def test_who_says_the_same_for_an_hour_is_asked_no_more_than_patience_allows(said):
    """The bound: a look of eight pages and its programs in 30 s, each 401 a token more."""
    agent, asked = decline(), 0
    for now_s in range(NOW, NOW + 3600):
        in_this_second = 0
        while agent.find_next(now_s) is not None:
            answer = said[asked % len(said)]
            if answer is None:
                agent.fail("Unreachable", "refused", now_s, CHANCE)
            else:
                agent.take(*answer, now_s, CHANCE)
            asked += 1
            in_this_second += 1
            assert in_this_second < 100
    assert asked <= 3600 / 30 * 30


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([400, 401, 403, 404, 409, 500]))
def test_who_refuses_all_is_asked_later_and_later(status):
    agent, moments = make(), []
    for now_s in range(NOW, NOW + 7200):
        while agent.find_next(now_s) is not None:
            moments.append(now_s)
            agent.take(status, b"{}", now_s, CHANCE)
    assert len(moments) < 140
    assert agent.reason not in ("Registered", "Registering")


def test_a_flood_of_events_takes_bounded_memory():
    vtn, agent = FakeVtn(), make()
    steps = [{"id": at, "payloads": [{"type": "SIMPLE", "values": [1]}]} for at in range(12)]
    for number in range(390):
        event = describe_event(intervals=steps, reportDescriptors=[{"payloadType": "USAGE"}] * 5)
        vtn.add("events", event | {"eventName": "x" * 1000, "targets": None, "priority": number})
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for now_s in (NOW, NOW + 30):
        while (question := agent.find_next(now_s)) is not None:
            agent.take(*vtn.answer(question), now_s, 0.0)
        vtn.log.clear()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(list(agent.book)) == 200
    assert held < 2_500_000
