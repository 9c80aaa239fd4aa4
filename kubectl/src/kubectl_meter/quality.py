"""Asks the archive how good its data are, and shows it. Neighbours: `cli_quality`, `archive`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from kubectl_meter.tables import format_table
from kubectl_meter.twin import Twin

Json = dict[str, Any]
_GOOD = "none"


class Report(NamedTuple):
    """Answers of the archive; gaps and findings are None if many meters were asked for."""

    performance: Json
    drift: Json
    gaps: Json | None
    findings: Json | None

    def document(self) -> Json:
        """Return the answers by their names."""
        return {name: one for name, one in self._asdict().items() if one is not None}


def ask_quality(archive: Twin, query: Json, limit: int) -> Report:
    """Return what the archive answers; `query` has subject and days.

    Raises:
        MeterError: the archive's own error, or it did not answer.
    """
    one = bool(query.get("meter") or query.get("point"))
    return Report(
        archive.get("/v1/performance", **query, limit=limit),
        archive.get("/v1/drift", **query, limit=limit),
        archive.get("/v1/gaps", **query) if one else None,
        archive.get("/v1/findings", **query) if one else None,
    )


def quality_text(report: Report) -> str:
    """Return all parts as tables, each under its name."""
    asked = report.performance
    target = f"Read success, target {_percent(asked['target'])} by {asked['deadline']}"
    parts = [
        (target, _performance(asked)),
        ("Meters, worst first", _meters(asked)),
        ("Clocks, worst first", _drift(report.drift)),
    ]
    if report.gaps is not None:
        parts.append(("Gaps", _gaps(report.gaps)))
    if report.findings is not None:
        parts.append(("Findings", _findings(report.findings)))
    return "\n\n".join(f"{title}\n{table}" for title, table in parts)


def _percent(share: float) -> str:
    """Return a share as per cent, rounded down, so that 100 means all."""
    return f"{int(share * 10000) / 100:g} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left_out: int = 0) -> str:
    if not rows:
        return _GOOD
    more = f"\n… and {left_out} more: --limit" if left_out else ""
    return format_table(head, rows) + more


def _performance(document: Json) -> str:
    rows = [
        (
            day["day"], _percent(day["success"]), _verdict(day), str(day["meters"]),
            str(day["complete"]), str(day["silent"]), str(day["late"]), str(day["missing"]),
        )
        for day in document["days"]
    ]  # fmt: skip
    head = ("DAY", "SUCCESS", "TARGET", "METERS", "COMPLETE", "SILENT", "LATE", "MISSING")
    return _table(head, rows)


def _verdict(day: Json) -> str:
    if not day["final"]:
        return "not over"
    return "met" if day["met"] else "missed"


def _meters(document: Json) -> str:
    rows = [
        (
            one["day"], one["meter"] or one["device"], one["meteringPoint"],
            _percent(one["success"]), str(one["late"]), str(one["missing"]),
        )
        for one in document["meters"]
        if one["late"] or one["missing"]
    ]  # fmt: skip
    head = ("DAY", "METER", "POINT", "SUCCESS", "LATE", "MISSING")
    return _table(head, rows, document["leftOut"])


def _drift(document: Json) -> str:
    rows = [
        (
            one["meter"] or one["device"], one["meteringPoint"],
            "-" if one["ppm"] is None else f"{one['ppm']:g}",
            str(one["steps"]), str(one["refused"]), f"{one['largestOffsetMs'] / 1000:g} s",
            f"{one['aheadSeconds']} s",
        )
        for one in document["meters"]
    ]  # fmt: skip
    head = ("METER", "POINT", "PPM", "STEPS", "REFUSED", "LARGEST", "AHEAD")
    return _table(head, rows, document["leftOut"])


def _gaps(document: Json) -> str:
    rows = [
        (gap["first"], gap["last"], device["device"], str(gap["missing"]), _words(gap["reason"]))
        for device in document["devices"]
        for gap in device["gaps"]
    ]
    return _table(("FROM", "TO", "DEVICE", "MISSING", "REASON"), rows)


def _findings(document: Json) -> str:
    rows = [
        (one["start"], one["end"], one["register"], _words(one["rule"]), one["text"])
        for device in document["devices"]
        for one in device["findings"]
    ]
    return _table(("FROM", "TO", "REGISTER", "RULE", "TEXT"), rows)


def _words(name: str) -> str:
    return name.replace("_", " ")
