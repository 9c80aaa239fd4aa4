"""Application `base-load`: the lowest power that a household draws on each UTC day.

An example to copy. It is a fold over the readings: no I/O, no clock, no randomness; the twin may
be killed at any moment and each reading still counts once.

How-to: docs/how-to/write-an-application.md
"""

import json
from typing import Any, ClassVar

from meter_twin.application import (
    Answer,
    Context,
    Effect,
    Event,
    Query,
    ReadingStored,
    Record,
    RecordRange,
)
from meter_twin.option_schema import Schema
from meter_twin.presentation import format_time
from meter_wire.obis import parse_code

_IMPORT_POWER = parse_code("1-0:1.7.0*255")
_DAY_S = 86400


class BaseLoad:
    """See the module."""

    name = "base-load"
    summary = "Lowest import power of each UTC day"
    option_schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "ignoreBelowW": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1000,
                "default": 1,
                "description": "powers below this are taken for a roof that feeds the house",
            }
        },
    }
    state_versions = (1,)
    queries = ("base-load",)

    def __init__(self, options: dict[str, Any], context: Context) -> None:
        """Begin without a reading; `context` names the meter and its time zone."""
        del context  # days are UTC here
        self._ignored_w = options["ignoreBelowW"]
        self._day_s = 0
        self._lowest_w: int | None = None

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Take a reading or answer `GET /v1/base-load`."""
        if isinstance(event, ReadingStored):
            return self._reading(event)
        if isinstance(event, Query):
            return [Answer({"unit": "W"}, {"days": RecordRange("day", 0, now_s + _DAY_S, 366)})]
        return []

    def _reading(self, event: ReadingStored) -> list[Effect]:
        day_s = event.entry.time_s // _DAY_S * _DAY_S
        if day_s > self._day_s:
            self._day_s, self._lowest_w = day_s, None
        powers = [
            register.value
            for register in event.entry.registers
            if register.code == _IMPORT_POWER and isinstance(register.value, int)
        ]
        found = [power for power in powers if power >= self._ignored_w]
        if not found or day_s < self._day_s or (self._lowest_w or found[0] + 1) <= found[0]:
            return []
        self._lowest_w = found[0]
        return [Record("day", day_s, {"day": format_time(day_s), "lowest": found[0]})]

    def export_state(self, version: int) -> bytes:
        """Return the state for a successor."""
        if version != 1:
            raise ValueError(f"base-load: state version {version} is unknown")
        return json.dumps([self._day_s, self._lowest_w]).encode()

    def import_state(self, version: int, state: bytes) -> None:
        """Take over a predecessor's state."""
        if version != 1:
            raise ValueError(f"base-load: state version {version} is unknown")
        try:
            day_s, lowest_w = json.loads(state)
        except (TypeError, ValueError) as error:
            raise ValueError("base-load: damaged state") from error
        self._day_s, self._lowest_w = day_s, lowest_w
