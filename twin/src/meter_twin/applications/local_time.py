"""Local time in the options of applications: hours, days, and a metering point's zone.

Neighbours: `demand_response`, `capacity_bidding`.
"""

from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from meter_twin.demand_response.dr_event import LATEST_LOCAL_S
from meter_twin.demand_response.opt_rules import LocalTime
from meter_twin.option_schema import OptionError, Violation

TIME_PATTERN = "([01][0-9]|2[0-3]):[0-5][0-9]"


def parse_minute(text: str) -> int:
    """Return the minute of the day of a time that the pattern lets pass."""
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def parse_days(text: str, field: str) -> list[int]:
    """Return dates as days by number.

    Raises:
        OptionError: a date that no calendar has.
    """
    try:
        return [date.fromisoformat(one).toordinal() for one in text.split()]
    except ValueError as error:
        what, remedy = "has a date that no calendar has", "write dates such as 2026-12-25"
        raise OptionError(Violation(field, what, remedy)) from error


def find_zone(timezone: str) -> ZoneInfo:
    """Return an IANA zone.

    Raises:
        OptionError: no database here has it.
    """
    try:
        return ZoneInfo(timezone)
    except (LookupError, ValueError, OSError) as error:
        text, remedy = "is in no time zone database of this image", "choose one such as UTC"
        raise OptionError(Violation("METERTWIN_CONFIG.timezone", text, remedy)) from error


def build_local_time(zone: ZoneInfo) -> Callable[[int], LocalTime]:
    """Return what turns UTC into the local time of a zone."""

    def to_local(time_s: int) -> LocalTime:
        local = datetime.fromtimestamp(min(time_s, LATEST_LOCAL_S), zone)
        return LocalTime(local.toordinal(), local.hour * 60 + local.minute)

    return to_local
