"""How meters are: views of SmartMeters and of a twin's own status, as data and as text. Pure."""

from collections.abc import Sequence
from typing import Any

from kubectl_meter.tables import format_table
from kubectl_meter.twin import find_condition

CONDITIONS = ("Ready", "TwinReady", "MeterConnected")
DELETABLE = "Deletable"


def fleet_view(meter: dict[str, Any]) -> dict[str, Any]:
    """Return what one line says about a SmartMeter; a condition of an older spec is Unknown."""
    status = meter.get("status", {})
    view: dict[str, Any] = {
        "namespace": meter["metadata"].get("namespace", ""),
        "name": meter["metadata"]["name"],
        "device": meter["spec"].get("device") or meter["metadata"]["name"],
    }
    for kind in CONDITIONS:
        view[kind[0].lower() + kind[1:]] = _judge_condition(meter, kind).get("status", "Unknown")
    ready = _judge_condition(meter, "Ready")
    view["reason"] = ready.get("reason", "")
    view["message"] = ready.get("message", "")
    view["deletion"] = _find_deletion(meter)
    view["epoch"] = status.get("epoch")
    view["twinVersion"] = status.get("twin", {}).get("version")
    view["pod"] = status.get("twin", {}).get("pod")
    view["node"] = status.get("twin", {}).get("node")
    view["lastSeen"] = status.get("lastSeen")
    return view


def fleet_table(meters: Sequence[dict[str, Any]], *, namespaces: bool) -> str:
    """Return a line for each meter and a last one with the sums."""
    if not meters:
        return "No meters. Declare one: kubectl apply -f examples/street.yaml"
    views = [fleet_view(meter) for meter in meters]
    head = ["NAME", "READY", "REASON", "METER", "TWIN-VERSION", "EPOCH", "LAST-SEEN"]
    rows = []
    for view in views:
        connected = {"True": "connected", "False": "silent"}.get(view["meterConnected"], "unknown")
        reason = f"Deleted: {view['deletion']}" if view["deletion"] else view["reason"]
        row = [view["name"], view["ready"], reason, connected]
        row += [view["twinVersion"] or "", str(view["epoch"] or ""), view["lastSeen"] or "never"]
        rows.append([view["namespace"], *row] if namespaces else row)
    ready = sum(view["ready"] == "True" for view in views)
    connected_count = sum(view["meterConnected"] == "True" for view in views)
    table = format_table(["NAMESPACE", *head] if namespaces else head, rows)
    return f"{table}\n\n{len(views)} meters, {ready} ready, {connected_count} connected"


def meter_view(meter: dict[str, Any], link: dict[str, Any] | None) -> dict[str, Any]:
    """Return a SmartMeter's view with its conditions and, under `link`, the twin's own words."""
    conditions = [
        {key: found.get(key, "") for key in ("type", "status", "reason", "message")}
        for found in (_judge_condition(meter, kind) for kind in (*CONDITIONS, DELETABLE))
        if found
    ]
    return {**fleet_view(meter), "conditions": conditions, "link": link}


def meter_view_text(view: dict[str, Any]) -> str:
    """Return a meter's status for a person."""
    facts = [
        ("Meter", view["name"]),
        ("Device", view["device"]),
        ("Epoch", str(view["epoch"] or "none")),
        ("Twin", f"{view['pod'] or 'none'} {view['twinVersion'] or ''}".strip()),
        ("Node", view["node"] or "unknown"),
        ("Last seen", view["lastSeen"] or "never"),
    ]
    width = max(len(name) for name, _ in facts)
    lines = [f"{name + ':':<{width + 2}}{value}" for name, value in facts]
    rows = [
        [item["type"], item["status"], item["reason"], item["message"]]
        for item in view["conditions"]
    ]
    lines += ["", format_table(["CONDITION", "STATUS", "REASON", "MESSAGE"], rows)]
    if view["link"] is not None:
        lines += ["", *_link_lines(view["link"])]
    return "\n".join(lines)


def _find_deletion(meter: dict[str, Any]) -> str | None:
    """Return why a deletion waits, in one word; None without one."""
    if not meter["metadata"].get("deletionTimestamp"):
        return None
    return str(find_condition(meter, DELETABLE).get("reason") or "Waiting")


def _judge_condition(meter: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a condition; one of an older spec is Unknown and Outdated."""
    found = find_condition(meter, kind)
    generation = meter["metadata"].get("generation")
    observed = found.get("observedGeneration", generation)
    if observed == generation:
        return found
    message = f"of generation {observed}; the operator has not looked at {generation} yet"
    return {**found, "status": "Unknown", "reason": "Outdated", "message": message}


def _describe_archive(archive: dict[str, Any]) -> str:
    """Return how a twin stands with the archive."""
    text = f"{archive['state']}, {archive['behind']} entries not there"
    text += f", last answer {archive['lastAnswer'] or 'never'}"
    restore = archive.get("restore")
    if restore and restore["state"] != "whole":
        missing = "unknown" if restore["missing"] is None else restore["missing"]
        text += f"; {restore['restored']} restored, {missing} missing"
    return f"{text}: {archive['message']}" if archive.get("message") else text


def _link_lines(link: dict[str, Any]) -> list[str]:
    session = "open" if link.get("session") else "closed"
    session += ", its frames encrypted" if link.get("encrypted") else ""
    lines = [f"Link: {session}, {link.get('entries', 0)} entries stored"]
    lines += [
        f"  incarnation {mark['incarnation']}: stored up to {mark['stored']},"
        f" archived up to {mark['archived']}"
        for mark in link.get("marks", [])
    ]
    if link.get("archive"):
        lines.append(f"  archive: {_describe_archive(link['archive'])}")
    troubles = {
        "holes": link.get("holes", 0),
        "conflicts": link.get("conflicts", 0),
        "chain breaks": link.get("chainBreaks", 0),
        "frames dropped": link.get("framesDropped", 0),
        "frames refused": sum((link.get("refused") or {}).values()),
    }
    seen = [f"{name}: {count}" for name, count in troubles.items() if count]
    lines.append(f"  {', '.join(seen) if seen else 'no holes, conflicts or refused frames'}")
    if link.get("storeFault"):
        lines.append(f"  STORE FAULT: {link['storeFault']}")
    return lines
