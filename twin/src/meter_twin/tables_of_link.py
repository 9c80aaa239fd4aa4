"""Names of the link's numbers as the API shows them; the numbers are `meter_wire.tables`."""

from meter_wire.tables import HOLES

HOLE_REASONS = {row.number: row.name for row in HOLES}
