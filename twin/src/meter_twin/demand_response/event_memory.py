"""Events as JSON values and back: what a twin keeps of them over a restart and hands over.

Neighbours: `event_book`, `dr_event`.
"""

from collections.abc import Iterable
from typing import Any

from .dr_event import DrEvent, Fault, Interval, Signal, Targets
from .event_book import Kept, Opt


def export_events(kept: "list[Kept]") -> list[dict[str, Any]]:
    """Return events as JSON values."""
    rows = []
    for one in kept:
        event = one.event._asdict()
        event["signals"] = [signal._asdict() for signal in one.event.signals]
        resources = event.pop("resources")
        row = {
            "event": event,
            "opt": list(one.opt),
            "offset": one.offset_s,
            "cancelledFrom": one.cancelled_from_s,
        }
        rows.append(row | {"resources": list(resources)} if resources else row)
    return rows


def restore_events(rows: list[dict[str, Any]]) -> list[Kept]:
    """Return what `export_events` described.

    Raises:
        KeyError, TypeError, ValueError: damaged, or of another version.
    """
    return [
        Kept(
            _restore_event(dict(row["event"]), row.get("resources", ())),
            Opt(*row["opt"]),
            int(row["offset"]),
            None if row["cancelledFrom"] is None else int(row["cancelledFrom"]),
        )
        for row in rows
    ]


def _restore_event(row: dict[str, Any], resources: Iterable[str]) -> DrEvent:
    row["signals"] = tuple(_restore_signal(dict(one)) for one in row["signals"])
    row["targets"] = Targets(*(tuple(names) for names in row["targets"]))
    row["fault"] = None if row["fault"] is None else Fault(*row["fault"])
    return DrEvent(**row, resources=tuple(str(one) for one in resources))


def _restore_signal(row: dict[str, Any]) -> Signal:
    row["intervals"] = tuple(Interval(*one) for one in row["intervals"])
    row["device_classes"] = tuple(row["device_classes"])
    return Signal(**row)
