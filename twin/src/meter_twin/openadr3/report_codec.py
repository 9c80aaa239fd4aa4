"""Reports of a meter as OpenADR 3.1 has them, and what the VTN says it has.

A report's name says what it holds, so that it can be looked for before it is sent again. Source:
OpenADR 3.1.0, OpenAPI (report), Definitions Table 2, 4 and 6, User Guide 7.8 and 8.10.2.
Neighbours: `reporting` (which, and when), `outbox` (sends), `capacity` (bids).
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from meter_twin.demand_response.event_book import Kept
from meter_twin.openadr2.times import format_duration, format_moment

from .json_codec import decode_rows, encode, find_text

USAGE, DEMAND, STATE, QUALITY = "USAGE", "DEMAND", "OPERATING_STATE", "DATA_QUALITY"
OPTED_OUT, NORMAL = "RUNNING_OPTED_OUT", "NORMAL"
REASON = "X-METERTWIN-OPT-REASON"
"""A private type: why the house does not take part, in the words of 2.0b (optReason)."""


class Letter(NamedTuple):
    """A report on its way: of which event, under which name."""

    event_id: str
    name: str
    body: bytes
    mark: int = 0
    """What is noted once it has arrived."""

    def __repr__(self) -> str:
        """Show which it is, and no values."""
        return f"Letter({self.event_id} {self.name})"


class Line(NamedTuple):
    """An interval of a report: [start, start + duration) and its payloads."""

    line_id: int
    start_s: int
    duration_s: int
    payloads: tuple[tuple[str, Any], ...]


class Author(NamedTuple):
    """Who reports: the client's name, and the resource that is measured."""

    client_name: str
    resource_name: str


def build_report(
    author: Author,
    event_id: str,
    name: str,
    lines: Iterable[Line],
    units: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return the body of a report; `units` are of its payload types."""
    rows = [
        {
            "id": line.line_id,
            "intervalPeriod": {
                "start": format_moment(line.start_s),
                "duration": format_duration(line.duration_s),
            },
            "payloads": [{"type": kind, "values": [value]} for kind, value in line.payloads],
        }
        for line in lines
    ]
    described = [
        {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": unit}
        for kind, unit in units
    ]
    report = {
        "objectType": "REPORT",
        "eventID": event_id,
        "clientName": author.client_name,
        "reportName": name,
        "resources": [{"resourceName": author.resource_name, "intervals": rows}],
    }
    if described:
        report["payloadDescriptors"] = described
    return encode(report)


def name_opt(count: int, *, is_in: bool) -> str:
    """Return the name of the report of a decision; decisions on an event are counted."""
    return f"opt-{count}-{'in' if is_in else 'out'}"


def build_opt(author: Author, kept: Kept, name: str) -> bytes:
    """Return the report of a refusal, or that it is taken back: 3.1 has no service for opts.

    The state is the standard's (Table 4), the reason a private type beside it.
    """
    state = NORMAL if kept.opt.is_in else OPTED_OUT
    span_s = 0 if kept.ends_s is None else max(kept.ends_s - kept.begins_s, 0)
    payloads: list[tuple[str, Any]] = [(STATE, state)]
    if not kept.opt.is_in:
        payloads.append((REASON, kept.opt.reason))
    line = Line(0, kept.begins_s, span_s, tuple(payloads))
    return build_report(author, kept.event.event_id, name, [line])


def parse_report_names(octets: bytes, client_name: str) -> tuple[set[str], int]:
    """Return the names of this client's reports on a page, and how many the page has.

    Raises:
        JsonError: it is none.
    """
    rows = decode_rows(octets)
    own = [one for one in rows if find_text(one, "clientName") == client_name]
    return {find_text(one, "reportName") for one in own}, len(rows)
