"""Every message that a VEN sends is what OpenADR 2.0b's XSDs allow, whatever it carries."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meter_twin.demand_response.event_book import Answer
from meter_twin.demand_response.quarter_hour import MeterStatus
from meter_twin.openadr2 import event_codec, opt_codec, registration_codec, report_codec
from meter_twin.openadr2.message_codec import parse_message, parse_response
from meter_twin.openadr2.opt_codec import OptMessage, OptSpan
from meter_twin.openadr2.report_codec import (
    Point,
    Report,
    ReportedValue,
    ReportOffer,
)

TEXT = st.text(max_size=20)
URI = st.sampled_from(["", "http://utility.example/peak", "urn:utility:peak?a=1&b=2"])
TIME = st.integers(0, 2**33)
SPAN = st.integers(0, 10**8)
NUMBER = st.integers(0, 2**32 - 1)
CODE = st.integers(100, 999)
REASON = st.sampled_from(
    ["economic", "emergency", "mustRun", "notParticipating", "overrideStatus", "participating"]
)
READING = st.sampled_from(["Direct Read", "Net", "Derived", "Mean", "x-notApplicable"])
KIND = st.sampled_from(["reading", "usage", "demand", "x-resourceStatus"])
NAME = st.sampled_from(["TELEMETRY_USAGE", "TELEMETRY_STATUS", "HISTORY_USAGE"])
VALUE = st.one_of(
    st.integers(-(10**12), 10**12), st.builds(MeterStatus, st.booleans(), st.booleans())
)
QUALITY = st.sampled_from(["", "Quality Good - Non Specific", "No Quality - No Value"])

ANSWER = st.builds(Answer, TEXT, NUMBER, CODE, TEXT, st.booleans())
POINT = st.builds(
    Point, TEXT, KIND, READING, st.sampled_from(["", *sorted(report_codec.UNITS)]), TEXT, SPAN, SPAN
)
OFFER = st.builds(ReportOffer, TEXT, NAME, SPAN, st.lists(POINT, max_size=3).map(tuple))
REPORTED = st.builds(ReportedValue, TEXT, TIME, SPAN, VALUE, QUALITY)
REPORT = st.builds(
    *(Report, TEXT, TEXT, TEXT, NAME, TIME, TIME, SPAN),
    st.lists(REPORTED, max_size=3).map(tuple),
)
OPT_OF_EVENT = st.builds(
    OptMessage, TEXT, st.booleans(), REASON, TIME, st.tuples(TEXT, NUMBER), st.just(()), URI, TEXT
)
OPT_OF_TIMES = st.builds(
    *(OptMessage, TEXT, st.booleans(), REASON, TIME, st.none()),
    st.lists(st.builds(OptSpan, TIME, SPAN), min_size=1, max_size=3),
    *(URI, TEXT),
)
MESSAGES = {
    "oadrQueryRegistration": st.builds(registration_codec.build_query_registration, TEXT),
    "oadrCreatePartyRegistration": st.builds(
        registration_codec.build_create_registration,
        *(TEXT, TEXT),
        signs=st.booleans(),
        registration_id=TEXT,
        ven_id=TEXT,
    ),
    "oadrCancelPartyRegistration": st.builds(
        registration_codec.build_cancel_registration, TEXT, TEXT, TEXT
    ),
    "oadrCanceledPartyRegistration": st.builds(
        registration_codec.build_canceled_registration, CODE, TEXT, TEXT, TEXT
    ),
    "oadrPoll": st.builds(registration_codec.build_poll, TEXT),
    "oadrResponse": st.builds(registration_codec.build_response, CODE, TEXT, TEXT, TEXT),
    "oadrRequestEvent": st.builds(event_codec.build_request_event, TEXT, TEXT),
    "oadrCreatedEvent": st.builds(
        event_codec.build_created_event, TEXT, TEXT, st.lists(ANSWER, max_size=3)
    ),
    "oadrRegisterReport": st.builds(
        report_codec.build_register_report, TEXT, TEXT, st.lists(OFFER, max_size=3), TIME, TEXT
    ),
    "oadrRegisteredReport": st.builds(report_codec.build_registered_report, CODE, TEXT, TEXT),
    "oadrCreatedReport": st.builds(
        report_codec.build_created_report, st.tuples(CODE, TEXT, TEXT), TEXT, st.lists(TEXT)
    ),
    "oadrCanceledReport": st.builds(
        report_codec.build_created_report,
        *(st.tuples(CODE, TEXT, TEXT), TEXT, st.lists(TEXT), st.just("canceled")),
    ),
    "oadrUpdateReport": st.builds(
        report_codec.build_update_report, TEXT, TEXT, st.lists(REPORT, max_size=3)
    ),
    "oadrCreateOpt": st.builds(
        opt_codec.build_create_opt, TEXT, TEXT, st.one_of(OPT_OF_EVENT, OPT_OF_TIMES)
    ),
    "oadrCancelOpt": st.builds(opt_codec.build_cancel_opt, TEXT, TEXT, TEXT),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_valid(valid, name):
    @settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
    @given(MESSAGES[name])
    def check(payload):
        valid(payload)
        assert parse_message(payload.encode()).name == name

    check()


def test_the_answer_to_events_names_the_message_that_brought_them(valid):
    answers = [Answer("e1", 2, 200, "OK", True), Answer("e2", 0, 460, "no signal", False)]
    payload = event_codec.build_created_event("r1", "ven-1", answers)
    valid(payload)
    created = parse_message(payload.encode()).element.find("eiCreatedEvent")
    assert parse_response(created).code == 200
    rows = list(created.find("eventResponses").all("eventResponse"))
    found = [
        (row.get_text("responseCode"), row.get_text("requestID"), row.get_text("optType"))
        for row in rows
    ]
    assert found == [("200", "r1", "optIn"), ("460", "r1", "optOut")]


@pytest.mark.parametrize(
    "opt",
    [
        OptMessage("o", True, "economic", 0),
        OptMessage("o", True, "economic", 0, ("e", 1), [OptSpan(0, 1)]),
    ],
)
def test_an_opt_is_of_an_event_or_of_times(opt):
    with pytest.raises(ValueError, match="event or of times"):
        opt_codec.build_create_opt("r", "ven-1", opt)
