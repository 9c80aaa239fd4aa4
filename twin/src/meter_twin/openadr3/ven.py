"""A VEN of OpenADR 3.1 that polls, as a state machine: what is asked next, what came of it.

One question at a time. First a token, then the ven object, then events when they are due, then
reports, then what the VTN can notify. It never gives up: a VTN that is away, slow, broken or
forgetful is asked again, later and later; one that does not know this ven any more gets it again.
No I/O, no clock, no chance. Source: OpenADR 3.1.0, OpenAPI and Definitions. Neighbours: its parts
`authorization`, `enrolment`, `sweep`, `outbox`; `openadr2.patience` (when), `agent` (decides).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from meter_twin.demand_response.response_code import is_success
from meter_twin.openadr2.patience import Patience

from .authorization import Authorization
from .dialogue import (
    EVENTS,
    JSON,
    NOTIFIERS,
    PROGRAM,
    REPORT,
    REPORTS,
    SERVER,
    TOKEN,
    TOPICS,
    Question,
    Registration,
    Trouble,
    find_reason,
)
from .enrolment import Enrolment, Resource
from .event_codec import Occasion
from .json_codec import JsonError
from .notifier_codec import Notifiers, parse_notifiers, parse_topics
from .outbox import Outbox
from .program_codec import Program, Programs, parse_program
from .sweep import PAGE, Sweep, find_smaller

LEAST_POLL_S, MOST_POLL_S = 1, 86_400
LEAST_APART_S = 3
"""However often a VTN notifies, its events are not read sooner again."""
NOTIFIERS_S = 3_600
"""So often a VTN is asked what it can notify: it is a matter of its configuration."""


class Look(NamedTuple):
    """What one look at the VTN has found: all events of this VEN."""

    said: Sequence[Occasion]
    is_whole: bool
    is_paged: bool


class Ven:
    """The conversation of one VEN with one VTN."""

    def __init__(
        self,
        ven_name: str,
        authorization: Authorization,
        resources: Sequence[Resource],
        poll_s: int,
        registration: Registration | None = None,
    ) -> None:
        """Begin, or go on with a registration."""
        self._authorization = authorization
        self.enrolment = Enrolment(ven_name, resources, registration)
        self.outbox = Outbox(ven_name)
        self.programs = Programs()
        self.notifiers = Notifiers()
        self.topics: tuple[str, ...] = ()
        self._poll_s = min(max(poll_s, LEAST_POLL_S), MOST_POLL_S)
        self._patience = Patience()
        self._sweep: Sweep | None = None
        self._page = PAGE
        self._next_poll_s = 0
        self._last_poll_s = 0
        self._next_notifiers_s = 0
        self._topics_asked = ""
        self._topics_of_all = False
        """The VTN has no topics of one ven: those of all events are asked for."""
        self._asked: Question | None = None
        self.look: Look | None = None
        """The last one that is complete; whoever takes it sets it to None."""

    @property
    def registration(self) -> Registration | None:
        """The ven object, None without one."""
        return self.enrolment.registration

    def find_next(self, now_s: int) -> Question | None:
        """Return what to ask now, None if nothing is due; it is outstanding then.

        Raises:
            RuntimeError: a question is outstanding.
        """
        if self._asked is not None:
            raise RuntimeError("one question at a time")
        if now_s < self._patience.not_before_s:
            return None
        question = self._choose(now_s)
        if question is None:
            return None
        if question.purpose in (SERVER, TOKEN):
            self._asked = question
        else:
            self._asked = self._authorization.find_question(now_s) or self._sign(question)
        return self._asked

    def _sign(self, question: Question) -> Question:
        headers: Mapping[str, str] = self._authorization.headers
        if question.body:
            headers = {**headers, "content-type": JSON}
        return question._replace(headers=headers)

    def find_time_of_next(self) -> int:
        """Return when something is due, 0 for at once."""
        due = min(self._next_poll_s, self.enrolment.due_s, self._next_notifiers_s)
        if self.registration is None or self._sweep is not None:
            due = 0
        reports_s = self.outbox.find_time_of_next()
        due = due if reports_s is None else min(due, reports_s)
        return max(due, self._patience.not_before_s)

    def expect_events(self, at_s: int) -> None:
        """Look at the events then, if that is sooner, and not too soon after the last look."""
        self._next_poll_s = min(self._next_poll_s, max(at_s, self._last_poll_s + LEAST_APART_S))

    def _choose(self, now_s: int) -> Question | None:
        enrolling = self.enrolment.find_question(now_s)
        registration = self.registration
        if enrolling is not None or registration is None:
            return enrolling
        return (
            self._choose_events(registration, now_s)
            or self.outbox.find_question(now_s)
            or self._choose_notifiers(registration, now_s)
        )

    def _choose_events(self, registration: Registration, now_s: int) -> Question | None:
        if self._sweep is None:
            if now_s < self._next_poll_s:
                return None
            self._last_poll_s, self._next_poll_s = now_s, now_s + self._poll_s
            self._sweep = Sweep(registration.targets, self._page)
        sweep = self._sweep
        page = sweep.find_question()
        if page is not None:
            return page
        program_id = self._find_missing_program(sweep, now_s)
        return Question("GET", f"/programs/{program_id}", PROGRAM, program_id)

    def _find_missing_program(self, sweep: Sweep, now_s: int) -> str:
        named = sorted({one.program_id for one in sweep.found.values()})
        return next((one for one in named if self.programs.is_missing(one, now_s)), "")

    def _end_look(self, now_s: int) -> None:
        """Hand over what was found, once pages and programs have been read."""
        sweep = self._sweep
        if sweep is None or sweep.find_question() or self._find_missing_program(sweep, now_s):
            return
        self.programs.retain({one.program_id for one in sweep.found.values()})
        self.look = Look(list(sweep.found.values()), sweep.is_whole, sweep.is_paged)
        self._sweep, self._page = None, sweep.page
        self._patience.went_well()

    def _choose_notifiers(self, registration: Registration, now_s: int) -> Question | None:
        if now_s >= self._next_notifiers_s:
            return Question("GET", "/notifiers", NOTIFIERS)
        if self.notifiers.broker is not None and self._topics_asked != registration.ven_id:
            own = "" if self._topics_of_all else f"vens/{registration.ven_id}/"
            path = f"/notifiers/mqtt/topics/{own}events"
            return Question("GET", path, TOPICS, registration.ven_id)
        return None

    # What came.

    def take(self, status: int, octets: bytes, now_s: int, chance: float) -> Trouble | None:
        """Take the answer to what was asked; return what is wrong with it.

        Args:
            status: of HTTP.
            octets: the body.
            now_s: UTC.
            chance: in [0, 1), spreads the fleet's next try after a failure.
        """
        asked = self._take_asked()
        if asked.purpose not in (SERVER, TOKEN) and self._authorization.take_status(status):
            return None  # once more, with a new token
        try:
            trouble = self._take_answer(asked, status, octets, now_s, chance)
        except JsonError as error:
            self._note_failure(asked, now_s)
            trouble = Trouble("BadAnswer", f"{asked.purpose}: {error}")
        if trouble is not None and asked.purpose not in (REPORTS, REPORT):
            self._back_off(asked, now_s, chance)  # reports have a patience of their own
        self._end_look(now_s)
        return trouble

    def fail(self, reason: str, message: str, now_s: int, chance: float) -> Trouble:
        """Take that there was no answer: a connection or its TLS failed, or it took too long."""
        asked = self._take_asked()
        self._note_failure(asked, now_s)
        if asked.purpose == EVENTS and reason == "BadAnswer":
            self._page = find_smaller(self._page)  # too long, perhaps
        if asked.purpose in (REPORTS, REPORT):
            self.outbox.failed(asked, now_s, chance)
        self._authorization.failed(asked)
        self._back_off(asked, now_s, chance)
        self._end_look(now_s)
        return Trouble(reason, message)

    def _take_asked(self) -> Question:
        asked, self._asked = self._asked, None
        if asked is None:
            raise RuntimeError("nothing was asked")
        return asked

    def _back_off(self, asked: Question, now_s: int, chance: float) -> None:
        self._patience.failed(now_s, chance)
        if asked.purpose == EVENTS and self._patience.poll_failed():
            self.enrolment.doubt()

    def _note_failure(self, asked: Question, now_s: int) -> None:
        """What else is due goes on without it."""
        if asked.purpose == EVENTS:
            self._sweep = None
        elif asked.purpose == PROGRAM:
            self.programs.miss(asked.subject, now_s)
        elif asked.purpose in (NOTIFIERS, TOPICS):
            self._skip_notifiers(asked, now_s)
        else:
            self.enrolment.failed(asked, now_s)

    def _skip_notifiers(self, asked: Question, now_s: int) -> None:
        self._next_notifiers_s = now_s + NOTIFIERS_S
        self._topics_asked = asked.subject

    def _take_answer(
        self, asked: Question, status: int, octets: bytes, now_s: int, chance: float
    ) -> Trouble | None:
        if asked.purpose in (SERVER, TOKEN):
            return self._authorization.take(asked, status, octets, now_s)
        if asked.purpose in (REPORTS, REPORT):
            return self.outbox.take(asked, status, octets, now_s, chance)
        if asked.purpose in (NOTIFIERS, TOPICS):
            self._take_notifiers(asked, status, octets, now_s)
            return None
        if asked.purpose == PROGRAM:
            return self._take_program(asked, status, octets, now_s)
        if asked.purpose != EVENTS:
            before = self.registration
            trouble = self.enrolment.take(asked, status, octets, now_s)
            if self.registration != before:
                self.expect_events(now_s)  # other targets, other events
            return trouble
        if not is_success(status):
            self._sweep = None
            return Trouble(find_reason(status), f"/events was answered with status {status}")
        if self._sweep is not None:
            self._sweep.take(octets)
        return None

    def _take_program(
        self, asked: Question, status: int, octets: bytes, now_s: int
    ) -> Trouble | None:
        """An event whose program cannot be read is taken without it."""
        program = parse_program(octets) if is_success(status) else Program("", {})
        if program.name:
            self.programs.take(asked.subject, program, now_s)
        else:
            self.programs.miss(asked.subject, now_s)
        return None

    def _take_notifiers(self, asked: Question, status: int, octets: bytes, now_s: int) -> None:
        """Not every VTN has notifiers, or tells a VEN of them; polling goes on without."""
        if not is_success(status):
            is_own = asked.purpose == TOPICS and not self._topics_of_all
            if is_own and status // 100 == 4:  # noqa: PLR2004 - the client's fault: not there
                self._topics_of_all = True
            else:
                self._skip_notifiers(asked, now_s)
        elif asked.purpose == NOTIFIERS:
            self._next_notifiers_s = now_s + NOTIFIERS_S
            self._topics_asked, self._topics_of_all = "", False
            self.notifiers = parse_notifiers(octets)
        else:
            self._topics_asked = asked.subject
            self.topics = parse_topics(octets)
