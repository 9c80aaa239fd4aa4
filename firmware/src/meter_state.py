"""What of a meter survives a power cut, and as bytes for the flash store: compact, append-only.

Layout: version (1), number of fields (1), each field as LEB128, Fletcher-16 of all before (2).
A field is only ever appended to `FIELDS`: an older state lacks the last ones (they become 0), a
newer one has more (ignored), so firmware goes forward and back without losing a register.

Rate 1 of export is not in it: it is the total less rates 2 to 4. A state of firmware that has no
rates of export therefore puts all of it in rate 1, and the sum holds. Neighbour: `metering`.
"""

from tariff import RATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from metering import Meter

VERSION = 1
FIELDS = (
    "rate1_wh",
    "rate2_wh",
    "rate3_wh",
    "rate4_wh",
    "rate1_rest",
    "rate2_rest",
    "rate3_rest",
    "rate4_rest",
    "export_wh",
    "export_rest",
    "varh_in",
    "varh_in_rest",
    "varh_out",
    "varh_out_rest",
    "demand_w",
    "demand_at",
    "demand_interval",
    "demand_j",
    "demand_rest",
    "month",
    "export2_wh",
    "export3_wh",
    "export4_wh",
    "export2_rest",
    "export3_rest",
    "export4_rest",
)
FRONT_END_FIELDS = (
    "utility_start_wh",
    "generator_start_wh",
    "production_wh",
    "production_rest",
    "energy_rest",
    "energy_per",
    "generator_rest",
    "generator_per",
    "chip_count",
)
"""Of a front end that counts (`chip_front_end`), in an item of its own beside the registers."""
CUMULATIVE = (
    "rate1_wh",
    "rate2_wh",
    "rate3_wh",
    "rate4_wh",
    "export_wh",
    "export1_wh",
    "export2_wh",
    "export3_wh",
    "export4_wh",
    "varh_in",
    "varh_out",
)


class StateError(ValueError):
    """A stored state that must not be loaded; the text says why."""


def _fletcher16(data: bytes) -> bytes:
    low = high = 0
    for byte in data:
        low = (low + byte) % 255
        high = (high + low) % 255
    return bytes((low, high))


def encode_state(state: dict[str, int], fields: "tuple | None" = None) -> bytes:
    """Encode the fields (of `take_state`); every value is a non-negative integer."""
    fields = fields or FIELDS
    out = bytearray((VERSION, len(fields)))
    for name in fields:
        value = state[name]
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
    return bytes(out) + _fletcher16(bytes(out))


def decode_state(data: bytes, fields: "tuple | None" = None) -> dict[str, int]:
    """Decode what `encode_state` wrote of the same fields; those unknown to an older writer are 0.

    Raises:
        StateError: truncated, corrupted, or of another version.
    """
    if len(data) < 4 or _fletcher16(data[:-2]) != data[-2:]:
        raise StateError("meter state: check sum is wrong")
    if data[0] != VERSION:
        raise StateError(f"meter state: version {data[0]} is not {VERSION}")
    values = []
    value = shift = 0
    for byte in data[2:-2]:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(value)
            value = shift = 0
    if shift or len(values) != data[1]:
        raise StateError(f"meter state: {len(values)} fields, {data[1]} announced")
    fields = fields or FIELDS
    values += [0] * (len(fields) - len(values))
    return dict(zip(fields, values))


def load_state(data: bytes) -> dict[str, int]:
    """Return every value of `take_state`, rate 1 of export included.

    Raises:
        StateError: as of `decode_state`, or the rates of export exceed their total.
    """
    state = decode_state(data)
    for what in ("wh", "rest"):
        rest = state[f"export_{what}"] - sum([state[f"export{rate}_{what}"] for rate in (2, 3, 4)])
        if rest < 0:
            raise StateError(f"meter state: rates of export_{what} exceed their total")
        state[f"export1_{what}"] = rest
    return state


def take_state(meter: "Meter") -> dict[str, int]:
    """Return all of a meter that must survive a power cut, as non-negative integers."""
    state = {
        "export_wh": sum([rate.units for rate in meter.exports]),
        "export_rest": sum([rate.remainder for rate in meter.exports]),
        "varh_in": meter.reactive_in.units,
        "varh_in_rest": meter.reactive_in.remainder,
        "varh_out": meter.reactive_out.units,
        "varh_out_rest": meter.reactive_out.remainder,
        "demand_w": meter.demand.maximum_w,
        "demand_at": meter.demand.maximum_at or 0,
        "demand_interval": meter.demand.interval,
        "demand_j": meter.demand.joules,
        "demand_rest": meter.demand.remainder_mj,
        "month": meter.month,
    }
    for number in range(RATES):
        state[f"rate{number + 1}_wh"] = meter.rates[number].units
        state[f"rate{number + 1}_rest"] = meter.rates[number].remainder
        state[f"export{number + 1}_wh"] = meter.exports[number].units
        state[f"export{number + 1}_rest"] = meter.exports[number].remainder
    return state


def restore_state(meter: "Meter", data: bytes) -> None:
    """Load what `encode_state` wrote of a meter.

    Raises:
        StateError: as of `load_state`, or a register would go backwards; nothing has changed then.
    """
    new = load_state(data)
    old = take_state(meter)
    for name in CUMULATIVE:
        if new[name] < old[name]:
            raise StateError(f"meter state: {name} would go backwards")
    for number in range(RATES):
        meter.rates[number].units = new[f"rate{number + 1}_wh"]
        meter.rates[number].remainder = new[f"rate{number + 1}_rest"]
        meter.exports[number].units = new[f"export{number + 1}_wh"]
        meter.exports[number].remainder = new[f"export{number + 1}_rest"]
    meter.reactive_in.units = new["varh_in"]
    meter.reactive_in.remainder = new["varh_in_rest"]
    meter.reactive_out.units = new["varh_out"]
    meter.reactive_out.remainder = new["varh_out_rest"]
    meter.demand.maximum_w = new["demand_w"]
    meter.demand.maximum_at = new["demand_at"] or None
    meter.demand.interval = new["demand_interval"]
    meter.demand.joules = new["demand_j"]
    meter.demand.remainder_mj = new["demand_rest"]
    meter.month = new["month"]
