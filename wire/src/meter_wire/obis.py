"""Full OBIS codes (IEC 62056-6-1) `A-B:C.D.E*F` and the registers that this project knows.

Six bytes in the wire format, text with all six groups everywhere else.
"""

import re
from typing import NamedTuple

_FULL = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})\*(\d{1,3})")


class Register(NamedTuple):
    """A known register: code, name, DLMS unit and its code, scaler (value · 10**scaler), kind."""

    code: str
    name: str
    unit: str
    unit_code: int
    scaler: int
    kind: str


UNITS = {
    255: "",
    7: "s",
    9: "°C",
    13: "m³",
    27: "W",
    28: "VA",
    29: "var",
    30: "Wh",
    31: "VAh",
    32: "varh",
    33: "A",
    35: "V",
    44: "Hz",
    56: "%",
}
"""Unit codes of IEC 62056-6-2, table 4; 255 is no unit."""
UNIT_CODES = {name: code for code, name in UNITS.items()}


def _rows() -> list[tuple[str, str, str, int, str]]:
    rows = [
        ("0-0:1.0.0*255", "Clock", "s", 0, "instantaneous"),
        ("0-0:96.1.0*255", "Device number", "", 0, "static"),
        ("0-0:96.3.10*255", "Disconnect control state", "", 0, "instantaneous"),
        ("0-0:96.14.0*255", "Currently active tariff", "", 0, "instantaneous"),
        ("1-0:3.8.0*255", "Reactive energy import", "varh", 0, "cumulative"),
        ("1-0:4.8.0*255", "Reactive energy export", "varh", 0, "cumulative"),
        ("1-0:1.7.0*255", "Active power import", "W", 0, "instantaneous"),
        ("1-0:2.7.0*255", "Active power export", "W", 0, "instantaneous"),
        ("1-0:16.7.0*255", "Active power, import minus export", "W", 0, "instantaneous"),
        ("1-0:1.6.0*255", "Demand maximum of active power import", "W", 0, "maximum"),
        ("1-0:13.7.0*255", "Power factor", "", -3, "instantaneous"),
        ("1-0:14.7.0*255", "Supply frequency", "Hz", -3, "instantaneous"),
    ]
    for group, name in ((1, "Active energy import"), (2, "Active energy export")):
        for rate in range(5):
            which = f"rate {rate}" if rate else "total"
            rows.append((f"1-0:{group}.8.{rate}*255", f"{name}, {which}", "Wh", 0, "cumulative"))
    rows.append(("1-1:2.8.0*255", "Active energy of a generator, total", "Wh", 0, "cumulative"))
    for phase, group in enumerate((31, 51, 71), 1):
        rows.append((f"1-0:{group}.7.0*255", f"Current L{phase}", "A", -3, "instantaneous"))
        voltage = f"1-0:{group + 1}.7.0*255"
        rows.append((voltage, f"Voltage L{phase}", "V", -3, "instantaneous"))
    return rows


def parse_code(text: str) -> bytes:
    """Return the six bytes of a full code.

    Raises:
        ValueError: a group is missing, above 255 or has leading zeros.
    """
    found = _FULL.fullmatch(text)
    groups = [int(group) for group in found.groups()] if found else []
    if not groups or max(groups) > 255 or format_code(bytes(groups)) != text:  # noqa: PLR2004
        raise ValueError(f"OBIS code: {text!r} is not a full code such as 1-0:1.8.0*255")
    return bytes(groups)


def format_code(code: bytes) -> str:
    """Return the text of six bytes.

    Raises:
        ValueError: it is not six bytes long.
    """
    a, b, c, d, e, f = code
    return f"{a}-{b}:{c}.{d}.{e}*{f}"


REGISTERS = {
    parse_code(row[0]): Register(row[0], row[1], row[2], UNIT_CODES[row[2]], row[3], row[4])
    for row in _rows()
}
"""Known registers by their six bytes."""


def find_register(code: bytes) -> Register | None:
    """Return what is known about a register, None for one that is not in the table."""
    return REGISTERS.get(code)
