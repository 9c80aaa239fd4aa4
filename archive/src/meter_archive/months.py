"""Which month of the entries' table a time lies in. Pure; neighbour: `partitions`."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_AHEAD = 2


class Month(NamedTuple):
    """A calendar month in UTC."""

    year: int
    month: int

    @property
    def start(self) -> datetime:
        """Its first instant."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def next(self) -> "Month":
        """The month after it."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def partition(self) -> str:
        """The name of its partition."""
        return f"entry_{self.year:04}_{self.month:02}"


def month_of(moment: datetime) -> Month:
    """Return the month that an instant (UTC) lies in."""
    return Month(moment.year, moment.month)


def parse_partition(name: str) -> Month | None:
    """Return the month of a partition's name, None for the default one's."""
    parts = name.split("_")
    if len(parts) != 3 or not all(one.isdecimal() for one in parts[1:]):  # noqa: PLR2004
        return None
    return Month(int(parts[1]), int(parts[2]))


def find_month(moment: datetime, now: datetime, retention_days: int) -> Month | None:
    """Return the month whose partition an entry belongs to, None for the default partition.

    What lies ahead of the next months was stamped by a clock that is wrong, and what is older than
    the retention is dropped soon: neither gets a partition, so that wrong clocks make no thousands.
    """
    month = month_of(moment)
    newest = month_of(now)
    for _ in range(_AHEAD):
        newest = newest.next
    if month > newest or month < month_of(oldest_kept(now, retention_days)):
        return None
    return month


def months_ahead(now: datetime) -> list[Month]:
    """Return the months whose partitions are made before they are needed: this one and the next."""
    months = [month_of(now)]
    for _ in range(_AHEAD):
        months.append(months[-1].next)
    return months


def oldest_kept(now: datetime, retention_days: int) -> datetime:
    """Return the instant before which everything may be dropped."""
    first = datetime(1970, 1, 1, tzinfo=UTC)
    return max(first, now - timedelta(days=retention_days))
