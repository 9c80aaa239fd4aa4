"""A meter's agent towards a utility of OpenADR 3.1: conversation, events and reports together.

The shell asks `find_next`, posts that, and gives the answer to `take`; what has to outlive the
process is `export`ed when `take` says that it changed. The same as `openadr2.agent` to whoever
holds it. Tokens and secrets are neither shown nor exported. Neighbours: `ven`, `reporting`,
`announcements`, `notices`, `memory`, `demand_response.event_book`.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from meter_twin.demand_response.capacity_bid import Bidding
from meter_twin.demand_response.customer_override import Decide, list_changes
from meter_twin.demand_response.dr_event import DrEvent
from meter_twin.demand_response.event_book import EventBook, Offer, Opt
from meter_twin.openadr2.event_description import describe_event
from meter_twin.openadr2.times import format_moment

from .announcements import Announcements
from .authorization import Authorization, Credentials
from .capacity_description import describe_capacity
from .dialogue import Question, Trouble
from .enrolment import Resource
from .event_mapping import map_event
from .memory import Memory, export_memory, restore_memory
from .notices import Notices
from .report_codec import Author, Letter
from .reporting import CLOCKS_S, MeterStatus, Reporting, Sample
from .running import Running
from .ven import Look, Ven

PROTOCOL = "openadr-3"
REGISTERING = "Registering"
POLL_S = 30


class Agency(NamedTuple):
    """Who this meter is to its utility, and what it acts on."""

    url: str
    """Of the VTN, with its base path, without a slash at its end."""
    ven_name: str
    resource_id: str
    signal_names: frozenset[str]
    market_contexts: frozenset[str] | None = None
    """Names of programs; None: all of them."""
    group_ids: frozenset[str] = frozenset()
    """Targets that are this meter's besides those that the VTN has granted it."""
    resources: tuple[Resource, ...] = ()
    """Devices behind the meter; the meter itself is always one."""
    poll_s: int = POLL_S
    token_url: str = ""


class Agent:
    """See the module."""

    def __init__(
        self,
        agency: Agency,
        decide: Decide,
        credentials: Callable[[], Credentials | None],
        memory: dict[str, Any] | None = None,
        bidding: Bidding | None = None,
    ) -> None:
        """Begin, or go on from an exported memory; `bidding` answers offers of capacity.

        Raises:
            ValueError: the memory is damaged, of another version or of another OpenADR.
        """
        self._agency = agency
        self._decide = decide
        self._credentials = credentials
        self._bidding = bidding
        self._author = Author(agency.ven_name, agency.resource_id)
        self.notices = Notices(credentials, is_secure=agency.url.startswith("https:"))
        self.trouble: Trouble | None = None
        """The last one since all events were read."""
        self._troubles: dict[str, int] = {}
        self.override_s = 0
        """Until when the customer has taken the house out of what limits its loads; 0 for not."""
        self.resume(memory)

    def resume(self, memory: dict[str, Any] | None) -> None:
        """Go on from an exported memory; what waits to be sent is derived from it again.

        Raises:
            ValueError: it is damaged; the agent is as it was.
        """
        agency, kept = self._agency, restore_memory(memory)
        self.book = EventBook(kept.events)
        self.override_s = kept.override_s
        self.reporting = Reporting(self._author, kept.running)
        self.announcements = Announcements(
            self._author, self._bidding, kept.told, kept.bids, kept.answered
        )
        self._missed: set[str] = set()
        meter = Resource(agency.resource_id)
        authorization = Authorization(agency.url, self._credentials, agency.token_url)
        self._ven = Ven(
            agency.ven_name,
            authorization,
            (meter, *agency.resources),
            agency.poll_s,
            kept.registration,
        )
        self.notices.follow(self._ven, authorization)

    @property
    def ven_id(self) -> str:
        """What the utility calls this meter, empty before it does."""
        registration = self._ven.registration
        return registration.ven_id if registration else ""

    @property
    def reason(self) -> str:
        """One word for the condition UtilityRegistered."""
        found = "Registered" if self.ven_id else REGISTERING
        return self.trouble.reason if self.trouble is not None else found

    @property
    def ven(self) -> Ven:
        """The conversation: what the VTN can notify, and over which topics."""
        return self._ven

    def find_next(self, now_s: int) -> Question | None:
        """Return what to ask now, None if nothing is due."""
        return self._ven.find_next(now_s)

    def find_time_of_next(self) -> int:
        """Return when something is due."""
        return self._ven.find_time_of_next()

    def take(self, status: int, octets: bytes, now_s: int, chance: float) -> bool:
        """Take an answer; return whether there is something to keep."""
        before = self._ven.registration
        trouble = self._ven.take(status, octets, now_s, chance)
        return self._note(trouble, now_s) or self._ven.registration != before

    def fail(self, reason: str, message: str, now_s: int, chance: float) -> bool:
        """Take that there was none; return whether there is something to keep."""
        before = self._ven.registration
        trouble = self._ven.fail(reason, message, now_s, chance)
        return self._note(trouble, now_s) or self._ven.registration != before

    @property
    def broker(self) -> tuple[Any, ...] | None:
        """Where the VTN publishes for this VEN, None if it does not; another one is another."""
        return self.notices.broker

    def _note(self, trouble: Trouble | None, now_s: int) -> bool:
        """Take what has come of an answer; return whether there is something to keep."""
        ven, look = self._ven, self._ven.look
        if ven.enrolment.has_changed:
            ven.enrolment.has_changed = False
            ven.outbox.clear()
            self.reporting.forget()
        refused = ven.outbox.dropped  # is not sent again either
        settled = [*ven.outbox.arrived, *refused]
        ven.outbox.arrived, ven.outbox.dropped, ven.look = [], [], None
        before = self.export() if settled or look is not None else None
        if look is not None:
            self.trouble = None
            self._take_look(look, now_s)
        self.trouble = trouble or self.trouble
        if trouble is not None:
            self._troubles[trouble.reason] = self._troubles.get(trouble.reason, 0) + 1
        for letter in settled:
            if not self.announcements.settle(letter, is_refused=letter in refused):
                self.reporting.delivered(letter)
        return before is not None and self.export() != before

    def _send(self, letters: Iterable[Letter]) -> None:
        for letter in letters:
            self._ven.outbox.put(letter)

    def _take_look(self, look: Look, now_s: int) -> None:
        assumed = self._assume(look, now_s)
        programs = self._ven.programs
        events = [
            map_event(one, programs.get(one.program_id), now_s)
            for one in look.said
            if one.steps or one.fault
        ]
        events = [one for one in events if not one.is_cancelled or self.book.find(one.event_id)]
        self.book.forget(now_s)

        def decide(event: DrEvent, at_s: int) -> Opt:
            return self._decide(event, list(self.book), at_s)

        self.book.take([*events, *assumed], self._describe_self(), decide, now_s)
        present = {one.event_id for one in assumed}
        for event_id in self.reporting.accept(look.said, present, now_s):
            self._ven.outbox.doubt(event_id)
        self._send(self.announcements.tell(self.book, now_s))
        if now_s >= self.override_s:  # who is out bids for nothing
            bids = self.announcements.bid(look.said, present, self._list_open(), now_s)
            for letter in bids:  # an offer that was away for a look may have had one
                self._ven.outbox.doubt(letter.event_id)
            self._send(bids)

    def _list_open(self) -> dict[str, DrEvent]:
        """Return the events that may be answered with a bid."""
        return {
            one.event.event_id: one.event
            for one in self.book
            if one.opt.is_in and one.event.fault is None and one.cancelled_from_s is None
        }

    def _assume(self, look: Look, now_s: int) -> list[DrEvent]:
        """Return events that are not named, and yet not deleted.

        They have ended by themselves, and go on here for their random offset; or the look was not
        one that shows what is missing.
        """
        named = {one.event_id for one in look.said}
        missing = [one.event for one in self.book if one.event.event_id not in named]
        before, self._missed = self._missed, {one.event_id for one in missing}
        found = []
        for event in missing:
            ends_s = event.end_s + event.start_after_s // 2 if event.duration_s else None
            is_over = ends_s is not None and now_s >= ends_s - CLOCKS_S
            is_new = look.is_paged and event.event_id not in before
            if is_over or is_new or not look.is_whole:
                found.append(event)
        return found

    def _describe_self(self) -> Offer:
        agency, registration = self._agency, self._ven.registration
        granted = registration.targets if registration else ()
        house = {*agency.group_ids, agency.ven_name, agency.resource_id, self.ven_id}
        devices = {one.name for one in agency.resources} - house
        about = self.ven_id, agency.signal_names, agency.market_contexts, {agency.resource_id}
        return Offer(*about, house | devices | {*granted}, device_names=devices)

    def find_due_report(self, now_s: int, find_until: Callable[[Running], int]) -> Running | None:
        """Return a report to be made now, None without one or without a registration."""
        return self.reporting.find_due(now_s, find_until) if self.ven_id else None

    def send_report(
        self, due: Running, samples: Iterable[Sample], status: MeterStatus, now_s: int
    ) -> bool:
        """Make a report and send it; return False if too much waits, and it is made again."""
        del now_s  # as 2.0b's, whose reports say when they were made
        letter = self.reporting.make(due, samples, status)
        is_sent = letter is not None and self._ven.outbox.put(letter)
        if letter is not None and not is_sent:
            self.reporting.lost(letter)
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
        is_other = self.book.decide_again(event_id, opt)
        if is_other:
            self._send(self.announcements.tell(self.book, now_s))
        return is_other

    def describe(self, now_s: int) -> dict[str, Any]:
        """Return what `kubectl meter dr` shows."""
        told = self.announcements
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
                    "id": one.event_id,
                    "name": one.name,
                    "sent_until": format_moment(one.sent_until_s),
                }
                for one in self.reporting
            ],
            "notifications": self.notices.hearing.describe(),
            "capacity": describe_capacity(self.book, told.answered, told.bids, now_s),
        }

    def export(self) -> dict[str, Any]:
        """Return what a successor has to know, as JSON values."""
        events, running = list(self.book), list(self.reporting)
        told = self.announcements
        registration = self._ven.registration
        return export_memory(
            Memory(
                *(registration, events, running, told.told, told.bids, self.override_s),
                told.answered,
            )
        )
