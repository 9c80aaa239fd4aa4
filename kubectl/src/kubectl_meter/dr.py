"""How a meter stands with its utility: registration, events, reports, as people read them. Pure."""

from datetime import datetime
from typing import Any

from kubectl_meter.tables import format_table
from kubectl_meter.twin import find_condition

_EVENTS = ("EVENT", "STATUS", "SIGNAL", "VALUE", "START", "END", "OPT", "NOTE")
_CAPACITY = ("CAPACITY", "EVENT", "START", "END", "WATTS", "PER KW")
_PERFORMANCES = ("EVENT", "START", "BASELINE", "METERED", "DELIVERED", "METHOD", "NOTE")
_REPORTS = ("REPORT", "REQUEST", "SENT UNTIL")
_RESULTS = {
    "running": "so far",
    "waiting": "waits for the meter",
    "incomplete": "quarter hours are missing",
    "too-long": "longer than a day",
    "no-profile": "metering-data keeps no profile",
    "none": "no baseline is agreed",
    "test": "test",
}


def dr_view(meter: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Return what the twin says, with the utility's name and the operator's condition."""
    found = find_condition(meter, "UtilityRegistered")
    return {
        "meter": meter["metadata"]["name"],
        "utility": meter["spec"]["utility"]["name"],
        **told,
        "condition": {name: found.get(name) for name in ("status", "reason", "message")},
    }


def dr_text(view: dict[str, Any]) -> str:
    """Return a sentence, then tables of events, what they have brought, capacity and reports."""
    parts = [_sentence(view)]
    events = view["events"]
    if events:
        parts.append(format_table(_EVENTS, [_event_row(one) for one in events]))
    else:
        parts.append("No events.")
    performances = view.get("performance")  # a twin of before has none
    if performances:
        parts.append(
            "Delivered, estimated from the meter's quarter hours:\n"
            + format_table(_PERFORMANCES, [_performance_row(one) for one in performances])
        )
    capacity = _capacity_rows(view.get("capacity") or {})  # twins before 3.1's bids say none
    if capacity:
        parts.append(format_table(_CAPACITY, capacity))
    if view["reports"]:
        rows = [[one["name"], one["id"], one["sent_until"]] for one in view["reports"]]
        parts.append(format_table(_REPORTS, rows))
    return "\n\n".join(parts)


def _sentence(view: dict[str, Any]) -> str:
    who = f"{view['meter']} with {view['utility']}"
    if view["registered"] and view["reason"] == "Registered":
        heard = view.get("notifications") or {}
        told = f", told of changes by {heard['broker']}" if heard.get("listening") else ""
        return f"{who}: registered as {view['ven_id']} ({view['protocol']}){told}"
    condition = view["condition"]
    why = view["message"] or ""
    same = condition["reason"] == view["reason"]
    why = (condition["message"] or why) if same else why
    state = "registered, but " if view["registered"] else ""
    return f"{who}: {state}{view['reason']}{f': {why}' if why else ''}"


def _event_row(one: dict[str, Any]) -> list[str]:
    return [
        one["id"],
        one["status"],
        one["signal"],
        "" if one["value"] is None else f"{one['value']:g}",
        _short(one["start"]),
        _short(one["end"]) if one["end"] else "open",
        one["opt"],
        _note(one),
    ]


def _name_bid(one: dict[str, Any]) -> str:
    if one.get("refused"):  # a twin of the version before does not tell
        return "bid, refused"
    return "bid" if one["arrived"] else "bid, on its way"


def _capacity_rows(capacity: dict[str, Any]) -> list[list[str]]:
    rows = [("offered", one, one["price"]) for one in capacity.get("offers", [])]
    rows += [(_name_bid(one), one, one["fee"]) for one in capacity.get("bids", [])]
    rows += [(one["kind"], one, None) for one in capacity.get("granted", [])]
    return [
        [
            f"{one['direction']} {what}",
            one["event"],
            _short(one["start"]),
            _short(one["end"]) if one["end"] else "open",
            str(one["watts"]),
            "" if price is None else f"{price:g}",
        ]
        for what, one, price in rows
    ]


def _performance_row(one: dict[str, Any]) -> list[str]:
    values = (one[f"{name}_wh"] for name in ("baseline", "metered", "delivered"))
    return [
        one["event"],
        _short(one["start"]),
        *("" if value is None else f"{value / 1000:.3f} kWh" for value in values),
        one["method"],
        _performance_note(one),
    ]


def _performance_note(one: dict[str, Any]) -> str:
    notes = [_RESULTS.get(one["result"], one["result"])] if one["result"] != "delivered" else []
    is_short = one["days_found"] is not None and one["days_found"] < one["days_needed"]
    if is_short:
        notes.append(f"{one['days_found']} of {one['days_needed']} like days")
    if one["adjustment_percent"] is not None:
        notes.append(f"adjusted to {one['adjustment_percent']:g} %")
    if one["opt"] == "optOut" and not one["test"]:
        notes.append("left early")
    return ", ".join(notes)


def _short(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%m-%d %H:%M:%S")


def _note(one: dict[str, Any]) -> str:
    notes = []
    if one["fault"]:
        notes.append(one["fault"])
    elif one["opt"] == "optOut":
        notes.append(one["opt_reason"])
    if one["test"]:
        notes.append("test")
    if one["active"]:
        notes.append("acts now")
    if one["random_offset_seconds"]:
        notes.append(f"{one['random_offset_seconds']} s of random offset")
    return ", ".join(notes)
