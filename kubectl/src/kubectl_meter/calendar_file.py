"""The file in which a utility writes its time-of-use calendars, and which meter has which.

    {"zone": "Europe/Brussels",
     "calendars": {"day-night": [["12345", "07:00", 1], ["12345", "22:00", 2]]},
     "meters": {"house-1": "day-night"}}

A row is weekdays (ISO digits, Monday is 1), local time on a quarter hour, rate 1 to 4. Neighbour:
`settings`, which makes the table of a zone's offsets. Pure but for reading the file.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from meter_wire.names import check_device
from meter_wire.utility_calendar import UtilityCalendar, encode_calendar
from meter_wire.utility_order import LAST_ACTIVATION_S

from kubectl_meter.errors import MeterError
from kubectl_meter.settings import zone_offsets

_KEYS = {"zone", "calendars", "meters"}
_EXAMPLE = "examples/street-tariffs.json is such a file"


class CalendarFile(NamedTuple):
    """What the file says: rows of each calendar, and the calendar of each meter."""

    zone: str
    calendars: dict[str, Any]
    meters: dict[str, str]


def load_calendars(path: str) -> CalendarFile:
    """Return the checked content of a file.

    Raises:
        MeterError: not there, no JSON, or naming the field.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MeterError(f"{path}: {error.strerror}", field="FILE", remedy=_EXAMPLE) from None
    except ValueError as error:
        raise MeterError(f"{path} is no JSON: {error}", field="FILE", remedy=_EXAMPLE) from None
    if not isinstance(document, dict):
        raise MeterError(f"{path} holds no object", field="FILE", remedy=_EXAMPLE)
    for name in document:
        if name not in _KEYS:
            raise MeterError(f"{path} has an unknown field", field=name, remedy=_EXAMPLE)
    zone = document.get("zone")
    calendars, meters = document.get("calendars"), document.get("meters", {})
    if not isinstance(zone, str):
        raise MeterError("the zone is missing", field="zone", remedy='such as "Europe/Brussels"')
    for field, table in (("calendars", calendars), ("meters", meters)):
        if not isinstance(table, dict):
            raise MeterError(f"{field} is no object", field=field, remedy=_EXAMPLE)
    return CalendarFile(zone, calendars or {}, meters)


def choose_calendars(
    found: CalendarFile, devices: tuple[str, ...], calendar: str | None
) -> dict[str, str]:
    """Return {device: calendar}: of all meters of the file, or of those that were named.

    Raises:
        MeterError: a device or calendar that is not there, or none at all.
    """
    wanted = {device: calendar or found.meters.get(device, "") for device in devices}
    if not devices:
        wanted = {device: calendar or name for device, name in found.meters.items()}
    if not wanted:
        raise MeterError("no meter is named", field="meters", remedy="name devices, or add meters")
    for device, name in wanted.items():
        try:
            check_device(device)
        except ValueError as error:
            raise MeterError(str(error), field=f"meters.{device}", remedy="a device id") from None
        if name not in found.calendars:
            raise MeterError(
                f"{device} has no calendar that is in the file",
                field=f"meters.{device}" if calendar is None else "--calendar",
                remedy=f"known are: {', '.join(sorted(found.calendars)) or 'none'}",
            )
    return wanted


def build_calendar(found: CalendarFile, name: str, now: datetime) -> bytes:
    """Return the bytes of a calendar, with the offsets of the zone for ten years from `now`.

    Raises:
        MeterError: naming the row that is wrong.
    """
    rows, offsets = found.calendars[name], zone_offsets(found.zone, now, "zone")
    if not isinstance(rows, list):
        raise MeterError("is no list of rows", field=f"calendars.{name}", remedy=_EXAMPLE)
    try:
        return encode_calendar(UtilityCalendar(name, rows, offsets))
    except ValueError as error:
        field, _, what = str(error).partition(": ")
        where = field.removeprefix("switches")
        path = f"calendars.{name}{where if where != field else ''}"
        raise MeterError(f"{path}: {what}", field=path, remedy=_EXAMPLE) from None


def parse_activation(text: str, zone: str) -> int:
    """Return UTC seconds of `now` (0), an RFC 3339 time, or a local date or time of the zone.

    Raises:
        MeterError: it is none of them.
    """
    if text == "now":
        return 0
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError):
        seconds = 0
    if 0 < seconds <= LAST_ACTIVATION_S:
        return seconds
    if seconds > 0:
        raise MeterError(
            f"{text!r} is after the last quarter hour of a meter's clock",
            field="--activates",
            remedy="name a time until 2106-02-07T06:15:00Z",
        )
    raise MeterError(
        f"{text!r} is no time",
        field="--activates",
        remedy="now, a local date (2027-01-01), a local time (2027-01-01T06:00) or RFC 3339",
    )
