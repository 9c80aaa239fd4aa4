"""What waits to be sent to the VTN: answers, reports and opts, until each has arrived.

Neighbours: `ven` sends it, whoever decides about events and reports fills it.
"""

from collections.abc import Callable, Collection

from meter_twin.demand_response.event_book import Answer
from meter_twin.demand_response.response_code import OK

from . import event_codec, opt_codec, report_codec
from .dialogue import AGAIN, ANSWER, LEAVE, OPT, UPDATE, Question
from .report_codec import Report

TRIES_OF_REFUSED = 3
"""A message that the VTN refuses as a whole is dropped then: the others wait behind it."""
MOST_WAITING = 1_000


class Outbox:
    """Messages that have to reach the VTN: answers first, each kind in the order it came."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        """Begin empty; `new_id` makes a request id that was never used before."""
        self._new_id = new_id
        self.ven_id = ""
        """Who sends them, set with each registration."""
        self.asked: Question | None = None
        """What is outstanding; nothing goes before it."""
        self._waiting: list[Question] = []
        self._opts: dict[str, opt_codec.OptMessage] = {}
        self._refusals = self._failures = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def first(self) -> Question | None:
        """Whose turn it is."""
        return self._waiting[0] if self._waiting else None

    @property
    def is_full(self) -> bool:
        """Whether no report and no opt can be taken."""
        return len(self._waiting) >= MOST_WAITING

    def put(self, service: str, body: str, purpose: str = ANSWER, subject: str = "") -> None:
        """Put a message in line."""
        place = len(self._waiting)
        if purpose == ANSWER:
            before = [at for at, one in enumerate(self._waiting, 1) if one.purpose == ANSWER]
            is_first_asked = self.asked is not None and self.first is self.asked
            place = max([*before, int(is_first_asked)])
        self._waiting.insert(place, Question(service, body, purpose, subject))

    def drop(self, question: Question) -> bool:
        """Take out what has arrived; return whether the registration changes with it."""
        self._refusals = self._failures = 0
        self._waiting = [one for one in self._waiting if one is not question]
        self._opts.pop(question.subject, None)
        return question.subject in (AGAIN, LEAVE)

    @property
    def is_stuck(self) -> bool:
        """Whether what is first has failed again and again; polls do not wait for it then."""
        return self._failures >= TRIES_OF_REFUSED

    def failed(self, question: Question) -> None:
        """Count that a message has not arrived, whatever the cause."""
        self._failures += question is self.first

    def refused(self, question: Question) -> bool:
        """Count that the VTN did not even read it; return whether that is enough."""
        if question is not self.first:
            return False
        self._refusals += 1
        return self._refusals >= TRIES_OF_REFUSED

    def clear(self) -> None:
        """Drop all: it was written for another registration."""
        self._waiting.clear()
        self._opts.clear()
        self._refusals = self._failures = 0

    def answer_events(self, request_id: str, answers: Collection[Answer]) -> None:
        """Answer events; without answers nothing is sent (oadrResponseRequired is never)."""
        if answers:
            body = event_codec.build_created_event(request_id, self.ven_id, answers)
            self.put("EiEvent", body)

    def accept_reports(self, request_id: str, pending: Collection[str], code: int = OK) -> None:
        """Answer the reports asked for; `pending` are those that still go on."""
        words = "OK" if code == OK else "not supported"
        body = report_codec.build_created_report((code, words, request_id), self.ven_id, pending)
        self.put("EiReport", body)

    def end_reports(self, request_id: str, pending: Collection[str], code: int = OK) -> None:
        """Answer a cancellation of reports; `pending` are those that still go on."""
        words = "OK" if code == OK else "unknown report request"
        response = (code, words, request_id)
        body = report_codec.build_created_report(response, self.ven_id, pending, "canceled")
        self.put("EiReport", body)

    def send_report(self, report: Report) -> bool:
        """Send a report, once; return False if too much waits, and it has to be offered again."""
        if self.is_full:
            return False
        body = report_codec.build_update_report(report.report_id, self.ven_id, [report])
        self.put("EiReport", body, UPDATE, report.report_id)
        return True

    def send_opt(self, opt: opt_codec.OptMessage) -> bool:
        """Tell the VTN of an opt; return False if too much waits."""
        if self.is_full:
            return False
        body = opt_codec.build_create_opt(self._new_id(), self.ven_id, opt)
        self.put("EiOpt", body, OPT, opt.opt_id)
        self._opts[opt.opt_id] = opt
        return True

    def say_otherwise(self, question: Question) -> bool:
        """Say an opt in another answer to its event, to a VTN that has no EiOpt (404).

        Return whether there is another way: an opt of times has none. Source: OpenADR 2.0a, which
        has no EiOpt and changes an opt so.
        """
        opt = self._opts.get(question.subject)
        if opt is None or opt.event is None:
            return False
        self.drop(question)
        answer = Answer(opt.event[0], opt.event[1], OK, "OK", opt.is_in)
        self.answer_events(self._new_id(), [answer])
        return True
