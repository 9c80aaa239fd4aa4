"""Write the chart's Grafana dashboards, or check them. Neighbour: `generate` of the same folder.

A dashboard is a list of panels; what is the same in all of them is written here once. Expressions
name metrics of docs/reference/metrics.md; `$namespace` is where the archive is.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

TARGET = Path(__file__).resolve().parents[2] / "charts/metertwin/files/dashboards"
_WIDTH, _HEIGHT, _A_ROW = 8, 7, 3


class Panel(NamedTuple):
    """A panel of lines: title, unit as Grafana calls it, (legend, expression) of each line."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]


_OURS = '{namespace="$namespace"}'
_LATENCY = (
    "histogram_quantile({share}, sum by (le)"
    ' (rate(metertwin_archive_commit_seconds_bucket{{namespace="$namespace"}}[5m])))'
)
_FREE = f"kubelet_volume_stats_available_bytes{_OURS} / kubelet_volume_stats_capacity_bytes{_OURS}"


def _rate_by(label: str, metric: str) -> str:
    return f"sum by ({label}) (rate({metric}{_OURS}[5m]))"


ARCHIVE = (
    Panel("Readings and events a second", "short", (
        ("stored", f"sum(rate(metertwin_archive_entries_stored_total{_OURS}[5m]))"),
        ("known already", f"sum(rate(metertwin_archive_entries_duplicate_total{_OURS}[5m]))"),
    )),
    Panel("Time of a commit", "s", (
        ("p50", _LATENCY.format(share="0.5")), ("p99", _LATENCY.format(share="0.99")),
    )),
    Panel("Waiting for their commit", "bytes", (
        ("{{pod}}", f"metertwin_archive_waiting_bytes{_OURS}"),
    )),
    Panel("Database up", "short", (("{{pod}}", f"metertwin_archive_database_up{_OURS}"),)),
    Panel("Since the last commit", "s", (
        ("", f"time() - max(metertwin_archive_last_commit_timestamp_seconds{_OURS})"),
    )),
    Panel("Batches postponed a second", "short", (
        ("{{reason}}", _rate_by("reason", "metertwin_archive_batches_postponed_total")),
    )),
    Panel("Requests and connections refused a second", "short", (
        ("{{status}}", _rate_by("status", "metertwin_archive_requests_refused_total")),
        ("{{reason}}", _rate_by("reason", "metertwin_archive_connections_refused_total")),
    )),
    Panel("Questions a second", "short", (
        ("{{status}}", _rate_by("status", "metertwin_archive_questions_total")),
        ("not noted each", f"sum(rate(metertwin_archive_questions_unnoted_total{_OURS}[5m]))"),
    )),
    Panel("Given back to twins a second", "short", (
        ("", f"sum(rate(metertwin_archive_entries_returned_total{_OURS}[5m]))"),
    )),
    Panel("Conflicts in an hour", "short", (
        ("", f"sum(increase(metertwin_archive_entries_conflicting_total{_OURS}[1h]))"),
    )),
    Panel("Since the last upkeep", "s", (
        ("", f"time() - max(metertwin_archive_upkeep_timestamp_seconds{_OURS})"),
    )),
    Panel("Deleted by policy in an hour", "short", (
        ("", f"sum(increase(metertwin_archive_entries_expired_total{_OURS}[1h]))"),
    )),
    Panel("Until the certificate ends", "s", (
        ("", f"min(metertwin_archive_certificate_expiry_timestamp_seconds{_OURS}) - time()"),
    )),
    Panel("Free on volumes", "percentunit", (
        ("{{persistentvolumeclaim}}", _FREE),
    )),
)  # fmt: skip
FLEET = (
    Panel("Meters by readiness", "short", (
        ("ready {{ready}}", "sum by (ready) (metertwin_meters)"),
    )),
    Panel("Twins with a session", "short", (
        ("connected", "sum(metertwin_twin_broker_connected)"),
        ("ready", "sum(metertwin_twin_ready)"),
    )),
    Panel("Meters not heard for an hour", "short", (
        ("", "count(time() - metertwin_twin_meter_heard_seconds > 3600)"),
    )),
    Panel("Entries stored by twins a second", "short", (
        ("", "sum(rate(metertwin_twin_entries_stored_total[5m]))"),
    )),
    Panel("Frames refused a second", "short", (
        ("", "sum(rate(metertwin_twin_frames_refused_total[5m]))"),
    )),
    Panel("Conflicts and failed commits of stores", "short", (
        ("conflicts", "sum(metertwin_twin_conflicts_total)"),
        ("failed commits in an hour", "sum(increase(metertwin_twin_store_failures_total[1h]))"),
    )),
    Panel("Highest memory of a twin", "bytes", (
        ("p50", "quantile(0.5, metertwin_twin_memory_peak_bytes)"),
        ("p99", "quantile(0.99, metertwin_twin_memory_peak_bytes)"),
    )),
    Panel("Handovers under way", "short", (
        ("{{phase}}", "sum by (phase) (metertwin_handovers_open)"),
    )),
    Panel("Handovers ended in an hour", "short", (
        ("{{result}}", "sum by (result) (increase(metertwin_handovers_total[1h]))"),
    )),
    Panel("Oldest handover", "s", (
        ("{{phase}}", "max by (phase) (metertwin_handover_oldest_seconds)"),
    )),
    Panel("Rollouts", "short", (
        ("{{profile}} {{state}}", "sum by (profile, state) (metertwin_profile_meters)"),
    )),
    Panel("Operator: looks at meters a second", "short", (
        ("{{result}}", "sum by (result) (rate(controller_runtime_reconcile_total[5m]))"),
        ("waiting", "sum(workqueue_depth)"),
    )),
)  # fmt: skip
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
DASHBOARDS = {"archive": ("MeterTwin archive", ARCHIVE), "fleet": ("MeterTwin fleet", FLEET)}


def build_panel(number: int, panel: Panel) -> dict[str, Any]:
    """Return a panel at its place."""
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _DATASOURCE,
        "gridPos": {
            "x": number % _A_ROW * _WIDTH, "y": number // _A_ROW * _HEIGHT,
            "w": _WIDTH, "h": _HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + at), "expr": expression, "legendFormat": legend or panel.title}
            for at, (legend, expression) in enumerate(panel.lines)
        ],
    }  # fmt: skip


def build_dashboard(name: str) -> dict[str, Any]:
    """Return a dashboard."""
    title, panels = DASHBOARDS[name]
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "hide": 0}
    namespace = {
        "name": "namespace", "type": "query", "datasource": _DATASOURCE, "refresh": 1,
        "query": "label_values(metertwin_archive_database_up, namespace)",
    }  # fmt: skip
    return {
        "uid": f"metertwin-{name}",
        "title": title,
        "tags": ["metertwin"],
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source, namespace] if name == "archive" else [source]},
        "panels": [build_panel(number, panel) for number, panel in enumerate(panels)],
    }


def main() -> int:
    """Write the files; with --check return 1 if one is another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    is_check = parser.parse_args().check
    drifted = False
    for name in DASHBOARDS:
        path = TARGET / f"{name}.json"
        text = json.dumps(build_dashboard(name), indent=1) + "\n"
        if path.exists() and path.read_text() == text:
            continue
        drifted = True
        if is_check:
            print(f"drifted: {path.name}", file=sys.stderr)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return int(drifted and is_check)


if __name__ == "__main__":
    sys.exit(main())
