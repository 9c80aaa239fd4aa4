"""An agent of OpenADR 3.1: what outlives it, what the utility hears of it, each thing once."""

import json
from typing import NamedTuple

import pytest
from fake_vtn import (
    AGENCY,
    CLIENT,
    NOW,
    SECRET,
    FakeVtn,
    describe_event,
    make,
    moment,
    purposes,
    settle,
)
from meter_twin.demand_response.event_book import Opt, Status
from meter_twin.openadr2.times import format_moment
from meter_twin.openadr3.enrolment import Resource
from meter_twin.utility_reports import OLDEST_S, make_reports


class Status31:
    is_online = True


def registered(vtn, **kwargs):
    agent = make(**kwargs)
    settle(agent, vtn)
    assert vtn.complaints == []
    return agent


def test_it_gets_a_token_a_ven_and_resources_and_reads_events():
    vtn = FakeVtn()
    battery = Resource("battery-1", "battery", 5000, 4600)
    agent = make(agency=AGENCY._replace(resources=(battery,)))
    assert agent.reason == "Registering"
    assert settle(agent, vtn)
    assert vtn.complaints == []
    assert purposes(vtn) == [
        *("server", "token", "lookup", "create"),
        *("resources", "resource", "resource", "events", "notifiers"),
    ]
    assert (agent.reason, agent.ven_id) == ("Registered", vtn.objects["vens"][0]["id"])
    meter, stored = vtn.objects["resources"]
    assert (meter["resourceName"], meter["venID"]) == ("meter-1", agent.ven_id)
    assert {one["type"]: one["values"] for one in stored["attributes"]} == {
        "DESCRIPTION": ["battery"],
        "MAX_POWER_CONSUMPTION": [5.0],
        "MAX_POWER_EXPORT": [4.6],
    }


def test_an_event_comes_is_decided_and_is_shown():
    vtn = FakeVtn()
    vtn.add("events", describe_event(priority=0))
    agent = registered(vtn)
    (found,) = agent.describe(NOW)["events"]
    assert (found["id"], found["status"], found["opt"], found["signal"]) == (
        "event-2",
        "far",
        "optIn",
        "SIMPLE",
    )
    (kept,) = agent.book.list_acting(NOW + 3600)
    assert (kept.event.priority, kept.event.market_context) == (1, "peaks")
    assert agent.describe(NOW)["protocol"] == "openadr-3"
    assert vtn.reports() == []


def test_an_event_that_is_deleted_is_cancelled():
    vtn = FakeVtn()
    row = vtn.add("events", describe_event(NOW - 60))
    agent = registered(vtn)
    assert agent.book.list_acting(NOW)
    vtn.remove("events", row)
    assert settle(agent, vtn, NOW + 30)
    assert agent.book.find(row["id"]).find_status(NOW + 31) is Status.CANCELLED


def test_an_event_is_not_read_before_its_time():
    vtn = FakeVtn()
    agent = registered(vtn)
    before = len(vtn.log)
    settle(agent, vtn, NOW + 29)
    assert len(vtn.log) == before
    settle(agent, vtn, NOW + 30)
    assert purposes(vtn)[before:] == ["events"]


def test_an_event_that_is_over_at_the_vtn_ends_here_with_its_own_offset():
    vtn = FakeVtn()
    period = {"start": moment(NOW - 3500), "duration": "PT1H", "randomizeStart": "PT10M"}
    for _ in range(8):
        vtn.add("events", describe_event(intervalPeriod=period))
    agent = registered(vtn)
    offsets = [one.begins_s - (NOW - 3500) for one in agent.book]
    assert all(-600 <= one < 600 for one in offsets)
    assert max(offsets) > 60
    before = {one.event.event_id: one.ends_s for one in agent.book}
    settle(agent, vtn, NOW + 120)
    assert vtn.list_all("events", {"active": ["true"]}) == []
    assert {one.event.event_id: one.ends_s for one in agent.book} == before


def test_an_event_that_was_modified_is_another_modification():
    vtn = FakeVtn()
    row = vtn.add("events", describe_event())
    agent = registered(vtn)
    before = agent.book.find(row["id"]).event
    vtn.change(row, intervals=[{"id": 0, "payloads": [{"type": "SIMPLE", "values": [3]}]}])
    settle(agent, vtn, NOW + 30)
    after = agent.book.find(row["id"]).event
    assert after.modification > before.modification
    assert after.signals[0].intervals[0].value_micro == 3_000_000


def test_the_beginning_of_time_and_no_duration_cancel_an_event():
    vtn = FakeVtn()
    row = vtn.add("events", describe_event(NOW - 60))
    agent = registered(vtn)
    vtn.change(row, intervalPeriod={"start": "0001-01-01T00:00:00Z", "duration": "PT0S"})
    settle(agent, vtn, NOW + 30)
    assert agent.book.find(row["id"]).find_status(NOW + 31) is Status.CANCELLED


def test_granted_targets_are_asked_for_and_others_are_not_seen():
    vtn = FakeVtn()
    vtn.granted = ("street-7",)
    vtn.add("events", describe_event(targets=["street-7"]))
    vtn.add("events", describe_event(targets=["street-8"]))
    vtn.add("events", describe_event())
    agent = registered(vtn)
    assert {one.event.event_id for one in agent.book} == {"event-2", "event-4"}
    assert all(one.event.fault is None for one in agent.book)
    assert [one.path.count("targets=street-7") for one in vtn.log if one.purpose == "events"] == [
        0,
        1,
    ]


def test_what_is_granted_later_to_the_ven_or_a_resource_is_asked_for():
    vtn = FakeVtn()
    agent = registered(vtn)
    vtn.granted = ("street-7", "row-3")
    vtn.objects["vens"][0]["targets"] = ["street-7"]
    vtn.objects["resources"][0]["targets"] = ["row-3"]
    settle(agent, vtn, NOW + 900)
    assert "targets=street-7&targets=row-3" in vtn.log[-1].path
    vtn.troubles = [("resources", (500, b""))]
    settle(agent, vtn, NOW + 1800)
    settle(agent, vtn, NOW + 1830)
    assert "targets=street-7&targets=row-3" in vtn.log[-1].path


def test_targets_of_another_that_a_vtn_shows_all_the_same_are_refused():
    vtn = FakeVtn()
    vtn.granted = ("street-7", "street-8")
    vtn.add("events", describe_event(targets=["street-8"]))
    agent = make()
    settle(agent, vtn)
    vtn.objects["vens"][0]["targets"] = ["street-7"]
    again = make()
    vtn.list_all = lambda kind, _query: vtn.objects[kind]
    settle(again, vtn)
    (kept,) = again.book
    assert kept.event.fault.description == "for another target"


def test_who_restarts_goes_on_with_the_same_ven_events_and_offsets():
    vtn = FakeVtn()
    period = {"start": moment(NOW + 3600), "duration": "PT1H", "randomizeStart": "PT10M"}
    vtn.add("events", describe_event(intervalPeriod=period))
    agent = registered(vtn)
    memory = json.loads(json.dumps(agent.export()))
    successor = make(memory)
    assert successor.export() == agent.export()
    settle(successor, vtn, NOW + 30)
    assert successor.describe(NOW) == agent.describe(NOW)
    assert purposes(vtn).count("create") == 1


def test_who_has_lost_its_memory_finds_its_ven_by_name_and_has_the_same_offsets():
    vtn = FakeVtn()
    period = {"start": moment(NOW + 3600), "duration": "PT1H", "randomizeStart": "PT10M"}
    vtn.add("events", describe_event(intervalPeriod=period))
    agent, other = registered(vtn), registered(vtn)
    assert other.describe(NOW) == agent.describe(NOW)
    assert len(vtn.objects["vens"]) == 1


def test_a_ven_that_the_utility_made_under_another_name_is_used():
    vtn = FakeVtn()
    row = vtn.add("vens", {"venName": "MALO-4711", "clientID": CLIENT, "targets": ["a"]})
    agent = registered(vtn)
    assert agent.ven_id == row["id"]
    assert purposes(vtn)[2:5] == ["lookup", "create", "own"]


def test_a_name_of_another_is_refused_later_and_later():
    vtn = FakeVtn()
    vtn.troubles = [("create", (409, b"{}"))] * 50
    agent, now_s, asked = make(), NOW, []
    for now_s in range(NOW, NOW + 600):
        while question := agent.find_next(now_s):
            asked.append(question.purpose)
            agent.take(*vtn.answer(question), now_s, 0.5)
    assert agent.reason == "Refused"
    assert 5 <= asked.count("create") <= 15


def test_a_ven_that_was_deleted_is_made_again():
    vtn = FakeVtn()
    agent = registered(vtn)
    first = agent.ven_id
    vtn.remove("vens", vtn.objects["vens"][0])
    settle(agent, vtn, NOW + 900)
    assert agent.reason == "NotRegistered"
    assert settle(agent, vtn, NOW + 910)
    assert (agent.reason, agent.ven_id != first) == ("Registered", True)


def test_who_was_well_again_waits_no_longer_than_at_first():
    vtn = FakeVtn()
    agent = registered(vtn)
    vtn.troubles = [("events", (500, b""))] * 4
    for now_s in range(NOW, NOW + 300):
        while question := agent.find_next(now_s):
            agent.take(*vtn.answer(question), now_s, 0.99)
    assert agent.reason == "Registered"
    assert agent.find_next(NOW + 300).purpose == "events"
    agent.take(500, b"", NOW + 300, 0.99)
    assert agent.find_time_of_next() == NOW + 330


def test_events_that_fail_again_and_again_make_it_look_for_its_ven():
    vtn = FakeVtn()
    agent = registered(vtn)
    vtn.remove("vens", vtn.objects["vens"][0])
    vtn.troubles = [("events", (500, b""))] * 5
    now_s = NOW
    for now_s in range(NOW, NOW + 400):
        settle(agent, vtn, now_s)
    assert purposes(vtn).count("create") == 2
    assert agent.reason == "Registered"


def test_a_refusal_is_reported_once_and_so_is_its_end():
    vtn = FakeVtn()
    row = vtn.add("events", describe_event())
    agent = registered(vtn, opt=Opt(False, "economic"))
    (told,) = vtn.reports()
    payloads = told["resources"][0]["intervals"][0]["payloads"]
    assert (told["eventID"], told["clientName"], told["reportName"]) == (
        row["id"],
        "house-1",
        "opt-1-out",
    )
    assert [one["values"] for one in payloads] == [["RUNNING_OPTED_OUT"], ["economic"]]
    assert agent.decide_again(row["id"], Opt(True), NOW)
    settle(agent, vtn, NOW + 30)
    settle(agent, vtn, NOW + 60)
    assert [one["reportName"] for one in vtn.reports()] == ["opt-1-out", "opt-2-in"]
    again = make(agent.export())
    settle(again, vtn, NOW + 90)
    assert len(vtn.reports()) == 2


def test_prices_are_no_question_so_nothing_is_refused():
    vtn = FakeVtn()
    vtn.add("events", describe_event(payload=("PRICE", [0.25])))
    registered(
        vtn,
        opt=Opt(False, "economic"),
        agency=AGENCY._replace(signal_names=frozenset({"ELECTRICITY_PRICE"})),
    )
    assert vtn.reports() == []


@pytest.mark.parametrize("moment_of_crash", ["before it arrived", "after it arrived"])
def test_a_report_arrives_once_though_the_process_dies_over_it(moment_of_crash):
    vtn = FakeVtn()
    vtn.add("events", describe_event())
    agent, memory = make(opt=Opt(False, "economic")), None
    while True:
        question = agent.find_next(NOW)
        if question.purpose == "report":
            if moment_of_crash == "after it arrived":
                vtn.answer(question)
            break
        if agent.take(*vtn.answer(question), NOW, 0.0):
            memory = json.loads(json.dumps(agent.export()))
    again = make(memory, opt=Opt(False, "economic"))
    settle(again, vtn, NOW + 30)
    assert [one["reportName"] for one in vtn.reports()] == ["opt-1-out"]
    assert make(again.export()).announcements.told == {"event-2": (1, False)}


@pytest.mark.parametrize("answer", [None, (500, b""), (409, b"")])
@pytest.mark.parametrize("does_arrive", [True, False])
def test_a_report_without_a_good_answer_is_looked_for_before_it_is_sent_again(answer, does_arrive):
    vtn = FakeVtn()
    vtn.add("events", describe_event())
    agent = make(opt=Opt(False, "economic"))
    while (question := agent.find_next(NOW)).purpose != "report":
        agent.take(*vtn.answer(question), NOW, 0.0)
    if does_arrive:
        vtn.answer(question)
    if answer is None:
        agent.fail("Timeout", "no answer", NOW, 0.0)
    else:
        agent.take(*answer, NOW, 0.0)
    for now_s in range(NOW + 1, NOW + 60):
        settle(agent, vtn, now_s)
    assert len(vtn.reports()) == 1


def test_a_report_that_is_refused_is_given_up_and_events_go_on():
    vtn = FakeVtn()
    vtn.add("events", describe_event())
    vtn.troubles = [("report", (403, b"{}"))] * 9
    agent = make(opt=Opt(False, "economic"))
    for now_s in range(NOW, NOW + 120):
        settle(agent, vtn, now_s)
    assert purposes(vtn).count("report") == 3
    assert purposes(vtn).count("events") == 4
    assert agent.reason == "Registered"


def test_usage_is_reported_when_its_intervals_have_ended():
    vtn = FakeVtn()
    two = [{"id": at, "payloads": [{"type": "PRICE", "values": [0.2]}]} for at in (7, 8)]
    row = vtn.add(
        "events",
        describe_event(
            NOW, intervals=two, reportDescriptors=[{"payloadType": "USAGE", "units": "KWH"}]
        ),
    )
    agent = registered(vtn)
    end_s = NOW + 7200
    assert agent.find_due_report(end_s - 1, lambda _: end_s) is None
    assert agent.find_due_report(end_s, lambda _: end_s - 900) is None
    due = agent.find_due_report(end_s, lambda _: end_s)
    assert (due.sent_until_s, due.span_s) == (NOW, 7200)
    samples = [sample(at) for at in range(NOW, end_s, 900)]
    agent.send_report(due, samples, Status31, end_s)
    assert agent.find_due_report(end_s, lambda _: end_s) is None
    assert settle(agent, vtn, end_s)
    (report,) = vtn.reports("USAGE")
    assert report["eventID"] == row["id"]
    assert [one["id"] for one in report["resources"][0]["intervals"]] == [7, 8]
    assert [one["payloads"][0]["values"] for one in report["resources"][0]["intervals"]] == [
        [1.0],
        [1.0],
    ]
    assert make(agent.export()).find_due_report(end_s, lambda _: end_s) is None


def test_a_report_of_values_arrives_once_though_the_process_dies_over_it():
    vtn = FakeVtn()
    vtn.add("events", describe_event(NOW, reportDescriptors=[{"payloadType": "USAGE"}]))
    agent = registered(vtn)
    memory, end_s = agent.export(), NOW + 3600
    samples = [sample(at) for at in range(NOW, end_s, 900)]
    agent.send_report(agent.find_due_report(end_s, lambda _: end_s), samples, Status31, end_s)
    while (question := agent.find_next(end_s)).purpose != "report":
        agent.take(*vtn.answer(question), end_s, 0.0)
    vtn.answer(question)
    again = make(memory)
    settle(again, vtn, end_s)
    again.send_report(again.find_due_report(end_s, lambda _: end_s), samples, Status31, end_s)
    settle(again, vtn, end_s + 1)
    assert len(vtn.reports()) == 1
    assert again.find_due_report(end_s + 1, lambda _: end_s) is None


class Sample31(NamedTuple):
    start_s: int
    deltas: dict[str, int]
    is_good: bool


def sample(start_s, energy_wh=250, is_good=True):
    return Sample31(start_s, {"1-0:1.8.0*255": energy_wh}, is_good)


def test_neither_token_nor_secret_is_shown_or_kept():
    vtn = FakeVtn()
    agent = make()
    shown = []
    for _ in range(20):
        question = agent.find_next(NOW)
        if question is None:
            break
        agent.take(*vtn.answer(question), NOW, 0.0)
        shown += [repr(question), str(question), repr(agent.ven._authorization)]
    shown += [json.dumps(agent.export()), json.dumps(agent.describe(NOW)), repr(vars(agent))]
    shown.append(repr(agent._credentials()))
    for secret in (SECRET, "s3cr", *vtn.tokens):
        assert not [one for one in shown if secret in one]


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"protocol": "openadr-2.0b"},
        {"registration": ["a"]},
        {"events": [{}]},
        {"reports": [["e"]]},
        {"reports": [["e", ["USAGE", "", "", "x", 1, True, 1, 1], 0, [[0, 0, 900]], 900, 1, 0]]},
        {"told": {"e": 1}},
        {"bids": []},
    ],
)
def test_a_damaged_memory_is_refused(change):
    vtn = FakeVtn()
    with pytest.raises(ValueError, match="damaged"):
        make(registered(vtn).export() | change)


def test_the_memory_of_the_other_openadr_is_refused():
    with pytest.raises(ValueError, match="damaged"):
        make({"version": 1, "registration": None, "events": [], "reports": []})


def test_a_notification_is_a_reason_to_look_and_no_more():
    vtn = FakeVtn()
    agent = registered(vtn)
    said = json.dumps(
        {"objectType": "EVENT", "operation": "CREATE", "object": {"id": "e"}}
    ).encode()
    before = len(vtn.log)
    assert agent.notices.take(said, NOW + 10, 0.9)
    settle(agent, vtn, NOW + 10)
    assert len(vtn.log) == before
    settle(agent, vtn, NOW + 14)
    assert purposes(vtn)[before:] == ["events"]
    for second in range(15, 20):
        agent.notices.take(said, NOW + second, 0.0)
        settle(agent, vtn, NOW + second)
    assert purposes(vtn)[before:] == ["events", "events"]
    assert not agent.notices.take(b"[]", NOW, 0.0)
    assert not agent.notices.take(b'{"objectType":"REPORT","operation":"CREATE"}', NOW, 0.0)


@pytest.mark.parametrize(
    ("targets", "is_reason"), [([], True), (["others"], False), (["others", "north"], True)]
)
def test_a_notification_of_an_event_for_others_is_no_reason(targets, is_reason):
    vtn = FakeVtn()
    vtn.granted = ("north",)
    agent = registered(vtn)
    whole = {
        "objectType": "EVENT",
        "operation": "CREATE",
        "object": {"id": "e", "targets": targets},
    }
    assert agent.notices.take(json.dumps(whole).encode(), NOW + 10, 0.0) is is_reason
    before = len(vtn.log)
    settle(agent, vtn, NOW + 10)
    assert (len(vtn.log) > before) is is_reason


def usage_since(start_s, span):
    vtn = FakeVtn()
    asked = [{"payloadType": "USAGE"}]
    vtn.add("events", describe_event(start_s, span=span, reportDescriptors=asked))
    return vtn, registered(vtn)


def test_of_an_event_since_the_beginning_of_time_no_more_is_read_than_a_meter_may_have():
    _, agent = usage_since(0, f"P{NOW // 86_400}D")
    asked = []

    def ask(_, parameters, __):
        asked.append(parameters["from"])

    assert make_reports(agent, ask, Status31, NOW + 600) == 1
    assert min(asked) == format_moment(NOW + 600 - OLDEST_S)


def test_a_report_that_cannot_be_made_is_told_once_and_keeps_nothing_back(capsys):
    vtn, agent = usage_since(NOW, "PT1H")

    def ask(*_):
        raise ArithmeticError("of this one")

    for after_s in range(0, 300, 30):
        make_reports(agent, ask, Status31, NOW + 3600 + after_s)
        settle(agent, vtn, NOW + 3600 + after_s)
    assert capsys.readouterr().err.count("ArithmeticError") == 1
    assert vtn.reports("USAGE") == []


def say_own(object_type, object_id):
    said = {"objectType": object_type, "operation": "UPDATE", "object": {"id": object_id}}
    return json.dumps(said).encode()


@pytest.mark.parametrize(("object_type", "most"), [("VEN", 2), ("RESOURCE", 2)])
def test_who_tells_of_the_ven_every_second_has_it_read_once_a_minute(object_type, most):
    vtn = FakeVtn()
    agent = registered(vtn)
    before = len(vtn.log)
    for now_s in range(NOW + 30, NOW + 150):
        agent.notices.take(say_own(object_type, agent.ven_id), now_s, 0.5)
        settle(agent, vtn, now_s)
    assert purposes(vtn)[before:].count("refresh") == most


def test_a_notification_of_another_ven_is_no_reason():
    vtn = FakeVtn()
    agent = registered(vtn)
    before = len(vtn.log)
    assert not agent.notices.take(say_own("VEN", "ven-of-another"), NOW + 100, 0.0)
    settle(agent, vtn, NOW + 29)
    assert len(vtn.log) == before


def test_who_is_told_of_its_ven_reads_it_at_random_and_its_new_events_at_once():
    vtn = FakeVtn()
    agent = registered(vtn)
    settle(agent, vtn, NOW + 89)
    vtn.granted = ("street-7",)
    vtn.add("events", describe_event(targets=["street-7"]))
    vtn.objects["vens"][0]["targets"] = ["street-7"]
    assert agent.notices.take(say_own("VEN", agent.ven_id), NOW + 90, 0.9)
    agent.notices.look_soon(NOW + 90, 0.0)
    settle(agent, vtn, NOW + 90)
    assert purposes(vtn).count("refresh") == 0
    for now_s in range(NOW + 91, NOW + 96):
        settle(agent, vtn, now_s)
    assert purposes(vtn).count("refresh") == 1
    assert len(list(agent.book)) == 1
