"""Asks the archive what a register did, and shows it. Neighbours: `cli_history`, `twin`."""

import contextlib
import csv
import io
from collections.abc import Iterator
from typing import Any

from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError
from kubectl_meter.tables import format_table, format_value
from kubectl_meter.twin import API_PORT, Twin

Json = dict[str, Any]
COMPONENT = "app.kubernetes.io/component=archive"
_HEAD = ["device", "start", "end", "value", "unit", "quality", "readings", "expected", "flags"]


@contextlib.contextmanager
def open_archive(cluster: Cluster) -> Iterator[Twin]:
    """Connect to a replica of the archive.

    Raises:
        MeterError: there is none that is ready, or no port-forward.
    """
    pods = cluster.get("pods", f"--selector={COMPONENT}")["items"]
    ready = [pod["metadata"]["name"] for pod in pods if _is_ready(pod)]
    if not ready:
        raise MeterError(
            "no replica of the archive is ready",
            field="archive",
            remedy="enable it (archive.enabled of the chart), or name its namespace with"
            " --archive-namespace",
        )
    with cluster.port_forward(ready[0], API_PORT) as port:
        remedy = f"kubectl logs {ready[0]}"
        yield Twin(ready[0], port, whom="archive", remedy=remedy)


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def history_table(document: Json) -> str:
    """Return the buckets, one a line; what is missing says why."""
    rows = []
    for device in document["devices"]:
        for bucket in device["buckets"]:
            shown = [_text(document, bucket), bucket.get("quality", ""), _missing(bucket)]
            rows.append((bucket["start"], bucket["end"], device["device"], *shown))
    head = ("FROM", "TO", "DEVICE", "VALUE", "QUALITY", "NOTE")
    return format_table(head, rows)


def _text(document: Json, bucket: Json) -> str:
    value = _scaled(document, bucket)
    return f"{format_value(value)} {document['unit']}".strip() if value is not None else "-"


def _scaled(document: Json, bucket: Json) -> int | float | None:
    """Return the energy of a bucket, or the mean of a value, in the register's unit."""
    value = bucket.get("value", bucket.get("mean"))
    scaler = document["scaler"]
    return value if value is None or scaler == 0 else round(value * 10.0**scaler, -scaler)


def _missing(bucket: Json) -> str:
    notes = [bucket.get("reason", "").replace("_", " ")] if bucket.get("reason") else []
    if bucket["readings"] < bucket["expected"]:
        notes.append(f"{bucket['expected'] - bucket['readings']} of {bucket['expected']} missing")
    return ", ".join([*notes, *bucket["flags"]])


def history_csv(document: Json) -> str:
    """Return the buckets as CSV (RFC 4180); an empty value is missing."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_HEAD)
    for device in document["devices"]:
        for bucket in device["buckets"]:
            value = _scaled(document, bucket)
            writer.writerow(
                [
                    device["device"], bucket["start"], bucket["end"],
                    "" if value is None else value, document["unit"], bucket.get("quality", ""),
                    bucket["readings"], bucket["expected"], " ".join(bucket["flags"]),
                ]
            )  # fmt: skip
    return out.getvalue()
