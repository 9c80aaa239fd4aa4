"""Reports that wait to reach the VTN, each exactly once, whatever happens in between.

3.1 gives a report its identity at the VTN only, so one that was sent without an answer may be there
or not. Therefore the VTN is asked which reports of an event it has: before the first one that this
process sends to that event (the process before may have sent it), and after each that failed. The
name of a report says what it holds. Source: OpenADR 3.1.0, OpenAPI (GET /reports: eventID,
clientName, skip, limit). Neighbours: `ven` (sends), `agent` (fills, and notes what arrived).
"""

from meter_twin.demand_response.response_code import is_success
from meter_twin.openadr2.patience import Patience

from .dialogue import REPORT, REPORTS, Question, Trouble, find_reason
from .json_codec import JsonError, build_query
from .report_codec import Letter, parse_report_names

MOST_WAITING = 100
PAGE, MOST_PAGES = 50, 40
TRIES_OF_REFUSED = 3
"""A report that the VTN refuses is dropped then: its event may be gone."""
MOST_CHECKED = 500


class Outbox:
    """See the module; it has a patience of its own, so that events go on without it."""

    def __init__(self, client_name: str) -> None:
        """Begin empty."""
        self._name = client_name
        self._waiting: list[Letter] = []
        self._checked: set[str] = set()
        self._pages = 0
        self._refusals = 0
        self._patience = Patience()
        self.arrived: list[Letter] = []
        """Those that the VTN has; whoever notes them takes them out."""
        self.dropped: list[Letter] = []
        """Those that it does not want."""

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def put(self, letter: Letter) -> bool:
        """Put a report in line, once; return False if too much waits."""
        if any(one[:2] == letter[:2] for one in self._waiting):
            return True
        if len(self._waiting) >= MOST_WAITING:
            return False
        self._waiting.append(letter)
        return True

    def clear(self) -> None:
        """Drop all: it was written for another registration."""
        self._waiting.clear()
        self._checked.clear()
        self._pages = self._refusals = 0

    def doubt(self, event_id: str) -> None:
        """Look again which reports of an event the VTN has, before another one is sent."""
        self._checked.discard(event_id)

    def find_time_of_next(self) -> int | None:
        """Return when something is due, None for never."""
        return self._patience.not_before_s if self._waiting else None

    def find_question(self, now_s: int) -> Question | None:
        """Return what to ask, None if nothing is due."""
        if not self._waiting or now_s < self._patience.not_before_s:
            return None
        first = self._waiting[0]
        if first.event_id in self._checked:
            return Question("POST", "/reports", REPORT, first.event_id, first.body)
        query: list[tuple[str, str | int]] = [
            ("eventID", first.event_id),
            ("clientName", self._name),
            ("skip", self._pages * PAGE),
            ("limit", PAGE),
        ]
        return Question("GET", build_query("/reports", query), REPORTS, first.event_id)

    def take(
        self, asked: Question, status: int, octets: bytes, now_s: int, chance: float
    ) -> Trouble | None:
        """Take the answer to such a question; return what is wrong with it."""
        if not self._waiting or self._waiting[0].event_id != asked.subject:
            return None  # cleared meanwhile
        if is_success(status):
            try:
                self._take_good(asked, octets)
            except JsonError as error:
                return self._fail(asked, Trouble("BadAnswer", f"reports: {error}"), now_s, chance)
            return None
        text = f"{asked.method} /reports was answered with status {status}"
        trouble = self._fail(asked, Trouble(find_reason(status), text), now_s, chance)
        # A server's own fault says nothing about the report.
        self._refusals += status // 100 != 5  # noqa: PLR2004 - 5xx
        if self._refusals >= TRIES_OF_REFUSED:
            self.dropped.append(self._waiting.pop(0))
            self._refusals = 0
        return trouble

    def failed(self, asked: Question, now_s: int, chance: float) -> None:
        """Note that there was no answer."""
        self._fail(asked, Trouble("", ""), now_s, chance)

    def _fail(self, asked: Question, trouble: Trouble, now_s: int, chance: float) -> Trouble:
        self._checked.discard(asked.subject)
        self._pages = 0
        self._patience.failed(now_s, chance)
        return trouble

    def _went_well(self) -> None:
        """Forget the failures, once a report is there: what was only asked settles nothing."""
        self._patience.went_well()
        self._refusals = 0

    def _take_good(self, asked: Question, octets: bytes) -> None:
        if asked.purpose == REPORT:
            self.arrived.append(self._waiting.pop(0))
            self._went_well()
            return
        names, count = parse_report_names(octets, self._name)
        there = [
            one for one in self._waiting if one.event_id == asked.subject and one.name in names
        ]
        self.arrived += there
        if there:
            self._went_well()
        self._waiting = [one for one in self._waiting if one not in there]
        self._pages += 1
        if count < PAGE or self._pages >= MOST_PAGES:
            self._pages = 0
            if len(self._checked) >= MOST_CHECKED:
                self._checked.clear()
            self._checked.add(asked.subject)
        elif not self._waiting or self._waiting[0].event_id != asked.subject:
            self._pages = 0
