"""Days of a metering point: which local day and second a moment is, and of which kind a day is.

Seconds are those of the clock on the wall, so that the evening of a day with 23 or 25 hours is like
that of any other. Of an hour that comes twice the first one is the like one; an hour that a day
does not have is missing. Neighbour: `delivery`.
"""

from collections.abc import Collection
from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from .dr_event import LATEST_LOCAL_S

DAY_S = 86_400
NONE = "none"
WEEKDAY, REST_DAY = "weekday", "rest day"
_SATURDAY = 5


class Place(NamedTuple):
    """A moment on the wall: the day by number (`date.toordinal`), the second of that day."""

    day: int
    second: int


class LocalCalendar:
    """Of one time zone."""

    def __init__(self, zone: tzinfo, holidays: Collection[int] = ()) -> None:
        """`holidays`: days by number on which people rest as at a weekend."""
        self._zone = zone
        self._holidays = frozenset(holidays)

    def find_place(self, time_s: int) -> Place:
        """Return where a UTC second is."""
        local = datetime.fromtimestamp(min(time_s, LATEST_LOCAL_S), self._zone)
        return Place(local.toordinal(), local.hour * 3600 + local.minute * 60 + local.second)

    def find_time(self, place: Place) -> int:
        """Return the UTC second of a place, the first one if it comes twice.

        The second may lie before or after its day. Of a place that the day does not have it is
        the moment that a clock would show which was not put forward.
        """
        days, second = divmod(place.second, DAY_S)
        local = datetime.fromordinal(place.day + days) + timedelta(seconds=second)
        return int(local.replace(tzinfo=self._zone).timestamp())

    def find_kind(self, day: int) -> str:
        """Return the kind of a day; only days of one kind are like each other."""
        is_rest = date.fromordinal(day).weekday() >= _SATURDAY or day in self._holidays
        return REST_DAY if is_rest else WEEKDAY


class BaselineRules(NamedTuple):
    """How a house's baseline is made: a method of `baseline.METHODS` or `none`, its cap, its days.

    Here and not in `delivery`, which is loaded when there is an event.
    """

    method: str
    cap_percent: int
    calendar: LocalCalendar
