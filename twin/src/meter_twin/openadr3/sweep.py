"""One look at all events of a VEN: page after page, without targets and with those granted to it.

A VTN gives events without targets to all, others only to who asks by a target that it was granted
(OpenADR 3.1.0, Definitions, "Object Privacy"); so both are asked for. Events that are over are left
out (`active`). What a page misses while events come and go is no deletion: after a look of several
pages an event has to be missing twice. Neighbours: `ven`, `event_codec`.
"""

from collections.abc import Sequence

from .dialogue import EVENTS, Question
from .event_codec import Occasion, parse_event
from .json_codec import build_query, decode_rows

PAGE, MOST_PAGES = 50, 8
MOST_STEPS_IN_ALL = 4_000
MOST_TARGETS = 20
TOO_MUCH = "more intervals than a meter can keep"


class Sweep:
    """See the module; it is for one look."""

    def __init__(self, targets: Sequence[str]) -> None:
        """Begin with the first page."""
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
        parameters += [("skip", self._skip), ("limit", PAGE)]
        return Question("GET", build_query("/events", parameters), EVENTS)

    def take(self, octets: bytes) -> None:
        """Take a page.

        Raises:
            JsonError: it is none.
        """
        rows = decode_rows(octets)
        said = [parse_event(row) for row in rows]
        self._pages += 1
        for one in said:
            if one.event_id in self.found:
                continue
            self._steps += len(one.steps)
            is_too_much = self._steps > MOST_STEPS_IN_ALL
            self.found[one.event_id] = (
                one._replace(steps=(), fault=TOO_MUCH) if is_too_much else one
            )
        if len(rows) >= PAGE and self._pages < MOST_PAGES:
            self._skip += PAGE
            self.is_paged = True
        else:
            self.is_whole &= len(rows) < PAGE
            self._queries.pop(0)
            self._skip = 0
