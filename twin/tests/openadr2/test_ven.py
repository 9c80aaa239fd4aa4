"""The conversation of a VEN: what it asks next, whatever the VTN does to it."""

import itertools

import pytest
from distributed import describe, distribute, event
from meter_twin.demand_response.event_book import Answer
from meter_twin.openadr2 import outbox, patience
from meter_twin.openadr2.dialogue import (
    Delivered,
    Dropped,
    EventsCame,
    Registered,
    Registration,
    ReportsAsked,
    ReportsCancelled,
    Trouble,
    Unregistered,
)
from meter_twin.openadr2.message_codec import (
    build_message,
    parse_message,
    write_message,
    write_response,
)
from meter_twin.openadr2.opt_codec import OptMessage
from meter_twin.openadr2.report_codec import Point, Report, ReportedValue, ReportOffer
from meter_twin.openadr2.ven import Ven
from meter_twin.openadr2.xml_codec import write_element, write_text

NOW = 1_800_000_000
POINT = Point("energy", "usage", "Direct Read", "Wh", "house-1", 900, 900)
OFFERS = (ReportOffer("usage", "TELEMETRY_USAGE", 86_400, (POINT,)),)
KNOWN = Registration("reg-1", "ven-1", "utility", 10)


def make(registration=None, offers=OFFERS):
    numbers = itertools.count(1)
    return Ven("house-1", offers, lambda: f"q{next(numbers)}", registration)


def say(name, *content):
    return build_message(write_message(name, *content)).encode()


def respond(name="oadrResponse", *content, code=200, request_id="q"):
    return say(name, write_response(code, "words", request_id), *content)


def registered(poll="PT10S", code=200, ven_id="ven-1"):
    ids = [write_text("ei:registrationID", "reg-1"), write_text("ei:venID", ven_id)]
    frequency = write_element("oadr:oadrRequestedOadrPollFreq", write_text("xcal:duration", poll))
    return respond(
        "oadrCreatedPartyRegistration",
        *(ids if code == 200 else []),
        write_text("ei:vtnID", "utility"),
        write_element("oadr:oadrProfiles"),
        frequency if poll else "",
        code=code,
    )


def ask_reports(name="oadrRegisteredReport", specifier="usage", request="rr-1"):
    asked = write_element(
        "oadr:oadrReportRequest",
        write_text("ei:reportRequestID", request),
        write_element(
            "ei:reportSpecifier",
            write_text("ei:reportSpecifierID", specifier),
            write_element("xcal:granularity", write_text("xcal:duration", "PT15M")),
            write_element("ei:reportBackDuration", write_text("xcal:duration", "PT1H")),
            write_element(
                "ei:specifierPayload",
                write_text("ei:rID", "energy"),
                write_text("ei:readingType", "Direct Read"),
            ),
        ),
    )
    if name == "oadrRegisteredReport":
        return respond(name, asked)
    return say(name, write_text("pyld:requestID", "cr-1"), asked)


def question(ven, now_s=NOW):
    found = ven.find_next(now_s)
    assert found is not None, "nothing is asked"
    return found, parse_message(found.body.encode()).name


def exchange(ven, answer, now_s=NOW, status=200):
    _, name = question(ven, now_s)
    return name, ven.take(status, answer, now_s, 0.0)


def make_polling(**kwargs):
    """Return a VEN that has nothing left to do but poll."""
    ven = make(KNOWN, **kwargs)
    assert exchange(ven, respond())[0] == "oadrRequestEvent"
    return ven


def test_it_registers_offers_its_reports_asks_for_events_and_polls():
    ven = make()
    name, happened = exchange(ven, registered())
    assert (name, happened) == ("oadrCreatePartyRegistration", [Registered("ven-1", "utility")])
    assert ven.registration == KNOWN
    assert exchange(ven, respond("oadrRegisteredReport"))[0] == "oadrRegisterReport"
    assert exchange(ven, respond())[0] == "oadrRequestEvent"
    assert ven.find_next(NOW + 9) is None
    assert exchange(ven, respond(), NOW + 10)[0] == "oadrPoll"


def test_a_registration_that_is_kept_is_gone_on_with():
    ven = make(KNOWN)
    assert question(ven)[1] == "oadrRequestEvent"


def test_it_polls_at_most_once_in_the_time_that_the_vtn_says():
    ven = make_polling()
    polls = [now for now in range(NOW, NOW + 100) if ven.find_next(now) and not ven.take(200, respond(), now, 0.0)]  # fmt: skip
    assert len(polls) == 9  # the question for events counts as one
    assert {second - first for first, second in itertools.pairwise(polls)} == {10}


@pytest.mark.parametrize(
    ("said", "poll_s"), [("", 10), ("PT0S", 1), ("PT30M", 1800), ("P900D", 86_400)]
)
def test_how_often_it_polls_has_bounds(said, poll_s):
    ven = make()
    exchange(ven, registered(said))
    assert ven.registration.poll_s == poll_s


def test_one_question_at_a_time():
    ven = make()
    question(ven)
    with pytest.raises(RuntimeError):
        ven.find_next(NOW)
    ven.fail("Unreachable", "refused", NOW, 0.0)
    with pytest.raises(RuntimeError):
        ven.take(200, b"", NOW, 0.0)


def test_a_vtn_that_is_absent_is_asked_for_ever_later_and_later():
    ven, now, gaps = make(), NOW, []
    for _ in range(200):
        found = ven.find_time_of_next()
        gaps.append(found - now if found else 0)
        now = max(found, now)
        question(ven, now)
        assert ven.fail("Unreachable", "refused", now, 0.999) == [Trouble("Unreachable", "refused")]
    assert gaps[1] < gaps[4] < max(gaps) <= patience.MOST_BACK_OFF_S + 1
    assert exchange(ven, registered(), now + 400)[1] == [Registered("ven-1", "utility")]


def test_the_next_try_is_spread_by_chance():
    times = set()
    for chance in (0.0, 0.3, 0.6, 0.9):
        ven, now = make(), NOW
        for _ in range(8):
            now = max(ven.find_time_of_next(), now)
            question(ven, now)
            ven.fail("Unreachable", "", now, chance)
        times.add(now)
    assert len(times) == 4


def test_after_a_good_answer_the_next_failure_waits_shortly_again():
    ven = make_polling()
    for now in range(NOW, NOW + 3):
        question(ven, NOW + 1000 * (now - NOW + 1))
        ven.fail("Unreachable", "", NOW + 1000 * (now - NOW + 1), 0.999)
    assert exchange(ven, respond(), NOW + 9000)[0] == "oadrRequestEvent"
    question(ven, NOW + 9010)
    ven.fail("Unreachable", "", NOW + 9010, 0.999)
    assert ven.find_time_of_next() == NOW + 9020  # its next poll, and not a fourth pause


def fail_polls(ven, how, count):
    now = NOW
    for _ in range(count):
        now = max(ven.find_time_of_next(), now)
        if question(ven, now)[1] != "oadrPoll":
            break
        how(ven, now)
    return now


FAILURES = {
    "away": lambda ven, now: ven.fail("Unreachable", "", now, 0.0),
    "status 500": lambda ven, now: ven.take(500, b"", now, 0.0),
    "status 404": lambda ven, now: ven.take(404, b"", now, 0.0),
    "junk": lambda ven, now: ven.take(200, b"junk", now, 0.0),
    "nothing": lambda ven, now: ven.take(200, b"", now, 0.0),
}


@pytest.mark.parametrize("how", FAILURES)
def test_after_failed_polls_it_registers_again_and_names_what_it_had(how):
    ven = make_polling()
    now = fail_polls(ven, FAILURES[how], patience.POLLS_BEFORE_REREGISTRATION)
    found, name = question(ven, now + 400)
    assert name == "oadrCreatePartyRegistration"
    element = parse_message(found.body.encode()).element
    assert element.get_text("registrationID") == "reg-1"
    assert element.get_text("venID") == "ven-1"


def test_some_failed_polls_are_no_reason_to_register_again():
    ven = make_polling()
    now = fail_polls(ven, FAILURES["status 500"], patience.POLLS_BEFORE_REREGISTRATION - 1)
    for expected in ("oadrPoll", "oadrRequestEvent"):
        assert exchange(ven, respond(), now + 400)[0] == expected
    now = fail_polls(ven, FAILURES["status 500"], patience.POLLS_BEFORE_REREGISTRATION - 1)
    assert question(ven, now + 400)[1] == "oadrPoll"


def test_a_registration_that_the_vtn_does_not_know_any_more_is_not_named_again():
    ven = make_polling()
    exchange(ven, respond(code=463), NOW + 10)
    found, _ = question(ven, NOW + 400)
    assert parse_message(found.body.encode()).element.get_text("registrationID") == "reg-1"
    assert ven.take(200, registered(code=452), NOW + 400, 0.0) == [Trouble("Refused", "452 words")]
    found, _ = question(ven, NOW + 800)
    assert parse_message(found.body.encode()).element.get_text("registrationID") == ""


@pytest.mark.parametrize("name", ["oadrResponse", "oadrRegisteredReport", "oadrUpdatedReport"])
def test_who_is_not_registered_registers_again(name):
    ven = make_polling()
    happened = exchange(ven, respond(name, code=463), NOW + 10)[1]
    assert happened == [Unregistered("NotRegistered", "words")]
    assert exchange(ven, registered(), NOW + 400)[0] == "oadrCreatePartyRegistration"
    assert exchange(ven, respond("oadrRegisteredReport"), NOW + 401)[0] == "oadrRegisterReport"


def test_the_vtn_asks_for_a_registration_and_is_told_so_first():
    ven = make_polling()
    exchange(ven, say("oadrRequestReregistration", write_text("ei:venID", "ven-1")), NOW + 10)
    assert exchange(ven, b"", NOW + 10)[0] == "oadrResponse"
    assert exchange(ven, registered(), NOW + 10)[0] == "oadrCreatePartyRegistration"


def cancel_registration(registration_id):
    return say(
        "oadrCancelPartyRegistration",
        write_text("pyld:requestID", "c-1"),
        write_text("ei:registrationID", registration_id),
        write_text("ei:venID", "ven-1"),
    )


def test_the_vtn_cancels_the_registration_and_is_not_asked_again():
    ven = make_polling()
    happened = exchange(ven, cancel_registration("reg-1"), NOW + 10)[1]
    assert happened == [Unregistered("Cancelled", "by the utility")]
    assert exchange(ven, respond(), NOW + 400)[0] == "oadrCanceledPartyRegistration"
    assert ven.find_next(NOW + 10**6) is None
    assert ven.find_time_of_next() is None


def test_a_registration_of_somebody_else_cannot_be_cancelled():
    ven = make_polling()
    assert exchange(ven, cancel_registration("reg-2"), NOW + 10)[1] == []
    found, name = question(ven, NOW + 10)
    answer = parse_message(found.body.encode()).element
    assert (name, answer.get_text("eiResponse/responseCode")) == ("oadrCanceledPartyRegistration", "452")  # fmt: skip
    ven.take(200, respond(), NOW + 10, 0.0)
    assert ven.registration == KNOWN


@pytest.mark.parametrize("at", ["oadrRequestEvent", "oadrPoll"])
def test_events_come_and_are_answered_by_the_request_that_brought_them(at):
    ven = make(KNOWN) if at == "oadrRequestEvent" else make_polling()
    name, (came,) = exchange(ven, distribute(event(describe())), NOW + 10)
    assert (name, type(came), came.request_id) == (at, EventsCame, "r1")
    assert [one.event_id for one in came.events] == ["peak-1"]
    ven.outbox.answer_events(came.request_id, [Answer("peak-1", 0, 200, "OK", True)])
    assert exchange(ven, respond(), NOW + 10)[0] == "oadrCreatedEvent"
    assert ven.find_next(NOW + 10) is None


def test_no_answers_are_no_message():
    ven = make_polling()
    ven.outbox.answer_events("r1", [])
    assert ven.find_next(NOW) is None


@pytest.mark.parametrize("name", ["oadrRegisteredReport", "oadrCreateReport"])
def test_reports_are_asked_for_and_accepted(name):
    ven = make() if name == "oadrRegisteredReport" else make_polling()
    if name == "oadrRegisteredReport":
        exchange(ven, registered())
    _, (asked,) = exchange(ven, ask_reports(name), NOW + 10)
    assert isinstance(asked, ReportsAsked)
    (wanted,) = asked.requests
    assert (wanted.request_id, wanted.granularity_s, wanted.back_s) == ("rr-1", 900, 3600)
    assert wanted.r_ids == ("energy",)
    ven.outbox.accept_reports(asked.request_id, ["rr-1"])
    names = [exchange(ven, respond(), NOW + 10)[0] for _ in range(1 if name != "oadrRegisteredReport" else 2)]  # fmt: skip
    assert "oadrCreatedReport" in names


def test_the_offers_are_asked_for_again_by_the_specifier_metadata():
    ven = make_polling()
    exchange(ven, ask_reports("oadrCreateReport", "METADATA"), NOW + 10)
    assert question(ven, NOW + 10)[1] == "oadrRegisterReport"


def report(number=1):
    value = ReportedValue("energy", NOW, 900, 123)
    return Report(f"report-{number}", "rr-1", "usage", "TELEMETRY_USAGE", NOW, NOW, 900, (value,))


def test_a_report_is_sent_until_it_is_answered_and_then_no_more():
    ven = make_polling()
    assert ven.outbox.send_report(report())
    first, _ = question(ven)
    ven.fail("Unreachable", "", NOW, 0.0)
    again, _ = question(ven, NOW + 2)
    assert again == first
    (delivered,) = ven.take(200, respond("oadrUpdatedReport"), NOW + 2, 0.0)
    assert isinstance(delivered, Delivered)
    assert (delivered.subject, delivered.response.code) == ("report-1", 200)
    assert ven.find_next(NOW + 2) is None


def test_who_has_forgotten_its_report_request_is_offered_the_reports_again():
    ven = make_polling()
    ven.outbox.send_report(report())
    (delivered,) = exchange(ven, respond("oadrUpdatedReport", code=452))[1]
    assert delivered.response.code == 452
    assert question(ven)[1] == "oadrRegisterReport"


def test_a_report_is_cancelled_with_the_answer_to_another():
    ven = make_polling()
    ven.outbox.send_report(report())
    cancel = write_element(
        "oadr:oadrCancelReport",
        write_text("pyld:requestID", "c-1"),
        write_text("ei:reportRequestID", "rr-1"),
        write_text("pyld:reportToFollow", True),
    )
    happened = exchange(ven, respond("oadrUpdatedReport", cancel))[1]
    assert happened[1:] == [ReportsCancelled("c-1", ("rr-1",), True)]
    ven.outbox.end_reports("c-1", [])
    assert exchange(ven, respond())[0] == "oadrCanceledReport"


def test_answers_go_before_reports_and_both_in_their_order():
    ven = make_polling()
    ven.outbox.send_report(report(1))
    ven.outbox.send_report(report(2))
    question(ven)
    ven.outbox.answer_events("r1", [Answer("e1", 0, 200, "OK", True)])
    ven.outbox.answer_events("r2", [Answer("e2", 0, 200, "OK", True)])
    ven.take(200, respond("oadrUpdatedReport"), NOW, 0.0)
    bodies = []
    for _ in range(3):
        found, _ = question(ven)
        bodies.append(found.body)
        ven.take(200, respond("oadrUpdatedReport"), NOW, 0.0)
    assert ["e1" in bodies[0], "e2" in bodies[1], "report-2" in bodies[2]] == [True] * 3


@pytest.mark.parametrize("status", [400, 404, 415])
def test_a_message_that_is_refused_again_and_again_does_not_hold_the_others_up(status):
    ven = make_polling()
    ven.outbox.send_report(report(1))
    ven.outbox.send_report(report(2))
    now = NOW
    for _ in range(outbox.TRIES_OF_REFUSED):
        now = max(ven.find_time_of_next(), now)
        assert "report-1" in question(ven, now)[0].body
        ven.take(status, b"", now, 0.0)
    assert "report-2" in question(ven, now + 400)[0].body


def test_an_answer_to_something_else_is_none_to_a_report():
    """It came late, of a proxy: the report may not have arrived."""
    ven = make_polling()
    ven.outbox.send_report(report())
    assert exchange(ven, respond("oadrRegisteredReport"))[1] == [
        Trouble("BadAnswer", "oadrRegisteredReport: is no answer to update")
    ]
    assert "report-1" in question(ven, NOW + 400)[0].body


def test_what_is_dropped_is_told_so_that_it_can_be_made_again():
    ven = make_polling()
    ven.outbox.send_report(report(1))
    told = []
    for at in range(outbox.TRIES_OF_REFUSED):
        question(ven, NOW + 9 - at)
        told += ven.take(400, b"", NOW - 400, 0.0)
    assert [one for one in told if not isinstance(one, Trouble)] == [Dropped("update", "report-1")]


def test_a_server_at_fault_loses_no_report_and_is_polled_all_the_same():
    ven = make_polling()
    ven.outbox.send_report(report())
    asked = []
    for now in range(NOW, NOW + 100):
        if ven.find_next(now) is None:
            continue
        asked.append(ven._asked)
        if asked[-1].purpose == "update":
            ven.take(503, b"", now, 0.0)
        else:
            ven.take(200, respond(), now, 0.0)
    assert [one.purpose for one in asked[: outbox.TRIES_OF_REFUSED]] == ["update"] * 3
    assert sum(one.purpose == "poll" for one in asked) >= 8
    assert "report-1" in asked[-1].body or "report-1" in asked[-2].body


def test_after_polls_that_failed_all_events_are_asked_for():
    """openleadr, for one, holds what they sent for delivered, also if it never came."""
    ven = make_polling()
    question(ven, NOW + 10)
    ven.fail("Closed", "", NOW + 10, 0.0)
    assert exchange(ven, respond(), NOW + 100)[0] == "oadrPoll"
    assert exchange(ven, respond(), NOW + 100)[0] == "oadrRequestEvent"
    assert exchange(ven, respond(), NOW + 110)[0] == "oadrPoll"
    assert ven.find_next(NOW + 111) is None


def test_after_a_poll_that_brings_events_they_are_not_asked_for_again():
    ven = make_polling()
    question(ven, NOW + 10)
    ven.fail("Closed", "", NOW + 10, 0.0)
    assert exchange(ven, distribute(event(describe())), NOW + 100)[0] == "oadrPoll"
    assert ven.find_next(NOW + 101) is None


@pytest.mark.parametrize(("poll", "again_s"), [("PT10S", 3_600), ("PT2M", 7_200)])
def test_all_events_are_asked_for_now_and_then_in_the_place_of_a_poll(poll, again_s):
    ven = make(offers=())
    exchange(ven, registered(poll))
    assert exchange(ven, respond())[0] == "oadrRequestEvent"
    asked = []
    for now in range(NOW + 1, NOW + 2 * again_s):
        if (found := ven.find_next(now)) is not None:
            asked.append((now - NOW, found.purpose))
            ven.take(200, respond(), now, 0.0)
    assert [at for at, purpose in asked if purpose == "events"] == [again_s]
    assert {later - sooner for (sooner, _), (later, _) in itertools.pairwise(asked)} == {ven.registration.poll_s}  # fmt: skip


def test_more_than_can_wait_is_told():
    ven = make_polling()
    sent = [ven.outbox.send_report(report(number)) for number in range(outbox.MOST_WAITING + 1)]
    assert sent == [True] * outbox.MOST_WAITING + [False]
    assert not ven.outbox.send_opt(OptMessage("o", True, "economic", NOW, ("e", 0)))


def test_an_opt_is_delivered():
    ven = make_polling()
    ven.outbox.send_opt(OptMessage("opt-1", False, "overrideStatus", NOW, ("peak-1", 0)))
    name, (delivered,) = exchange(ven, respond("oadrCreatedOpt", write_text("ei:optID", "opt-1")))
    assert (name, delivered.subject) == ("oadrCreateOpt", "opt-1")


def test_the_vtns_own_reports_are_taken_note_of():
    ven = make_polling()
    exchange(ven, say("oadrRegisterReport", write_text("pyld:requestID", "v-1")), NOW + 10)
    assert question(ven, NOW + 10)[1] == "oadrRegisteredReport"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "Unauthorized"), (403, "Forbidden"), (404, "NotFound"), (500, "HttpError")],
)
def test_a_status_is_a_reason(status, reason):
    (trouble,) = exchange(make(), b"", status=status)[1]
    assert trouble.reason == reason
    assert str(status) in trouble.message


@pytest.mark.parametrize(
    "answer",
    [
        say("oadrPoll", write_text("ei:venID", "ven-1")),
        respond("oadrCreatedPartyRegistration", code=200),
        b"<html>login</html>",
        registered(poll="often"),
    ],
)
def test_what_is_no_answer_is_a_reason_too(answer):
    ven = make()
    (trouble,) = exchange(ven, answer)[1]
    assert trouble.reason == "BadAnswer"
    assert ven.registration is None
    assert exchange(ven, registered(), NOW + 400)[1] == [Registered("ven-1", "utility")]


def test_a_registration_that_was_not_asked_for_is_not_taken():
    ven = make_polling()
    (trouble,) = exchange(ven, registered(ven_id="ven-9"), NOW + 10)[1]
    assert trouble.reason == "BadAnswer"
    assert ven.ven_id == "ven-1"


def test_who_cannot_ask_for_events_still_polls_and_asks_again_when_that_goes_well():
    ven = make(KNOWN)
    assert exchange(ven, b"", status=500)[0] == "oadrRequestEvent"
    assert ven.find_time_of_next() == NOW + 10
    assert exchange(ven, b"", NOW + 10, 500)[0] == "oadrPoll"
    assert exchange(ven, respond(), NOW + 400)[0] == "oadrPoll"
    assert exchange(ven, respond(), NOW + 401)[0] == "oadrRequestEvent"
    assert ven.find_next(NOW + 402) is None


ANSWERS = {
    "oadrResponse": respond(),
    "oadrResponse 452": respond(code=452),
    "oadrResponse 463": respond(code=463),
    "oadrRequestReregistration": say("oadrRequestReregistration", write_text("ei:venID", "v")),
    "oadrCancelPartyRegistration": cancel_registration("reg-1"),
    "another's oadrCancelPartyRegistration": cancel_registration("reg-2"),
    "oadrCreatedPartyRegistration": registered(),
    "oadrCreatedPartyRegistration 452": registered(code=452),
    "oadrRegisteredReport": ask_reports(),
    "oadrCreateReport": ask_reports("oadrCreateReport"),
    "oadrCreateReport of METADATA": ask_reports("oadrCreateReport", "METADATA"),
    "oadrRegisterReport": say("oadrRegisterReport", write_text("pyld:requestID", "v-1")),
    "oadrUpdatedReport": respond("oadrUpdatedReport"),
    "oadrUpdatedReport 452": respond("oadrUpdatedReport", code=452),
    "oadrCreatedOpt": respond("oadrCreatedOpt", write_text("ei:optID", "opt-1")),
    "oadrDistributeEvent": distribute(event()),
    "nothing": b"",
    "junk": b"junk",
}


@pytest.mark.parametrize("begins", ["registered", "unknown"])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_vtn_that_always_says_the_same_is_not_flooded(name, begins):
    ven = make(KNOWN if begins == "registered" else None)
    ven.outbox.send_report(report())
    asked = 0
    for now in range(NOW, NOW + 120):
        for _ in range(6):
            if ven.find_next(now) is None:
                break
            asked += 1
            ven.take(200, ANSWERS[name], now, 0.999)
        else:
            pytest.fail("more than five questions in a second")
    assert asked <= 40


def test_answers_go_before_the_questions_that_a_registration_begins_with():
    ven = make(KNOWN)
    exchange(ven, say("oadrRequestReregistration", write_text("ei:venID", "ven-1")))
    assert exchange(ven, b"", NOW + 400)[0] == "oadrResponse"
    assert question(ven, NOW + 400)[1] == "oadrCreatePartyRegistration"
