"""What a house has delivered in an event: its baseline less what was metered, a quarter hour each.

Counted are the quarter hours that the utility's event touches, by its own times: they are the same
for all houses, and the random offset of one moves some of its energy within them. A day that an
event touches is like no other day; a quarter hour of one before does not adjust. Pure, Wh.
Neighbours: `baseline` (the rule), `local_calendar` (which day is like another),
`performance_keeper` (brings the profile, keeps what comes out).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

from meter_twin.presentation import format_time

from .baseline import (
    ADJUSTED_FROM_S,
    LOOK_BACK_DAYS,
    METHODS,
    QUARTER_S,
    Baseline,
    Day,
    Insufficient,
    compute_baseline,
)
from .local_calendar import DAY_S, NONE, BaselineRules, Place

MOST_QUARTERS = 96
"""An event of more than a day has no like days."""
DELIVERED, INSUFFICIENT, INCOMPLETE = "delivered", "insufficient", "incomplete"
TOO_LONG = "too-long"

Read = Callable[[int, int], Mapping[int, int]]
"""Wh of the good quarter hours between two moments, by the UTC second at which each begins."""


class Window(NamedTuple):
    """From when to when an event is, UTC seconds."""

    start_s: int
    end_s: int

    @property
    def quarters(self) -> range:
        """Return the quarter hours that it touches, by the second at which each begins."""
        return range(self.start_s - self.start_s % QUARTER_S, self.end_s, QUARTER_S)

    @property
    def measured_until_s(self) -> int:
        """Return when the last of them ends."""
        return self.end_s + -self.end_s % QUARTER_S


class Delivery(NamedTuple):
    """One of the words above (or `none`), and what is shown of it."""

    result: str
    figures: dict[str, Any]


def compute_delivery(
    rules: BaselineRules, window: Window, others: Iterable[Window], read: Read, until_s: int
) -> Delivery:
    """Return what was delivered in the quarter hours of an event that were over at a moment.

    Args:
        rules: of the house.
        window: the event as it is planned now: the days are chosen for all of it.
        others: all other events of 47 days before.
        read: the profile.
        until_s: the profile is known until then.
    """
    quarters = window.quarters
    if rules.method == NONE:
        return Delivery(NONE, list_figures(NONE))
    if not quarters:
        return Delivery(INCOMPLETE, list_figures(rules.method))
    if len(quarters) > MOST_QUARTERS:
        return Delivery(TOO_LONG, list_figures(rules.method))
    found = _find_baseline(rules, quarters, list(others), read)
    over = [at_s for at_s in quarters if at_s + QUARTER_S <= until_s]
    good = read(over[0], over[-1] + QUARTER_S) if over else {}
    metered = [good.get(at_s) for at_s in over]
    figures = _describe(rules, quarters, found, metered)
    if isinstance(found, Insufficient):
        return Delivery(INSUFFICIENT, figures)
    return Delivery(INCOMPLETE if None in metered else DELIVERED, figures)


def _find_baseline(
    rules: BaselineRules, quarters: range, others: list[Window], read: Read
) -> Baseline | Insufficient:
    calendar = rules.calendar
    places = [calendar.find_place(at_s) for at_s in quarters]
    own = places[0].day
    seconds = [(place.day - own) * DAY_S + place.second for place in places]
    touched = {at_s for other in others for at_s in other.quarters}
    excluded = {calendar.find_place(at_s).day for at_s in touched}
    looked_at = range(own - LOOK_BACK_DAYS, own + 1)
    kinds = {day: calendar.find_kind(day) for day in range(looked_at[0] - 1, own + 2)}
    energies: dict[int, dict[int, int]] = {day: {} for day in kinds}
    for day in looked_at:
        if day != own and (day in excluded or kinds[day] != kinds[own]):
            continue
        first_s = calendar.find_time(Place(day, seconds[0] - ADJUSTED_FROM_S))
        last_s = calendar.find_time(Place(day, max(seconds))) + QUARTER_S
        for at_s, energy_wh in read(first_s, min(last_s, quarters[0])).items():
            place = calendar.find_place(at_s)
            is_usual = at_s not in touched if day == own else place.day not in excluded
            if is_usual and calendar.find_time(place) == at_s:
                energies[place.day][place.second] = energy_wh
    days = {day: Day(kinds[day], energies[day], day in excluded) for day in kinds}
    return compute_baseline(rules.method, days, own, seconds, rules.cap_percent)


def _describe(
    rules: BaselineRules,
    quarters: range,
    found: Baseline | Insufficient,
    metered: list[int | None],
) -> dict[str, Any]:
    needed = METHODS[rules.method].days
    baseline: list[int | None] = [None] * len(metered)
    factor: tuple[int, int] | None = None
    days: tuple[int, ...] = ()
    if isinstance(found, Baseline):
        factor, days = found.adjustment, found.days
        baseline = [*found.energies[: len(metered)]]
    columns = {
        "baseline_wh": baseline,
        "metered_wh": metered,
        "delivered_wh": list(map(_subtract, baseline, metered)),
    }
    return list_figures(rules.method) | {
        "days": [date.fromordinal(day).isoformat() for day in days],
        "days_found": needed if isinstance(found, Baseline) else found.found,
        "days_needed": needed,
        "adjustment_percent": None if factor is None else round(100 * factor[0] / factor[1], 1),
        **{name: _sum(column) for name, column in columns.items()},
        "quarter_hours": {"start": format_time(quarters[0]), **columns},
    }


def _subtract(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one - other


def list_figures(method: str) -> dict[str, Any]:
    """Return the figures of which nothing is known."""
    return {
        "method": method,
        "days": [],
        "days_found": None,
        "days_needed": None,
        "adjustment_percent": None,
        "baseline_wh": None,
        "metered_wh": None,
        "delivered_wh": None,
        "quarter_hours": None,
    }


def _sum(column: list[int | None]) -> int | None:
    """Return the sum, None if there is nothing or a part is not known."""
    known = [one for one in column if one is not None]
    return sum(known) if known and len(known) == len(column) else None
