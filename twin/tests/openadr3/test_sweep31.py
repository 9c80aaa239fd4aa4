"""Looking at all events: pages, programs, and what is missing from several pages."""

import json

from fake_vtn import NOW, FakeVtn, describe_event, make, purposes, settle
from meter_twin.demand_response.event_book import Status


def fill(vtn, count):
    return [vtn.add("events", describe_event()) for _ in range(count)]


def test_all_pages_are_read():
    vtn, agent = FakeVtn(), make()
    fill(vtn, 120)
    settle(agent, vtn)
    assert len(list(agent.book)) == 120
    assert purposes(vtn).count("events") == 7
    assert vtn.complaints == []


def test_what_is_missing_from_several_pages_has_to_be_missing_twice():
    vtn, agent = FakeVtn(), make()
    rows = fill(vtn, 60)
    settle(agent, vtn)
    vtn.remove("events", rows[0])
    settle(agent, vtn, NOW + 30)
    assert agent.book.find(rows[0]["id"]).find_status(NOW + 31) is not Status.CANCELLED
    settle(agent, vtn, NOW + 60)
    assert agent.book.find(rows[0]["id"]).find_status(NOW + 61) is Status.CANCELLED
    assert sum(one.find_status(NOW + 61) is Status.CANCELLED for one in agent.book) == 1


def test_an_event_that_moves_between_pages_is_not_cancelled():
    vtn, agent = FakeVtn(), make()
    rows = fill(vtn, 30)
    settle(agent, vtn)

    def remove_first(one, question):
        if "skip=20" in question.path and rows[0] in one.objects["events"]:
            one.remove("events", rows[0])
        return one.handle(question)

    vtn.troubles = [("events", remove_first)] * 2
    settle(agent, vtn, NOW + 30)
    settle(agent, vtn, NOW + 60)
    cancelled = [
        one.event.event_id for one in agent.book if one.find_status(NOW + 61) is Status.CANCELLED
    ]
    assert cancelled == []  # the deleted one was seen on the first page
    settle(agent, vtn, NOW + 90)
    settle(agent, vtn, NOW + 120)
    cancelled = [
        one.event.event_id for one in agent.book if one.find_status(NOW + 121) is Status.CANCELLED
    ]
    assert cancelled == [rows[0]["id"]]


def test_more_pages_than_are_read_cancel_nothing():
    vtn, agent = FakeVtn(), make()
    rows = fill(vtn, 450)
    settle(agent, vtn)
    assert purposes(vtn).count("events") == 20
    assert len(list(agent.book)) == 200
    vtn.remove("events", rows[0])
    settle(agent, vtn, NOW + 30)
    settle(agent, vtn, NOW + 60)
    assert not [one for one in agent.book if one.find_status(NOW + 61) is Status.CANCELLED]


def test_a_page_that_fails_cancels_nothing_and_the_look_begins_anew():
    vtn, agent = FakeVtn(), make()
    fill(vtn, 60)
    settle(agent, vtn)
    vtn.troubles = [("events", FakeVtn.handle), ("events", (500, b""))]
    settle(agent, vtn, NOW + 30)
    assert agent.reason == "HttpError"
    assert not [one for one in agent.book if one.find_status(NOW + 31) is Status.CANCELLED]
    settle(agent, vtn, NOW + 60)
    assert agent.reason == "Registered"


def test_a_program_is_read_once_an_hour_for_all_its_events():
    vtn, agent = FakeVtn(), make()
    fill(vtn, 10)
    for now_s in range(NOW, NOW + 3600, 30):
        settle(agent, vtn, now_s)
    assert purposes(vtn).count("program") == 1
    settle(agent, vtn, NOW + 3600)
    assert purposes(vtn).count("program") == 2


def test_events_do_not_wait_for_a_program_that_cannot_be_read():
    vtn, agent = FakeVtn(), make()
    vtn.add("events", describe_event())
    vtn.troubles = [("program", (500, b""))]
    settle(agent, vtn)
    (kept,) = agent.book
    assert kept.event.market_context == "program-1"
    settle(agent, vtn, NOW + 300)
    (kept,) = agent.book
    assert kept.event.market_context == "peaks"
    vtn.troubles = [("program", (500, b""))]
    again = make(agent.export())
    settle(again, vtn, NOW + 330)
    assert [one.event.market_context for one in again.book] == ["peaks"]


def test_events_do_not_wait_for_a_program_that_has_no_answer():
    vtn, agent = FakeVtn(), make()
    vtn.add("events", describe_event())
    while (question := agent.find_next(NOW)).purpose != "program":
        agent.take(*vtn.answer(question), NOW, 0.0)
    agent.fail("Timeout", "no answer", NOW, 0.0)
    assert len(list(agent.book)) == 1


def test_too_many_intervals_in_all_are_a_fault_of_those_that_are_too_many():
    vtn, agent = FakeVtn(), make()
    many = [{"id": at, "payloads": [{"type": "SIMPLE", "values": [1]}]} for at in range(390)]
    for _ in range(12):
        vtn.add("events", describe_event(intervals=many))
    settle(agent, vtn)
    assert {one.path.partition("limit=")[2] for one in vtn.log if one.purpose == "events"} == {
        "20",
        "5",
    }
    good = [one for one in agent.book if one.event.fault is None]
    assert len(good) == 10
    assert len(json.dumps(agent.export())) < 400_000


def test_the_units_of_a_program_reach_its_events():
    vtn, agent = FakeVtn(), make()
    described = [
        {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "DISPATCH_SETPOINT", "units": "W"}
    ]
    vtn.change(vtn.objects["programs"][0], payloadDescriptors=described)
    vtn.add("events", describe_event(payload=("DISPATCH_SETPOINT", [900])))
    settle(agent, vtn)
    (kept,) = agent.book
    assert kept.event.signals[0].intervals[0].value_micro == 900_000_000


def test_an_event_that_is_too_long_alone_is_passed_over():
    vtn, agent = FakeVtn(), make()
    vtn.add("events", describe_event())
    vtn.add("events", describe_event(eventName="x" * 300_000))
    last = vtn.add("events", describe_event())
    settle(agent, vtn)
    assert {one.event.event_id for one in agent.book} == {"event-2", "event-4"}
    vtn.remove("events", last)
    settle(agent, vtn, NOW + 30)
    assert not [one for one in agent.book if one.find_status(NOW + 31) is Status.CANCELLED]


def test_an_answer_that_the_client_does_not_take_makes_pages_smaller():
    vtn, agent = FakeVtn(), make()
    while (question := agent.find_next(NOW)).purpose != "events":
        agent.take(*vtn.answer(question), NOW, 0.0)
    agent.fail("BadAnswer", "a body longer than 1048576 octets", NOW, 0.0)
    settle(agent, vtn, NOW + 30)
    assert [one.path for one in vtn.log if one.purpose == "events"] == [
        "/events?active=true&skip=0&limit=5"
    ]
