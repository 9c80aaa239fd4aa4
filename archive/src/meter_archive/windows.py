"""Which devices a question is about, each as far as it was there and the asker may see it.

All questions about quality find their devices here, and here only by `find_tenures`. Neighbours:
`asking`, `readings_table`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from meter_archive.database import Connected
from meter_archive.directory import DEFAULT_CAPTURE_S
from meter_archive.local_time import LATEST_S, QUARTER_S, get_zone
from meter_archive.question import Subject
from meter_archive.readings_table import find_tenures
from meter_archive.scope import Scope, Tenure


class Window(NamedTuple):
    """A device in a time, UTC seconds, all included.

    `first_s`, `last_s`: the part of the question's time that may be seen. `since_s`, `until_s`: all
    that may be seen of this installation.
    """

    device: str
    meter: str
    point: str
    zone: str
    capture_s: int
    labels: tuple[tuple[str, str], ...]
    first_s: int
    last_s: int
    since_s: int = 0
    until_s: int = LATEST_S

    def local(self) -> ZoneInfo:
        """Return the zone of the metering point."""
        return get_zone(self.zone, "zone")

    def closing(self, last_s: int) -> int:
        """Return the second of the last reading that may end an interval up to `last_s`.

        Where an installation ends on a quarter hour, the reading of that very second is the first
        one of the next, and ends the last interval of this one.
        """
        is_end = last_s == self.until_s and (last_s + 1) % QUARTER_S == 0
        return last_s + 1 if is_end else last_s

    def named(self) -> dict[str, str]:
        """Return what a document says of a device."""
        return {"device": self.device, "meter": self.meter, "meteringPoint": self.point}


async def find_windows(
    connection: Connected, subject: Subject, first_s: int, last_s: int, scope: Scope, zone: str
) -> list[Window]:
    """Return the windows of a subject from a second to another, both included, oldest first.

    A device that no SmartMeter ever had can be asked by who may see everything; its days are those
    of `zone`. Moments of a device are never in two windows.

    Raises:
        LookupError: nothing of it is known for that time, or may be seen.
    """
    tenures = await find_tenures(connection, subject, first_s, last_s + 1, scope)
    if not tenures:
        if scope.everything and subject.kind == "device":
            capture_s = DEFAULT_CAPTURE_S
            return [Window(subject.value, "", "", zone, capture_s, (), first_s, last_s)]
        raise LookupError(f"{subject.kind} {subject.value!r}")
    return cut_windows(tenures, first_s, last_s)


def cut_windows(tenures: Sequence[Tenure], first_s: int, last_s: int) -> list[Window]:
    """Return the windows of tenures that may overlap, without those that have no whole second."""
    windows = []
    taken: dict[str, int] = {}
    for one in sorted(tenures, key=lambda each: each.installation.since):
        device, place = one.installation.device, one.installation.place
        since_s = max(_second_after(one.installation.since), taken.get(device, -1) + 1)
        until_s = _second_after(one.until) - 1 if one.until else LATEST_S
        taken[device] = max(taken.get(device, -1), until_s)
        window = Window(
            device, place.meter, one.installation.point, place.zone, place.capture_s, place.labels,
            max(first_s, since_s), min(last_s, until_s), since_s, until_s,
        )  # fmt: skip
        if window.first_s <= window.last_s:
            windows.append(window)
    return windows


def _second_after(moment: datetime) -> int:
    second = int(moment.timestamp())
    return second + 1 if moment.microsecond else second
