"""EiEvent: what oadrDistributeEvent says, how it is asked for and answered (oadr_ei_20b.xsd).

An event at fault does not take the others with it: it is read as far as its answer needs and
carries its `Fault`. What a VTN leaves out that means nothing else is taken as its usual value.
Neighbours: `message_codec`, `demand_response.dr_event` (what is read), `ven` (who asks).
"""

import math
from collections.abc import Collection

from meter_twin.demand_response.dr_event import (
    MICRO,
    DrEvent,
    Fault,
    Interval,
    Signal,
    Targets,
)
from meter_twin.demand_response.event_book import Answer
from meter_twin.demand_response.response_code import INVALID_DATA, OK

from .message_codec import (
    MOST_TEXT,
    MessageError,
    build_message,
    get_identifier,
    parse_span,
    write_message,
    write_response,
)
from .times import parse_moment
from .xml_codec import Element, write_element, write_text

SIMPLE = "SIMPLE"
MOST_SIMPLE = 3
MOST_VALUE = 1e12
MOST_NUMBER = 2**32 - 1
SCALES = {"p": 1e-12, "n": 1e-9, "micro": 1e-6, "m": 1e-3, "c": 1e-2, "d": 1e-1, "none": 1.0,
          "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}  # fmt: skip
_PER_UNIT = {"currencyPerKWh": "/kWh", "currencyPerKW": "/kW", "currencyPerThm": "/thm"}
_TARGETS = {"venID": 0, "resourceID": 1, "groupID": 2, "groupName": 2, "partyID": 3}


def build_request_event(request_id: str, ven_id: str) -> str:
    """Return an oadrRequestEvent: all events of this VEN are asked for."""
    asked = write_element(
        "pyld:eiRequestEvent",
        write_text("pyld:requestID", request_id),
        write_text("ei:venID", ven_id),
    )
    return build_message(write_message("oadrRequestEvent", asked))


def build_created_event(request_id: str, ven_id: str, answers: Collection[Answer]) -> str:
    """Return an oadrCreatedEvent; `request_id` is that of the message which brought the events.

    With event responses the frame's own request id stays empty (conformance rule 25).
    """
    responses = write_element(
        "ei:eventResponses",
        *(
            write_element(
                "ei:eventResponse",
                write_text("ei:responseCode", f"{answer.code:03}"),
                write_text("ei:responseDescription", answer.description),
                write_text("pyld:requestID", request_id),
                write_element(
                    "ei:qualifiedEventID",
                    write_text("ei:eventID", answer.event_id),
                    write_text("ei:modificationNumber", answer.modification),
                ),
                write_text("ei:optType", "optIn" if answer.is_in else "optOut"),
            )
            for answer in answers
        ),
    )
    created = write_element(
        "pyld:eiCreatedEvent",
        write_response(OK, "OK", ""),
        responses,
        write_text("ei:venID", ven_id),
    )
    return build_message(write_message("oadrCreatedEvent", created))


def parse_distribute_event(element: Element) -> list[DrEvent]:
    """Return the events of an oadrDistributeEvent; one at fault carries its fault.

    Raises:
        MessageError: an event has no id or modification number, so nothing can be answered.
    """
    return [_parse_event(one) for one in element.all("oadrEvent")]


def _parse_event(element: Element) -> DrEvent:
    event = element.find("eiEvent")
    if event is None:
        raise MessageError("eiEvent", "is missing")
    event_id = get_identifier(event, "eventDescriptor/eventID")
    modification = _parse_number(event, "eventDescriptor/modificationNumber")
    is_answered = element.get_text("oadrResponseRequired", "always") != "never"
    try:
        found = _parse_content(event, event_id, modification)
    except ValueError as error:
        found = DrEvent(event_id, modification, 0, "", 0, 0, ())._replace(
            fault=Fault(INVALID_DATA, str(error)[:MOST_TEXT])
        )
    return found._replace(is_answered=is_answered)


def _parse_content(event: Element, event_id: str, modification: int) -> DrEvent:
    period = event.find("eiActivePeriod/properties")
    if period is None:
        raise MessageError("eiActivePeriod", "is missing")
    duration_s = parse_span(period, "duration/duration", None)
    signals = event.find("eiEventSignals")
    if signals is None:
        raise MessageError("eiEventSignals", "is missing")
    described = "eventDescriptor/"
    return DrEvent(
        event_id,
        modification,
        parse_moment(event.get_text(described + "createdDateTime")),
        event.get_text(described + "eiMarketContext/marketContext")[:MOST_TEXT],
        parse_moment(period.get_text("dtstart/date-time")),
        duration_s,
        tuple(_parse_signal(one, duration_s) for one in signals.all("eiEventSignal")),
        _parse_number(event, described + "priority", 0),
        event.get_text(described + "testEvent", "false").lower() not in ("false", ""),
        event.get_text(described + "eventStatus") == "cancelled",
        True,
        parse_span(period, "tolerance/tolerate/startafter", 0),
        parse_span(period, "x-eiNotification/duration", 0),
        parse_span(period, "x-eiRampUp/duration", 0),
        parse_span(period, "x-eiRecovery/duration", 0),
        _parse_targets(event.find("eiTarget")),
    )


def _parse_number(element: Element, path: str, default: int | None = None) -> int:
    text = element.get_text(path, "" if default is None else str(default))
    if not (text.isascii() and text.isdigit()) or int(text[:12]) > MOST_NUMBER:
        raise MessageError(path.rpartition("/")[2], "is no unsigned integer")
    return int(text)


def _parse_signal(element: Element, event_s: int) -> Signal:
    name = get_identifier(element, "signalName")
    name = name if name.startswith("x-") else name.upper()  # 2.0a wrote "simple"
    unit, scale = _parse_unit(element)
    intervals, offset_s = [], 0
    rows = element.find("intervals")
    for row in rows.all("interval") if rows is not None else ():
        value = _parse_value(row, scale)
        if name == SIMPLE and value not in range(0, (MOST_SIMPLE + 1) * MICRO, MICRO):
            raise MessageError("signalPayload", "of SIMPLE is none of 0, 1, 2, 3")
        span_s = parse_span(row, "duration/duration", event_s)
        intervals.append(Interval(offset_s, span_s, value))
        offset_s += span_s
    if not intervals:
        raise MessageError("intervals", f"of {name} are missing")
    devices = tuple(
        asset.get_text("mrid")[:MOST_TEXT]
        for target in element.all("eiTarget")
        for asset in target.all("endDeviceAsset")
    )
    return Signal(name, element.get_text("signalType"), unit, tuple(intervals), devices)


def _parse_value(row: Element, scale: float) -> int:
    text = row.get_text("signalPayload/payloadFloat/value")
    try:
        value = float(text) * scale
    except ValueError as error:
        raise MessageError("signalPayload", "is no number") from error
    if not math.isfinite(value) or abs(value) > MOST_VALUE:
        raise MessageError("signalPayload", "is out of bounds")
    return round(value * MICRO)


def _parse_unit(signal: Element) -> tuple[str, float]:
    """Return the unit and what its prefix multiplies; none is none."""
    for child in signal.children:
        if child.find("itemUnits") is None:
            continue
        code = child.get_text("siScaleCode", "none")
        if code not in SCALES:
            raise MessageError("siScaleCode", f"{code[:16]!r} is unknown")
        return child.get_text("itemUnits")[:16] + _PER_UNIT.get(child.name, ""), SCALES[code]
    return "", 1.0


def _parse_targets(target: Element | None) -> Targets:
    rows: tuple[list[str], ...] = ([], [], [], [], [])
    for child in target.children if target is not None else ():
        place = _TARGETS.get(child.name)
        if place is None:
            rows[4].append(child.name)
        else:
            rows[place].append(child.text.strip()[:MOST_TEXT])
    return Targets(*(tuple(row) for row in rows))
