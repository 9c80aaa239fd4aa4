"""From what a chip counts to volts, amperes and watts: circuit, gains and offsets, transformers.

`calibration` of `meter.json`, everything optional:

    {"voltage": {"gain_ppm": 1000000, "offset_mv": 0},
     "current": {"gain_ppm": 1000000, "offset_ma": 0},
     "active_power": {"gain_ppm": 1000000, "offset_mw": 0},
     "reactive_power": {"gain_ppm": 1000000, "offset_mvar": 0},
     "frequency": {"gain_ppm": 1000000},
     "ct": [200, 5], "vt": [1, 1]}

Gain and offset are those of the meter's own circuit, found by `two_point` on a test bench; the
ratios of current and voltage transformers come after them. Everything stays a rational of integers
until the one rounding at the end. A raw value of zero stays zero: below its own threshold a chip
says nothing, and an offset must not make a load of that. Neighbours: `chip_front_end`, `chips`.
"""

from config import ConfigError, _table, _whole

MILLION = 1000000
OFFSETS = {
    "voltage": "offset_mv",
    "current": "offset_ma",
    "active_power": "offset_mw",
    "reactive_power": "offset_mvar",
    "frequency": None,
}
"""Quantity → the field of its offset."""
_FIELDS = ("gain_ppm",)


def _gcd(one: int, other: int) -> int:
    while other:
        one, other = other, one % other
    return one


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


class Scale:
    """value = (raw · numerator + offset) / denominator, rounded half up; all of them integers."""

    def __init__(self, numerator: int, denominator: int, offset: int = 0) -> None:
        """`offset` is in units of the value's denominator-th."""
        shared = _gcd(_gcd(numerator, denominator), abs(offset))
        self.numerator = numerator // shared
        self.denominator = denominator // shared
        self.offset = offset // shared

    def of(self, raw: int) -> int:
        """Return the value of a raw one; 0 of 0."""
        if not raw:
            return 0
        total = raw * self.numerator + self.offset
        return _rounded(total, self.denominator)

    def magnitude(self, raw: int) -> int:
        """Return the value of a raw one that has no sign: an offset takes it to 0, not below."""
        return max(0, self.of(raw))

    def times(self, numerator: int, denominator: int) -> "Scale":
        """Return the scale of a multiple of the value."""
        return Scale(
            self.numerator * numerator, self.denominator * denominator, self.offset * numerator
        )

    def plus(self, offset: int) -> "Scale":
        """Return the scale of the value plus `offset`."""
        return Scale(self.numerator, self.denominator, self.offset + offset * self.denominator)


def _ratio(table: dict, key: str) -> tuple:
    value = table.get(key, [1, 1])
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigError(
            "calibration.%s: is no ratio; give [primary, secondary], as in [200, 5]" % key
        )
    row = {"primary": value[0], "secondary": value[1]}
    where = "calibration.%s." % key
    return (
        _whole(row, "primary", 1, MILLION, None, where),
        _whole(row, "secondary", 1, MILLION, None, where),
    )


def _known(table: dict, names, where: str) -> None:
    for name in table:
        if name not in names:
            raise ConfigError(
                "%s%s: is unknown; leave it out or give one of %s"
                % (where, name, ", ".join(sorted(names)))
            )


class Calibration:
    """Checked gains, offsets and ratios of one meter."""

    def __init__(self, table: "dict | None") -> None:
        """Check the object of `meter.json`; None is the ideal circuit without transformers.

        Raises:
            ConfigError: naming the field.
        """
        table = {} if table is None else table
        if not isinstance(table, dict):
            raise ConfigError("calibration: is no object; give {…} or leave it out")
        _known(table, tuple(OFFSETS) + ("ct", "vt"), "calibration.")
        self.ct = _ratio(table, "ct")
        self.vt = _ratio(table, "vt")
        self._corrections = {}
        for quantity, offset in OFFSETS.items():
            row = _table(table, quantity) or {}
            where = "calibration.%s." % quantity
            _known(row, _FIELDS if offset is None else _FIELDS + (offset,), where)
            gain_ppm = _whole(row, "gain_ppm", 500000, 2000000, MILLION, where)
            moved = _whole(row, offset, -MILLION, MILLION, 0, where) if offset else 0
            self._corrections[quantity] = (gain_ppm, moved)

    def _primary(self, quantity: str) -> tuple:
        """Return the ratio of transformers that a quantity passes."""
        numerator = denominator = 1
        if quantity in ("current", "active_power", "reactive_power"):
            numerator, denominator = self.ct
        if quantity in ("voltage", "active_power", "reactive_power"):
            numerator, denominator = numerator * self.vt[0], denominator * self.vt[1]
        return numerator, denominator

    def scale(self, quantity: str, numerator: int, denominator: int) -> Scale:
        """Return the scale of a quantity whose circuit gives `numerator`/`denominator` a count.

        In the unit of its offset: mV, mA, mW, mvar; mHz.
        """
        gain_ppm, offset = self._corrections[quantity]
        circuit = Scale(numerator * gain_ppm, denominator * MILLION).plus(offset)
        return circuit.times(*self._primary(quantity))

    def pulse_mj(self, mj: int, per: int, own_gain: bool = True) -> tuple:
        """Return (mJ, pulses) of a counter of energy; `own_gain`: that of active power holds.

        Raises:
            ConfigError: an offset of power, which pulses cannot have, or a gain that is not ours.
        """
        gain_ppm, offset = self._corrections["active_power"]
        if offset:
            raise ConfigError(
                "calibration.active_power.offset_mw: what counts energy itself has no offset; "
                "leave it out"
            )
        if not own_gain and gain_ppm != MILLION:
            raise ConfigError(
                "calibration.active_power.gain_ppm: another meter has its own; leave it out"
            )
        numerator, denominator = self._primary("active_power")
        exact = Scale(mj * gain_ppm * numerator, per * MILLION * denominator)
        return exact.numerator, exact.denominator


def two_point(read: tuple, reference: tuple) -> tuple:
    """Return (gain in ppm, offset) that take two read values to those of a reference meter.

    Args:
        read: what the meter showed at a low and a high load, with no calibration.
        reference: what the reference showed meanwhile, in the same unit.

    Raises:
        ValueError: the two loads are the same.
    """
    span = read[1] - read[0]
    if not span:
        raise ValueError("read: both values are the same; take a low and a high load")
    rise = reference[1] - reference[0]
    if span < 0:
        span, rise = -span, -rise
    gain_ppm = _rounded(rise * MILLION, span)
    rest = (reference[0] + reference[1]) * MILLION - (read[0] + read[1]) * gain_ppm
    return gain_ppm, _rounded(rest, 2 * MILLION)
