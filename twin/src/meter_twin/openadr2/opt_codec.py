"""EiOpt: a house changes its mind about an event, or says when it takes no part (oadr_20b.xsd).

Neighbours: `message_codec`, `ven`.
"""

from collections.abc import Collection
from typing import NamedTuple

from .message_codec import (
    MOST_TEXT,
    Response,
    build_message,
    parse_response,
    write_duration,
    write_message,
    write_start,
)
from .times import format_moment
from .xml_codec import Element, write_element, write_text


class OptSpan(NamedTuple):
    """A time in which the opt holds."""

    start_s: int
    duration_s: int


class OptMessage(NamedTuple):
    """One opt: of an event in a modification, or of times (`spans`) in a market context."""

    opt_id: str
    is_in: bool
    reason: str
    created_s: int
    event: tuple[str, int] | None = None
    spans: Collection[OptSpan] = ()
    market_context: str = ""
    resource_id: str = ""


def build_create_opt(request_id: str, ven_id: str, opt: OptMessage) -> str:
    """Return an oadrCreateOpt.

    Raises:
        ValueError: it has neither an event nor times, or both (conformance rule 36).
    """
    if (opt.event is None) == (not opt.spans):
        raise ValueError("an opt is of an event or of times")
    named = ("ei:resourceID", opt.resource_id) if opt.resource_id else ("ei:venID", ven_id)
    return build_message(
        write_message(
            "oadrCreateOpt",
            write_text("ei:optID", opt.opt_id),
            write_text("ei:optType", "optIn" if opt.is_in else "optOut"),
            write_text("ei:optReason", opt.reason),
            write_text("emix:marketContext", opt.market_context) if opt.market_context else "",
            write_text("ei:venID", ven_id),
            _write_spans(opt.spans) if opt.spans else "",
            write_text("ei:createdDateTime", format_moment(opt.created_s)),
            write_text("pyld:requestID", request_id),
            _write_event(opt.event) if opt.event else "",
            write_element("ei:eiTarget", write_text(*named)),
        )
    )


def _write_event(event: tuple[str, int]) -> str:
    return write_element(
        "ei:qualifiedEventID",
        write_text("ei:eventID", event[0]),
        write_text("ei:modificationNumber", event[1]),
    )


def _write_spans(spans: Collection[OptSpan]) -> str:
    available = (
        write_element(
            "xcal:available",
            write_element(
                "xcal:properties", write_start(span.start_s), write_duration(span.duration_s)
            ),
        )
        for span in spans
    )
    return write_element("xcal:vavailability", write_element("xcal:components", *available))


def build_cancel_opt(request_id: str, ven_id: str, opt_id: str) -> str:
    """Return an oadrCancelOpt."""
    return build_message(
        write_message(
            "oadrCancelOpt",
            write_text("pyld:requestID", request_id),
            write_text("ei:optID", opt_id),
            write_text("ei:venID", ven_id),
        )
    )


def parse_opt_answer(element: Element) -> tuple[Response, str]:
    """Return response and opt id of an oadrCreatedOpt or oadrCanceledOpt.

    Raises:
        MessageError: no response.
    """
    return parse_response(element), element.get_text("optID")[:MOST_TEXT]
