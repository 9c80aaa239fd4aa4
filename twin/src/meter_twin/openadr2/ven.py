"""A VEN of OpenADR 2.0b in the pull model, as a state machine: what is asked next, what came of it.

One question at a time. `find_next` says what to post where, `take` is given the answer, `fail`
that there was none; both return what has happened, for whoever decides about events and reports.
It never gives up: a VTN that is away, slow, broken or forgetful is asked again, later and later,
and one that knows this VEN no more is registered with again. No I/O, no clock, no chance.

Source: OpenADR 2.0b Profile Specification, 8 (services), 9 (transport). Neighbours: `answers` (what
a VTN says), `party` (what both know), `dialogue` (the words), `patience` (when), `outbox`.
"""

from collections.abc import Callable, Collection

from meter_twin.demand_response.response_code import is_success

from . import event_codec, registration_codec, report_codec
from .answers import take_message
from .dialogue import (
    ANSWER,
    EVENTS,
    LEAVE,
    OPT,
    POLL,
    REGISTER,
    REPORTS,
    Dropped,
    EventsCame,
    Happening,
    Question,
    Registration,
    Trouble,
    Unregistered,
)
from .message_codec import parse_message
from .outbox import Outbox
from .party import Party
from .patience import Patience
from .report_codec import ReportOffer

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
        self._new_id = new_id
        self._signs = signs
        self._party = Party(offers, new_id, registration)
        self._was_refused_events = False
        """Poll first: a VTN that fails there may say in a poll what it has against this VEN."""
        self._may_have_missed = False
        """A poll was not answered; a VTN may hold what it sent then for delivered."""
        self._is_expelled = False
        self._patience = Patience()
        self._asked: Question | None = None
        self._next_events_s = 0

    @property
    def registration(self) -> Registration | None:
        """What the VTN gave, None before and after."""
        return self._party.registration

    @property
    def ven_id(self) -> str:
        """The id that the VTN gave, empty without a registration."""
        return self._party.ven_id

    @property
    def outbox(self) -> Outbox:
        """What waits to be sent."""
        return self._party.outbox

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
        if self.registration is None or not self._party.has_offered or self._asks_events:
            return self._patience.not_before_s
        due = 0 if self.outbox.first else self._party.next_poll_s
        return max(due, self._patience.not_before_s)

    @property
    def _asks_events(self) -> bool:
        return not self._party.has_asked_events and not self._was_refused_events

    def _choose(self, now_s: int) -> Question | None:
        if self.registration is None:
            former = self._party.former
            body = registration_codec.build_create_registration(
                self._new_id(),
                self._name,
                signs=self._signs,
                registration_id=former.registration_id if former else "",
                ven_id=former.ven_id if former else "",
            )
            return Question("EiRegisterParty", body, REGISTER)
        if self.outbox.is_stuck and now_s >= self._party.next_poll_s:
            return self._poll(now_s)  # what a VTN cannot take does not keep its events away
        first = self.outbox.first
        if first is not None and first.purpose == ANSWER:
            return first
        if not self._party.has_offered:
            body = report_codec.build_register_report(
                self._new_id(), self.ven_id, self._party.offers, now_s
            )
            return Question("EiReport", body, REPORTS)
        if self._asks_events:
            return self._ask_events(now_s, self.registration.poll_s)
        if first is not None:
            return first
        if now_s < self._party.next_poll_s:
            return None
        if now_s >= self._next_events_s:
            return self._ask_events(now_s, self.registration.poll_s)
        return self._poll(now_s)

    def _ask_events(self, now_s: int, poll_s: int) -> Question:
        self._party.next_poll_s = max(self._party.next_poll_s, now_s + poll_s)
        self._next_events_s = now_s + max(EVENTS_AGAIN_S, POLLS_BEFORE_EVENTS * poll_s)
        body = event_codec.build_request_event(self._new_id(), self.ven_id)
        return Question("EiEvent", body, EVENTS)

    def _poll(self, now_s: int) -> Question:
        assert self.registration is not None
        self._party.next_poll_s = now_s + self.registration.poll_s
        return Question("OadrPoll", registration_codec.build_poll(self.ven_id), POLL)

    def expect_events(self) -> None:
        """Ask for all events at the next occasion, as after a takeover."""
        self._party.has_asked_events = False

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
            happenings = take_message(self._party, asked, message, now_s)
            self._done(asked)
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
                self._party.has_asked_events = False

    def _would_repeat(self, asked: Question, waited: int) -> bool:
        """Tell whether an answer, good as it may be, has settled nothing."""
        return (
            (asked.purpose == ANSWER and len(self.outbox) >= waited)
            or (asked.purpose == REGISTER and self.registration is None)
            or (asked.purpose == REPORTS and not self._party.has_offered)
            or (asked.purpose == EVENTS and not self._party.has_asked_events)
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
            self._party.lose_registration()

    def _back_off(self, reason: str, message: str, now_s: int, chance: float) -> list[Happening]:
        self._patience.failed(now_s, chance)
        return [Trouble(reason, message)]

    def _done(self, asked: Question) -> None:
        if self.outbox.drop(asked):
            self._party.lose_registration()
            self._is_expelled = asked.subject == LEAVE
