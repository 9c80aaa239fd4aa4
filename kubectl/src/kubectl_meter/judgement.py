"""What is wrong with a wish or an answer although twin and kubectl found no fault. Pure.

`cli` asks here before it asks a twin (windows), and before it prints an answer (registers).
"""

import re
from datetime import UTC, datetime
from typing import Any

from kubectl_meter.errors import MeterError, WrongUsage

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def check_window(since: str | None, until: str | None, now: datetime) -> None:
    """Refuse a window in which there is no second; what is no time is left to the twin.

    Without an end only a span is judged: this machine's clock need not be the twin's.

    Raises:
        WrongUsage: the begin is not before the end.
    """
    begin = _find_time(since, now)
    end = _find_time(until, now)
    if until is None and since is not None and since[-1:] in _SECONDS:
        end = now
    if begin is not None and end is not None and begin >= end:
        raise WrongUsage(
            f"there is no time between {since} and {until or 'now'}",
            field="--since",
            remedy="begin before --until: --since 2h --until 1h, or --since 1h for the last hour",
        )


def _find_time(text: str | None, now: datetime) -> datetime | None:
    """Return a time as the twin reads it (span back from now, RFC 3339), None if it is none."""
    span = re.fullmatch(r"(\d{1,6})([smhd])", text or "")
    try:
        if span:
            seconds = now.timestamp() - int(span[1]) * _SECONDS[span[2]]
            return datetime.fromtimestamp(seconds, UTC)
        found = datetime.fromisoformat(text or "")
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo else None


def has_reading(document: dict[str, Any]) -> bool:
    """Return whether an answer of `/v1/registers` holds a reading, asked now or stored."""
    return document.get("source") == "metered" or document.get("seq") is not None


def find_fault(
    document: dict[str, Any], name: str, *, live: bool, timeout_s: int
) -> MeterError | None:
    """Return why an answer of `/v1/registers` is not what was asked for; None if it is."""
    failed = live and document.get("source") != "metered"
    empty = not has_reading(document)
    if not failed and not empty:
        return None
    status = f"`kubectl meter status {name}` tells whether the meter is connected"
    nothing = f"no reading of {name} is stored yet"
    if not failed:
        return MeterError(nothing, field="NAME", remedy=status)
    code = document.get("live")
    why, remedy = _explain(code, timeout_s, status)
    rest = f", and {nothing}" if empty else ": these are its last registers"
    return MeterError(why + rest, field="--live", remedy=remedy)


def _explain(code: str | None, timeout_s: int, status: str) -> tuple[str, str]:
    if code == "timeout":
        return f"the meter did not answer within {timeout_s} s", f"a longer --timeout, or {status}"
    if code == "twin_busy":
        return "too many commands wait for the meter", "try again in some seconds"
    if code == "meter_offline":
        return "the meter has no session with its twin", status
    return (f"the meter answered {code}" if code else "the meter did not answer"), status
