"""A VEN of OpenADR 2.0b in the pull model, as a state machine: what is asked next, what came of it.

One question at a time. `find_next` says what to post where, `take` is given the answer, `fail`
that there was none; both return what has happened, for whoever decides about events and reports.
It never gives up: a VTN that is away, slow, broken or forgetful is asked again, later and later,
and one that knows this VEN no more is registered with again. No I/O, no clock, no chance.

Source: OpenADR 2.0b Profile Specification, 8 (services), 9 (transport). Neighbours: the codecs
beside it, `dialogue` (the words), `patience` (when), `outbox` (what
waits), `demand_response.event_book`.
"""

from collections.abc import Callable, Collection

from meter_twin.demand_response.event_book import Answer
from meter_twin.demand_response.response_code import INVALID_ID, NOT_REGISTERED, OK, is_success

from . import event_codec, opt_codec, registration_codec, report_codec
from .dialogue import (
    AGAIN,
    ANSWER,
    EVENTS,
    LEAVE,
    OPT,
    POLL,
    REGISTER,
    REPORTS,
    UPDATE,
    Delivered,
    Dropped,
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
from .message_codec import (
    Message,
    MessageError,
    Response,
    find_stranger,
    parse_message,
    parse_response,
)
from .outbox import Outbox
from .patience import Patience
from .report_codec import ReportOffer
from .xml_codec import Element

POLL_S, LEAST_POLL_S, MOST_POLL_S = 10, 1, 86_400
"""Between two polls: if the VTN does not say, and what it may say."""
NOT_FOUND = 404
EVENTS_AGAIN_S, POLLS_BEFORE_EVENTS = 3_600, 60
"""All events are asked for anew after both: what was lost or came late is set right."""
_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}


class Ven:
    """The conversation of one VEN with one VTN."""

    def __init__(
        self,
        ven_name: str,
        offers: Collection[ReportOffer],
        new_id: Callable[[], str],
        registration: Registration | None = None,
        *,
        signs: bool = False,
    ) -> None:
        """Begin, or go on with a registration.

        Args:
            ven_name: what the VTN knows the meter by before it is registered.
            offers: the reports it can send.
            new_id: makes a request id that was never used before.
            registration: from before.
            signs: XML signatures are used.
        """
        self._name = ven_name
        self._offers = tuple(offers)
        self._new_id = new_id
        self._signs = signs
        self.registration = registration
        self._former: Registration | None = None
        self._has_offered = registration is not None
        self._has_asked_events = False
        self._was_refused_events = False
        """Poll first: a VTN that fails there may say in a poll what it has against this VEN."""
        self._may_have_missed = False
        """A poll was not answered; a VTN may hold what it sent then for delivered."""
        self._is_expelled = False
        self.outbox = Outbox(new_id)
        self.outbox.ven_id = self.ven_id
        self._patience = Patience()
        self._asked: Question | None = None
        self._next_poll_s = self._next_events_s = 0

    @property
    def ven_id(self) -> str:
        """The id that the VTN gave, empty without a registration."""
        return self.registration.ven_id if self.registration else ""

    def find_next(self, now_s: int) -> Question | None:
        """Return what to ask now, None if nothing is due; it is outstanding then.

        Raises:
            RuntimeError: a question is outstanding.
        """
        if self._asked is not None:
            raise RuntimeError("one question at a time")
        if now_s < self._patience.not_before_s or self._is_expelled:
            return None
        self._asked = self.outbox.asked = self._choose(now_s)
        return self._asked

    def find_time_of_next(self) -> int | None:
        """Return when something is due, 0 for at once, None for never."""
        if self._is_expelled:
            return None
        if self.registration is None or not self._has_offered or self._asks_events:
            return self._patience.not_before_s
        due = 0 if self.outbox.first else self._next_poll_s
        return max(due, self._patience.not_before_s)

    @property
    def _asks_events(self) -> bool:
        return not self._has_asked_events and not self._was_refused_events

    def _choose(self, now_s: int) -> Question | None:
        if self.registration is None:
            former = self._former
            body = registration_codec.build_create_registration(
                self._new_id(),
                self._name,
                signs=self._signs,
                registration_id=former.registration_id if former else "",
                ven_id=former.ven_id if former else "",
            )
            return Question("EiRegisterParty", body, REGISTER)
        if self.outbox.is_stuck and now_s >= self._next_poll_s:
            return self._poll(now_s)  # what a VTN cannot take does not keep its events away
        first = self.outbox.first
        if first is not None and first.purpose == ANSWER:
            return first
        if not self._has_offered:
            body = report_codec.build_register_report(
                self._new_id(), self.ven_id, self._offers, now_s
            )
            return Question("EiReport", body, REPORTS)
        if self._asks_events:
            return self._ask_events(now_s, self.registration.poll_s)
        if first is not None:
            return first
        if now_s < self._next_poll_s:
            return None
        if now_s >= self._next_events_s:
            return self._ask_events(now_s, self.registration.poll_s)
        return self._poll(now_s)

    def _ask_events(self, now_s: int, poll_s: int) -> Question:
        self._next_poll_s = max(self._next_poll_s, now_s + poll_s)
        self._next_events_s = now_s + max(EVENTS_AGAIN_S, POLLS_BEFORE_EVENTS * poll_s)
        body = event_codec.build_request_event(self._new_id(), self.ven_id)
        return Question("EiEvent", body, EVENTS)

    def _poll(self, now_s: int) -> Question:
        assert self.registration is not None
        self._next_poll_s = now_s + self.registration.poll_s
        return Question("OadrPoll", registration_codec.build_poll(self.ven_id), POLL)

    def expect_events(self) -> None:
        """Ask for all events at the next occasion, as after a takeover."""
        self._has_asked_events = False

    # What came.

    def take(self, status: int, octets: bytes, now_s: int, chance: float) -> list[Happening]:
        """Take the answer to what was asked.

        Args:
            status: of HTTP.
            octets: the body.
            now_s: UTC.
            chance: in [0, 1), spreads the fleet's next try after a failure.
        """
        asked, waited = self._take_asked(), len(self.outbox)
        if not is_success(status):
            return self._take_refusal(asked, status, now_s, chance)
        if not octets.strip() and asked.purpose == ANSWER:
            self._done(asked)
            return []
        try:
            message = parse_message(octets)
            happenings = self._take_message(asked, message, now_s)
        except ValueError as error:
            return self._take_refusal(asked, status, now_s, chance, str(error))
        is_bad = any(isinstance(one, Trouble | Unregistered) for one in happenings)
        if is_bad or self._would_repeat(asked, waited):
            self._patience.failed(now_s, chance)
        else:
            self._patience.went_well()
            self._was_refused_events = False
            self._catch_up(asked, happenings)
        return happenings

    def fail(self, reason: str, message: str, now_s: int, chance: float) -> list[Happening]:
        """Take that there was no answer: a connection or its TLS failed, or it took too long."""
        asked = self._take_asked()
        self.outbox.failed(asked)
        self._count_bad_poll(asked)
        return self._back_off(reason, message, now_s, chance)

    def _catch_up(self, asked: Question, happenings: list[Happening]) -> None:
        """Ask for all events if an earlier poll may have brought some that never came."""
        if self._may_have_missed and asked.purpose in (POLL, EVENTS):
            self._may_have_missed = False
            if asked.purpose == POLL and not any(isinstance(one, EventsCame) for one in happenings):
                self._has_asked_events = False

    def _would_repeat(self, asked: Question, waited: int) -> bool:
        """Tell whether an answer, good as it may be, has settled nothing."""
        return (
            (asked.purpose == ANSWER and len(self.outbox) >= waited)
            or (asked.purpose == REGISTER and self.registration is None)
            or (asked.purpose == REPORTS and not self._has_offered)
            or (asked.purpose == EVENTS and not self._has_asked_events)
        )

    def _take_asked(self) -> Question:
        asked, self._asked, self.outbox.asked = self._asked, None, None
        if asked is None:
            raise RuntimeError("nothing was asked")
        return asked

    def _take_refusal(
        self, asked: Question, status: int, now_s: int, chance: float, message: str = ""
    ) -> list[Happening]:
        if asked.purpose == OPT and status == NOT_FOUND and self.outbox.say_otherwise(asked):
            return []
        self._was_refused_events |= asked.purpose == EVENTS
        reason = "BadAnswer" if message else _REASONS.get(status, "HttpError")
        self.outbox.failed(asked)
        self._count_bad_poll(asked)
        text = message or f"{asked.service} was answered with status {status}"
        happenings = self._back_off(reason, text, now_s, chance)
        # A server's own fault says nothing about the message.
        if status // 100 != 5 and self.outbox.refused(asked):  # noqa: PLR2004 - 5xx
            self._done(asked)
            happenings.append(Dropped(asked.purpose, asked.subject))
        return happenings

    def _count_bad_poll(self, asked: Question) -> None:
        self._may_have_missed |= asked.purpose == POLL
        if asked.purpose == POLL and self._patience.poll_failed():
            self._lose_registration()

    def _back_off(self, reason: str, message: str, now_s: int, chance: float) -> list[Happening]:
        self._patience.failed(now_s, chance)
        return [Trouble(reason, message)]

    def _done(self, asked: Question) -> None:
        if self.outbox.drop(asked):
            self._lose_registration()
            self._is_expelled = asked.subject == LEAVE

    def _lose_registration(self) -> None:
        """Register anew; the VTN is told of the registration before."""
        self.registration, self._former = None, self.registration
        self._has_offered = self._has_asked_events = False

    def _take_message(self, asked: Question, message: Message, now_s: int) -> list[Happening]:
        handler = _HANDLERS.get(message.name)
        if handler is None:
            raise MessageError(message.name[:64], "is no answer to a VEN")
        if message.name not in _SETTLING.get(asked.purpose, _HANDLERS):
            raise MessageError(message.name, f"is no answer to {asked.purpose}")
        if self.registration is not None:
            ids = {"venID": self.ven_id, "vtnID": self.registration.vtn_id}
            stranger = find_stranger(message, ids)
            if stranger is not None:
                self._refuse_strange(asked, message)
                raise MessageError(stranger, "is of somebody else")
        happenings = handler(self, asked, message.element, now_s)
        self._done(asked)
        return happenings

    def _refuse_strange(self, asked: Question, message: Message) -> None:
        """Answer events of somebody else with an error; nothing of them is kept (rule 21)."""
        if message.name == "oadrDistributeEvent" and asked.purpose in (POLL, EVENTS):
            events = event_codec.parse_distribute_event(message.element)
            answers = [
                Answer(one.event_id, one.modification, INVALID_ID, "of somebody else", False)
                for one in events
                if one.is_answered
            ]
            self.outbox.answer_events(message.element.get_text("requestID"), answers)

    def _take_registration(self, asked: Question, element: Element, now_s: int) -> list[Happening]:
        found = registration_codec.parse_registration(element)
        if asked.purpose != REGISTER:
            raise MessageError("oadrCreatedPartyRegistration", "was not asked for")
        if not found.response.is_good:
            self._former = None  # perhaps it was that which the VTN did not know
            return [_refused(found.response)]
        poll_s = min(max(found.poll_s or POLL_S, LEAST_POLL_S), MOST_POLL_S)
        self.registration = Registration(found.registration_id, found.ven_id, found.vtn_id, poll_s)
        self._has_offered = not self._offers
        self._has_asked_events = False
        self._next_poll_s = now_s + poll_s
        # What waits was written for an earlier registration; reports are asked for anew.
        self.outbox.clear()
        self.outbox.ven_id = found.ven_id
        return [Registered(found.ven_id, found.vtn_id)]

    def _take_response(self, asked: Question, element: Element, _now_s: int) -> list[Happening]:
        response = parse_response(element)
        if response.code == NOT_REGISTERED:
            self._lose_registration()
            return [Unregistered("NotRegistered", response.description)]
        if asked.purpose == EVENTS:
            self._has_asked_events = True
        if asked.purpose in (UPDATE, OPT):
            return [self._deliver(asked, response)]
        return [] if response.is_good else [_refused(response)]

    def _deliver(self, asked: Question, response: Response) -> Delivered:
        if asked.purpose == UPDATE and response.code == INVALID_ID:
            self._has_offered = False  # it has forgotten what it asked for
        return Delivered(asked.purpose, asked.subject, response)

    def _take_events(self, asked: Question, element: Element, _now_s: int) -> list[Happening]:
        events = event_codec.parse_distribute_event(element)
        if asked.purpose == EVENTS:
            self._has_asked_events = True
        return [EventsCame(element.get_text("requestID"), events)]

    def _take_registered_report(
        self, asked: Question, element: Element, _now_s: int
    ) -> list[Happening]:
        response = parse_response(element)
        if response.code == NOT_REGISTERED:
            return self._take_response(asked, element, _now_s)
        self._has_offered = True
        requests = report_codec.parse_report_requests(element)
        happenings: list[Happening] = [] if response.is_good else [_refused(response)]
        return (
            [*happenings, ReportsAsked(response.request_id, requests)] if requests else happenings
        )

    def _take_updated_report(
        self, asked: Question, element: Element, now_s: int
    ) -> list[Happening]:
        response = parse_response(element)
        if response.code == NOT_REGISTERED:
            return self._take_response(asked, element, now_s)
        happenings: list[Happening] = [self._deliver(asked, response)]
        cancel = element.find("oadrCancelReport")
        return happenings + (self._take_cancel_report(asked, cancel, now_s) if cancel else [])

    def _take_create_report(
        self, _asked: Question, element: Element, _now_s: int
    ) -> list[Happening]:
        requests = report_codec.parse_report_requests(element)
        if any(one.specifier_id == report_codec.METADATA for one in requests):
            self._has_offered = False
        return [ReportsAsked(element.get_text("requestID"), requests)]

    def _take_cancel_report(
        self, _asked: Question, element: Element, _now_s: int
    ) -> list[Happening]:
        return [ReportsCancelled(*report_codec.parse_cancel_report(element))]

    def _take_register_report(
        self, _asked: Question, element: Element, _now_s: int
    ) -> list[Happening]:
        """The VTN offers reports of its own; a meter asks for none."""
        body = report_codec.build_registered_report(OK, element.get_text("requestID"), self.ven_id)
        self.outbox.put("EiReport", body)
        return []

    def _take_reregistration(
        self, _asked: Question, _element: Element, _now_s: int
    ) -> list[Happening]:
        """Register again, with the same name; the VTN is told so first."""
        body = registration_codec.build_response(OK, "OK", "", self.ven_id)
        self.outbox.put("EiRegisterParty", body, ANSWER, AGAIN)
        return []

    def _take_cancel_registration(
        self, _asked: Question, element: Element, _now_s: int
    ) -> list[Happening]:
        ours = self.registration.registration_id if self.registration else ""
        named = element.get_text("registrationID")
        code = OK if named == ours else INVALID_ID
        body = registration_codec.build_canceled_registration(
            code, element.get_text("requestID"), named, self.ven_id
        )
        self.outbox.put("EiRegisterParty", body, ANSWER, LEAVE if code == OK else "")
        return [Unregistered("Cancelled", "by the utility")] if code == OK else []

    def _take_opt(self, asked: Question, element: Element, _now_s: int) -> list[Happening]:
        response, _ = opt_codec.parse_opt_answer(element)
        if response.code == NOT_REGISTERED:
            return self._take_response(asked, element, _now_s)
        return [self._deliver(asked, response)]


def _refused(response: Response) -> Trouble:
    return Trouble("Refused", f"{response.code} {response.description}".strip())


_BREAKING = {"oadrResponse", "oadrRequestReregistration", "oadrCancelPartyRegistration"}
_SETTLING = {
    UPDATE: frozenset({"oadrUpdatedReport", *_BREAKING}),
    OPT: frozenset({"oadrCreatedOpt", "oadrCanceledOpt", *_BREAKING}),
}
"""Answers that say whether a report or an opt has arrived; another one is of another question."""

_Handler = Callable[[Ven, Question, Element, int], list[Happening]]
_HANDLERS: dict[str, _Handler] = {
    "oadrCreatedPartyRegistration": Ven._take_registration,  # noqa: SLF001 - its own
    "oadrResponse": Ven._take_response,  # noqa: SLF001
    "oadrDistributeEvent": Ven._take_events,  # noqa: SLF001
    "oadrRegisteredReport": Ven._take_registered_report,  # noqa: SLF001
    "oadrUpdatedReport": Ven._take_updated_report,  # noqa: SLF001
    "oadrCreateReport": Ven._take_create_report,  # noqa: SLF001
    "oadrCancelReport": Ven._take_cancel_report,  # noqa: SLF001
    "oadrRegisterReport": Ven._take_register_report,  # noqa: SLF001
    "oadrRequestReregistration": Ven._take_reregistration,  # noqa: SLF001
    "oadrCancelPartyRegistration": Ven._take_cancel_registration,  # noqa: SLF001
    "oadrCreatedOpt": Ven._take_opt,  # noqa: SLF001
    "oadrCanceledOpt": Ven._take_opt,  # noqa: SLF001
}
