"""EiReport: what can be reported, what is asked for, and the reports themselves (oadr_20b.xsd).

A report is asked for once and then sent each time its `back_s` has passed. Values are written as
they are given: integers in the unit of their point. Neighbours: `message_codec`, `ven`.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from meter_twin.demand_response.quarter_hour import MeterStatus

from .message_codec import (
    MOST_TEXT,
    MessageError,
    build_message,
    get_identifier,
    parse_span,
    write_duration,
    write_message,
    write_response,
    write_start,
)
from .times import format_duration, format_moment, parse_duration, parse_moment
from .xml_codec import Element, write_element, write_text

METADATA = "METADATA"
"""The specifier by which a VTN asks for the offers themselves again (2.0b, 8.3)."""
_ITEMS = {
    "Wh": ("power:energyReal", "RealEnergy"),
    "VARh": ("power:energyReactive", "ReactiveEnergy"),
    "W": ("power:powerReal", "RealPower"),
    "V": ("power:voltage", "Voltage"),
    "A": ("oadr:current", "Current"),
    "Hz": ("oadr:frequency", "Frequency"),
}
UNITS = frozenset(_ITEMS)


class Point(NamedTuple):
    """One row of values that can be reported; `unit` is one of UNITS, empty for a status."""

    r_id: str
    report_type: str
    reading_type: str
    unit: str
    resource_id: str
    min_period_s: int
    max_period_s: int


class ReportOffer(NamedTuple):
    """One report that can be asked for: HISTORY_USAGE, TELEMETRY_USAGE or TELEMETRY_STATUS."""

    specifier_id: str
    name: str
    span_s: int
    """How far back it can reach."""
    points: tuple[Point, ...]


class ReportRequest(NamedTuple):
    """What a VTN asks for."""

    request_id: str
    specifier_id: str
    granularity_s: int
    """0: as the values come."""
    back_s: int
    """0: once."""
    start_s: int | None
    duration_s: int
    """0: until it is cancelled."""
    r_ids: tuple[str, ...]


class ReportedValue(NamedTuple):
    """A value of a point for [start, start + duration); quality in 2.0b's words, empty for none."""

    r_id: str
    start_s: int
    duration_s: int
    value: float | MeterStatus
    quality: str = ""


class Report(NamedTuple):
    """A report to be sent; `report_id` is the same if it is sent again."""

    report_id: str
    request_id: str
    specifier_id: str
    name: str
    created_s: int
    start_s: int
    duration_s: int
    values: tuple[ReportedValue, ...]


def build_register_report(
    request_id: str, ven_id: str, offers: Iterable[ReportOffer], created_s: int, answers: str = ""
) -> str:
    """Return an oadrRegisterReport; `answers` is the report request that asked for it, if any."""
    return build_message(
        write_message(
            "oadrRegisterReport",
            write_text("pyld:requestID", request_id),
            *(_write_offer(offer, created_s) for offer in offers),
            write_text("ei:venID", ven_id),
            write_text("ei:reportRequestID", answers) if answers else "",
        )
    )


def _write_offer(offer: ReportOffer, created_s: int) -> str:
    return write_element(
        "oadr:oadrReport",
        write_duration(offer.span_s),
        *(_write_point(point) for point in offer.points),
        write_text("ei:reportRequestID", "0"),
        write_text("ei:reportSpecifierID", offer.specifier_id),
        write_text("ei:reportName", f"METADATA_{offer.name}"),
        write_text("ei:createdDateTime", format_moment(created_s)),
    )


def _write_point(point: Point) -> str:
    return write_element(
        "oadr:oadrReportDescription",
        write_text("ei:rID", point.r_id),
        write_element("ei:reportDataSource", write_text("ei:resourceID", point.resource_id)),
        write_text("ei:reportType", point.report_type),
        _write_item(point.unit) if point.unit else "",
        write_text("ei:readingType", point.reading_type),
        write_element(
            "oadr:oadrSamplingRate",
            write_text("oadr:oadrMinPeriod", format_duration(point.min_period_s)),
            write_text("oadr:oadrMaxPeriod", format_duration(point.max_period_s)),
            write_text("oadr:oadrOnChange", False),
        ),
    )


def _write_item(unit: str) -> str:
    name, description = _ITEMS[unit]
    prefix = name.partition(":")[0]
    attributes = write_element(
        "power:powerAttributes",
        write_text("power:hertz", 50),
        write_text("power:voltage", 230),
        write_text("power:ac", True),
    )
    return write_element(
        name,
        write_text(f"{prefix}:itemDescription", description),
        write_text(f"{prefix}:itemUnits", unit),
        write_text("scale:siScaleCode", "none"),
        attributes if unit == "W" else "",
    )


def parse_report_requests(element: Element) -> list[ReportRequest]:
    """Return the requests in an oadrRegisteredReport or oadrCreateReport.

    Raises:
        MessageError, ValueError: one of them cannot be read.
    """
    return [_parse_request(one) for one in element.all("oadrReportRequest")]


def _parse_request(element: Element) -> ReportRequest:
    specifier = element.find("reportSpecifier")
    if specifier is None:
        raise MessageError("reportSpecifier", "is missing")
    interval = specifier.find("reportInterval/properties")
    start = interval.get_text("dtstart/date-time") if interval is not None else ""
    span = interval.get_text("duration/duration") if interval is not None else ""
    return ReportRequest(
        get_identifier(element, "reportRequestID"),
        get_identifier(specifier, "reportSpecifierID"),
        parse_span(specifier, "granularity/duration", 0),
        parse_span(specifier, "reportBackDuration/duration", 0),
        parse_moment(start) if start else None,
        max(parse_duration(span), 0) if span else 0,
        tuple(get_identifier(one, "rID") for one in specifier.all("specifierPayload")),
    )


def build_created_report(
    response: tuple[int, str, str], ven_id: str, pending: Collection[str], name: str = "created"
) -> str:
    """Return an oadrCreatedReport, or an oadrCanceledReport with name="canceled".

    Args:
        response: code, description and the request id that it answers.
        ven_id: who answers.
        pending: the report requests that still go on.
        name: what has happened to the reports.
    """
    requests = (write_text("ei:reportRequestID", one) for one in pending)
    return build_message(
        write_message(
            f"oadr{name.capitalize()}Report",
            write_response(*response),
            write_element("oadr:oadrPendingReports", *requests),
            write_text("ei:venID", ven_id),
        )
    )


def build_registered_report(code: int, request_id: str, ven_id: str) -> str:
    """Return an oadrRegisteredReport: the VTN's own offers are taken note of, none is asked for."""
    return build_message(
        write_message(
            "oadrRegisteredReport",
            write_response(code, "OK", request_id),
            write_text("ei:venID", ven_id),
        )
    )


def parse_cancel_report(element: Element) -> tuple[str, tuple[str, ...], bool]:
    """Return request id, the cancelled report requests, and whether a last report is wanted."""
    cancelled = tuple(one.text.strip()[:MOST_TEXT] for one in element.all("reportRequestID"))
    is_wanted = element.get_text("reportToFollow") in ("true", "1")
    return element.get_text("requestID")[:MOST_TEXT], cancelled, is_wanted


def build_update_report(request_id: str, ven_id: str, reports: Iterable[Report]) -> str:
    """Return an oadrUpdateReport; each value has an interval of its own, which all VTNs read."""
    return build_message(
        write_message(
            "oadrUpdateReport",
            write_text("pyld:requestID", request_id),
            *(_write_report(report) for report in reports),
            write_text("ei:venID", ven_id),
        )
    )


def _write_report(report: Report) -> str:
    intervals = write_element("strm:intervals", *(_write_value(one) for one in report.values))
    return write_element(
        "oadr:oadrReport",
        write_start(report.start_s),
        write_duration(report.duration_s),
        intervals if report.values else "",
        write_text("ei:eiReportID", report.report_id),
        write_text("ei:reportRequestID", report.request_id),
        write_text("ei:reportSpecifierID", report.specifier_id),
        write_text("ei:reportName", report.name),
        write_text("ei:createdDateTime", format_moment(report.created_s)),
    )


def _write_value(one: ReportedValue) -> str:
    if isinstance(one.value, MeterStatus):
        value = write_element(
            "oadr:oadrPayloadResourceStatus",
            write_text("oadr:oadrOnline", one.value.is_online),
            write_text("oadr:oadrManualOverride", one.value.is_overridden),
        )
    else:
        value = write_element("ei:payloadFloat", write_text("ei:value", one.value))
    return write_element(
        "ei:interval",
        write_start(one.start_s),
        write_duration(one.duration_s),
        write_element(
            "oadr:oadrReportPayload",
            write_text("ei:rID", one.r_id),
            value,
            write_text("oadr:oadrDataQuality", one.quality) if one.quality else "",
        ),
    )
