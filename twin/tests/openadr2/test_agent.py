"""A meter's agent: what outlives it, and what the utility hears of it."""

import datetime as dt
import itertools
import json

import pytest
from distributed import START_S, describe, distribute, event
from meter_twin.demand_response.event_book import Opt
from meter_twin.demand_response.opt_rules import OVERRIDDEN, STOPPED
from meter_twin.demand_response.quarter_hour import MeterStatus
from meter_twin.openadr2.agent import Agency, Agent
from meter_twin.openadr2.message_codec import parse_message
from meter_twin.openadr2.outbox import TRIES_OF_REFUSED
from test_ven import ask_reports, registered, respond

NOW = START_S - 7200
AGENCY = Agency("house-1", "house-1", frozenset({"SIMPLE"}))
STATUS = MeterStatus(True, False)


def make(memory=None, opt=None, agency=AGENCY):
    numbers = itertools.count(1)
    decision = opt or Opt(True)
    return Agent(agency, lambda *_: decision, lambda: f"q{next(numbers)}", memory)


def exchange(agent, answer, now_s=NOW):
    found = agent.find_next(now_s)
    assert found is not None, "nothing is asked"
    message = parse_message(found.body.encode())
    return message, agent.take(200, answer, now_s, 0.0)


def make_registered(*answers, **kwargs):
    """Return an agent that has registered, offered its reports and asked for events."""
    agent = make(**kwargs)
    assert exchange(agent, registered())[1]
    exchange(agent, respond("oadrRegisteredReport"))
    for answer in answers:
        exchange(agent, answer)
    return agent


def test_events_are_answered_and_kept():
    agent = make_registered(distribute(event(describe())))
    message, is_changed = exchange(agent, respond())
    assert message.name == "oadrCreatedEvent"
    assert not is_changed
    (found,) = agent.describe(NOW)["events"]
    assert (found["id"], found["status"], found["opt"], found["signal"]) == ("peak-1", "far", "optIn", "SIMPLE")  # fmt: skip


def test_a_successor_has_the_same_registration_events_and_offsets():
    tolerant = event(describe(), tolerance={"startafter": dt.timedelta(minutes=10)})
    agent = make_registered(distribute(tolerant))
    exchange(agent, respond())
    memory = json.loads(json.dumps(agent.export()))
    successor = make(memory)
    assert successor.export() == agent.export()
    assert successor.describe(NOW) == agent.describe(NOW)
    message, is_changed = exchange(successor, distribute(tolerant))
    assert (message.name, is_changed) == ("oadrRequestEvent", False)
    assert successor.describe(NOW) == agent.describe(NOW)


def test_who_has_lost_its_memory_has_the_same_offsets():
    tolerant = event(describe(), tolerance={"startafter": dt.timedelta(minutes=10)})
    first, second = make_registered(distribute(tolerant)), make_registered(distribute(tolerant))
    assert first.describe(NOW)["events"] == second.describe(NOW)["events"]
    assert 0 < first.describe(NOW)["events"][0]["random_offset_seconds"] < 600


@pytest.mark.parametrize(
    "memory",
    [
        {},
        {"version": 2, "registration": None, "events": [], "reports": []},
        {"version": 1, "registration": ["a"], "events": [], "reports": []},
        {"version": 1, "registration": None, "events": [{}], "reports": []},
        {"version": 1, "registration": None, "events": [], "reports": [{"name": "x"}]},
    ],
)
def test_a_damaged_memory_is_refused(memory):
    with pytest.raises(ValueError, match="damaged"):
        make(memory)


def test_reports_are_accepted_sent_and_not_sent_again_by_a_successor():
    agent = make()
    exchange(agent, registered())
    exchange(agent, ask_reports(specifier="telemetry-status").replace(b"energy", b"status"))
    message, _ = exchange(agent, respond())
    assert message.name == "oadrCreatedReport"
    assert message.element.get_text("oadrPendingReports/reportRequestID") == "rr-1"
    exchange(agent, respond())  # its question for events
    now_s = NOW + 3600
    due = agent.find_due_report(now_s, lambda _: now_s)
    agent.send_report(due, [], STATUS, now_s)
    message, is_changed = exchange(agent, respond("oadrUpdatedReport"), now_s)
    assert (message.name, is_changed) == ("oadrUpdateReport", True)
    successor = make(agent.export())
    assert successor.find_due_report(now_s, lambda _: now_s) is None
    assert successor.find_due_report(now_s + 3600, lambda _: now_s) is not None


def test_a_report_that_the_vtn_refuses_is_made_again():
    agent = make()
    exchange(agent, registered())
    exchange(agent, ask_reports(specifier="telemetry-status").replace(b"energy", b"status"))
    exchange(agent, respond())  # reports are accepted
    exchange(agent, respond())  # its question for events
    now_s = NOW + 3600
    agent.send_report(agent.find_due_report(now_s, lambda _: now_s), [], STATUS, now_s)
    for _ in range(TRIES_OF_REFUSED):
        assert agent.find_due_report(now_s, lambda _: now_s) is None
        assert agent.find_next(now_s).purpose == "update"
        agent.take(400, b"", now_s - 400, 0.0)
    assert agent.find_due_report(now_s, lambda _: now_s) is not None


def test_a_report_that_cannot_be_made_is_refused_by_code():
    agent = make()
    exchange(agent, registered())
    exchange(agent, ask_reports(specifier="nobody"))
    message, _ = exchange(agent, respond())
    assert message.element.get_text("eiResponse/responseCode") == "461"


def test_who_registers_anew_is_asked_for_reports_anew():
    agent = make()
    exchange(agent, registered())
    exchange(agent, ask_reports(specifier="telemetry-status").replace(b"energy", b"status"))
    assert agent.reporting.pending
    exchange(agent, respond(code=463))
    assert (agent.reason, agent.describe(NOW)["registered"]) == ("NotRegistered", False)
    exchange(agent, registered(), NOW + 400)
    assert agent.reporting.pending == []
    assert agent.reason == "Registered"


def test_a_customer_changes_a_decision_and_the_utility_is_told():
    agent = make_registered(distribute(event(describe())))
    exchange(agent, respond())
    out = Opt(False, "overrideStatus")
    assert agent.decide_again("peak-1", out, NOW)
    message, _ = exchange(agent, respond("oadrCreatedOpt"))
    assert message.name == "oadrCreateOpt"
    assert message.element.get_text("optType") == "optOut"
    assert message.element.get_text("qualifiedEventID/eventID") == "peak-1"
    assert not agent.decide_again("peak-1", out, NOW)
    assert not agent.decide_again("unknown", out, NOW)


def test_a_utility_that_wants_no_answer_is_not_told_either():
    agent = make_registered(distribute(event(describe(), response_required="never")))
    assert agent.decide_again("peak-1", Opt(False, "overrideStatus"), NOW)
    assert agent.find_next(NOW) is None


def test_trouble_is_a_reason_until_something_goes_well():
    agent = make()
    assert agent.reason == "Registering"
    agent.find_next(NOW)
    agent.fail("Unreachable", "refused", NOW, 0.0)
    found = agent.describe(NOW)
    assert (found["reason"], found["message"]) == ("Unreachable", "refused")
    exchange(agent, registered(), NOW + 10)
    assert agent.reason == "Registered"


def test_unknown_market_contexts_are_refused_if_some_are_named():
    agency = AGENCY._replace(market_contexts=frozenset({"http://utility.example/other"}))
    agent = make_registered(distribute(event(describe())), agency=agency)
    message, _ = exchange(agent, respond())
    created = message.element.find("eiCreatedEvent/eventResponses/eventResponse")
    assert (created.get_text("responseCode"), created.get_text("optType")) == ("453", "optOut")


def test_an_override_opts_out_and_its_end_opts_in_again_as_the_rules_say():
    agent = make_registered(distribute(event(describe())))
    exchange(agent, respond())
    agent._decide = lambda *_: OVERRIDDEN if agent.override_s > START_S else Opt(True)
    agent.override(START_S + 60, NOW)
    message, _ = exchange(agent, respond("oadrCreatedOpt"))
    assert (message.name, message.element.get_text("optReason")) == ("oadrCreateOpt", "overrideStatus")  # fmt: skip
    assert agent.describe(NOW)["override_until"] is not None
    assert make(agent.export()).override_s == START_S + 60
    agent.override(0, NOW)
    message, _ = exchange(agent, respond("oadrCreatedOpt"))
    assert message.element.get_text("optType") == "optIn"
    assert agent.describe(NOW)["override_until"] is None


def test_a_stop_of_load_control_opts_out_and_its_end_opts_in_again():
    agent = make_registered(distribute(event(describe())))
    exchange(agent, respond())
    assert not agent.review(NOW), "nothing has changed"
    agent._decide = lambda *_: STOPPED
    assert agent.review(NOW)
    message, _ = exchange(agent, respond("oadrCreatedOpt"))
    told = [message.element.get_text(name) for name in ("optType", "optReason")]
    assert told == ["optOut", "emergency"]
    agent = make(agent.export())
    assert agent.review(NOW), "its memory knows that no rule has refused"
    assert [one["opt"] for one in agent.describe(NOW)["events"]] == ["optIn"]


def test_an_override_leaves_alone_what_the_rules_refused_and_what_is_over():
    agent = make_registered(distribute(event(describe())), opt=Opt(False, "economic"))
    exchange(agent, respond())
    agent._decide = lambda *_: OVERRIDDEN
    agent.override(START_S + 60, NOW)
    assert agent.find_next(NOW) is None
    late = make_registered(distribute(event(describe())))
    exchange(late, respond())
    late._decide = lambda *_: OVERRIDDEN
    late.override(START_S + 9000, START_S + 7200)
    assert [one["opt"] for one in late.describe(NOW)["events"]] == ["optIn"]


def test_a_utility_without_eiopt_hears_of_a_change_in_another_answer():
    agent = make_registered(distribute(event(describe())))
    exchange(agent, respond())
    agent._decide = lambda *_: OVERRIDDEN
    agent.override(START_S + 60, NOW)
    question = agent.find_next(NOW)
    assert question.service == "EiOpt"
    agent.take(404, b"", NOW, 0.5)
    assert agent.reason == "Registered", "that is no trouble"
    message, _ = exchange(agent, respond())
    assert message.name == "oadrCreatedEvent"
    answer = message.element.find("eiCreatedEvent/eventResponses/eventResponse")
    assert answer.get_text("optType") == "optOut"
    assert answer.get_text("qualifiedEventID/eventID") == "peak-1"
    assert agent.find_next(NOW) is None
