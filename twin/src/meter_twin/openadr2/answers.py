"""What each message of a VTN means to a VEN of OpenADR 2.0b, by its name. Pure.

Source: OpenADR 2.0b Profile Specification, 8 (services). Neighbours: `ven` (asks), `party` (what is
changed), the codecs beside it.
"""

from collections.abc import Callable

from meter_twin.demand_response.event_book import Answer
from meter_twin.demand_response.response_code import INVALID_ID, NOT_REGISTERED, OK

from . import event_codec, opt_codec, registration_codec, report_codec
from .dialogue import (
    AGAIN,
    ANSWER,
    EVENTS,
    LEAVE,
    OPT,
    POLL,
    REGISTER,
    UPDATE,
    Delivered,
    EventsCame,
    Happening,
    Question,
    Registered,
    Registration,
    ReportsAsked,
    ReportsCancelled,
    Trouble,
    Unregistered,
)
from .message_codec import Message, MessageError, Response, find_stranger, parse_response
from .party import Party
from .xml_codec import Element

POLL_S, LEAST_POLL_S, MOST_POLL_S = 10, 1, 86_400
"""Between two polls: if the VTN does not say, and what it may say."""


def _take_registration(
    party: Party, asked: Question, element: Element, now_s: int
) -> list[Happening]:
    found = registration_codec.parse_registration(element)
    if asked.purpose != REGISTER:
        raise MessageError("oadrCreatedPartyRegistration", "was not asked for")
    if not found.response.is_good:
        party.former = None  # perhaps it was that which the VTN did not know
        return [_refused(found.response)]
    poll_s = min(max(found.poll_s or POLL_S, LEAST_POLL_S), MOST_POLL_S)
    party.registration = Registration(found.registration_id, found.ven_id, found.vtn_id, poll_s)
    party.has_offered = not party.offers
    party.has_asked_events = False
    party.next_poll_s = now_s + poll_s
    # What waits was written for an earlier registration; reports are asked for anew.
    party.outbox.clear()
    party.outbox.ven_id = found.ven_id
    return [Registered(found.ven_id, found.vtn_id)]


def _take_response(party: Party, asked: Question, element: Element, _now_s: int) -> list[Happening]:
    response = parse_response(element)
    if response.code == NOT_REGISTERED:
        party.lose_registration()
        return [Unregistered("NotRegistered", response.description)]
    if asked.purpose == EVENTS:
        party.has_asked_events = True
    if asked.purpose in (UPDATE, OPT):
        return [_deliver(party, asked, response)]
    return [] if response.is_good else [_refused(response)]


def _deliver(party: Party, asked: Question, response: Response) -> Delivered:
    if asked.purpose == UPDATE and response.code == INVALID_ID:
        party.has_offered = False  # it has forgotten what it asked for
    return Delivered(asked.purpose, asked.subject, response)


def _take_events(party: Party, asked: Question, element: Element, _now_s: int) -> list[Happening]:
    events = event_codec.parse_distribute_event(element)
    if asked.purpose == EVENTS:
        party.has_asked_events = True
    return [EventsCame(element.get_text("requestID"), events)]


def _take_registered_report(
    party: Party, asked: Question, element: Element, _now_s: int
) -> list[Happening]:
    response = parse_response(element)
    if response.code == NOT_REGISTERED:
        return _take_response(party, asked, element, _now_s)
    party.has_offered = True
    requests = report_codec.parse_report_requests(element)
    happenings: list[Happening] = [] if response.is_good else [_refused(response)]
    return [*happenings, ReportsAsked(response.request_id, requests)] if requests else happenings


def _take_updated_report(
    party: Party, asked: Question, element: Element, now_s: int
) -> list[Happening]:
    response = parse_response(element)
    if response.code == NOT_REGISTERED:
        return _take_response(party, asked, element, now_s)
    happenings: list[Happening] = [_deliver(party, asked, response)]
    cancel = element.find("oadrCancelReport")
    return happenings + (_take_cancel_report(party, asked, cancel, now_s) if cancel else [])


def _take_create_report(
    party: Party, _asked: Question, element: Element, _now_s: int
) -> list[Happening]:
    requests = report_codec.parse_report_requests(element)
    if any(one.specifier_id == report_codec.METADATA for one in requests):
        party.has_offered = False
    return [ReportsAsked(element.get_text("requestID"), requests)]


def _take_cancel_report(
    _party: Party, _asked: Question, element: Element, _now_s: int
) -> list[Happening]:
    return [ReportsCancelled(*report_codec.parse_cancel_report(element))]


def _take_register_report(
    party: Party, _asked: Question, element: Element, _now_s: int
) -> list[Happening]:
    """The VTN offers reports of its own; a meter asks for none."""
    body = report_codec.build_registered_report(OK, element.get_text("requestID"), party.ven_id)
    party.outbox.put("EiReport", body)
    return []


def _take_reregistration(
    party: Party, _asked: Question, _element: Element, _now_s: int
) -> list[Happening]:
    """Register again, with the same name; the VTN is told so first."""
    body = registration_codec.build_response(OK, "OK", "", party.ven_id)
    party.outbox.put("EiRegisterParty", body, ANSWER, AGAIN)
    return []


def _take_cancel_registration(
    party: Party, _asked: Question, element: Element, _now_s: int
) -> list[Happening]:
    ours = party.registration.registration_id if party.registration else ""
    named = element.get_text("registrationID")
    code = OK if named == ours else INVALID_ID
    body = registration_codec.build_canceled_registration(
        code, element.get_text("requestID"), named, party.ven_id
    )
    party.outbox.put("EiRegisterParty", body, ANSWER, LEAVE if code == OK else "")
    return [Unregistered("Cancelled", "by the utility")] if code == OK else []


def _take_opt(party: Party, asked: Question, element: Element, _now_s: int) -> list[Happening]:
    response, _ = opt_codec.parse_opt_answer(element)
    if response.code == NOT_REGISTERED:
        return _take_response(party, asked, element, _now_s)
    return [_deliver(party, asked, response)]


def _refuse_strange(party: Party, asked: Question, message: Message) -> None:
    """Answer events of somebody else with an error; nothing of them is kept (rule 21)."""
    if message.name == "oadrDistributeEvent" and asked.purpose in (POLL, EVENTS):
        events = event_codec.parse_distribute_event(message.element)
        answers = [
            Answer(one.event_id, one.modification, INVALID_ID, "of somebody else", False)
            for one in events
            if one.is_answered
        ]
        party.outbox.answer_events(message.element.get_text("requestID"), answers)


def _refused(response: Response) -> Trouble:
    return Trouble("Refused", f"{response.code} {response.description}".strip())


_BREAKING = {"oadrResponse", "oadrRequestReregistration", "oadrCancelPartyRegistration"}
_SETTLING = {
    UPDATE: frozenset({"oadrUpdatedReport", *_BREAKING}),
    OPT: frozenset({"oadrCreatedOpt", "oadrCanceledOpt", *_BREAKING}),
}
"""Answers that say whether a report or an opt has arrived; another one is of another question."""

_Handler = Callable[[Party, Question, Element, int], list[Happening]]
_HANDLERS: dict[str, _Handler] = {
    "oadrCreatedPartyRegistration": _take_registration,
    "oadrResponse": _take_response,
    "oadrDistributeEvent": _take_events,
    "oadrRegisteredReport": _take_registered_report,
    "oadrUpdatedReport": _take_updated_report,
    "oadrCreateReport": _take_create_report,
    "oadrCancelReport": _take_cancel_report,
    "oadrRegisterReport": _take_register_report,
    "oadrRequestReregistration": _take_reregistration,
    "oadrCancelPartyRegistration": _take_cancel_registration,
    "oadrCreatedOpt": _take_opt,
    "oadrCanceledOpt": _take_opt,
}


def take_message(party: Party, asked: Question, message: Message, now_s: int) -> list[Happening]:
    """Return what a message means that answers a question; the party knows it then.

    Raises:
        MessageError: it is no answer to a VEN or to this question.
        ValueError: it is malformed or of somebody else.
    """
    handler = _HANDLERS.get(message.name)
    if handler is None:
        raise MessageError(message.name[:64], "is no answer to a VEN")
    if message.name not in _SETTLING.get(asked.purpose, _HANDLERS):
        raise MessageError(message.name, f"is no answer to {asked.purpose}")
    if party.registration is not None:
        ids = {"venID": party.ven_id, "vtnID": party.registration.vtn_id}
        stranger = find_stranger(message, ids)
        if stranger is not None:
            _refuse_strange(party, asked, message)
            raise MessageError(stranger, "is of somebody else")
    return handler(party, asked, message.element, now_s)
