"""How a meter's twin was replaced: the last five handovers, and the one under way. Pure."""

from datetime import datetime
from typing import Any

from kubectl_meter.tables import format_table

_HEAD = ("FROM", "TO", "VERSION", "REASON", "BEGUN", "COMMIT", "SECONDS", "RESULT", "MESSAGE")


def handovers_view(meter: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the handovers of a SmartMeter, the newest first; the phase of one that goes on."""
    status = meter.get("status", {})
    rows = [_row(row, row["result"]) for row in status.get("handovers") or []]
    current = status.get("handover")
    if current:
        going_on = {**current, "from": current["source"], "to": current["epoch"]}
        rows.insert(0, _row(going_on, current["phase"]))
    return rows


def _row(found: dict[str, Any], result: str) -> dict[str, Any]:
    names = ("from", "to", "version", "reason", "begunAt", "committedAt", "endedAt", "message")
    row: dict[str, Any] = {name: found.get(name) for name in names}
    begun = row["begunAt"]
    lasted = {
        "commitSeconds": _seconds(begun, row["committedAt"]),
        "seconds": _seconds(begun, row["endedAt"]),
    }
    return {**row, **lasted, "result": result}


def _seconds(begun: str, end: str | None) -> int | None:
    """Return how long it took; status has whole seconds."""
    if not end:
        return None
    return int((datetime.fromisoformat(end) - datetime.fromisoformat(begun)).total_seconds())


def handovers_table(rows: list[dict[str, Any]]) -> str:
    """Return a line for each handover."""
    if not rows:
        return "No handover yet."
    times = ("begunAt", "commitSeconds", "seconds")
    fields = ("from", "to", "version", "reason", *times, "result", "message")
    cells = [[_text(row[name]) for name in fields] for row in rows]
    return format_table(_HEAD, cells)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
