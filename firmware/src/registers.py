"""OBIS codes of the meter's registers as six bytes A B C D E F (IEC 62056-6-1).

Units, scalers and meanings are in `register_table` (a board does not load it unless its EMS port
prints units). The values come from `metering.Meter`.
"""


def electricity(c: int, d: int, e: int = 0) -> bytes:
    """Return the code 1-0:C.D.E*255."""
    return bytes((1, 0, c, d, e, 255))


def abstract(c: int, d: int, e: int) -> bytes:
    """Return the code 0-0:C.D.E*255."""
    return bytes((0, 0, c, d, e, 255))


CLOCK = abstract(1, 0, 0)
SERIAL = abstract(96, 1, 0)
DISCONNECT_STATE = abstract(96, 3, 10)
ACTIVE_TARIFF = abstract(96, 14, 0)

ACTIVE_CALENDAR = abstract(13, 0, 0)
PASSIVE_CALENDAR = abstract(13, 0, 1)
"""Names of the calendars; only on request, no reading has them."""

IMPORT_ENERGY = electricity(1, 8)
EXPORT_ENERGY = electricity(2, 8)
PRODUCTION_ENERGY = bytes((1, 1, 2, 8, 0, 255))
"""Of a generator, measured on a channel of its own (value group B = 1)."""
REACTIVE_IMPORT = electricity(3, 8)
REACTIVE_EXPORT = electricity(4, 8)
IMPORT_POWER = electricity(1, 7)
EXPORT_POWER = electricity(2, 7)
NET_POWER = electricity(16, 7)
DEMAND_MAXIMUM = electricity(1, 6)
POWER_FACTOR = electricity(13, 7)
FREQUENCY = electricity(14, 7)
CURRENT = (31, 51, 71)
VOLTAGE = (32, 52, 72)

DISCONNECTED = 0
CONNECTED = 1
READY_FOR_RECONNECTION = 2
"""Values of 0-0:96.3.10, control state of IEC 62056-6-2 class 70."""
