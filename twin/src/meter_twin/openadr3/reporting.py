"""Which reports the events ask for, which are due, and what is in them; without I/O.

A meter reports what was: USAGE (import, kWh), DEMAND (mean, kW) and OPERATING_STATE. Forecasts,
reports at times of the VEN's choosing and intervals of its choosing are not made. An event without
intervals implies those of its intervalPeriod. Of a row that is late only the last report is sent
(OpenADR 3.1.0, User Guide 7.5). Neighbours: `running` (a row), `event_codec` (what is asked),
`report_codec` (the words).
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from .event_codec import Occasion, ReportRequest
from .report_codec import DEMAND, QUALITY, STATE, USAGE, Author, Letter, Line, build_report
from .running import Running

QUARTER_S, DAY_S = 900, 86_400
PATIENCE_S = 600
"""A report waits so long for quarter hours that are late."""
CLOCKS_S = 60
"""The VTN's clock and ours may differ by so much."""
MOST_RUNNING, MOST_STEPS = 50, 2_000
IMPORT = "1-0:1.8.0*255"
UNITS = {USAGE: ("KWH", ("", "KWH")), DEMAND: ("KW", ("", "KW")), STATE: ("", ("",))}
"""The unit of each type that is reported, and those that may be asked for."""


class Sample(Protocol):
    """A quarter hour of the profile: what registers moved, and whether its status is clean."""

    @property
    def start_s(self) -> int:
        """Its beginning."""

    @property
    def deltas(self) -> dict[str, int]:
        """Wh by register."""

    @property
    def is_good(self) -> bool:
        """Whether its status is clean."""


class MeterStatus(Protocol):
    """How the meter is."""

    @property
    def is_online(self) -> bool:
        """It is heard."""


class Reporting:
    """The reports of one VEN: `running` carries them over restarts."""

    def __init__(self, author: Author, running: Iterable[Running] = ()) -> None:
        """Go on with what was asked for before."""
        self._author = author
        self._running = {(one.event_id, one.name): one for one in running}
        self._underway: set[tuple[str, str]] = set()

    def __iter__(self) -> Any:
        """Return what goes on."""
        return iter(self._running.values())

    def accept(self, said: Collection[Occasion], assumed: Collection[str], now_s: int) -> set[str]:
        """Take what events ask for; the same again goes on where it is.

        Args:
            said: all events.
            assumed: further ones, by id, of which nothing new is known.
            now_s: UTC.

        Returns:
            Events whose reports begin anew: some of them may have been sent before.
        """
        begun = set()
        for event in said:
            for request in event.requests:
                if self._accept_one(event, request, now_s):
                    begun.add(event.event_id)
        present = {one.event_id for one in said if not one.is_cancelled} | {*assumed}
        for key, one in list(self._running.items()):
            if one.event_id not in present and not _is_ending(one, now_s):
                self.end(key)
        return begun

    def _accept_one(self, event: Occasion, request: ReportRequest, now_s: int) -> bool:
        fresh = _begin(event, request)
        key = event.event_id, request.payload_type
        before = self._running.get(key)
        if fresh is None or event.fault or event.is_cancelled:
            self._running.pop(key, None)
            return False
        if before is not None and before._replace(sent=0) == fresh:
            return False
        steps = len(fresh.steps) + sum(len(one.steps) for one in self._running.values())
        if before is None and (len(self._running) >= MOST_RUNNING or steps > MOST_STEPS):
            return False
        self._running[key] = _skip_late(fresh, now_s)
        self._underway.discard(key)
        return True

    def end(self, key: tuple[str, str]) -> None:
        """Drop a report."""
        self._running.pop(key, None)
        self._underway.discard(key)

    def find_due(self, now_s: int, find_until: Callable[[Running], int]) -> Running | None:
        """Return a report that is to be made now, None if there is none.

        Args:
            now_s: UTC.
            find_until: returns the end of the newest quarter hour that is known of a report.
        """
        for key, one in list(self._running.items()):
            span = one.find_span(one.sent)
            if span is None:
                self.end(key)
                continue
            if now_s < span[1] or key in self._underway:
                continue
            needs_none = not one.needs_profile or now_s >= span[1] + PATIENCE_S
            if needs_none or find_until(one) >= span[1]:
                return one
        return None

    def make(self, due: Running, samples: Iterable[Sample], status: MeterStatus) -> Letter | None:
        """Return a report that is due; it is underway until `delivered` or `lost`."""
        first = due.find_first(due.sent)
        if first is None:
            return None
        known = {one.start_s: one for one in samples}
        places = [due.place(one) for one in range(first, first + due.length)]
        lines = [
            Line(
                step_id, start_s, end_s - start_s, _measure(due.name, known, start_s, end_s, status)
            )
            for step_id, start_s, end_s in places
        ]
        start_s, end_s = due.sent_until_s, due.sent_until_s + due.span_s
        name = f"{due.name}-{start_s}-{end_s - start_s}"
        unit = UNITS[due.name][0]
        units = [(due.name, unit)] if unit else []
        self._underway.add((due.event_id, due.name))
        body = build_report(self._author, due.event_id, name, lines, units)
        return Letter(due.event_id, name, body, due.sent + 1)

    def delivered(self, letter: Letter) -> None:
        """Note that the VTN has a report, or wants none of it; the last one ends the row."""
        key = letter.event_id, letter.name.partition("-")[0]
        self._underway.discard(key)
        one = self._running.get(key)
        if one is not None and one.sent < letter.mark:
            self._running[key] = one._replace(sent=letter.mark)
            if one.find_first(letter.mark) is None:
                self.end(key)

    def lost(self, letter: Letter) -> None:
        """Note that a report did not leave; it is made again."""
        self._underway.discard((letter.event_id, letter.name.partition("-")[0]))

    def give_up(self, due: Running) -> None:
        """Leave a report that cannot be made: it is as underway until its event changes."""
        self._underway.add((due.event_id, due.name))

    def forget(self) -> None:
        """Make again what was underway: nothing of it waits any more."""
        self._underway.clear()


def _begin(event: Occasion, request: ReportRequest) -> Running | None:
    """Return a report from its first interval on, None if it is not one that a meter makes."""
    may_be = UNITS.get(request.payload_type)
    if may_be is None or not request.historical or request.units not in may_be[1]:
        return None
    if request.frequency == 0 or request.reading_type not in ("", "DIRECT_READ", "MEAN"):
        return None
    loop_s, steps = event.loop_s, event.steps
    if not steps:  # implied by the event's own period
        total = 0 if request.repeat < 0 else max(request.repeat, 1)
        places, wanted = ((0, 0, loop_s),), request._replace(start_interval=0, num_intervals=1)
        return (
            Running(event.event_id, wanted, event.start_s, places, loop_s, total)
            if loop_s
            else None
        )
    if any(not one.duration_s for one in steps):
        return None  # it never ends
    kept = [one for one in steps if not event.lasts_s or one.offset_s < event.lasts_s]
    whole = tuple((one.step_id, one.offset_s, one.duration_s) for one in kept)
    total = 0 if not event.lasts_s else len(whole) * max(event.lasts_s // loop_s, 1)
    return Running(event.event_id, request, event.start_s, whole, loop_s, total)


def _skip_late(one: Running, now_s: int) -> Running:
    """Return a report without those that are late, but for the last of them."""
    if one.loop_s and one.total != len(one.steps):
        apart = one.request.frequency if one.request.frequency > 0 else one.length
        loops = max((now_s - one.base_s) // one.loop_s - 2, 0)
        one = one._replace(sent=loops * len(one.steps) // apart)
    while True:
        span = one.find_span(one.sent + 1)
        if span is None or span[1] > now_s:
            return one
        one = one._replace(sent=one.sent + 1)


def _is_ending(one: Running, now_s: int) -> bool:
    """Tell whether an event that is not named any more has ended by itself, not long ago."""
    if not one.total:
        return False
    ends_s = one.place(one.total - 1)[2]
    return ends_s <= now_s + CLOCKS_S and now_s < ends_s + DAY_S


def _measure(
    name: str, known: dict[int, Sample], start_s: int, end_s: int, status: MeterStatus
) -> tuple[tuple[str, Any], ...]:
    """Return the payloads of an interval; nothing is guessed, what is missing is said so."""
    if name == STATE:
        return ((STATE, "NORMAL" if status.is_online else "ERROR"),)
    if start_s % QUARTER_S or end_s % QUARTER_S or end_s <= start_s:
        return ((QUALITY, "MISSING"),)
    parts = [known.get(at_s) for at_s in range(start_s, end_s, QUARTER_S)]
    moved = [part.deltas[IMPORT] for part in parts if part and IMPORT in part.deltas]
    if len(moved) < len(parts):
        return ((QUALITY, "MISSING"),)
    energy_kwh = sum(moved) / 1000
    value = energy_kwh if name == USAGE else round(energy_kwh * 3600 / (end_s - start_s), 3)
    is_good = all(part.is_good for part in parts if part)
    return (name, value), (QUALITY, "OK" if is_good else "BAD")
