"""Which device is at which metering point, as the SmartMeters say it. Pure.

The archive outlives resources: an installation ends when its SmartMeter goes or gets another
metering point, and stays in the table. Neighbours: `directory_watch` (asks the cluster),
`directory_table` (keeps it).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

DEFAULT_CAPTURE_S = 900


class Place(NamedTuple):
    """What is known of a device at its metering point; what may change while it is there."""

    namespace: str
    meter: str
    zone: str
    feeder: str
    labels: tuple[tuple[str, str], ...]
    capture_s: int
    keep_days: int | None = None
    """How long the archive keeps its readings; None: as long as it keeps any."""


class Installation(NamedTuple):
    """A device at a metering point since a moment."""

    device: str
    point: str
    since: datetime
    place: Place


class Changes(NamedTuple):
    """What is to be written: ended (device, moment), begun, and places that are described anew."""

    ended: tuple[tuple[str, datetime], ...]
    begun: tuple[Installation, ...]
    moved: tuple[Installation, ...]


def parse_meter(document: Mapping[str, Any]) -> Installation | None:
    """Return the installation of a SmartMeter, None if it lacks a metering point.

    A SmartMeter without `spec.device` has its own name as device, as the operator takes it.
    """
    metadata, spec = document.get("metadata") or {}, document.get("spec") or {}
    point = spec.get("meteringPoint") or {}
    if not point.get("id"):
        return None
    device = spec.get("device") or metadata["name"]
    place = Place(
        namespace=metadata["namespace"],
        meter=metadata["name"],
        zone=point.get("timezone") or "UTC",
        feeder=point.get("feeder") or "",
        labels=tuple(sorted((metadata.get("labels") or {}).items())),
        capture_s=spec.get("capturePeriodSeconds") or DEFAULT_CAPTURE_S,
        keep_days=(spec.get("dataPolicy") or {}).get("archiveRetentionDays"),
    )
    return Installation(device, point["id"], _since(metadata), place)


def _since(metadata: Mapping[str, Any]) -> datetime:
    """Return when the metering point was written last, which an exchange does."""
    moments = [metadata["creationTimestamp"]]
    for one in metadata.get("managedFields") or ():
        fields = (one.get("fieldsV1") or {}).get("f:spec") or {}
        if "f:meteringPoint" in fields and one.get("time"):
            moments.append(one["time"])
    return max(datetime.fromisoformat(one) for one in moments)


def compare(
    known: Mapping[str, Installation], seen: Iterable[Installation], now: datetime
) -> Changes:
    """Return what has changed; of two SmartMeters for one device the older one counts.

    Args:
        known: installations that have not ended, by device.
        seen: those of all SmartMeters there are.
        now: when what is not there any more has ended.
    """
    wanted: dict[str, Installation] = {}
    for one in sorted(seen, key=lambda each: (each.since, each.place)):
        wanted.setdefault(one.device, one)
    ended = [(device, now) for device in known if device not in wanted]
    begun, moved = [], []
    for device, one in wanted.items():
        before = known.get(device)
        if before is None:
            begun.append(one)
        elif before.point != one.point:
            # A clock that is not ours may lie: an installation ends no earlier than it began.
            moment = max(one.since, before.since)
            ended.append((device, moment))
            begun.append(one._replace(since=moment))
        elif before.place != one.place:
            moved.append(one._replace(since=before.since))
    return Changes(tuple(sorted(ended)), tuple(begun), tuple(moved))
