"""OpenADR 2.0b's conformance rules that concern a VEN, by the numbers of openleadr's own tests.

openleadr's source distribution has `test/conformance/test_conformance_NNN.py` for rules 1, 2, 6, 8,
9, 14 and 21, which try its own server and client. Here they are held against this VEN: messages are
openleadr's (`create_message`, or its VTN over HTTP), what is made of them is the agent's.

Rules of that folder that bind the VTN alone: 2 (uid of intervals), 8 (durations of intervals add up
to the active period), 14 (currentValue is 0 before an event is active). A VEN cannot break them;
the tests of those numbers say what it does with what keeps them, and with what does not.
"""

import datetime as dt
import json
import re
import time

import pytest
from distributed import HOUR, START, START_S, describe, distribute, event, signal
from lxml import etree
from meter_twin.demand_response.event_book import Opt, Status
from meter_twin.openadr2.dialogue import EventsCame, Registered, Trouble
from meter_twin.openadr2.event_codec import parse_distribute_event
from meter_twin.openadr2.message_codec import parse_message
from meter_twin.openadr2.opt_codec import OptMessage, build_create_opt
from meter_twin.openadr2.report_codec import Report, ReportedValue, build_update_report
from openleadr import messaging
from test_agent import NOW, exchange, make_registered
from test_openleadr import PEAK, VEN_ID, House
from test_ven import KNOWN, make_polling, question, registered, respond, say
from test_ven import NOW as VEN_NOW
from vtn_process import VenDriver, VtnProcess

FOREIGN = dt.timezone(dt.timedelta(hours=4))
LEVELS = (1, 2, 3)


def read(octets):
    return parse_distribute_event(parse_message(octets).element)


def answers_of(agent, octets):
    """Return (event id, code, opt type) of what the agent answers to events."""
    exchange(agent, octets)
    message, _ = exchange(agent, respond())
    rows = message.element.find("eiCreatedEvent/eventResponses")
    return [
        (one.get_text("qualifiedEventID/eventID"), one.get_text("responseCode"), one.get_text("optType"))
        for one in rows.all("eventResponse")
    ]  # fmt: skip


def test_conformance_rule_001_times_are_utc_in_what_is_sent():
    value = ReportedValue("energy", START_S, 900, 1)
    report = Report("r", "q", "s", "TELEMETRY_USAGE", START_S, START_S, 900, (value,))
    opt = OptMessage("o", True, "economic", START_S, ("e", 1))
    for payload in (build_update_report("r", "v", [report]), build_create_opt("r", "v", opt)):
        times = re.findall(r"(?:date-time|createdDateTime)>([^<]+)<", payload)
        assert times
        assert set(times) == {START.strftime("%Y-%m-%dT%H:%M:%SZ")}


def test_conformance_rule_001_a_time_of_another_zone_is_the_same_moment():
    local = START.astimezone(FOREIGN)
    octets = distribute(event(describe(created_date_time=local)))
    moved = octets.replace(f"{START:%Y-%m-%dT%H:%M:%S.%fZ}".encode(), local.isoformat().encode())
    assert moved.count(local.isoformat().encode()) > 1
    assert read(moved)[0].start_s == START_S
    assert read(moved)[0].created_s == START_S


def test_conformance_rule_002_intervals_are_in_the_order_of_their_uids():
    octets = distribute(event(signals=[signal(values=LEVELS)]))
    uids = [int(one.text) for one in etree.fromstring(octets).findall(".//{*}uid/{*}text")]
    assert uids == [0, 1, 2], "openleadr keeps the rule"
    intervals = read(octets)[0].signals[0].intervals
    assert [one.value_micro // 10**6 for one in intervals] == [1, 2, 3]
    assert [one.offset_s for one in intervals] == [0, 1200, 2400]


@pytest.mark.parametrize(
    ("said", "is_test"), [("false", False), ("HelloThere", True), ("true", True)]
)
def test_conformance_rule_006_any_string_but_false_is_a_test_event(said, is_test):
    octets = distribute(event(describe())).replace(
        b"testEvent>false<", f"testEvent>{said}<".encode()
    )
    agent = make_registered()
    assert answers_of(agent, octets) == [("peak-1", "200", "optIn")]
    (shown,) = agent.describe(START_S)["events"]
    assert (shown["test"], shown["active"]) == (is_test, not is_test)


def test_conformance_rule_008_nothing_acts_outside_the_active_period():
    """openleadr refuses to write such an event; intervals of another VTN may be longer."""
    octets = distribute(event(signals=[signal(values=LEVELS, seconds=3 * 3600)]))
    assert octets.count(b"PT3H") == 1, "openleadr has made the period as long as its intervals"
    agent = make_registered(octets.replace(b"PT3H", b"PT1H"))
    kept = agent.book.find("peak-1")
    assert kept.ends_s == START_S + 3600
    assert kept.find_status(kept.ends_s) is Status.COMPLETED
    assert agent.book.list_acting(kept.ends_s) == []


@pytest.mark.parametrize("value", LEVELS)
def test_conformance_rule_009_levels_of_simple_are_taken(value):
    agent = make_registered()
    octets = distribute(event(signals=[signal(values=(value,))]))
    assert answers_of(agent, octets) == [("peak-1", "200", "optIn")]


@pytest.mark.parametrize("value", [4, 10, -1, 1.5])
def test_conformance_rule_009_other_values_of_simple_are_refused(value):
    octets = distribute(event(signals=[signal(values=(3,))]))
    wrong = octets.replace(b"value>3<", f"value>{value}<".encode())
    wrong = wrong if wrong != octets else octets.replace(b"value>3.0<", f"value>{value}<".encode())
    assert wrong != octets
    agent = make_registered()
    assert answers_of(agent, wrong) == [("peak-1", "454", "optOut")]
    assert agent.book.list_acting(START_S) == []


def test_conformance_rule_014_the_current_value_decides_nothing():
    octets = distribute(event(signals=[signal(values=(1,), current_value=0)]))
    agents = [make_registered(octets)]
    tag = re.search(rb"<(\S*)currentValue>.*?</\S*currentValue>", octets, re.DOTALL)
    changed = tag[0].replace(b">0<", b">3<").replace(b">0.0<", b">3<")
    assert changed != tag[0]
    agents.append(make_registered(octets.replace(tag[0], changed)))
    first, second = (json.dumps(agent.export(), sort_keys=True) for agent in agents)
    assert first == second


# Rule 21: ids are validated.


def of_somebody_else(name, value):
    return {
        "vtnID": distribute(event(describe())).replace(
            b"vtnID>utility<", f"vtnID>{value}<".encode()
        ),
        "venID": say("oadrRequestReregistration", f"<ei:venID>{value}</ei:venID>"),
    }[name]


def test_conformance_rule_021_events_of_another_vtn_are_refused_and_not_kept():
    agent = make_registered()
    assert exchange(agent, of_somebody_else("vtnID", "stranger"))[1] is False
    assert (agent.reason, "vtnID" in agent.trouble.message) == ("BadAnswer", True)
    assert list(agent.book) == []
    message, _ = exchange(agent, respond(), NOW + 400)
    answer = message.element.find("eiCreatedEvent/eventResponses/eventResponse")
    assert (answer.get_text("responseCode"), answer.get_text("optType")) == ("452", "optOut")


def test_conformance_rule_021_our_own_vtn_is_heard():
    agent = make_registered()
    assert answers_of(agent, of_somebody_else("vtnID", "utility")) == [("peak-1", "200", "optIn")]


@pytest.mark.parametrize(("ven_id", "is_heard"), [("ven-2", False), ("ven-1", True)])
def test_conformance_rule_021_a_message_for_another_ven_is_refused(ven_id, is_heard):
    ven = make_polling()
    question(ven, VEN_NOW + 10)
    happened = ven.take(200, of_somebody_else("venID", ven_id), VEN_NOW + 10, 0.0)
    assert isinstance(happened[0] if happened else None, Trouble) is not is_heard
    assert question(ven, VEN_NOW + 400)[1] == ("oadrResponse" if is_heard else "oadrPoll")
    assert ven.registration == KNOWN


def test_conformance_rule_021_a_vtn_that_has_another_id_now_is_registered_with_again():
    agent = make_registered()
    now_s = NOW
    for _ in range(40):
        now_s += 400
        name = agent.find_next(now_s).purpose
        if name == "register":
            break
        agent.take(200, of_somebody_else("vtnID", "new"), now_s, 0.0)
    assert agent.take(200, registered().replace(b"utility", b"new"), now_s, 0.0)
    assert agent.reason == "Registered"
    exchange(agent, respond("oadrRegisteredReport"), now_s)
    exchange(agent, of_somebody_else("vtnID", "new"), now_s)
    assert agent.book.find("peak-1")


@pytest.mark.parametrize("opt", [Opt(True), Opt(False, "economic")])
def test_conformance_rule_021_an_unknown_event_that_is_cancelled_is_no_error(opt):
    descriptor = describe("never-seen", 1, event_status="cancelled")
    for targets in ([{"ven_id": "ven-1"}], [{"ven_id": "somebody-else"}]):
        agent = make_registered(opt=opt)
        (answer,) = answers_of(agent, distribute(event(descriptor, targets=targets)))
        assert answer[:2] == ("never-seen", "200")
        assert agent.book.list_acting(START_S) == []


@pytest.mark.timeout(300)
async def test_conformance_rule_021_with_openleadrs_vtn(valid):
    """As openleadr's own test: the VEN registers, polls, and gets the event; all ids are right."""
    house = House()
    async with VtnProcess() as vtn, VenDriver(vtn.url(), on=house, valid=valid) as ven:
        await ven.until(Registered)
        vtn.say(**PEAK, start_s=int(time.time()) + 1800)
        (came,) = await ven.until(EventsCame)
        assert [one.event_id for one in came.events] == ["peak-1"]
        assert await vtn.until("opt") == [{"ven": VEN_ID, "event": "peak-1", "opt": "optIn"}]
        assert not [one for one in ven.happened if isinstance(one, Trouble)]


def test_openleadr_still_keeps_the_rules_of_a_vtn():
    """If this fails openleadr has changed, and the tests above say less than they seem to."""
    wrong = event(signals=[signal(values=(10,))], duration=HOUR)
    with pytest.raises(ValueError, match="SIMPLE"):
        distribute(wrong)
    assert messaging.parse_message(distribute(event()))[0] == "oadrDistributeEvent"
