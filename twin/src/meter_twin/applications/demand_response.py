"""Application `demand-response`: which events this house takes part in, and what its load may draw.

It decides and computes; the conversation with the utility is `utility_memory`'s, and the commands
to the meter are `utility_loop`'s. It needs `spec.utility`; without one it has nothing to decide.
Neighbours: `demand_response.opt_rules`, `demand_response.load_limit`.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from meter_twin.application import Context, Effect, Event
from meter_twin.demand_response.dr_event import DrEvent, is_met
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.demand_response.load_limit import (
    SIGNALS,
    LoadLimit,
    LoadRule,
    find_load_limit,
)
from meter_twin.demand_response.local_calendar import BaselineRules, LocalCalendar
from meter_twin.demand_response.opt_rules import LocalTime, OptRules, decide_opt
from meter_twin.option_schema import OptionError, Schema, Violation

_MICRO_OF_MILLI = 1_000
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"


class DemandResponse:
    """See the module."""

    name = "demand-response"
    summary = "Takes part in the utility's events within the house's rules, limits a load"
    option_schema: Schema = {  # noqa: RUF012 - never changed
        "type": "object",
        "properties": {
            "takePart": {
                "type": "boolean",
                "default": True,
                "description": "whether the house takes part in events at all",
            },
            "mostEventsADay": {
                "type": "integer",
                "minimum": 0,
                "maximum": 48,
                "default": 3,
                "description": "it takes part in no more events of one local day",
            },
            "mostMinutesADay": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1440,
                "default": 240,
                "description": "it takes part in no more minutes of one local day",
            },
            "quietFrom": {
                "type": "string",
                "pattern": _TIME,
                "default": "00:00",
                "description": "local time from which it takes part in nothing",
            },
            "quietTo": {
                "type": "string",
                "pattern": _TIME,
                "default": "00:00",
                "description": "end of the quiet hours; the same as quietFrom: there are none",
            },
            "leastPriceMilli": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1000000000,
                "default": 0,
                "description": "it takes no part in an event whose price stays below so many thousandths of the currency a kWh; 0: whatever it is",  # noqa: E501
            },
            "through": {
                "type": "string",
                "enum": ["meter", "ems"],
                "default": "meter",
                "description": "who keeps a limit: the meter's contactor, or the home's energy management alone",  # noqa: E501
            },
            "load": {
                "type": "integer",
                "minimum": 0,
                "maximum": 7,
                "default": 0,
                "description": "number of the meter's controllable load",
            },
            "ratedWatts": {
                "type": "integer",
                "minimum": 1,
                "maximum": 1000000,
                "default": 3000,
                "description": "what the load draws without a limit",
            },
            "moderateWatts": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1000000,
                "default": 2000,
                "description": "limit of the load at level 1 (SIMPLE)",
            },
            "highWatts": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1000000,
                "default": 1000,
                "description": "limit of the load at level 2 (SIMPLE)",
            },
            "specialWatts": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1000000,
                "default": 0,
                "description": "limit of the load at level 3 (SIMPLE)",
            },
            "baseline": {
                "type": "string",
                "enum": ["none", "10-of-10", "high-4-of-5"],
                "default": "none",
                "description": "what an event's delivery is reckoned from: the mean of the last ten like days, or of the four with the most energy of the last five",  # noqa: E501
            },
            "adjustmentCapPercent": {
                "type": "integer",
                "minimum": 0,
                "maximum": 100,
                "default": 20,
                "description": "how much the hours before an event may raise or lower its baseline; 0: they do not",  # noqa: E501
            },
            "holidays": {
                "type": "string",
                "pattern": "([0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{4}-[0-9]{2}-[0-9]{2})*)?",
                "default": "",
                "description": "local days that are like those of a weekend: dates with a space between",  # noqa: E501
            },
        },
    }
    state_versions: tuple[int, ...] = (1,)
    queries: tuple[str, ...] = ()
    signals = SIGNALS
    """Names of the signals that it acts on."""
    limits_loads = True

    def __init__(self, options: dict[str, Any], context: Context) -> None:
        """Read the rules."""
        zone = _find_zone(context.timezone)
        self._to_local = _build_local_time(zone)
        self.baseline_rules = BaselineRules(
            options["baseline"],
            options["adjustmentCapPercent"],
            LocalCalendar(zone, _parse_holidays(options["holidays"])),
        )
        self.load_index: int = options["load"]
        self.commands_meter: bool = options["through"] == "meter"
        self._rule = LoadRule(
            options["ratedWatts"],
            (options["moderateWatts"], options["highWatts"], options["specialWatts"]),
        )
        self._rules = OptRules(
            options["takePart"],
            options["mostEventsADay"],
            options["mostMinutesADay"],
            _parse_minute(options["quietFrom"]),
            _parse_minute(options["quietTo"]),
            options["leastPriceMilli"] * _MICRO_OF_MILLI or None,
        )

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Derive nothing from readings: `metering-data` keeps the profile of a baseline too."""
        del event, now_s
        return []

    def decide(self, event: DrEvent, others: Iterable[Kept], *, is_overridden: bool) -> Opt:
        """Return whether the house takes part in an event."""
        others = (one for one in others if is_met(one.event, self.signals))
        return decide_opt(event, self._rules, others, self._to_local, is_overridden=is_overridden)

    def find_limit(self, kept: Iterable[Kept], now_s: int) -> LoadLimit | None:
        """Return what its load may draw now, None without a limit."""
        return find_load_limit(kept, self._rule, now_s)

    def export_state(self, version: int) -> bytes:
        """Return the state: there is none."""
        if version != 1:
            raise ValueError(f"demand-response: state version {version} is unknown")
        return b"{}"

    def import_state(self, version: int, state: bytes) -> None:
        """Take over a state."""
        if version != 1 or state != b"{}":
            raise ValueError("demand-response: state is unknown")


def _parse_minute(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _parse_holidays(text: str) -> list[int]:
    """Return days by number.

    Raises:
        OptionError: a date that no calendar has.
    """
    try:
        return [date.fromisoformat(one).toordinal() for one in text.split()]
    except ValueError as error:
        field = "METERTWIN_CONFIG.applications.demand-response.holidays"
        what, remedy = "has a date that no calendar has", "write dates such as 2026-12-25"
        raise OptionError(Violation(field, what, remedy)) from error


def _find_zone(timezone: str) -> ZoneInfo:
    """Return an IANA zone.

    Raises:
        OptionError: no database here has it.
    """
    try:
        return ZoneInfo(timezone)
    except (LookupError, ValueError, OSError) as error:
        text, remedy = "is in no time zone database of this image", "choose one such as UTC"
        raise OptionError(Violation("METERTWIN_CONFIG.timezone", text, remedy)) from error


def _build_local_time(zone: ZoneInfo) -> Callable[[int], LocalTime]:
    def to_local(time_s: int) -> LocalTime:
        local = datetime.fromtimestamp(time_s, zone)
        return LocalTime(local.toordinal(), local.hour * 60 + local.minute)

    return to_local
