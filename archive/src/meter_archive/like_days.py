"""What a meter usually takes in a quarter hour: the same one of days that are alike. Pure.

Days are alike if both are workdays, both Saturdays, or both Sundays or holidays, and the other lies
at most four weeks before or after. Neighbours: `estimation`, `validation`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from meter_archive.intervals import Bucket, Stretch, stretches

_SATURDAY, _SUNDAY = 5, 6
_FAR_DAYS = 28


class LocalQuarter(NamedTuple):
    """A local date and the minute at which an interval begins; comes twice when clocks go back."""

    day: date
    minute: int


class History:
    """Metered intervals of one register, by local day and minute."""

    def __init__(
        self, buckets: Iterable[Bucket], zone: ZoneInfo, holidays: Collection[date] = ()
    ) -> None:
        """Take what was metered; estimated and missing intervals are passed over.

        Args:
            buckets: of one register, all of the length that is asked for, in any order.
            zone: of the metering point.
            holidays: local dates on which people live as on a Sunday.
        """
        self._zone = zone
        self._holidays = frozenset(holidays)
        self._days: dict[date, dict[int, int]] = defaultdict(dict)
        self._minutes: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._buckets = sorted(one for one in buckets if one.quality == "metered")
        twice: set[LocalQuarter] = set()
        for bucket in self._buckets:
            place = self.place(bucket.start_s)
            if place.minute in self._days[place.day]:
                twice.add(place)
            self._days[place.day][place.minute] = bucket.energy or 0
        for place in twice:
            # two values under one minute: which of them is usual cannot be said
            del self._days[place.day][place.minute]
        for day, values in self._days.items():
            for minute, energy in values.items():
                self._minutes[minute].append((day.toordinal(), energy))

    def place(self, start_s: int) -> LocalQuarter:
        """Return the local day and minute of a UTC second."""
        local = datetime.fromtimestamp(start_s, self._zone)
        return LocalQuarter(local.date(), local.hour * 60 + local.minute)

    def like(self, day: date) -> list[dict[int, int]]:
        """Return the days that are like one, oldest first: energy by minute. Not the day itself."""
        kind = self._kind(day)
        return [
            self._days[other]
            for other in sorted(self._days)
            if 0 < abs((other - day).days) <= _FAR_DAYS and self._kind(other) == kind
        ]

    def values(self, place: LocalQuarter) -> list[int]:
        """Return the energies of one minute on all days within four weeks, alike or not."""
        here = place.day.toordinal()
        return [
            energy
            for day, energy in self._minutes.get(place.minute, ())
            if day != here and -_FAR_DAYS <= day - here <= _FAR_DAYS
        ]

    def largest(self) -> int:
        """Return the largest energy of all intervals, 0 without any."""
        return max((bucket.energy or 0 for bucket in self._buckets), default=0)

    def standstills(self) -> list[Stretch]:
        """Return all stretches without an advance, in order."""
        return stretches(self._buckets, lambda bucket: bucket.energy == 0)

    def days(self) -> int:
        """Return how many local days have an interval."""
        return len(self._days)

    def _kind(self, day: date) -> int:
        if day in self._holidays:
            return _SUNDAY
        return max(day.weekday(), _SATURDAY - 1)
