"""How an event is shown, whichever OpenADR said it. Neighbours: both agents."""

from typing import Any

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
        "start": format_moment(one.begins_s),
        "end": None if one.ends_s is None else format_moment(one.ends_s),
        "random_offset_seconds": one.offset_s,
        "opt": "optIn" if one.opt.is_in else "optOut",
        "opt_reason": one.opt.reason,
        "test": event.is_test,
        "fault": event.fault.description if event.fault else None,
        "active": status is Status.ACTIVE and one.opt.is_in and not event.is_test,
    }
