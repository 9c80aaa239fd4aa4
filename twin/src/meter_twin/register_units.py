"""Units and scalers of registers: what the meter described, else what the table of codes says.

Pure. A meter describes its registers once (DESCRIBE of the link), so a register that this twin has
never heard of has a unit all the same. Neighbours: `description` keeps it, `presentation` and the
applications use it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meter_wire.obis import UNITS, find_register


class RegisterUnit(NamedTuple):
    """A value times 10**scaler is in this unit."""

    unit: str
    scaler: int


Units = Mapping[bytes, RegisterUnit]
"""By the six bytes of the OBIS code."""
_UNKNOWN = RegisterUnit("", 0)


def units_of(rows: Iterable[tuple[bytes, int, int]]) -> dict[bytes, RegisterUnit]:
    """Return the units of a description's rows (code, DLMS unit code, scaler).

    A unit code that has no name here is shown as its number (IEC 62056-6-2, table 4).
    """
    return {
        code: RegisterUnit(UNITS.get(unit, f"DLMS unit {unit}"), scaler)
        for code, unit, scaler in rows
    }


def find_unit(code: bytes, units: Units) -> RegisterUnit:
    """Return unit and scaler of a register: described, else of the table, else none."""
    described = units.get(code)
    if described is not None:
        return described
    known = find_register(code)
    return RegisterUnit(known.unit, known.scaler) if known else _UNKNOWN
