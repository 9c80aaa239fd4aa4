"""Keeps what a house has done in the utility's events: which there were, and what was delivered.

Records of `utility`, so they are handed over as those of any application are; the profile that they
are computed of is that of `metering-data`, which keeps 60 days and is handed over too: nothing is
kept twice, and nothing of it is in memory (ADR 25). Only a twin with the authority keeps.
Neighbours: `demand_response.performance`, `demand_response.delivery` (the rules), `utility_loop`.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from . import log
from .application import Effect, Forget, Record, RecordRange
from .application_host import ApplicationHost
from .applications.demand_response import DemandResponse
from .demand_response.delivery import (
    INCOMPLETE,
    Delivery,
    Window,
    compute_delivery,
    list_figures,
)
from .demand_response.event_book import Kept
from .demand_response.local_calendar import NONE, BaselineRules
from .demand_response.performance import (
    NO_PROFILE,
    RUNNING,
    TEST,
    WAITING,
    Performance,
    describe,
    find_begun,
    follow,
    restore,
)
from .demand_response.quarter_hour import QUARTER_S, REGISTERS
from .profile_samples import read_samples
from .queries import parse_time
from .store_schema import StoreError
from .utility_memory import END_OF_TIME_S, NAME, PERFORMANCE

KEPT_S = 60 * 86_400
_DAY_S = 86_400
LOOKED_BACK_S = 47 * 86_400
"""The oldest like day, and the one before it."""
MOST_A_DAY = 48
"""More events that begin within a day are not kept: a utility that sends such is not well."""
WAITED_S = 30 * 86_400
"""For the profile of an event: a meter that comes back later has lost it."""
_CODE = REGISTERS["import"]


class _Open:
    """An event that is not finished: its record's place, and of what it was computed last."""

    def __init__(self, one: Performance, time_s: int) -> None:
        self.one = one
        self.time_s = time_s
        self.told: tuple[Performance, bool, bool, int | None] | None = None


class PerformanceKeeper:
    """Of one twin."""

    def __init__(
        self, host: ApplicationHost, rules: BaselineRules | None, signals: Collection[str]
    ) -> None:
        """Nothing is read yet.

        Args:
            host: has the profile and the records.
            rules: of the baseline, None if no application takes part in events.
            signals: names of those that the application acts on.
        """
        self._host = host
        self._rules = rules
        self._signals = signals
        self._open: dict[tuple[str, int], _Open] | None = None
        self._passed: set[tuple[str, int]] = set()

    def step(self, book: Iterable[Kept], now_s: int) -> None:
        """Look at the events once; what has changed is written.

        Raises:
            StoreError: not written; the next step does it.
        """
        if self._open is None:
            self._open = self._load()
        known = {one.event.event_id: one for one in book}
        for kept in known.values():
            begun = find_begun(kept, self._signals, now_s)
            if begun is not None:
                self._begin(begun, self._open)
        self._passed &= {(one.event.event_id, one.event.start_s) for one in known.values()}
        until_s = self._find_known(now_s) if self._open else None
        for key, row in list(self._open.items()):
            row.one = follow(row.one, known.get(row.one.event_id), now_s)
            if self._update(row, until_s, now_s):
                del self._open[key]

    def _load(self) -> dict[tuple[str, int], _Open]:
        rows = self._host.load(NAME, RecordRange(PERFORMANCE, 0, END_OF_TIME_S))
        unfinished = (row for row in rows if row["result"] in (RUNNING, WAITING))
        found = [_Open(restore(row), int(row["at"])) for row in unfinished]
        return {row.one.key: row for row in found}

    def _begin(self, one: Performance, found: dict[tuple[str, int], _Open]) -> None:
        if one.key in found or one.key in self._passed:
            return
        near = RecordRange(PERFORMANCE, one.start_s - _DAY_S, one.start_s + MOST_A_DAY)
        places = {restore(row).key: int(row["at"]) for row in self._host.load(NAME, near)}
        unwritten = (row for row in found.values() if near.since_s <= row.time_s < near.until_s)
        places |= {row.one.key: row.time_s for row in unwritten}
        if one.key not in places and len(places) >= MOST_A_DAY:
            self._passed.add(one.key)
            return
        free = (one.start_s + number for number in range(len(places) + 1))
        free_s = next(time_s for time_s in free if time_s not in places.values())
        found[one.key] = _Open(one, places.get(one.key, free_s))

    def _find_known(self, now_s: int) -> int | None:
        """Return until when the profile is known, None if no application keeps one."""
        document = self._host.answer_or_none("registers", {}, now_s)
        if document is None:
            return None
        return parse_time(document["time"], "time", now_s) if document["time"] else 0

    def _update(self, row: _Open, until_s: int | None, now_s: int) -> bool:
        """Write what is new of an event; return whether it is finished."""
        one, window = row.one, row.one.find_window(now_s)
        is_over = one.is_over(now_s)
        is_given_up = is_over and now_s >= window.end_s + WAITED_S
        state = one, is_over, is_given_up, None if until_s is None else until_s // QUARTER_S
        if state == row.told:
            return False
        is_known = until_s is None or until_s >= window.measured_until_s
        is_final = is_given_up or (is_over and is_known)
        if is_given_up and until_s is not None:
            until_s = max(until_s, window.measured_until_s)  # what has not come is missing
        try:
            result, figures = self._compute(one, window, until_s, now_s)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - that there was this event is kept all the same
            log.log_exception("performance", error)
            result, figures = INCOMPLETE, list_figures(NONE)
        if not (is_final or one.is_test):
            result = WAITING if is_over else RUNNING
        body = {"at": row.time_s, **describe(one, result, figures)}
        effects: list[Effect] = [Record(PERFORMANCE, row.time_s, body)]
        if is_final:
            effects.append(Forget(PERFORMANCE, one.start_s - KEPT_S))
        self._host.keep(NAME, effects)
        row.told = state
        return is_final

    def _compute(
        self, one: Performance, window: Window, until_s: int | None, now_s: int
    ) -> Delivery:
        if one.is_test:
            return Delivery(TEST, list_figures(NONE))
        if self._rules is None:
            return Delivery(NONE, list_figures(NONE))
        if until_s is None:
            return Delivery(NO_PROFILE, list_figures(self._rules.method))

        def read(since_s: int, before_s: int) -> dict[int, int]:
            ask = self._host.answer_or_none
            samples = read_samples(ask, (_CODE,), since_s, before_s, now_s)
            return {
                sample.start_s: sample.deltas[_CODE]
                for sample in samples
                if sample.is_good and _CODE in sample.deltas
            }

        return compute_delivery(self._rules, window, self._list_others(one, now_s), read, until_s)

    def _list_others(self, one: Performance, now_s: int) -> list[Window]:
        wanted = RecordRange(PERFORMANCE, one.start_s - LOOKED_BACK_S, one.start_s + _DAY_S)
        rows = map(restore, self._host.load(NAME, wanted))
        return [other.find_window(now_s) for other in rows if other.key != one.key]


def build_performance_keeper(host: ApplicationHost, acting: Mapping[str, Any]) -> PerformanceKeeper:
    """Return the keeper for the applications that act on events, by name."""
    application: DemandResponse | None = acting.get(DemandResponse.name)
    if application is None:
        return PerformanceKeeper(host, None, ())
    return PerformanceKeeper(host, application.baseline_rules, application.signals)
