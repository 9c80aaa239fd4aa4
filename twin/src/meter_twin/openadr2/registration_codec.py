"""EiRegisterParty and OadrPoll: who the VEN is, how often it asks (oadr_20b.xsd).

Neighbours: `message_codec`, `ven`.
"""

from typing import NamedTuple

from meter_twin.demand_response.response_code import is_success

from .message_codec import (
    MOST_TEXT,
    VERSION,
    Response,
    build_message,
    get_identifier,
    parse_response,
    write_message,
    write_response,
)
from .times import parse_duration
from .xml_codec import Element, write_text


class Registration(NamedTuple):
    """What the VTN says about a registration; the ids are empty if it did not take place."""

    response: Response
    registration_id: str
    ven_id: str
    vtn_id: str
    poll_s: int | None
    """How often it is polled at most, None if the VTN does not say."""


def build_query_registration(request_id: str) -> str:
    """Return an oadrQueryRegistration: what does the VTN support."""
    asked = write_text("pyld:requestID", request_id)
    return build_message(write_message("oadrQueryRegistration", asked))


def build_create_registration(
    request_id: str, ven_name: str, *, signs: bool, registration_id: str = "", ven_id: str = ""
) -> str:
    """Return an oadrCreatePartyRegistration in the pull model; with ids it renews one."""
    return build_message(
        write_message(
            "oadrCreatePartyRegistration",
            write_text("pyld:requestID", request_id),
            write_text("ei:registrationID", registration_id) if registration_id else "",
            write_text("ei:venID", ven_id) if ven_id else "",
            write_text("oadr:oadrProfileName", VERSION),
            write_text("oadr:oadrTransportName", "simpleHttp"),
            write_text("oadr:oadrReportOnly", False),
            write_text("oadr:oadrXmlSignature", signs),
            write_text("oadr:oadrVenName", ven_name),
            write_text("oadr:oadrHttpPullModel", True),
        )
    )


def parse_registration(element: Element) -> Registration:
    """Return what an oadrCreatedPartyRegistration says.

    Raises:
        MessageError: its response is missing, or it is good and names no VEN.
        ValueError: its poll frequency is no duration.
    """
    response = parse_response(element)
    poll = element.get_text("oadrRequestedOadrPollFreq/duration")
    return Registration(
        response,
        get_identifier(element, "registrationID") if response.is_good else "",
        get_identifier(element, "venID") if response.is_good else "",
        element.get_text("vtnID")[:MOST_TEXT],
        max(parse_duration(poll), 1) if poll else None,
    )


def build_cancel_registration(request_id: str, registration_id: str, ven_id: str) -> str:
    """Return an oadrCancelPartyRegistration: this VEN leaves."""
    return build_message(
        write_message(
            "oadrCancelPartyRegistration",
            write_text("pyld:requestID", request_id),
            write_text("ei:registrationID", registration_id),
            write_text("ei:venID", ven_id),
        )
    )


def build_canceled_registration(
    code: int, request_id: str, registration_id: str, ven_id: str
) -> str:
    """Return an oadrCanceledPartyRegistration: the VTN's cancellation is answered."""
    return build_message(
        write_message(
            "oadrCanceledPartyRegistration",
            write_response(code, "OK" if is_success(code) else "unknown registration", request_id),
            write_text("ei:registrationID", registration_id) if registration_id else "",
            write_text("ei:venID", ven_id),
        )
    )


def build_poll(ven_id: str) -> str:
    """Return an oadrPoll."""
    return build_message(write_message("oadrPoll", write_text("ei:venID", ven_id)))


def build_response(code: int, description: str, request_id: str, ven_id: str) -> str:
    """Return an oadrResponse."""
    return build_message(
        write_message(
            "oadrResponse",
            write_response(code, description, request_id),
            write_text("ei:venID", ven_id),
        )
    )
