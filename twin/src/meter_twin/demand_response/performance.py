"""What is kept of each event that a house took part in, and of each test event. Pure.

From its beginning on, as the days on which there was one are no like days for a baseline, and the
book forgets an event a day after its end. Kept for 60 days, shown by `GET /v1/dr`. Times are the
utility's own: `delivery` says why. Neighbours: `event_book`, `performance_keeper`.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from meter_twin.presentation import format_time

from .delivery import Window
from .dr_event import is_met
from .event_book import Kept, Status

RUNNING, WAITING = "running", "waiting"
NO_PROFILE, TEST = "no-profile", "test"
LATEST_S = 253_402_300_799
"""The last second of the year 9999; an event beyond has no end that RFC 3339 can say."""


class Performance(NamedTuple):
    """One event of a house; its figures are in the record that is kept."""

    event_id: str
    start_s: int
    end_s: int | None
    """None: it goes on until it is cancelled."""
    is_test: bool
    is_in: bool
    """False: the customer or the house's rules took it out after it had begun."""

    @property
    def key(self) -> tuple[str, int]:
        """An event that is moved to another time is another one."""
        return self.event_id, self.start_s

    def is_over(self, now_s: int) -> bool:
        """Whether its end has passed."""
        return self.end_s is not None and self.end_s <= now_s

    def find_window(self, now_s: int) -> Window:
        """Return when it is, so far if nobody knows its end."""
        return Window(self.start_s, now_s if self.end_s is None else self.end_s)


def find_begun(one: Kept, signals: Collection[str], now_s: int) -> Performance | None:
    """Return what begins to be kept of an event, None if it does not act on this house now."""
    event = one.event
    if event.fault is not None or event.start_s <= 0 or not is_met(event, signals):
        return None
    if not (event.is_test or one.opt.is_in) or one.find_status(now_s) is not Status.ACTIVE:
        return None
    begun = Performance(event.event_id, event.start_s, None, event.is_test, True)
    begun = follow(begun, one, now_s)
    return None if begun.is_over(now_s) else begun


def follow(before: Performance, one: Kept | None, now_s: int) -> Performance:
    """Return it by what the book says now; an event that the book lost has ended."""
    if one is None or one.event.start_s != before.start_s:
        is_over = before.is_over(now_s)
        return before if is_over else before._replace(end_s=max(now_s, before.start_s + 1))
    planned_s = one.event.end_s if 0 < one.event.end_s <= LATEST_S else None
    if planned_s is not None and one.begins_s >= planned_s:
        planned_s = one.ends_s  # its random offset is longer than itself
    ends = [end_s for end_s in (planned_s, one.cancelled_from_s) if end_s is not None]
    return before._replace(end_s=min(ends, default=None), is_in=one.opt.is_in)


def describe(one: Performance, result: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Return the record of an event."""
    return {
        "event": one.event_id,
        "start": format_time(one.start_s),
        "end": format_time(one.end_s),
        "test": one.is_test,
        "opt": "optIn" if one.is_in else "optOut",
        "result": result,
        "source": "estimated",
        **figures,
    }


def restore(row: dict[str, Any]) -> Performance:
    """Return what `describe` described."""
    end = row["end"]
    return Performance(
        str(row["event"]),
        _parse(row["start"]),
        None if end is None else _parse(end),
        bool(row["test"]),
        row["opt"] == "optIn",
    )


def _parse(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
