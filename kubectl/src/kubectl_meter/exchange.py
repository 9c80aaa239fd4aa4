"""A device of a metering point is exchanged for another: what is checked, changed and kept. Pure.

The metering point moves from the old SmartMeter to the new one; the final register reading of the
one and the first of the other are what settles the bill across the exchange. The old resource keeps
its twin and all its readings, paused, until somebody deletes it. Every step can be repeated: what
the old resource had is noted in its annotation before the new one gets it. Neighbour:
`cli_exchange` (asks and writes).
"""

import json
from typing import Any, NamedTuple

from meter_wire.names import ANNOTATION_PAUSED, GROUP

from kubectl_meter.errors import MeterError
from kubectl_meter.tables import format_register, format_table, register_name

Json = dict[str, Any]
REPLACED_BY = f"{GROUP}/replaced-by"
POINT_BEFORE = f"{GROUP}/metering-point-before"
_ENERGY = tuple(f"1-0:{kind}.8.{rate}*255" for kind in (1, 2, 3, 4) for rate in range(5))


class Exchange(NamedTuple):
    """Two SmartMeters and the metering point that moves; `begun`: the old one has let go of it."""

    old: Json
    new: Json
    point: Json
    begun: bool


def device_of(meter: Json) -> str:
    """Return the device of a SmartMeter."""
    return str(meter["spec"].get("device") or meter["metadata"]["name"])


def plan_exchange(old: Json, new: Json) -> Exchange:
    """Return what is to be done.

    Raises:
        MeterError: the same one twice, the old one was exchanged for another already, or the new
            one cannot get the metering point.
    """
    first, second = old["metadata"]["name"], new["metadata"]["name"]
    if first == second:
        raise MeterError(
            f"{first} cannot be exchanged for itself", field="NEW",
            remedy="declare the new device as a SmartMeter of its own and name that",
        )  # fmt: skip
    notes = old["metadata"].get("annotations") or {}
    successor = notes.get(REPLACED_BY)
    if successor not in {None, second}:
        raise MeterError(
            f"{first} was exchanged for {successor} already", field="OLD",
            remedy=f"exchange {successor} instead",
        )  # fmt: skip
    begun = successor == second
    point = json.loads(notes[POINT_BEFORE]) if begun else old["spec"]["meteringPoint"]
    _check_new(first, new, point if begun else None)
    return Exchange(old, new, point, begun)


def _check_new(old: str, new: Json, moved: Json | None) -> None:
    """Refuse a new one that is in use or left alone; `moved`: what it may have got already.

    Raises:
        MeterError: it was replaced, it is paused, or it has a metering point that bills rest on.
    """
    name, notes = new["metadata"]["name"], new["metadata"].get("annotations") or {}
    if notes.get(REPLACED_BY):
        raise MeterError(
            f"{name} was exchanged for {notes[REPLACED_BY]}, and keeps the readings from before",
            field=f"NEW, metadata.annotations[{REPLACED_BY}]",
            remedy=f"to install it again: kubectl annotate meter {name} {REPLACED_BY}-"
            f" {ANNOTATION_PAUSED}-, then this command",
        )
    if str(notes.get(ANNOTATION_PAUSED, "")).lower() == "true":
        raise MeterError(
            f"{name} is paused, so its twin would not get the metering point",
            field=f"NEW, metadata.annotations[{ANNOTATION_PAUSED}]",
            remedy=f"kubectl annotate meter {name} {ANNOTATION_PAUSED}-",
        )
    point = new["spec"].get("meteringPoint") or {}
    scheme = point.get("scheme", "EAN")
    if scheme == "Other" or (moved is not None and moved["id"] == point.get("id")):
        return
    swapped = f"is it the old device? kubectl meter exchange {name} {old}; " if not moved else ""
    raise MeterError(
        f"{name} has the metering point {point.get('id')} ({scheme}) already, which it would lose",
        field="NEW, spec.meteringPoint.scheme",
        remedy=swapped + "a device that is not installed has a placeholder with the scheme Other,"
        " such as {id: store-17, scheme: Other}",
    )


def patch_of_old(exchange: Exchange) -> Json:
    """Return the merge patch that takes the metering point from the old SmartMeter."""
    before = exchange.point
    point = dict.fromkeys(before) | {
        "id": f"removed-{before['id']}"[:64],
        "scheme": "Other",
        "timezone": before.get("timezone"),
    }
    notes = {
        REPLACED_BY: exchange.new["metadata"]["name"],
        POINT_BEFORE: json.dumps(before, sort_keys=True),
        ANNOTATION_PAUSED: "true",
    }
    return {"metadata": {"annotations": notes}, "spec": {"meteringPoint": point}}


def patch_of_new(exchange: Exchange) -> Json:
    """Return the merge patch that gives the metering point to the new SmartMeter.

    What it had is noted, once: when this is repeated it has the metering point already.
    """
    present = exchange.new["spec"].get("meteringPoint") or {}
    change: Json = {"spec": {"meteringPoint": dict.fromkeys(present) | exchange.point}}
    if present.get("id") != exchange.point["id"]:
        note = {POINT_BEFORE: json.dumps(present, sort_keys=True)}
        change["metadata"] = {"annotations": note}
    return change


def at_version(patch: Json, meter: Json) -> Json:
    """Return a patch that the API refuses if the SmartMeter is not any more as it was read."""
    version = meter["metadata"].get("resourceVersion")
    return patch | {"metadata": patch.get("metadata", {}) | {"resourceVersion": version}}


def is_as_read(before: Json, now: Json) -> bool:
    """Return whether all that an exchange rests on is as it was; a status may be another."""
    successors = [(m["metadata"].get("annotations") or {}).get(REPLACED_BY) for m in (before, now)]
    return bool(before["spec"] == now["spec"] and successors[0] == successors[1])


def build_protocol(exchange: Exchange, final: Json, first: Json, now: str) -> Json:
    """Return the record of an exchange; `final`, `first`: answers of `/v1/registers`."""
    return {
        "meteringPoint": exchange.point["id"],
        "exchangedAt": now,
        "old": _reading(exchange.old, final),
        "new": _reading(exchange.new, first),
    }


def _reading(meter: Json, document: Json) -> Json:
    registers = document.get("registers") or {}
    return {
        "meter": meter["metadata"]["name"],
        "device": device_of(meter),
        "source": "metered" if document.get("source") == "metered" else "stored",
        "time": document.get("time"),
        "status": document.get("status") or [],
        "registers": {code: registers[code] for code in _ENERGY if code in registers},
    }


def format_protocol(protocol: Json) -> str:
    """Return the record for people: a line for each device, then the registers of both."""
    old, new = protocol["old"], protocol["new"]
    lines = [f"Metering point {protocol['meteringPoint']}, exchanged {protocol['exchangedAt']}"]
    for name, one in (("final", old), ("first", new)):
        how = "asked from the meter" if one["source"] == "metered" else "the last one stored"
        status = ", ".join(one["status"]) or "valid"
        lines.append(
            f"{name}: {one['meter']}, device {one['device']}, {one['time']}, {how}, {status}"
        )
    rows = []
    for code in sorted(old["registers"].keys() | new["registers"].keys()):
        found = [one["registers"].get(code) for one in (old, new)]
        cells = [format_register(code, item) if item else ("", "") for item in found]
        unit = cells[0][1] or cells[1][1]
        rows.append((code, cells[0][0], cells[1][0], unit, register_name(code)))
    table = format_table(("REGISTER", "FINAL:", "FIRST:", "UNIT", "NAME"), rows)
    return "\n".join([*lines, "", table])
