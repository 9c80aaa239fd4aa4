"""What a 3.1 event means in the words of `demand_response`, so that the same application decides.

Payload types become signals: those that 2.0b has too get its name (PRICE in a currency per kWh is
ELECTRICITY_PRICE, DISPATCH_SETPOINT is LOAD_DISPATCH), others keep theirs. Power is in W, energy in
Wh, a percentage in per cent. The modification is the moment of the last one in microseconds; of
steps that repeat, two windows are written out, and a later pair is a later modification, as is one
whose program has become known. 3.1 shifts
a start by up to randomizeStart to either side: it begins that much earlier, with a tolerance of
twice as much. Source: OpenADR 3.1.0, Definitions, Table 1 and 9; User Guide 7.1, 7.3.
Neighbours: `event_codec`, `demand_response.dr_event`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from meter_twin.demand_response.dr_event import MICRO, DrEvent, Fault, Interval, Signal, Targets
from meter_twin.demand_response.response_code import INVALID_DATA

from .event_codec import Occasion, Step, Value
from .json_codec import JsonError
from .program_codec import Program, Unit

MOST_WRITTEN = 192
"""Intervals of a signal that repeats: two windows."""
MOST_VALUE = 1e12
MOST_SIMPLE = 3
POWER = {"KW": ("W", 1_000.0), "W": ("W", 1.0), "MW": ("W", 1e6), "": ("W", 1_000.0)}
CHARGE = {"PERCENT": ("%", 100.0), "KWH": ("Wh", 1_000.0)}
"""Units and what multiplies a value; a power whose unit is not said is in kW (Table 9)."""


class _Rule(NamedTuple):
    """What a payload type is here."""

    signal: str
    type: str
    kind: str = ""
    is_asked: bool = False
    """It asks a house to do something, so it is told if the house does not."""


_RULES = {
    "SIMPLE": _Rule("SIMPLE", "level", "level", True),
    "PRICE": _Rule("ELECTRICITY_PRICE", "price", "price"),
    "EXPORT_PRICE": _Rule("EXPORT_PRICE", "price", "price"),
    "CHARGE_STATE_SETPOINT": _Rule("CHARGE_STATE", "setpoint", "charge", True),
    "DISPATCH_SETPOINT": _Rule("LOAD_DISPATCH", "setpoint", "power", True),
    "DISPATCH_SETPOINT_RELATIVE": _Rule("LOAD_DISPATCH", "delta", "power", True),
    "CONTROL_SETPOINT": _Rule("LOAD_CONTROL", "x-controlSetpoint", "", True),
    "CONTROL_LEVEL_OFFSET": _Rule("LOAD_CONTROL", "x-loadControlLevelOffset", "", True),
    "CONTROL_LEVEL_OFFSET_PERCENT": _Rule(
        "LOAD_CONTROL", "x-loadControlPercentOffset", "percent", True
    ),
    "IMPORT_CAPACITY_LIMIT": _Rule("IMPORT_CAPACITY_LIMIT", "setpoint", "power", True),
    "EXPORT_CAPACITY_LIMIT": _Rule("EXPORT_CAPACITY_LIMIT", "setpoint", "power", True),
    "GHG": _Rule("GHG", "x-gramsPerKwh"),
}
_CAPACITY = "_CAPACITY_"
_FEES = ("_FEE", "_PRICE")


def map_event(said: Occasion, program: Program, now_s: int) -> DrEvent:
    """Return an event in the words of both OpenADRs; what cannot be understood is its fault."""
    modification = said.modified_us
    plain = DrEvent(
        *(said.event_id, modification, said.created_s, program.name, said.start_s, said.lasts_s),
        (),
        0 if said.priority is None else said.priority + 1,
        targets=Targets(group_ids=said.targets),
        is_answered=False,
        is_cancelled=said.is_cancelled,
    )
    if said.fault:
        return plain._replace(fault=Fault(INVALID_DATA, said.fault))
    try:
        steps, window = _write_out(said, now_s)
        signals = tuple(_map_signals(said, steps, program))
    except JsonError as error:
        return plain._replace(fault=Fault(INVALID_DATA, str(error)))
    types = {name for step in said.steps for name, _ in step.payloads}
    return plain._replace(
        modification=modification + 2 * window + program.is_known,
        start_s=max(said.start_s - said.randomize_s, 0),
        signals=signals,
        start_after_s=2 * said.randomize_s,
        is_answered=any(_RULES[name].is_asked for name in types if name in _RULES),
    )


def _write_out(said: Occasion, now_s: int) -> tuple[list[Step], int]:
    """Return the steps of an event, repeated or cut to its length, and the number of the window.

    Raises:
        JsonError: too many for one window.
    """
    steps, loop_s, lasts_s = list(said.steps), said.loop_s, said.lasts_s
    if loop_s == 0 or 0 < lasts_s <= loop_s:
        return [one for one in (_cut(step, lasts_s) for step in steps) if one], 0
    count = sum(max((len(values) for _, values in one.payloads), default=1) for one in steps) or 1
    if 2 * count > MOST_WRITTEN:
        raise JsonError(f"more than {MOST_WRITTEN // 2} values that repeat")
    loops = MOST_WRITTEN // (2 * count)
    window = max(now_s - said.start_s, 0) // loop_s // loops
    if lasts_s:
        window = min(window, (lasts_s - 1) // loop_s // loops)
    found = []
    for number in range(window * loops, (window + 2) * loops):
        moved = (one._replace(offset_s=one.offset_s + number * loop_s) for one in steps)
        found += [one for one in (_cut(step, lasts_s) for step in moved) if one]
    return found, window


def _cut(step: Step, lasts_s: int) -> Step | None:
    """Return a step as far as it lies within the length of its event."""
    if not lasts_s:
        return step
    left_s = lasts_s - step.offset_s
    if left_s <= 0:
        return None
    return step._replace(duration_s=min(step.duration_s or left_s, left_s))


def _map_signals(said: Occasion, steps: list[Step], program: Program) -> Iterator[Signal]:
    names = dict.fromkeys(name for step in steps for name, _ in step.payloads)
    for name in names:
        unit = said.units.get(name) or program.units.get(name) or Unit()
        rule = _RULES.get(name) or _find_rule(name)
        shown, scale = _find_unit(rule.kind, unit)
        if rule.kind == "price" and unit.units not in ("", "KWH"):
            rule = rule._replace(signal=name)  # of gas, not of electricity
        intervals = [
            one
            for step in steps
            for payload, values in step.payloads
            if payload == name
            for one in _split(step, values, rule.kind, scale)
        ]
        if intervals:
            yield Signal(rule.signal, rule.type, shown, tuple(intervals))


def _find_rule(name: str) -> _Rule:
    """Return the rule of a type that is only carried: capacity, alerts, private ones."""
    if _CAPACITY in name:
        is_fee = name.endswith(_FEES)
        return _Rule(name, "price" if is_fee else "setpoint", "fee" if is_fee else "power")
    return _Rule(name, "x-" + name.lower())


def _find_unit(kind: str, unit: Unit) -> tuple[str, float]:
    """Return the unit that a signal has, and what multiplies its values."""
    if kind == "power":
        return POWER.get(unit.units, (unit.units, 1.0))
    if kind == "charge":
        return CHARGE.get(unit.units, (unit.units, 1.0))
    if kind == "percent":
        return "%", 100.0
    if kind == "price":
        per = "kWh" if unit.units in ("", "KWH") else unit.units
        return f"{unit.currency}/{per}", 1.0
    if kind == "fee":
        return f"{unit.currency or unit.units}/kW", 1.0
    return unit.units, 1.0


def _split(step: Step, values: tuple[Value, ...], kind: str, scale: float) -> Iterator[Interval]:
    """Return a step as intervals: several values share its time evenly (User Guide 7.3)."""
    if not step.duration_s and len(values) > 1:
        raise JsonError("several values share an interval without an end")
    for at, value in enumerate(values):
        begins_s = step.duration_s * at // len(values)
        ends_s = step.duration_s * (at + 1) // len(values)
        micro = _read(value, kind, scale)
        yield Interval(step.offset_s + begins_s, ends_s - begins_s, micro)


def _read(value: Value, kind: str, scale: float) -> int:
    """Return millionths; a text, as alerts have it, is 1."""
    if isinstance(value, str):
        if kind:
            raise JsonError("a value is no number")
        return MICRO
    found = value * scale
    if abs(found) > MOST_VALUE:
        raise JsonError("a value is out of bounds")
    if kind == "level" and found not in range(MOST_SIMPLE + 1):
        raise JsonError("SIMPLE is none of 0, 1, 2, 3")
    return round(found * MICRO)
