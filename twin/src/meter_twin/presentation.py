"""How entries and registers look in JSON: OBIS codes, units, RFC 3339 times, names of events.

Neighbours: `api` and the applications. Values are scaled here and nowhere else: integers stay
integers, a scaler of -3 gives three decimals. Units come from `register_units`.
"""

import time
from typing import Any

from meter_wire.entries import Entry, RegisterValue, status_names
from meter_wire.event_names import find_event
from meter_wire.obis import format_code

from .register_units import Units, find_unit

_RFC3339 = "%Y-%m-%dT%H:%M:%SZ"


def format_time(time_s: int | None) -> str | None:
    """Return UTC seconds as RFC 3339, None for no time (0 or None)."""
    return time.strftime(_RFC3339, time.gmtime(time_s)) if time_s else None


def format_register(register: RegisterValue, units: Units) -> dict[str, Any]:
    """Return {value, unit} and the register's own time if it has one."""
    unit = find_unit(register.code, units)
    item: dict[str, Any] = {"value": scale(register.value, unit.scaler), "unit": unit.unit}
    if register.at_s is not None:
        item["time"] = format_time(register.at_s)
    return item


def scale(value: int | bytes, scaler: int) -> int | float | str:
    """Return value times 10**scaler; octets as text if they are printable, else as hex."""
    if isinstance(value, bytes):
        text = value.decode("ascii", "replace")
        return text if text.isprintable() and text.isascii() else value.hex()
    if scaler >= 0:
        return int(value * 10**scaler)
    return float(value / 10**-scaler)


def format_registers(entry: Entry, units: Units) -> dict[str, Any]:
    """Return the registers of a reading by their codes."""
    return {
        format_code(register.code): format_register(register, units) for register in entry.registers
    }


def format_entry(incarnation: bytes, seq: int, entry: Entry, units: Units) -> dict[str, Any]:
    """Return a reading or an event with its identity, as in docs/reference/contracts.md."""
    item: dict[str, Any] = {
        "incarnation": incarnation.hex(),
        "seq": seq,
        "time": format_time(entry.time_s),
        "status": status_names(entry.status),
    }
    if entry.event_code is None:
        item["registers"] = format_registers(entry, units)
        return item
    known = find_event(entry.event_code)
    item["code"] = known.name if known else f"event_{entry.event_code}"
    names = known.name_arguments(len(entry.arguments)) if known else ()
    item["arguments"] = {
        names[place] if place < len(names) else f"argument_{place}": scale(value, 0)
        for place, value in enumerate(entry.arguments)
    }
    return item
