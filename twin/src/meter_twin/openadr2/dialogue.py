"""What a VEN asks its VTN, and what comes of it, as `ven` tells whoever decides.

Neighbour: `ven`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from meter_twin.demand_response.dr_event import DrEvent

from .message_codec import Response
from .report_codec import ReportRequest

POLL, REGISTER, EVENTS, REPORTS = "poll", "register", "events", "reports"
ANSWER, UPDATE, OPT = "answer", "update", "opt"
"""Purposes of questions; the last three wait in line."""
AGAIN, LEAVE = "register again", "leave"
"""Subjects of answers after which the registration is another one, or none."""


HEADERS: Mapping[str, str] = {"content-type": "application/xml", "accept": "application/xml"}


class Question(NamedTuple):
    """What is posted to `<url>/<service>`; `purpose` is for the state machine."""

    service: str
    body: str
    purpose: str
    subject: str = ""
    """The report or opt it carries."""

    @property
    def method(self) -> str:
        """All is posted."""
        return "POST"

    @property
    def path(self) -> str:
        """Below the VTN's URL."""
        return f"/{self.service}"

    @property
    def octets(self) -> bytes:
        """The body."""
        return self.body.encode()

    @property
    def headers(self) -> Mapping[str, str]:
        """What the body is."""
        return HEADERS

    @property
    def is_repeatable(self) -> bool:
        """All bears being asked twice: messages of 2.0b have ids of their own."""
        return True

    @property
    def url(self) -> str:
        """Empty: all is for the VTN."""
        return ""


class Registered(NamedTuple):
    """The VTN took this VEN; what it reports is offered next."""

    ven_id: str
    vtn_id: str


class Unregistered(NamedTuple):
    """The VTN does not know, or want, this VEN; it is asked again unless it cancelled."""

    reason: str
    message: str


class EventsCame(NamedTuple):
    """All events of this VEN; they are answered with `answer_events`."""

    request_id: str
    events: list[DrEvent]


class ReportsAsked(NamedTuple):
    """Reports are asked for; they are accepted with `accept_reports`."""

    request_id: str
    requests: list[ReportRequest]


class ReportsCancelled(NamedTuple):
    """Reports are to end, after a last one if it is wanted; answered with `end_reports`."""

    request_id: str
    report_request_ids: tuple[str, ...]
    is_last_wanted: bool


class Delivered(NamedTuple):
    """A report or opt has reached the VTN, which said `response` to it."""

    purpose: str
    subject: str
    response: Response


class Dropped(NamedTuple):
    """A message was refused too often and gave way to the others; a report is made again."""

    purpose: str
    subject: str


class Trouble(NamedTuple):
    """A question had no answer, or a bad one; `reason` is one word for a condition."""

    reason: str
    message: str


Happening = (
    Registered
    | Unregistered
    | EventsCame
    | ReportsAsked
    | ReportsCancelled
    | Delivered
    | Dropped
    | Trouble
)


class Registration(NamedTuple):
    """What a VTN has given this VEN; kept over restarts and handed over."""

    registration_id: str
    ven_id: str
    vtn_id: str
    poll_s: int
