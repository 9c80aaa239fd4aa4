"""Which reports a VTN has asked for, which are due, and what is in them; without I/O.

Values come from the quarter-hour profile of the meter. A report is made once, when the profile
reaches its end; a quarter hour that has not come ten minutes later is left out of it, and can be
asked for as history. For history the ten minutes are those after the question. What was before
`HISTORY_S` is not reported, whatever a VTN asks for. Source: OpenADR 2.0b, 8.3 (EiReport):
granularity, reportBackDuration, reportInterval. Neighbours: `report_codec` (the words), `ven`
(brings requests, carries reports).
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from meter_twin.demand_response.quarter_hour import QUARTER_S, REGISTERS, MeterStatus, Sample
from meter_twin.demand_response.response_code import OK, REPORT_NOT_SUPPORTED

from .report_codec import (
    METADATA,
    Point,
    Report,
    ReportedValue,
    ReportOffer,
    ReportRequest,
)

DAY_S = 86_400
HISTORY_S = 60 * DAY_S
PATIENCE_S = 600
"""A report waits so long for quarter hours that are late."""
MOST_REQUESTS = 50
MOST_VALUES = 3_000
GOOD, UNCERTAIN = "Quality Good - Non Specific", "Quality Uncertain - Non Specific"
STATUS = "status"


class Running(NamedTuple):
    """A report that goes on: what was asked for, and up to where it was sent."""

    request: ReportRequest
    name: str
    sent_until_s: int
    ends_s: int | None
    asked_s: int = 0
    """When; 0: a twin that did not keep it was asked."""

    @property
    def key(self) -> str:
        """Which report it is."""
        return self.request.request_id

    @property
    def needs_profile(self) -> bool:
        """Whether it holds what the meter measured, or how it is."""
        return self.name != "TELEMETRY_STATUS"

    @property
    def span_s(self) -> int:
        """How much the next report holds."""
        back_s = self.request.back_s or (self.ends_s or 0) - self.sent_until_s
        return back_s if self.ends_s is None else min(back_s, self.ends_s - self.sent_until_s)

    @property
    def is_over(self) -> bool:
        """Whether all was sent."""
        return self.ends_s is not None and self.sent_until_s >= self.ends_s

    @property
    def is_last(self) -> bool:
        """Whether none follows the next report."""
        return self.ends_s is not None and self.sent_until_s + self.span_s >= self.ends_s

    @property
    def is_late_after_s(self) -> int:
        """When the next report waits for nothing any more."""
        asked_s = 0 if self.ends_s is None else self.asked_s
        return max(self.sent_until_s + self.span_s, asked_s) + PATIENCE_S


def list_offers(resource_id: str) -> tuple[ReportOffer, ...]:
    """Return what a meter can report."""
    energy = tuple(
        Point(r_id, "usage", "Direct Read", "Wh", resource_id, QUARTER_S, DAY_S)
        for r_id in REGISTERS
    )
    status = Point(STATUS, "x-resourceStatus", "x-notApplicable", "", resource_id, QUARTER_S, DAY_S)
    return (
        ReportOffer("telemetry-usage", "TELEMETRY_USAGE", DAY_S, energy),
        ReportOffer("history-usage", "HISTORY_USAGE", HISTORY_S, energy),
        ReportOffer("telemetry-status", "TELEMETRY_STATUS", QUARTER_S, (status,)),
    )


class Reporting:
    """The reports of one VEN; `export` and `restore` carry them over restarts."""

    def __init__(self, offers: Iterable[ReportOffer], running: Iterable[Running] = ()) -> None:
        """Go on with what was asked for before."""
        self._offers = {offer.specifier_id: offer for offer in offers}
        self._running = {one.request.request_id: one for one in running}
        self._underway: dict[str, tuple[str, int]] = {}

    @property
    def pending(self) -> list[str]:
        """The report requests that go on."""
        return list(self._running)

    def accept(self, requests: Iterable[ReportRequest], now_s: int) -> int:
        """Take what a VTN asks for; return OK, or another code if one of them cannot be done.

        The same request again goes on where it is.
        """
        code = OK
        for request in requests:
            if request.specifier_id == METADATA:
                continue
            if request.request_id in self._running:
                continue
            if not self._is_possible(request) or len(self._running) >= MOST_REQUESTS:
                code = REPORT_NOT_SUPPORTED
                continue
            begun = _begin(request, self._offers[request.specifier_id].name, now_s)
            if begun.is_over:
                code = REPORT_NOT_SUPPORTED
            else:
                self._running[request.request_id] = begun
        return code

    def _is_possible(self, request: ReportRequest) -> bool:
        offer = self._offers.get(request.specifier_id)
        if offer is None or request.granularity_s % QUARTER_S or request.back_s % QUARTER_S:
            return False
        known = {point.r_id for point in offer.points}
        count = max(request.back_s, request.duration_s) // (request.granularity_s or QUARTER_S)
        return (
            bool(request.r_ids)
            and known >= set(request.r_ids)
            and request.duration_s % QUARTER_S == 0
            and max(request.back_s, request.granularity_s) <= HISTORY_S
            and count * len(request.r_ids) <= MOST_VALUES
        )

    def cancel(self, request_ids: Collection[str], *, is_last_wanted: bool, now_s: int) -> bool:
        """End reports, after a last one if it is wanted; return whether all of them were known."""
        is_known = set(request_ids) <= self._running.keys()
        for request_id in request_ids:
            one = self._running.pop(request_id, None)
            end_s = now_s // QUARTER_S * QUARTER_S
            if one is not None and is_last_wanted and end_s > one.sent_until_s:
                request = one.request._replace(back_s=end_s - one.sent_until_s)
                self._running[request_id] = one._replace(request=request, ends_s=end_s)
        return is_known

    def forget(self) -> None:
        """Drop all: the VTN registers the reports anew."""
        self._running.clear()
        self._underway.clear()

    def find_due(self, now_s: int, find_until: Callable[[Running], int]) -> Running | None:
        """Return a report that is to be made now, None if there is none.

        Args:
            now_s: UTC.
            find_until: returns the end of the newest quarter hour that is known of a report.
        """
        underway = {request_id for request_id, _ in self._underway.values()}
        for request_id, kept in list(self._running.items()):
            if request_id in underway:
                continue
            one = self._running[request_id] = _skip_forgotten(kept, now_s)
            if one.is_over:
                del self._running[request_id]
                continue
            end_s = one.sent_until_s + one.span_s
            if now_s < end_s:
                continue
            needs_none = not one.needs_profile or now_s >= one.is_late_after_s
            if needs_none or find_until(one) >= end_s:
                return one
        return None

    def make(
        self, due: Running, samples: Iterable[Sample], status: MeterStatus, now_s: int
    ) -> Report:
        """Return a report that is due; it is underway until `delivered` or `lost`."""
        request = due.request
        start_s, end_s = due.sent_until_s, due.sent_until_s + due.span_s
        report_id = f"{request.request_id}/{start_s}"
        if due.name == "TELEMETRY_STATUS":
            values = [ReportedValue(r_id, now_s, 0, status, GOOD) for r_id in request.r_ids]
        else:
            values = _sum_up(request, samples, start_s, end_s)
        self._underway[report_id] = request.request_id, end_s
        return Report(
            *(report_id, request.request_id, request.specifier_id, due.name),
            *(now_s, start_s, end_s - start_s, tuple(values)),
        )

    def delivered(self, report_id: str) -> None:
        """Note that the VTN has a report; the last one of a request ends it.

        The others are looked at before it is its turn again.
        """
        request_id, end_s = self._underway.pop(report_id, ("", 0))
        one = self._running.pop(request_id, None)
        if one is not None and (one.ends_s is None or end_s < one.ends_s):
            self._running[request_id] = one._replace(sent_until_s=end_s)

    def lost(self, report_id: str) -> None:
        """Note that a report did not arrive; it is made again."""
        self._underway.pop(report_id, None)

    def give_up(self, due: Running) -> None:
        """Drop a request whose report cannot be made."""
        self._running.pop(due.key, None)
        self._underway = {one: at for one, at in self._underway.items() if at[0] != due.key}

    def export(self) -> list[dict[str, Any]]:
        """Return what goes on, as JSON values."""
        return [
            {
                "request": one.request._asdict(),
                "name": one.name,
                "sentUntil": one.sent_until_s,
                "ends": one.ends_s,
                "asked": one.asked_s,
            }
            for one in self._running.values()
        ]

    @staticmethod
    def restore(rows: Iterable[dict[str, Any]]) -> list[Running]:
        """Return what `export` described.

        Raises:
            KeyError, TypeError: damaged.
        """
        return [
            Running(
                ReportRequest(**{**row["request"], "r_ids": tuple(row["request"]["r_ids"])}),
                *(str(row["name"]), int(row["sentUntil"])),
                None if row["ends"] is None else int(row["ends"]),
                int(row.get("asked", 0)),
            )
            for row in rows
        ]


def _begin(request: ReportRequest, name: str, now_s: int) -> Running:
    """Return a request with its beginning: a quarter hour, that asked for or the present one."""
    asked_s, now_s = now_s, now_s // QUARTER_S * QUARTER_S
    duration_s = request.duration_s
    if request.start_s is not None:
        start_s = -(-request.start_s // QUARTER_S) * QUARTER_S
    elif request.back_s:
        start_s = now_s
    else:  # once, of what there is: the last step
        duration_s = duration_s or request.granularity_s or QUARTER_S
        start_s = now_s - duration_s
    if not request.back_s and not duration_s:
        duration_s = request.granularity_s or QUARTER_S
    ends_s = start_s + duration_s if duration_s else None
    return _skip_forgotten(Running(request, name, start_s, ends_s, asked_s), asked_s)


def _skip_forgotten(one: Running, now_s: int) -> Running:
    """Return a request without the whole reports of what was before `HISTORY_S`."""
    oldest_s = now_s // QUARTER_S * QUARTER_S - HISTORY_S
    step_s = one.request.back_s or one.request.granularity_s or QUARTER_S
    steps = max(oldest_s - one.sent_until_s, 0) // step_s
    return one._replace(sent_until_s=one.sent_until_s + steps * step_s) if steps else one


def _sum_up(
    request: ReportRequest, samples: Iterable[Sample], start_s: int, end_s: int
) -> list[ReportedValue]:
    """Return sums by step; a step with a quarter hour missing is left out, nothing is guessed."""
    known = {one.start_s: one for one in samples}
    step_s = request.granularity_s or QUARTER_S
    values = []
    for at_s in range(start_s, end_s, step_s):
        until_s = min(at_s + step_s, end_s)
        parts = [known.get(one) for one in range(at_s, until_s, QUARTER_S)]
        for r_id in request.r_ids:
            code = REGISTERS[r_id]
            moved = [part.deltas[code] for part in parts if part and code in part.deltas]
            if len(moved) == len(parts):
                is_good = all(part.is_good for part in parts if part)
                quality = GOOD if is_good else UNCERTAIN
                values.append(ReportedValue(r_id, at_s, until_s - at_s, sum(moved), quality))
    return values
