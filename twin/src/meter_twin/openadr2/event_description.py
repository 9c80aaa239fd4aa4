"""How an event is shown, whichever OpenADR said it. Neighbours: both agents."""

from typing import Any

from meter_twin.demand_response.dr_event import MICRO
from meter_twin.demand_response.event_book import Kept, Status

from .times import format_moment


def describe_event(one: Kept, now_s: int) -> dict[str, Any]:
    """Return an event as `kubectl meter dr` shows it."""
    event, status = one.event, one.find_status(now_s)
    return {
        "id": event.event_id,
        "modification": event.modification,
        "status": status.value,
        "signal": " ".join(signal.name for signal in event.signals),
        "value": _find_value(one, now_s),
        "start": format_moment(one.begins_s),
        "end": None if one.ends_s is None else format_moment(one.ends_s),
        "random_offset_seconds": one.offset_s,
        "opt": "optIn" if one.opt.is_in else "optOut",
        "opt_reason": one.opt.reason,
        "test": event.is_test,
        "resources": list(event.resources),
        "fault": event.fault.description if event.fault else None,
        "active": status is Status.ACTIVE and one.opt.is_in and not event.is_test,
    }


def _find_value(one: Kept, now_s: int) -> float | None:
    """Return what the first signal says now, or from its beginning on; None without a value."""
    intervals = one.event.signals[0].intervals if one.event.signals else ()
    begun = [row for row in intervals if one.begins_s + row.offset_s <= now_s]
    shown = begun[-1:] or intervals[:1]
    return shown[0].value_micro / MICRO if shown else None
