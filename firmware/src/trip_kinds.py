"""The kinds of trips by name and unit, as `meter.json` has them. Neighbours: `config`, `trips`."""

KINDS = (
    ("over_voltage", "mv"),
    ("under_voltage", "mv"),
    ("over_frequency", "mhz"),
    ("under_frequency", "mhz"),
    ("over_current", "ma"),
    ("load_limit", "w"),
)
"""(name, unit); the event has place + 1, and its sign is in `trips.SIGNS`."""
