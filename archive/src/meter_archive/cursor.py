"""Where a page of entries ended, as text that a request gives back. Pure.

Neighbour: `entries_table`.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from meter_archive.local_time import LATEST_S
from meter_archive.query_error import QueryError

_DIGITS = 10
_INT4 = 1 << 31


class Cursor(NamedTuple):
    """The last entry of a page: UTC second, number of its incarnation's row, its own number."""

    time_s: int
    incarnation: int
    seq: int

    def __str__(self) -> str:
        """Return what a request gives as `after`."""
        return f"{self.time_s}-{self.incarnation}-{self.seq}"

    @property
    def moment(self) -> datetime:
        """Its time."""
        return datetime.fromtimestamp(self.time_s, UTC)


def parse_cursor(text: str) -> Cursor | None:
    """Return the cursor of a page's `next`, None for an empty text.

    Raises:
        QueryError: it is none.
    """
    if not text:
        return None
    parts = text.split("-")
    right = len(parts) == len(Cursor._fields) and all(
        one.isascii() and one.isdigit() and len(one) <= _DIGITS for one in parts
    )
    numbers = [int(one) for one in parts] if right else [LATEST_S + 1, 0, 0]
    if numbers[0] > LATEST_S or numbers[1] >= _INT4:
        raise QueryError("after", "is no cursor", "write the `next` of the page before")
    return Cursor(*numbers)
