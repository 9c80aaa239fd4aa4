"""Application `metering-data`: current registers, quarter-hour profile, gaps.

The profile is the difference of neighbouring snapshots of cumulative registers at UTC quarter
hours (IEC 62056 load profile capture at interval end). Nothing is interpolated: a missing
snapshot makes one gap whose total is known and whose distribution is not. So the sum over profile
and gaps is always what the register moved. Neighbour: `quarter_hours` holds that rule.
"""

import json
from typing import Any

from meter_wire.entries import RegisterValue, status_names
from meter_wire.obis import find_register, format_code, parse_code
from meter_wire.tables import STATUS, number_of

from meter_twin.application import (
    Answer,
    Context,
    Effect,
    Event,
    Forget,
    Query,
    QueryError,
    ReadingStored,
    Record,
    RecordRange,
    RegistersDescribed,
)
from meter_twin.applications.quarter_hours import QUARTER_S, Interval, QuarterHours
from meter_twin.option_schema import Schema
from meter_twin.presentation import format_register, format_time
from meter_twin.queries import check_names, find_time
from meter_twin.register_units import Units, find_unit

_CLOCK_INVALID = number_of(STATUS, "clock_invalid")
_DAY_S = 86400
_MOST_REGISTERS = 64


class MeteringData:
    """See the module."""

    name = "metering-data"
    summary = "Current registers, quarter-hour profile, on-demand read, gaps"
    option_schema: Schema = {  # noqa: RUF012 - never changed
        "type": "object",
        "properties": {
            "retentionDays": {
                "type": "integer",
                "minimum": 1,
                "maximum": 3650,
                "default": 60,
                "description": "days that profile and gaps are kept",
            }
        },
    }
    state_versions: tuple[int, ...] = (1,)
    queries: tuple[str, ...] = ("registers", "profile", "gaps")

    def __init__(self, options: dict[str, Any], context: Context) -> None:
        """Begin without a reading."""
        self._retention_s = options["retentionDays"] * _DAY_S
        self._device = context.device
        self._quarters = QuarterHours()
        self._registers: dict[str, tuple[int | str, int | None, bool]] = {}
        self._newest: dict[str, Any] | None = None
        self._units: Units = {}

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Take a reading or answer a query."""
        if isinstance(event, ReadingStored):
            return self._reading(event)
        if isinstance(event, Query):
            return [self._answer(event, now_s)]
        if isinstance(event, RegistersDescribed):
            self._units = event.units
        return []

    def _reading(self, event: ReadingStored) -> list[Effect]:
        entry = event.entry
        self._newest = {
            "incarnation": event.incarnation.hex(),
            "seq": event.seq,
            "time_s": entry.time_s,
            "status": entry.status,
        }
        for register in entry.registers:
            octets = isinstance(register.value, bytes)
            value = register.value.hex() if isinstance(register.value, bytes) else register.value
            code = format_code(register.code)
            if code in self._registers or len(self._registers) < _MOST_REGISTERS:
                self._registers[code] = (value, register.at_s, octets)
        cumulative = {
            format_code(register.code): register.value
            for register in entry.registers
            if isinstance(register.value, int) and _is_cumulative(register.code)
        }
        valid = bool(entry.time_s) and not entry.status & _CLOCK_INVALID
        interval = self._quarters.feed(
            event.incarnation.hex(), entry.time_s if valid else 0, entry.status, cumulative
        )
        return self._effects(interval) if interval else []

    def _effects(self, interval: Interval) -> list[Effect]:
        series = "gap" if interval.reason else "profile"
        body: dict[str, Any] = {
            "start": format_time(interval.start_s),
            "end": format_time(interval.end_s),
            "status": status_names(interval.status),
            "registers": interval.deltas,
        }
        if interval.reason:
            body["reason"] = interval.reason
        effects: list[Effect] = [Record(series, interval.end_s, body)]
        if interval.end_s % _DAY_S == 0:
            before_s = interval.end_s - self._retention_s
            effects += [Forget("profile", before_s), Forget("gap", before_s)]
        return effects

    def _answer(self, query: Query, now_s: int) -> Answer:
        parameters = dict(query.parameters)
        if query.name == "registers":
            return Answer(self._current(parameters.get("code"), now_s))
        since_s, until_s = _window(parameters, now_s)
        ranges = {
            "profile": RecordRange("profile", since_s + 1, until_s + 1),
            "gaps": RecordRange("gap", since_s + 1, until_s + QUARTER_S),
        }
        if query.name == "gaps":
            return Answer({}, {"profile": ranges["gaps"]})
        check_names(parameters, "register from to")
        code = _code(parameters.get("register", "1-0:1.8.0*255"), "register")
        unit = find_unit(parse_code(code), self._units)
        document = {"register": code, "unit": unit.unit, "scaler": unit.scaler}
        return Answer(document, {"intervals": ranges["profile"], "gaps": ranges["gaps"]})

    def _current(self, wanted: str | None, now_s: int) -> dict[str, Any]:
        if wanted is not None:
            wanted = _code(wanted, "code")
            if wanted not in self._registers:
                what = f"names {wanted}, which was never read from this meter"
                raise QueryError("code", what, "leave it out to see all registers")
        newest = self._newest or {"incarnation": None, "seq": None, "time_s": 0, "status": 0}
        time_s = newest["time_s"]
        return {
            "source": "cached",
            "age_seconds": max(0, now_s - time_s) if time_s else None,
            "time": format_time(time_s),
            "incarnation": newest["incarnation"],
            "seq": newest["seq"],
            "status": status_names(newest["status"]),
            "registers": {
                code: format_register(_restore(code, *kept), self._units)
                for code, kept in self._registers.items()
                if wanted in {None, code}
            },
        }

    def export_state(self, version: int) -> bytes:
        """Return the state; version 1 is the only one so far."""
        if version != 1:
            raise ValueError(f"metering-data: state version {version} is unknown")
        document = {
            "quarters": self._quarters.export(),
            "registers": self._registers,
            "newest": self._newest,
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()

    def import_state(self, version: int, state: bytes) -> None:
        """Take over a state."""
        if version != 1:
            raise ValueError(f"metering-data: state version {version} is unknown")
        try:
            document = json.loads(state)
            registers = {
                str(code): (kept[0], kept[1], bool(kept[2]))
                for code, kept in document["registers"].items()
            }
            quarters = QuarterHours.restore(document["quarters"])
            newest = document["newest"]
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError("metering-data: damaged state") from error
        self._registers, self._quarters, self._newest = registers, quarters, newest


def _is_cumulative(code: bytes) -> bool:
    known = find_register(code)
    return known is not None and known.kind == "cumulative"


def _restore(code: str, value: int | str, at_s: int | None, octets: bool) -> RegisterValue:
    plain = bytes.fromhex(value) if octets and isinstance(value, str) else value
    assert not isinstance(plain, str)
    return RegisterValue(parse_code(code), plain, at_s)


def _code(text: str, field: str) -> str:
    try:
        parse_code(text)
    except ValueError as error:
        raise QueryError(field, "is no full OBIS code", "write 1-0:1.8.0*255") from error
    return text


def _window(parameters: dict[str, str], now_s: int) -> tuple[int, int]:
    since_s = find_time(parameters, "from", now_s)
    until_s = find_time(parameters, "to", now_s)
    until_s = now_s if until_s is None else until_s
    return (until_s - _DAY_S if since_s is None else since_s), until_s
