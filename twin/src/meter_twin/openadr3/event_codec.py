"""Events of OpenADR 3.1 as they are said: intervals in time, their payloads, reports asked for.

What they mean is `event_mapping`'s. Source: OpenADR 3.1.0, OpenAPI (event, interval,
reportDescriptor) and User Guide 7.3 to 7.5, 7.9: a start at the beginning of time is now, which
here is the moment of the event's last modification, so that all who read it mean the same; a
duration of zero ends it. An interval's own randomizeStart is not used, only the first one's.
"""

from typing import Any, NamedTuple

from .json_codec import (
    FOREVER_S,
    MOST_NAMES,
    JsonError,
    Row,
    find_micros,
    find_names,
    find_number,
    find_span,
    find_text,
    get_float,
    get_id,
    get_rows,
)
from .program_codec import Units, parse_units

MOST_STEPS, MOST_VALUES = 400, 400
"""Of an event: more are a fault of it."""
MOST_REQUESTS = 5
MICROS = 1_000_000
_BEGINNING = ("0000-", "0001-01-01")
Value = float | str


class Step(NamedTuple):
    """An interval: what it says from an offset on; 0 seconds are for ever."""

    step_id: int
    offset_s: int
    duration_s: int
    payloads: tuple[tuple[str, tuple[Value, ...]], ...]


class ReportRequest(NamedTuple):
    """A reportDescriptor; its numbers as the OpenAPI has them."""

    payload_type: str
    reading_type: str = ""
    units: str = ""
    start_interval: int = -1
    num_intervals: int = -1
    historical: bool = True
    frequency: int = -1
    repeat: int = 1


class Occasion(NamedTuple):
    """An event as it was said."""

    event_id: str
    program_id: str
    modified_us: int
    created_s: int = 0
    priority: int | None = None
    targets: tuple[str, ...] = ()
    start_s: int = 0
    randomize_s: int = 0
    loop_s: int = 0
    """The length of all steps together; 0: for ever."""
    lasts_s: int = 0
    """The length of the event: shorter or longer than its steps; 0: for ever."""
    steps: tuple[Step, ...] = ()
    is_cancelled: bool = False
    units: Units = {}  # noqa: RUF012 - never changed
    requests: tuple[ReportRequest, ...] = ()
    fault: str = ""

    @property
    def end_s(self) -> int | None:
        """The planned end, None without one."""
        return self.start_s + self.lasts_s if self.lasts_s else None


def parse_event(row: Row) -> Occasion:
    """Return an event; one whose content is wrong carries its fault.

    Raises:
        JsonError: it has no id, so nothing can be said of it.
    """
    event_id, program_id = get_id(row, "id"), get_id(row, "programID")
    modified_us = find_micros(row, "modificationDateTime")
    if modified_us is None:
        raise JsonError("modificationDateTime is missing")
    plain = Occasion(event_id, program_id, modified_us)
    try:
        return _parse_content(row, plain)
    except JsonError as error:
        return plain._replace(fault=str(error))


def _parse_content(row: Row, plain: Occasion) -> Occasion:
    created_us = find_micros(row, "createdDateTime")
    priority = find_number(row, "priority", None)
    if priority is not None and priority < 0:
        raise JsonError("priority is negative")
    found = plain._replace(
        created_s=(plain.modified_us if created_us is None else created_us) // MICROS,
        priority=priority,
        targets=find_names(row, "targets"),
        units=parse_units(row),
        requests=tuple(
            _parse_request(one) for one in get_rows(row, "reportDescriptors")[:MOST_REQUESTS]
        ),
    )
    rows = get_rows(row, "intervals")
    if len(rows) > MOST_STEPS:
        raise JsonError(f"more than {MOST_STEPS} intervals")
    return _place(found, row, rows)


def _parse_request(row: Row) -> ReportRequest:
    payload_type = find_text(row, "payloadType")
    if not payload_type:
        raise JsonError("payloadType is missing")
    return ReportRequest(
        *(payload_type, find_text(row, "readingType"), find_text(row, "units")),
        find_number(row, "startInterval", -1) or 0,
        find_number(row, "numIntervals", -1) or 0,
        row.get("historical", True) is not False,
        find_number(row, "frequency", -1) or 0,
        find_number(row, "repeat", 1) or 0,
    )


def _place(found: Occasion, row: Row, rows: list[Row]) -> Occasion:
    """Return an event with its steps in time (User Guide 7.3 and 7.4)."""
    now_s = found.modified_us // MICROS
    usual = _Period(row, now_s)
    lasts_s = find_span(row, "duration")
    steps: list[tuple[int, int, Row]] = []  # start, duration
    next_s, randomize_s = usual.start_s, usual.randomize_s
    for number, one in enumerate(rows):
        own = _Period(one, None)
        if own.start_s is not None:
            next_s = own.start_s
        elif own.is_now and number == 0 and next_s is None:
            next_s = now_s
        if next_s is None:
            raise JsonError("the start is missing")
        randomize_s = randomize_s if number or own.randomize_s is None else own.randomize_s
        span_s = usual.duration_s if own.duration_s is None else own.duration_s
        if span_s is None:
            span_s = (lasts_s or 0) if len(rows) == 1 else 0
        steps.append((next_s, span_s, one))
        next_s += span_s
    if not steps:
        return _imply(found, usual, now_s)
    start_s = min(at_s for at_s, _, _ in steps)
    loop_s = max(at_s + span_s for at_s, span_s, _ in steps) - start_s
    is_now = usual.is_now or bool(rows and _Period(rows[0], None).is_now)
    is_over = loop_s == 0 or (is_now and lasts_s == 0)
    lasts_s = lasts_s or loop_s
    return found._replace(
        start_s=start_s,
        randomize_s=abs(randomize_s or 0),
        loop_s=0 if loop_s >= FOREVER_S else loop_s,
        lasts_s=0 if lasts_s >= FOREVER_S else lasts_s,
        steps=tuple(
            _parse_step(one, number, at_s - start_s, span_s)
            for number, (at_s, span_s, one) in enumerate(steps)
        ),
        is_cancelled=is_over,
    )


def _imply(found: Occasion, usual: "_Period", now_s: int) -> Occasion:
    """Return an event without intervals: it only asks for reports (User Guide 7.5)."""
    start_s = now_s if usual.start_s is None else usual.start_s
    loop_s = usual.duration_s or 0
    return found._replace(start_s=start_s, loop_s=0 if loop_s >= FOREVER_S else loop_s)


class _Period:
    """An intervalPeriod; its start is None without one, or if it is a now that is unknown."""

    def __init__(self, row: Row, now_s: int | None) -> None:
        found: Any = row.get("intervalPeriod")
        if found is not None and not isinstance(found, dict):
            raise JsonError("intervalPeriod is no object")
        period: Row = found or {}
        self.is_now = find_text(period, "start").startswith(_BEGINNING)
        start_us = None if self.is_now else find_micros(period, "start")
        self.start_s = now_s if self.is_now else None if start_us is None else start_us // MICROS
        self.duration_s = find_span(period, "duration")
        self.randomize_s = find_span(period, "randomizeStart")
        if self.duration_s is not None and self.duration_s < 0:
            raise JsonError("duration is negative")


def _parse_step(row: Row, number: int, offset_s: int, span_s: int) -> Step:
    payloads = []
    for one in get_rows(row, "payloads")[:MOST_NAMES]:
        values = one.get("values")
        if not isinstance(values, list) or len(values) > MOST_VALUES:
            raise JsonError("values are no list, or too many")
        kept = tuple(_parse_value(value) for value in values)
        payloads.append((find_text(one, "type"), kept))
    step_id = find_number(row, "id", number)
    assert step_id is not None
    return Step(step_id, offset_s, 0 if span_s >= FOREVER_S else span_s, tuple(payloads))


def _parse_value(value: Any) -> Value:
    """Return a number or a text; a point of a curve is only noted."""
    if isinstance(value, str):
        return value[:MOST_NAMES]
    if isinstance(value, bool):
        return float(value)
    return "point" if isinstance(value, dict) else get_float(value)
