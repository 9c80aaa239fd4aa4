"""What each register means: unit, scaler, name. Source of docs/reference/registers.md.

Units are the names of IEC 62056-6-2 table 4 (DLMS); a value times 10**scaler is in that unit.
Imported by the EMS port and by the generator of the reference, never by the metering itself.
"""

from registers import (
    ACTIVE_TARIFF,
    CLOCK,
    CURRENT,
    DEMAND_MAXIMUM,
    DISCONNECT_STATE,
    EXPORT_ENERGY,
    EXPORT_POWER,
    FREQUENCY,
    IMPORT_ENERGY,
    IMPORT_POWER,
    NET_POWER,
    POWER_FACTOR,
    PRODUCTION_ENERGY,
    REACTIVE_EXPORT,
    REACTIVE_IMPORT,
    SERIAL,
    VOLTAGE,
    electricity,
)

CUMULATIVE = "cumulative"
INSTANT = "instantaneous"
MAXIMUM = "maximum"
STATIC = "static"

TABLE = (
    (CLOCK, "Clock", "s", 0, INSTANT, "UTC seconds since 1970-01-01; 0 while invalid"),
    (SERIAL, "Device number", "", 0, STATIC, "octets, the meter's serial number"),
    (DISCONNECT_STATE, "Disconnect control state", "", 0, INSTANT,
     "0 disconnected, 1 connected, 2 ready for reconnection"),
    (ACTIVE_TARIFF, "Currently active tariff", "", 0, INSTANT, "1 to 4, from the calendar"),
    (IMPORT_ENERGY, "Active energy import, total", "Wh", 0, CUMULATIVE, "sum of rates 1 to 4"),
    (electricity(1, 8, 1), "Active energy import, rate 1", "Wh", 0, CUMULATIVE, ""),
    (electricity(1, 8, 2), "Active energy import, rate 2", "Wh", 0, CUMULATIVE, ""),
    (electricity(1, 8, 3), "Active energy import, rate 3", "Wh", 0, CUMULATIVE, ""),
    (electricity(1, 8, 4), "Active energy import, rate 4", "Wh", 0, CUMULATIVE, ""),
    (EXPORT_ENERGY, "Active energy export, total", "Wh", 0, CUMULATIVE, "sum of rates 1 to 4"),
    (electricity(2, 8, 1), "Active energy export, rate 1", "Wh", 0, CUMULATIVE, ""),
    (electricity(2, 8, 2), "Active energy export, rate 2", "Wh", 0, CUMULATIVE, ""),
    (electricity(2, 8, 3), "Active energy export, rate 3", "Wh", 0, CUMULATIVE, ""),
    (electricity(2, 8, 4), "Active energy export, rate 4", "Wh", 0, CUMULATIVE, ""),
    (REACTIVE_IMPORT, "Reactive energy import, total", "varh", 0, CUMULATIVE, ""),
    (REACTIVE_EXPORT, "Reactive energy export, total", "varh", 0, CUMULATIVE, ""),
    (IMPORT_POWER, "Active power import", "W", 0, INSTANT, "sum of phases if positive, else 0"),
    (EXPORT_POWER, "Active power export", "W", 0, INSTANT, "minus the sum if negative, else 0"),
    (NET_POWER, "Active power, import minus export", "W", 0, INSTANT, "signed sum of phases"),
    (DEMAND_MAXIMUM, "Demand maximum of active power import", "W", 0, MAXIMUM,
     "block of 15 min in UTC, with the time of its end; reset each local month"),
    (POWER_FACTOR, "Power factor", "", -3, INSTANT, "|P| / S; 1 without load"),
    (FREQUENCY, "Supply frequency", "Hz", -3, INSTANT, ""),
    (electricity(CURRENT[0], 7), "Current L1", "A", -3, INSTANT, ""),
    (electricity(CURRENT[1], 7), "Current L2", "A", -3, INSTANT, "three-phase meters only"),
    (electricity(CURRENT[2], 7), "Current L3", "A", -3, INSTANT, "three-phase meters only"),
    (electricity(VOLTAGE[0], 7), "Voltage L1", "V", -3, INSTANT, ""),
    (electricity(VOLTAGE[1], 7), "Voltage L2", "V", -3, INSTANT, "three-phase meters only"),
    (electricity(VOLTAGE[2], 7), "Voltage L3", "V", -3, INSTANT, "three-phase meters only"),
)  # fmt: skip
"""(code, meaning, unit, scaler, kind, note)"""

CHANNEL_TABLE = (
    (PRODUCTION_ENERGY, "Active energy of a generator, total", "Wh", 0, CUMULATIVE,
     "channel 1, pulses: only in meters with that input"),
)  # fmt: skip
"""The same of the channels that only some meters have."""


def unit_of(code: bytes) -> tuple[str, int]:
    """Return (DLMS unit name, scaler) of a register; ("", 0) for one that is not in the table."""
    for row in TABLE + CHANNEL_TABLE:
        if row[0] == code:
            return row[2], row[3]
    return "", 0


UNIT_CODES = {"": 255, "s": 7, "W": 27, "Wh": 30, "varh": 32, "A": 33, "V": 35, "Hz": 44}
"""IEC 62056-6-2 table 4; 255 is no unit."""


def describe(codes: list[bytes]) -> list[tuple[bytes, int, int]]:
    """Return (code, DLMS unit code, scaler) of registers, as the link's description wants them."""
    rows = []
    for code in codes:
        unit, scaler = unit_of(code)
        rows.append((code, UNIT_CODES[unit], scaler))
    return rows
