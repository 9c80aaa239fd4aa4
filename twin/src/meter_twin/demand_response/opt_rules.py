"""Whether a house takes part in an event: its rules, in the order in which they are asked.

Pure: an event, the rules and what was agreed to before in, a decision out. The customer's override
is above all of them. Neighbour: `event_book` (asks), the demand response application (holds the
rules as its options).
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .dr_event import DrEvent
from .event_book import Kept, Opt

MINUTE_S, DAY_MINUTES = 60, 1440
PRICES = frozenset({"ELECTRICITY_PRICE", "ENERGY_PRICE"})

TAKES_PART = Opt(True, "participating")
NEVER = Opt(False, "notParticipating")
QUIET = Opt(False, "x-schedule")
ENOUGH = Opt(False, "notParticipating")
CHEAP = Opt(False, "economic")
OVERRIDDEN = Opt(False, "overrideStatus")
STOPPED = Opt(False, "emergency")
"""Load control is stopped for the whole fleet."""
OUT_FOR_A_WHILE = (OVERRIDDEN, STOPPED)
"""Decided by nobody's rules: when it is over, the rules are asked."""


class LocalTime(NamedTuple):
    """A moment at the metering point: the day by number, the minute of the day."""

    day: int
    minute: int


class OptRules(NamedTuple):
    """When a house takes part."""

    takes_part: bool = True
    most_events_a_day: int | None = None
    most_minutes_a_day: int | None = None
    quiet_from_minute: int = 0
    quiet_to_minute: int = 0
    """Equal: no quiet hours; a lower end is on the next day."""
    least_price_micro: int | None = None
    """An event of prices that stay below is none to act on."""


def decide_opt(
    event: DrEvent,
    rules: OptRules,
    others: Iterable[Kept],
    to_local: Callable[[int], LocalTime],
    *,
    is_overridden: bool = False,
) -> Opt:
    """Return whether the house takes part in an event.

    Args:
        event: as it came.
        rules: of this house.
        others: all events that are known; those it takes part in count for the limits of a day.
        to_local: of the metering point.
        is_overridden: the customer has taken the house out.
    """
    if is_overridden:
        return OVERRIDDEN
    if not rules.takes_part:
        return NEVER
    if _is_cheap(event, rules):
        return CHEAP
    if _meets_quiet_hours(event, rules, to_local):
        return QUIET
    day = to_local(event.start_s).day
    agreed = [
        one.event
        for one in others
        if one.opt.is_in
        and one.event.event_id != event.event_id
        and not one.event.is_test
        and one.cancelled_from_s is None
        and to_local(one.event.start_s).day == day
    ]
    if rules.most_events_a_day is not None and len(agreed) >= rules.most_events_a_day:
        return ENOUGH
    if rules.most_minutes_a_day is not None:
        if not event.duration_s:
            return ENOUGH  # nobody knows how long it will be
        seconds = sum(one.duration_s for one in agreed) + event.duration_s
        if seconds > rules.most_minutes_a_day * MINUTE_S:
            return ENOUGH
    return TAKES_PART


def _is_cheap(event: DrEvent, rules: OptRules) -> bool:
    if rules.least_price_micro is None:
        return False
    prices = [
        interval.value_micro
        for signal in event.signals
        if signal.name in PRICES
        for interval in signal.intervals
    ]
    return bool(prices) and max(prices) < rules.least_price_micro


def _meets_quiet_hours(
    event: DrEvent, rules: OptRules, to_local: Callable[[int], LocalTime]
) -> bool:
    """Tell whether any minute of an event is a quiet one; it may begin later by its tolerance."""
    length = (rules.quiet_to_minute - rules.quiet_from_minute) % DAY_MINUTES
    if not length:
        return False
    start = to_local(event.start_s).minute
    if (start - rules.quiet_from_minute) % DAY_MINUTES < length:
        return True
    until_quiet = (rules.quiet_from_minute - start) % DAY_MINUTES
    minutes = -(-(event.duration_s + event.start_after_s) // MINUTE_S)
    return not event.duration_s or minutes > until_quiet
