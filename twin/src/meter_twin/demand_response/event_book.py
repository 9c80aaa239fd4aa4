"""The events of one VEN: which there are, what the utility is answered, what is in force now.

Rules, each with a test of its name: OpenADR 2.0b Profile Specification, 8 (EiEvent) and its
conformance rules; 3.1 events go through the same book. Time is an argument, chance is a hash
(`random_offset`), so a twin and its successor hold the same book. Neighbours: `dr_event`,
`opt_rules` (decides), `openadr2.ven` and `openadr3.ven` (bring events, carry answers).
"""

from collections.abc import Callable, Collection, Iterator
from enum import Enum
from typing import NamedTuple

from .dr_event import DrEvent, Fault
from .random_offset import find_random_offset
from .response_code import (
    NOT_ALLOWED,
    NOT_RECOGNIZED,
    OK,
    OUT_OF_SEQUENCE,
    SIGNAL_NOT_SUPPORTED,
    TARGET_MISMATCH,
)

KEPT_AFTER_END_S = 86_400
"""An event that is over is shown and recognised for so long."""
MOST_EVENTS = 200
"""More are refused: a book has an end, whatever a VTN sends."""


class Status(Enum):
    """Where an event is, by this VEN's own time (2.0b, eventStatus)."""

    FAR = "far"
    NEAR = "near"
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Opt(NamedTuple):
    """Whether the house takes part, and the reason in OpenADR's words (optReason)."""

    is_in: bool
    reason: str = "participating"


class Answer(NamedTuple):
    """What the utility is told of one event that it sent."""

    event_id: str
    modification: int
    code: int
    description: str
    is_in: bool


class Kept(NamedTuple):
    """An event, what was decided, and by how much this VEN is later than it says."""

    event: DrEvent
    opt: Opt
    offset_s: int
    cancelled_from_s: int | None = None
    """When a cancellation ends it here, None if it was not cancelled."""

    @property
    def begins_s(self) -> int:
        """The beginning in this house."""
        return self.event.start_s + self.offset_s

    @property
    def ends_s(self) -> int | None:
        """The end in this house, None while there is none."""
        planned = self.event.end_s + self.offset_s if self.event.duration_s else None
        if self.cancelled_from_s is None:
            return planned
        return self.cancelled_from_s if planned is None else min(planned, self.cancelled_from_s)

    def find_status(self, now_s: int) -> Status:
        """Return the status at a moment."""
        if self.cancelled_from_s is not None and now_s >= self.cancelled_from_s:
            return Status.CANCELLED
        if self.ends_s is not None and now_s >= self.ends_s:
            return Status.COMPLETED
        if now_s >= self.begins_s:
            return Status.ACTIVE
        return Status.NEAR if now_s >= self.begins_s - self.event.ramp_up_s else Status.FAR


class Offer(NamedTuple):
    """What this VEN is and can do; None in a place takes everything."""

    ven_id: str
    signal_names: Collection[str]
    market_contexts: Collection[str] | None = None
    resource_ids: Collection[str] = ()
    group_ids: Collection[str] = ()
    party_ids: Collection[str] = ()
    device_names: Collection[str] = ()
    """Those among the groups that are devices behind the meter, not the house."""


Decide = Callable[[DrEvent, int], Opt]


class EventBook:
    """Events by their id; `take` reads what a VTN says, the rest only looks."""

    def __init__(self, kept: Collection[Kept] = ()) -> None:
        """Go on with what an older twin, or this one before, had kept."""
        self._kept = {one.event.event_id: one for one in kept}

    def __iter__(self) -> Iterator[Kept]:
        """Return all events, in the order they came."""
        return iter(self._kept.values())

    def find(self, event_id: str) -> Kept | None:
        """Return an event."""
        return self._kept.get(event_id)

    def take(
        self, events: Collection[DrEvent], offer: Offer, decide: Decide, now_s: int
    ) -> list[Answer]:
        """Take all events that the VTN has for this VEN; return what it is to be answered.

        What it does not name any more is cancelled (implied cancellation).
        """
        answers = []
        for event in events:
            answer = self._take_one(event, offer, decide, now_s)
            if event.is_answered:
                answers.append(answer)
        named = {event.event_id for event in events}
        for event_id, one in self._kept.items():
            if event_id not in named:
                self._kept[event_id] = _cancel(one, offer.ven_id, now_s)
        return answers

    def _take_one(self, event: DrEvent, offer: Offer, decide: Decide, now_s: int) -> Answer:
        before = self._kept.get(event.event_id)
        event = event._replace(resources=_find_devices(event, offer, before))
        if before is not None and event.modification < before.event.modification:
            words = f"modification {before.event.modification} is known"
            return _answer(event, Fault(OUT_OF_SEQUENCE, words), before.opt)
        if before is not None and event.modification == before.event.modification:
            self._kept[event.event_id] = _confirm(before, event, offer.ven_id, now_s)
            return _answer(event, before.event.fault, before.opt)
        fault = self._find_excess(event) or event.fault or self._find_fault(event, offer)
        if fault and not event.fault and event.is_cancelled and before is None:
            return _answer(event, None, Opt(True))  # is no error (conformance rule 21)
        if fault is not None and fault.code == NOT_ALLOWED:
            return _answer(event, fault, Opt(False))
        opt = Opt(False, "notParticipating") if fault else decide(event, now_s)
        # A replaced event goes on from the new one's own beginning.
        offset_s = find_random_offset(
            offer.ven_id, event.event_id, event.modification, event.start_after_s
        )
        if event.is_cancelled and before is not None:
            # The end that was due is the earlier modification's; only the number is new.
            kept = _cancel(before, offer.ven_id, now_s)
            named = kept.event._replace(modification=event.modification, is_cancelled=True)
            self._kept[event.event_id] = kept._replace(event=named)
            return _answer(event, None, before.opt)
        kept = Kept(event._replace(fault=fault), opt, offset_s)
        self._kept[event.event_id] = (
            _cancel(kept, offer.ven_id, now_s) if event.is_cancelled else kept
        )
        return _answer(event, fault, opt)

    def _find_excess(self, event: DrEvent) -> Fault | None:
        """Refuse what there is no place for, also events that have a fault already."""
        if event.event_id in self._kept or len(self._kept) < MOST_EVENTS:
            return None
        return Fault(NOT_ALLOWED, f"more than {MOST_EVENTS} events")

    def _find_fault(self, event: DrEvent, offer: Offer) -> Fault | None:
        contexts = offer.market_contexts
        if contexts is not None and event.market_context not in contexts:
            return Fault(NOT_RECOGNIZED, "unknown market context")
        if not _is_meant(event, offer):
            return Fault(TARGET_MISMATCH, "for another target")
        if not any(signal.name in offer.signal_names for signal in event.signals):
            return Fault(SIGNAL_NOT_SUPPORTED, "no signal of it is supported")
        return None

    def decide_again(self, event_id: str, opt: Opt) -> bool:
        """Keep another decision on an event; return whether that is one."""
        kept = self._kept.get(event_id)
        if kept is None or kept.opt == opt or kept.event.fault is not None:
            return False
        self._kept[event_id] = kept._replace(opt=opt)
        return True

    def forget(self, now_s: int) -> None:
        """Drop events that have been over for a day."""
        self._kept = {
            event_id: one
            for event_id, one in self._kept.items()
            if one.ends_s is None or now_s < one.ends_s + KEPT_AFTER_END_S
        }

    def list_acting(self, now_s: int) -> list[Kept]:
        """Return what is in force: highest priority first, then the one that was created first.

        A test event never is, nor one that is opted out of or has a fault.
        """
        acting = [
            one
            for one in self._kept.values()
            if one.opt.is_in
            and not one.event.is_test
            and one.event.fault is None
            and one.find_status(now_s) is Status.ACTIVE
        ]
        return sorted(acting, key=rank)

    def find_next_change(self, now_s: int) -> int | None:
        """Return the next moment at which a status or an interval changes, None without one."""
        moments = (
            moment for one in self._kept.values() for moment in _list_moments(one) if moment > now_s
        )
        return min(moments, default=None)


def _answer(event: DrEvent, fault: Fault | None, opt: Opt) -> Answer:
    code, words = fault or (OK, "OK")
    return Answer(event.event_id, event.modification, code, words, opt.is_in and fault is None)


def _confirm(before: Kept, event: DrEvent, ven_id: str, now_s: int) -> Kept:
    """Return an event that is named again: cancelled, or in force although it was left out once."""
    before = before._replace(event=before.event._replace(resources=event.resources))
    if event.is_cancelled:
        cancelled = _cancel(before, ven_id, now_s)
        return cancelled._replace(event=before.event._replace(is_cancelled=True))
    return before if before.event.is_cancelled else before._replace(cancelled_from_s=None)


def _cancel(kept: Kept, ven_id: str, now_s: int) -> Kept:
    """Return it cancelled; an active one ends at random within its tolerance, as it began."""
    if kept.cancelled_from_s is not None or kept.find_status(now_s) is Status.COMPLETED:
        return kept
    event = kept.event
    later_s = 0
    if kept.find_status(now_s) is Status.ACTIVE:
        name = f"{event.event_id}/cancelled"
        later_s = find_random_offset(ven_id, name, event.modification, event.start_after_s)
    return kept._replace(cancelled_from_s=now_s + later_s)


def _is_meant(event: DrEvent, offer: Offer) -> bool:
    """Tell whether an event is for this VEN; who is not named otherwise is meant by its VTN."""
    targets = event.targets
    if not any(targets):
        return True
    return bool(
        offer.ven_id in targets.ven_ids
        or set(targets.resource_ids) & set(offer.resource_ids)
        or set(targets.group_ids) & set(offer.group_ids)
        or set(targets.party_ids) & set(offer.party_ids)
    )


def _find_devices(event: DrEvent, offer: Offer, before: Kept | None) -> tuple[str, ...]:
    """Return the devices that alone an event is for; one that is gone becomes nobody else.

    Whoever may see an event was granted its target, so a device's name is none of the house.
    """
    known = () if before is None else before.event.resources
    own = tuple(name for name in event.targets.group_ids if name in offer.group_ids) or known
    return own if all(name in offer.device_names or name in known for name in own) else ()


def rank(kept: Kept) -> tuple[float, int, str]:
    """Return what events are sorted by: priority, then creation time; the first one decides."""
    event = kept.event
    return event.priority or float("inf"), event.created_s, event.event_id


def _list_moments(kept: Kept) -> Iterator[int]:
    yield kept.begins_s - kept.event.ramp_up_s
    yield kept.begins_s
    if kept.ends_s is not None:
        yield kept.ends_s
    for signal in kept.event.signals:
        for interval in signal.intervals:
            yield kept.begins_s + interval.offset_s
