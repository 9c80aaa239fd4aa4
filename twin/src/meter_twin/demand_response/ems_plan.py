"""What the home's energy management system (EMS) is told: limits, prices, events. Pure.

A plan holds for ten minutes: who gets no newer one goes back to what it does by itself, so nothing
that an EMS has been told outlives twin or utility. docs/reference/ems-api.md is its contract.
Neighbours: `load_limit`, `house_limit`, `price_plan`; `energy_management` hands it over.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from .dr_event import LATEST_LOCAL_S, MICRO
from .event_book import Kept, Status
from .house_limit import Target, find_house_limits, find_in_force
from .load_limit import LoadLimit
from .price_plan import Price

VALID_S = 600
MOST_EVENTS = 8


def build_plan(
    limit: LoadLimit | None,
    prices: Iterable[Price],
    kept: Iterable[Kept],
    now_s: int,
    *,
    stopped: bool = False,
) -> dict[str, Any]:
    """Return a plan as JSON values: times in RFC 3339, W, and price a kWh in `currency`.

    `stopped`: load control is, so nothing is limited or asked for, whatever the events say.
    """
    kept = list(kept)
    coming = [one for one in kept if _is_shown(one, now_s)]
    house = find_house_limits(() if stopped else kept, now_s)
    return {
        "issued": _format(now_s),
        "valid_until": _format(now_s + VALID_S),
        "stopped": stopped,
        "limit": None if stopped else _describe_limit(limit),
        "limits": {
            "import": _describe_limit(house.import_limit),
            "export": _describe_limit(house.export_limit),
        },
        "charge": _describe_target(house.charge),
        "dispatch": _describe_target(house.dispatch),
        "prices": [_describe_price(one) for one in prices],
        "events": [
            _describe_event(one, now_s) | _describe_ask(one, now_s, stopped=stopped)
            for one in sorted(coming, key=_begins)[:MOST_EVENTS]
        ],
    }


def _is_shown(one: Kept, now_s: int) -> bool:
    over = one.find_status(now_s) in (Status.COMPLETED, Status.CANCELLED)
    return one.opt.is_in and one.event.fault is None and not over


def _begins(one: Kept) -> int:
    return one.begins_s


def _describe_limit(limit: LoadLimit | None) -> dict[str, Any] | None:
    if limit is None:
        return None
    until = None if limit.until_s is None else _format(limit.until_s)
    return {"watts": limit.limit_w, "until": until, "event": limit.event_id}


def _describe_target(target: Target | None) -> dict[str, Any] | None:
    if target is None:
        return None
    return {
        "value": target.value,
        "unit": target.unit,
        "relative": target.is_relative,
        "until": None if target.until_s is None else _format(target.until_s),
        "event": target.event_id,
    }


def _describe_price(price: Price) -> dict[str, Any]:
    return {
        "start": _format(price.start_s),
        "end": _format(price.end_s),
        "price": price.value_micro / MICRO,
        "unit": price.unit,
    }


def _describe_event(one: Kept, now_s: int) -> dict[str, Any]:
    return {
        "id": one.event.event_id,
        "status": one.find_status(now_s).value,
        "signal": " ".join(signal.name for signal in one.event.signals),
        "start": _format(one.begins_s),
        "end": None if one.ends_s is None else _format(one.ends_s),
        "test": one.event.is_test,
    }


def _describe_ask(one: Kept, now_s: int, *, stopped: bool) -> dict[str, Any]:
    """Return what an event asks of single devices now: nobody but the EMS can do it."""
    if not one.event.resources:
        return {}
    said = None if stopped else find_in_force(one, now_s)
    return {
        "resources": list(one.event.resources),
        "value": None if said is None else said.value_micro / MICRO,
        "unit": None if said is None else said.unit,
        "relative": said is not None and (said.type == "delta" or said.type.endswith("Offset")),
    }


def _format(time_s: int) -> str:
    return datetime.fromtimestamp(min(time_s, LATEST_LOCAL_S), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
