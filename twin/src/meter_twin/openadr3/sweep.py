"""One look at all events of a VEN: page after page, without targets and with those granted to it.

A VTN gives events without targets to all, others only to who asks by a target that it was granted
(OpenADR 3.1.0, Definitions, "Object Privacy"); so both are asked for. Events that are over are left
out (`active`). What a page misses while events come and go is no deletion: after a look of several
pages an event has to be missing twice. Pages that are too long to be read get smaller; an event
that is too long alone is passed over. Neighbours: `ven`, `event_codec`.
"""

from collections.abc import Sequence

from .dialogue import EVENTS, Question
from .event_codec import Occasion, parse_event
from .json_codec import MOST_OCTETS, build_query, decode_rows

PAGE, MOST_PAGES, MOST_EVENTS = 20, 40, 400
MOST_STEPS_IN_ALL = 4_000
MOST_TARGETS = 20
TOO_MUCH = "more intervals than a meter can keep"


def find_smaller(page: int) -> int:
    """Return the size of a page after one that was too long."""
    return max(page // 4, 1)


class Sweep:
    """See the module; it is for one look."""

    def __init__(self, targets: Sequence[str], page: int = PAGE) -> None:
        """Begin with the first page of so many events."""
        self.page = page
        self._queries: list[tuple[str, ...]] = [()]
        if targets:
            self._queries.append(tuple(targets[:MOST_TARGETS]))
        self._skip = 0
        self._pages = 0
        self._steps = 0
        self.found: dict[str, Occasion] = {}
        self.is_whole = True
        """All pages were read, not only those that are read at most."""
        self.is_paged = False
        """Some part of it had more than one page."""

    def find_question(self) -> Question | None:
        """Return the next page, None if all have been read."""
        if not self._queries:
            return None
        parameters: list[tuple[str, str | int]] = [("active", "true")]
        parameters += [("targets", one) for one in self._queries[0]]
        parameters += [("skip", self._skip), ("limit", self.page)]
        return Question("GET", build_query("/events", parameters), EVENTS)

    def take(self, octets: bytes) -> None:
        """Take a page.

        Raises:
            JsonError: it is none.
        """
        self._pages += 1
        if len(octets) > MOST_OCTETS:
            self._shrink()
            return
        rows = decode_rows(octets)
        said = [parse_event(row) for row in rows]
        for one in said:
            if one.event_id in self.found:
                continue
            self._steps += len(one.steps)
            is_too_much = self._steps > MOST_STEPS_IN_ALL
            self.found[one.event_id] = (
                one._replace(steps=(), fault=TOO_MUCH) if is_too_much else one
            )
        if len(rows) >= self.page:
            self._turn(self.page)
        else:
            self._end_query()

    def _shrink(self) -> None:
        if self.page > 1:
            self.page = find_smaller(self.page)
            self._turn(0)
        else:
            self.is_whole = False
            self._turn(1)

    def _turn(self, count: int) -> None:
        """Go on with a page behind so many events more."""
        self._skip += count
        self.is_paged = True
        if self._pages >= MOST_PAGES or len(self.found) >= MOST_EVENTS:
            self.is_whole = False
            self._end_query()

    def _end_query(self) -> None:
        self._queries.pop(0)
        self._skip = 0
