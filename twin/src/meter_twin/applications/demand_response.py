"""Application `demand-response`: which events this house takes part in, and what its load may draw.

It decides and computes; the conversation with the utility is `utility_memory`'s, and the commands
to the meter are `utility_loop`'s. It needs `spec.utility`; without one it has nothing to decide.
Neighbours: `demand_response.opt_rules`, `demand_response.load_limit`.
"""

from collections.abc import Iterable
from typing import Any

from meter_twin.application import Context, Effect, Event
from meter_twin.demand_response.dr_event import DrEvent, is_met
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.demand_response.house_limit import SIGNALS as OF_THE_HOUSE
from meter_twin.demand_response.house_limit import find_import_limit
from meter_twin.demand_response.load_limit import (
    SIGNALS,
    LoadLimit,
    LoadRule,
    find_load_limit,
)
from meter_twin.demand_response.local_calendar import BaselineRules, LocalCalendar
from meter_twin.demand_response.opt_rules import OptRules, decide_opt
from meter_twin.option_schema import Schema

from .local_time import TIME_PATTERN, build_local_time, find_zone, parse_days, parse_minute

_MICRO_OF_MILLI = 1_000
_HOLIDAYS = "METERTWIN_CONFIG.applications.demand-response.holidays"


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
                "pattern": TIME_PATTERN,
                "default": "00:00",
                "description": "local time from which it takes part in nothing",
            },
            "quietTo": {
                "type": "string",
                "pattern": TIME_PATTERN,
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
            "keepImportLimit": {
                "type": "boolean",
                "default": True,
                "description": "whether the load draws no more than an import limit of the whole house (OpenADR 3.1)",  # noqa: E501
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
    signals = SIGNALS | OF_THE_HOUSE
    """Names of the signals that it acts on."""
    limits_loads = True

    def __init__(self, options: dict[str, Any], context: Context) -> None:
        """Read the rules."""
        zone = find_zone(context.timezone)
        self._to_local = build_local_time(zone)
        self.baseline_rules = BaselineRules(
            options["baseline"],
            options["adjustmentCapPercent"],
            LocalCalendar(zone, parse_days(options["holidays"], _HOLIDAYS)),
        )
        self.load_index: int = options["load"]
        self.commands_meter: bool = options["through"] == "meter"
        self._keeps_import_limit: bool = options["keepImportLimit"]
        self._rule = LoadRule(
            options["ratedWatts"],
            (options["moderateWatts"], options["highWatts"], options["specialWatts"]),
        )
        self._rules = OptRules(
            options["takePart"],
            options["mostEventsADay"],
            options["mostMinutesADay"],
            parse_minute(options["quietFrom"]),
            parse_minute(options["quietTo"]),
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
        kept = list(kept)
        own = find_load_limit(kept, self._rule, now_s)
        house = find_import_limit(kept, now_s)
        if not self._keeps_import_limit or house is None or house.limit_w >= self._rule.rated_w:
            return own
        return house if own is None or house.limit_w < own.limit_w else own

    def export_state(self, version: int) -> bytes:
        """Return the state: there is none."""
        if version != 1:
            raise ValueError(f"demand-response: state version {version} is unknown")
        return b"{}"

    def import_state(self, version: int, state: bytes) -> None:
        """Take over a state."""
        if version != 1 or state != b"{}":
            raise ValueError("demand-response: state is unknown")
