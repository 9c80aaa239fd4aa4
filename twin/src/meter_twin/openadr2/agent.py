"""A meter's agent towards its utility: conversation, events and reports together, without I/O.

The shell asks `find_next`, posts that, and gives the answer to `take`; what has to outlive the
process is `export`ed when `take` says that it changed. So a twin that is killed, and its successor,
go on with the same registration, the same events and the same random offsets. Neighbours: `ven`,
`reporting`, `demand_response.event_book`; `decide` comes from the applications that act on events.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from meter_twin.demand_response.customer_override import Decide, list_changes
from meter_twin.demand_response.dr_event import DrEvent
from meter_twin.demand_response.event_book import EventBook, Kept, Offer, Opt
from meter_twin.demand_response.event_memory import export_events, restore_events
from meter_twin.demand_response.quarter_hour import MeterStatus, Sample
from meter_twin.demand_response.response_code import INVALID_ID, OK

from .dialogue import (
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
from .event_description import describe_event
from .opt_codec import OptMessage
from .reporting import Reporting, Running, list_offers
from .times import format_moment
from .ven import Ven

REGISTERING = "Registering"
PROTOCOL = "openadr-2.0b"
MEMORY_VERSION = 1


class Agency(NamedTuple):
    """Who this meter is to its utility, and what it acts on."""

    ven_name: str
    resource_id: str
    signal_names: frozenset[str]
    market_contexts: frozenset[str] | None = None
    group_ids: frozenset[str] = frozenset()
    party_ids: frozenset[str] = frozenset()
    signs: bool = False


class Agent:
    """See the module."""

    def __init__(
        self,
        agency: Agency,
        decide: Decide,
        new_id: Callable[[], str],
        memory: dict[str, Any] | None = None,
    ) -> None:
        """Begin, or go on from an exported memory.

        Raises:
            ValueError: the memory is damaged or of another version.
        """
        self._agency = agency
        self._decide = decide
        self._new_id = new_id
        self.trouble: Trouble | None = None
        """The last one since something went well."""
        self.override_s = 0
        """Until when the customer has taken the house out of what limits its loads; 0 for not."""
        self._troubles: dict[str, int] = {}
        self.resume(memory)

    def resume(self, memory: dict[str, Any] | None) -> None:
        """Go on from an exported memory; what waits to be sent is derived from it again.

        Raises:
            ValueError: it is damaged or of another version; the agent is as it was.
        """
        agency = self._agency
        registration, kept, running, self.override_s = _restore(memory)
        offers = list_offers(agency.resource_id)
        self.book = EventBook(kept)
        self.reporting = Reporting(offers, running)
        self._ven = Ven(agency.ven_name, offers, self._new_id, registration, signs=agency.signs)

    @property
    def ven_id(self) -> str:
        """What the utility calls this meter, empty before it does."""
        return self._ven.ven_id

    @property
    def reason(self) -> str:
        """One word for the condition UtilityRegistered."""
        if self.trouble is not None:
            return self.trouble.reason
        return "Registered" if self.ven_id else REGISTERING

    @property
    def broker(self) -> None:
        """2.0b publishes nothing."""

    def find_next(self, now_s: int) -> Question | None:
        """Return what to post now, None if nothing is due."""
        return self._ven.find_next(now_s)

    def find_time_of_next(self) -> int | None:
        """Return when something is due, None for never."""
        return self._ven.find_time_of_next()

    def take(self, status: int, octets: bytes, now_s: int, chance: float) -> bool:
        """Take an answer; return whether there is something to keep."""
        before, self.trouble = self.export(), None
        self._note(self._ven.take(status, octets, now_s, chance), now_s)
        return self.export() != before

    def fail(self, reason: str, message: str, now_s: int, chance: float) -> bool:
        """Take that there was none; return whether there is something to keep."""
        before = self.export()
        self._note(self._ven.fail(reason, message, now_s, chance), now_s)
        return self.export() != before

    def _note(self, happenings: list[Happening], now_s: int) -> None:
        for one in happenings:
            if isinstance(one, Trouble | Unregistered):
                self.trouble = Trouble(one.reason, one.message)
                self._troubles[one.reason] = self._troubles.get(one.reason, 0) + 1
            elif isinstance(one, Registered):
                self.reporting.forget()
            elif isinstance(one, Dropped):
                self.reporting.lost(one.subject)
            elif isinstance(one, EventsCame):
                self._take_events(one, now_s)
            elif isinstance(one, ReportsAsked):
                code = self.reporting.accept(one.requests, now_s)
                self._ven.outbox.accept_reports(one.request_id, self.reporting.pending, code)
            elif isinstance(one, ReportsCancelled):
                self._cancel_reports(one, now_s)
            else:
                self._take_delivery(one)

    def _take_events(self, came: EventsCame, now_s: int) -> None:
        agency = self._agency
        offer = Offer(
            self.ven_id,
            agency.signal_names,
            agency.market_contexts,
            {agency.resource_id},
            agency.group_ids,
            agency.party_ids,
        )
        self.book.forget(now_s)

        def decide(event: DrEvent, at_s: int) -> Opt:
            return self._decide(event, list(self.book), at_s)

        answers = self.book.take(came.events, offer, decide, now_s)
        self._ven.outbox.answer_events(came.request_id, answers)

    def _cancel_reports(self, one: ReportsCancelled, now_s: int) -> None:
        is_known = self.reporting.cancel(
            one.report_request_ids, is_last_wanted=one.is_last_wanted, now_s=now_s
        )
        code = OK if is_known else INVALID_ID
        self._ven.outbox.end_reports(one.request_id, self.reporting.pending, code)

    def _take_delivery(self, one: Delivered) -> None:
        if one.purpose == UPDATE:
            # Whatever the VTN said to it, it has it; what it has forgotten it will ask for again.
            self.reporting.delivered(one.subject)
            if one.response.code == INVALID_ID:
                self.reporting.forget()

    def find_due_report(self, now_s: int, find_until: Callable[[Running], int]) -> Running | None:
        """Return a report to be made now, None without one or without a registration."""
        return self.reporting.find_due(now_s, find_until) if self.ven_id else None

    def send_report(
        self, due: Running, samples: Iterable[Sample], status: MeterStatus, now_s: int
    ) -> bool | None:
        """Make a report and send it; return False if too much waits, and it is made again.

        A time of which the meter has nothing is passed over: openleadr's VTN answers a report
        without intervals with 500, and takes a value of bad quality for a measured one. None: so
        was the last report of a request.
        """
        report = self.reporting.make(due, samples, status, now_s)
        if not report.values:
            self.reporting.delivered(report.report_id)
            return None if due.is_last else True
        is_sent = self._ven.outbox.send_report(report)
        if not is_sent:
            self.reporting.lost(report.report_id)
        return is_sent

    def override(self, until_s: int, now_s: int) -> None:
        """Take the house out until a time, or in again (0): decisions that differ are told."""
        self.override_s = until_s
        self.review(now_s)

    def review(self, now_s: int) -> bool:
        """Decide again what may be another decision now; whether any is."""
        changes = list_changes(self.book, self._decide, now_s)
        told = [self.decide_again(event_id, opt, now_s) for event_id, opt in changes]
        return any(told)

    def decide_again(self, event_id: str, opt: Opt, now_s: int) -> bool:
        """Change a decision, as a customer does; the utility is told. Return whether it is one."""
        kept = self.book.find(event_id)
        if kept is None or not self.book.decide_again(event_id, opt):
            return False
        if not kept.event.is_answered:
            return True  # a utility that wants no answer gets none
        name = (event_id, kept.event.modification)
        message = OptMessage(self._new_id(), opt.is_in, opt.reason, now_s, name)
        self._ven.outbox.send_opt(message)
        return True

    def describe(self, now_s: int) -> dict[str, Any]:
        """Return what `kubectl meter dr` shows."""
        return {
            "registered": bool(self.ven_id),
            "reason": self.reason,
            "message": self.trouble.message if self.trouble else "",
            "troubles": dict(self._troubles),
            "protocol": PROTOCOL,
            "ven_id": self.ven_id,
            "override_until": format_moment(self.override_s) if self.override_s > now_s else None,
            "events": [describe_event(one, now_s) for one in self.book],
            "reports": [
                {
                    "id": row["request"]["request_id"],
                    "name": row["name"],
                    "sent_until": format_moment(row["sentUntil"]),
                }
                for row in self.reporting.export()
            ],
            "notifications": None,  # 2.0b has neither these nor offers
            "capacity": None,
        }

    def export(self) -> dict[str, Any]:
        """Return what a successor has to know, as JSON values."""
        registration = self._ven.registration
        return {
            "version": MEMORY_VERSION,
            "protocol": PROTOCOL,
            "registration": None if registration is None else list(registration),
            "events": export_events(list(self.book)),
            "reports": self.reporting.export(),
            "override": self.override_s,
        }


def check_memory(memory: Any) -> None:
    """Check what `export` returned before it is kept.

    Raises:
        ValueError: it is damaged or of another version.
    """
    _restore(memory)


def _restore(
    memory: dict[str, Any] | None,
) -> tuple[Registration | None, list[Kept], list[Running], int]:
    try:
        if memory is None or memory.get("protocol", PROTOCOL) != PROTOCOL:
            return None, [], [], 0  # of another protocol, nothing of it can be gone on with
        row = memory["registration"]
        found = (
            None if row is None else Registration(*row),
            restore_events(memory["events"]),
            Reporting.restore(memory["reports"]),
            int(memory.get("override", 0)),
        )
        is_known = memory["version"] == MEMORY_VERSION
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError("damaged memory of the utility's agent") from error
    if not is_known:
        raise ValueError("damaged memory of the utility's agent: another version")
    return found
