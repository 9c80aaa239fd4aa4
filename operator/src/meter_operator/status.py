"""Conditions of a SmartMeter: states, true only for the current generation. Pure."""

import math
from dataclasses import replace
from datetime import datetime
from typing import Any

from meter_wire.names import build_twin_name

from meter_operator.decisions import TAKEN_OVER
from meter_operator.deletion import DELETABLE, Obstacle
from meter_operator.desired import Desired, Json, Meter
from meter_operator.moments import format_moment, parse_moment
from meter_operator.observed import Observed, Pod, TwinState
from meter_operator.policies import Violation
from meter_operator.utility_status import UTILITY_REGISTERED, build_condition

COARSE_S = 300
# At most this many writes a second because of `lastSeen`, however large the fleet.
LAST_SEEN_WRITES_PER_S = 2
STARTING = "Starting"
SERVING = "Serving"
NOT_READY = "NotReady"
# 2000 and 2100: what is outside no meter has seen.
EARLIEST_S = 946_684_800
LATEST_S = 4_102_444_800


def _condition(kind: str, truth: bool | None, reason: str, message: str) -> Json:
    return {
        "type": kind,
        "status": {True: "True", False: "False", None: "Unknown"}[truth],
        "reason": reason,
        "message": message,
    }


def _twin_ready(violation: Violation | None, name: str, pod: Pod | None) -> Json:
    """Return the condition; until the pod is ready or in trouble one text serves for all."""
    if violation:
        return _condition("TwinReady", False, violation.reason, violation.message)
    if pod is not None and not pod.gone and pod.ready:
        return _condition("TwinReady", True, SERVING, f"{name} serves the meter")
    if pod is not None and not pod.gone and pod.message:
        return _condition("TwinReady", False, NOT_READY, f"{name}: {pod.message}")
    return _condition("TwinReady", False, STARTING, f"{name} has not become ready yet")


def find_violation_reason(meter: Meter) -> str:
    """Return why a meter is left as it is, as its status says; empty if nothing is wrong."""
    if meter.paused:
        return "Paused"
    rows = {row["type"]: row["reason"] for row in meter.status.get("conditions") or []}
    reason = str(rows.get("TwinReady", ""))
    return "" if reason in {STARTING, SERVING, NOT_READY} else reason


def find_ready_since(meter: Meter, *, ready: bool) -> float:
    """Return since when the twin is ready, or is not, in seconds since 1970.

    Far ahead, so no time at all, where status does not say so, or not yet. A condition goes on when
    a twin that was not ready is replaced; the time of the new one begins with its takeover.
    """
    rows = meter.status.get("conditions") or []
    found = next((row for row in rows if row["type"] == "TwinReady"), None)
    if found is None or (found["status"] == "True") != ready:
        return math.inf
    since_s = parse_moment(found["lastTransitionTime"]) or math.inf
    made = [row for row in meter.status.get("handovers") or [] if row["to"] == meter.epoch]
    moments = [parse_moment(row["endedAt"]) for row in made if row["result"] == TAKEN_OVER]
    return max(since_s, *moments) if moments else since_s


def _meter_connected(state: TwinState | None, before: Json | None, *, serving: bool) -> Json:
    """Return the condition; a broker that restarts says nothing about meters, so it stays."""
    if not serving:
        text = "the twin does not serve, so nothing is known of the meter"
        return _condition("MeterConnected", None, "TwinNotReady", text)
    if state is None or not state.online:
        if before and before["reason"] != "TwinNotReady":
            return {name: before[name] for name in ("type", "status", "reason", "message")}
        return _condition("MeterConnected", None, "TwinSilent", "the twin has not reported yet")
    if state.meter == "connected":
        return _condition("MeterConnected", True, "Connected", "the meter speaks to its twin")
    if state.meter == "silent":
        text = "the meter has been silent; its readings wait in its ring"
        return _condition("MeterConnected", False, "Silent", text)
    text = "the meter has not spoken to this twin yet"
    return _condition("MeterConnected", False, "NeverSeen", text)


def coarse(moment: str) -> str:
    """Return an RFC 3339 time rounded down to five minutes; nothing when it makes no sense.

    A twin says it, so it may be anything; the API server takes years of four digits only.
    """
    try:
        seconds = _seconds(moment)
    except (ValueError, OverflowError):
        return ""
    if not EARLIEST_S <= seconds < LATEST_S:
        return ""
    return format_moment(seconds // COARSE_S * COARSE_S)


def find_condition(status: Json, kind: str) -> Json | None:
    """Return the condition of a type, None if there is none."""
    rows = status.get("conditions") or []
    return next((row for row in rows if row["type"] == kind), None)


def _stamp(conditions: list[Json], meter: Meter, now: datetime) -> list[Json]:
    before = {row["type"]: row for row in meter.status.get("conditions") or []}
    stamp = format_moment(now)
    for condition in conditions:
        old = before.get(condition["type"])
        same = old is not None and old["status"] == condition["status"]
        condition["lastTransitionTime"] = old["lastTransitionTime"] if same and old else stamp
        condition["observedGeneration"] = meter.generation
    return conditions


def _deletable(meter: Meter, obstacle: Obstacle | None, before: Json | None) -> list[Json]:
    """Return the condition, which only a SmartMeter has whose deletion waits."""
    if obstacle is not None:
        return [_condition(DELETABLE, False, obstacle.reason, obstacle.message)]
    if before is None or not meter.is_held:
        return []
    return [{name: before[name] for name in ("type", "status", "reason", "message")}]


def build_status(
    observed: Observed,
    desired: Desired | None,
    violation: Violation | None,
    now: datetime,
    obstacle: Obstacle | None = None,
) -> dict[str, Any]:
    """Return the part of status that follows from what was observed (not the decision's part).

    `obstacle`: why a deletion waits; without one the condition stays as it is until that is known.
    """
    meter = observed.meter
    pod = observed.find_pod(meter.epoch) if meter.epoch else None
    current = pod is not None and desired is not None and pod.spec_hash == desired.spec_hash
    twin = _twin_ready(violation, build_twin_name(meter.device, meter.epoch or 1), pod)
    state = observed.states.get(meter.epoch)
    before = {row["type"]: row for row in meter.status.get("conditions") or []}
    serving = twin["status"] == "True"
    connected = _meter_connected(state, before.get("MeterConnected"), serving=serving)
    ready = twin["status"] == "True" and current
    reason = twin["reason"] if ready or twin["status"] == "False" else "Replacing"
    message = twin["message"] if reason != "Replacing" else "the twin has an older configuration"
    deletable = _deletable(meter, obstacle, before.get(DELETABLE))
    said = state.standing if state is not None and state.online else None
    utility = build_condition(
        *(meter, said, before.get(UTILITY_REGISTERED), _condition), is_there=observed.has_utility
    )
    conditions = [
        twin,
        connected,
        *utility,
        *deletable,
        _condition("Ready", ready, reason, message),
    ]
    found: dict[str, Any] = {
        "observedGeneration": meter.generation,
        "conditions": _stamp(conditions, meter, now),
    }
    if pod is not None:
        found["twin"] = {
            "version": pod.version,
            "pod": pod.name,
            "podUid": pod.uid,
            "node": pod.node,
            "templateHash": pod.template_hash,
            "certificateNotAfter": pod.certificate_not_after,
        }
        found["twin"] = {name: value for name, value in found["twin"].items() if value}
    last_seen = coarse(state.last_seen) if state else ""
    if last_seen:
        found["lastSeen"] = last_seen
    return found


def build_decision_status(
    observed: Observed, desired: Desired, decision: Json, now: datetime
) -> dict[str, Any]:
    """Return a decision with what follows from it at once, for one write.

    What status says of the twin before is removed: it was another pod.
    """
    meter = replace(observed.meter, status=observed.meter.status | decision)
    after = build_status(replace(observed, meter=meter), desired, None, now)
    twin: Json = dict.fromkeys(observed.meter.status.get("twin") or {})
    twin |= {"pod": build_twin_name(meter.device, meter.epoch), "version": desired.version}
    return after | {"twin": twin} | decision


def changed(status: Json, wanted: Json, *, fleet_size: int = 1) -> Json:
    """Return the fields of `wanted` that differ from `status`; empty means nothing to write.

    What changes while a pod starts (its identity, its node) is written with the next condition. A
    `lastSeen` that moved is written with the next change, alone only after five minutes, or later
    in a large fleet.
    """
    different = {name: value for name, value in wanted.items() if status.get(name) != value}
    if different.keys() == {"twin"} and wanted["conditions"][-1]["reason"] == STARTING:
        return {}
    if different.keys() != {"lastSeen"} or "lastSeen" not in status:
        return different
    step = max(COARSE_S, fleet_size / LAST_SEEN_WRITES_PER_S)
    moved = _seconds(wanted["lastSeen"]) - _seconds(status["lastSeen"])
    return different if moved >= step else {}


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
