"""Application `power-quality`: dip, swell and interruption tables, weekly voltage index.

In the manner of EN 50160:2010 (tables 2 and 4 of dips and swells by duration and voltage; 95 % of
the week's 10-minute means within ±10 %, all within +10/-15 %); not a class A instrument, and the
index says how many means it rests on. Neighbours: `disturbances` (polyphase merging, cells),
`voltage_week` (index); the meter measures (`firmware/src/quality.py`) and
says by the voltages among its registers how many phases must fail for an interruption.
"""

import json
from typing import Any

from meter_wire.event_names import get_event_code

from meter_twin.application import (
    Answer,
    Context,
    Effect,
    Event,
    EventStored,
    Query,
    Record,
    RecordRange,
    RegistersDescribed,
)
from meter_twin.applications.disturbances import Disturbances, Kind
from meter_twin.applications.voltage_week import VoltageWeek
from meter_twin.option_schema import Schema
from meter_twin.queries import check_names

_KINDS: dict[int, Kind] = {
    get_event_code("dip"): "dip",
    get_event_code("swell"): "swell",
    get_event_code("interruption"): "interruption",
}
_POWER_UP = get_event_code("power_up")
_VOLTAGE_10MIN = get_event_code("voltage_10min")
_VOLTAGES = tuple(bytes((1, 0, group, 7, 0, 255)) for group in (32, 52, 72))
_YEAR_S = 366 * 86400
_EVENT_ARGUMENTS = 3


class PowerQuality:
    """See the module."""

    name = "power-quality"
    summary = "Dips, swells, interruptions and weekly voltage index in the manner of EN 50160"
    option_schema: Schema = {  # noqa: RUF012 - never changed
        "type": "object",
        "properties": {
            "nominalVolts": {
                "type": "integer",
                "minimum": 100,
                "maximum": 400,
                "default": 230,
                "description": "declared supply voltage, phase to neutral",
            },
            "phases": {
                "type": "integer",
                "enum": [0, 1, 3],
                "default": 0,
                "description": "phases of the supply; 0: as the meter describes itself",
            },
        },
    }
    state_versions = (1,)
    queries = ("quality",)

    def __init__(self, options: dict[str, Any], context: Context) -> None:
        """Begin with empty tables."""
        del context
        self._nominal_mv = options["nominalVolts"] * 1000
        self._phases = options["phases"]
        self._is_told = bool(self._phases)
        self._disturbances = Disturbances(self._nominal_mv, self._phases)
        self._week = VoltageWeek(self._nominal_mv)

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Take an event of the meter or answer a query."""
        if isinstance(event, EventStored) and event.entry.event_code is not None:
            arguments = [one for one in event.entry.arguments if isinstance(one, int)]
            return self._event(event.entry.event_code, event.entry.time_s, arguments)
        if isinstance(event, RegistersDescribed) and not self._is_told:
            self._phases = sum(code in event.units for code in _VOLTAGES)
            self._disturbances.phases = self._phases
        if isinstance(event, Query):
            return [self._answer(event, now_s)]
        return []

    def _event(self, code: int, time_s: int, arguments: list[int]) -> list[Effect]:
        if not time_s:
            return []
        if code in _KINDS and len(arguments) >= _EVENT_ARGUMENTS:
            phase, duration_ms, extreme_mv = arguments[:3]
            self._disturbances.add(_KINDS[code], time_s * 1000, duration_ms, extreme_mv, phase)
        elif code == _POWER_UP and arguments and arguments[0] > 0:
            self._disturbances.add_outage(time_s * 1000 - arguments[0], arguments[0])
        elif code == _VOLTAGE_10MIN:
            finished = self._week.add(time_s, arguments)
            if finished is not None:
                return [Record("week", finished["start_s"], finished)]
        return []

    def _answer(self, query: Query, now_s: int) -> Answer:
        check_names(dict(query.parameters), "")
        document = {
            "standard": "in the manner of EN 50160:2010, not class A",
            "nominal_mv": self._nominal_mv,
            "phases": self._phases or None,
            **self._disturbances.describe(),
            "week": self._week.describe(),
        }
        return Answer(document, {"weeks": RecordRange("week", now_s - _YEAR_S, now_s + 1, 60)})

    def export_state(self, version: int) -> bytes:
        """Return the state; version 1 is the only one so far."""
        if version != 1:
            raise ValueError(f"power-quality: state version {version} is unknown")
        document = {"disturbances": self._disturbances.export(), "week": self._week.export()}
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()

    def import_state(self, version: int, state: bytes) -> None:
        """Take over a state."""
        if version != 1:
            raise ValueError(f"power-quality: state version {version} is unknown")
        disturbances = Disturbances(self._nominal_mv, self._phases)
        week = VoltageWeek(self._nominal_mv)
        try:
            document = json.loads(state)
            disturbances.restore(document["disturbances"])
            week.restore(document["week"])
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError("power-quality: damaged state") from error
        self._disturbances, self._week = disturbances, week
