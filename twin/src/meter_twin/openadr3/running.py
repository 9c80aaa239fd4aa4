"""A row of reports that an event asks for: which intervals each of them holds, and which is next.

A reportDescriptor counts in the intervals of its event: from `startInterval` on `numIntervals` of
them, again every `frequency` intervals, `repeat` times; -1 is from the last ones, all, as many as a
report has, and as long as the event lasts. The User Guide's figures contradict its words; this is
what its words say (OpenADR 3.1.0, User Guide 7.5). Neighbour: `reporting`.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from .event_codec import ReportRequest
from .report_codec import DEMAND, STATE, USAGE

REPORTED = (USAGE, DEMAND, STATE)


class Running(NamedTuple):
    """A report that an event asks for, and how often it was sent."""

    event_id: str
    request: ReportRequest
    base_s: int
    steps: tuple[tuple[int, int, int], ...]
    """Id, offset and duration of each interval."""
    loop_s: int
    total: int
    """Intervals in all, with those that repeat; 0: for ever."""
    sent: int = 0

    @property
    def key(self) -> str:
        """Which report it is."""
        return f"{self.event_id}/{self.name}"

    @property
    def needs_profile(self) -> bool:
        """Whether it holds what the meter measured, or how it is."""
        return self.name != STATE

    @property
    def name(self) -> str:
        """What it reports."""
        return self.request.payload_type

    @property
    def length(self) -> int:
        """How many intervals one report has."""
        wanted = self.request.num_intervals
        return wanted if 0 < wanted <= len(self.steps) else len(self.steps)

    def find_first(self, number: int) -> int | None:
        """Return the first interval of a report, None if there is no such report."""
        request, length = self.request, self.length
        is_repeated = self.total != len(self.steps) and request.repeat == 1
        most = 0 if request.repeat < 0 or is_repeated else max(request.repeat, 1)
        apart = request.frequency if request.frequency > 0 else length
        begins = request.start_interval
        first = (begins if begins >= 0 else len(self.steps) - length) + number * apart
        is_over = 0 < most <= number or 0 < self.total < first + length
        return None if is_over else first

    def place(self, interval: int) -> tuple[int, int, int]:
        """Return id, beginning and end of an interval."""
        loop, at = divmod(interval, len(self.steps))
        step_id, offset_s, duration_s = self.steps[at]
        start_s = self.base_s + loop * self.loop_s + offset_s
        return step_id, start_s, start_s + duration_s

    def find_span(self, number: int) -> tuple[int, int] | None:
        """Return beginning and end of a report, None if there is no such report."""
        first = self.find_first(number)
        if first is None:
            return None
        places = [self.place(one) for one in range(first, first + self.length)]
        return min(start for _, start, _ in places), max(end for _, _, end in places)

    @property
    def sent_until_s(self) -> int:
        """The beginning of the next report."""
        span = self.find_span(self.sent)
        return span[0] if span else 0

    @property
    def span_s(self) -> int:
        """How much the next report holds."""
        span = self.find_span(self.sent)
        return span[1] - span[0] if span else 0


def export_running(running: Iterable[Running]) -> list[list[Any]]:
    """Return reports that go on, as JSON values."""
    return [
        [
            *(one.event_id, list(one.request), one.base_s, [list(step) for step in one.steps]),
            *(one.loop_s, one.total, one.sent),
        ]
        for one in running
    ]


def restore_running(rows: Iterable[list[Any]]) -> list[Running]:
    """Return what `export_running` described.

    Raises:
        TypeError, ValueError: damaged.
    """
    found = []
    for event_id, request, base_s, steps, loop_s, total, sent in rows:
        kept = ReportRequest(*request)
        places = tuple((int(a), int(b), int(c)) for a, b, c in steps)
        is_whole = [type(one) for one in kept] == [type(one) for one in ReportRequest("")]
        if not places or not is_whole or kept.payload_type not in REPORTED:
            raise ValueError("a report without intervals, or of another kind")
        numbers = (int(loop_s), int(total), int(sent))
        found.append(Running(str(event_id), kept, int(base_s), places, *numbers))
    return found
