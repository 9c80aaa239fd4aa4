"""Properties of the registers under any sequence of samples, ticks, save and restore."""

import registers as obis
from hypothesis import given
from hypothesis import strategies as st
from meter_state import FIELDS, decode_state, encode_state, take_state
from metering import Meter
from tariff import Calendar

T0 = 1795000500
RATES = [obis.electricity(1, 8, rate) for rate in (1, 2, 3, 4)]
EXPORT_RATES = [obis.electricity(2, 8, rate) for rate in (1, 2, 3, 4)]
CUMULATIVE = [
    *RATES,
    *EXPORT_RATES,
    obis.IMPORT_ENERGY,
    obis.EXPORT_ENERGY,
    obis.REACTIVE_IMPORT,
    obis.REACTIVE_EXPORT,
]
CALENDAR = [
    ("1234567", f"{hour:02d}:{minute:02d}", (hour * 4 + minute // 15) % 4 + 1)
    for hour in range(24)
    for minute in (0, 15, 30, 45)
]

power = st.integers(-30000, 30000)
step = st.tuples(
    st.integers(1, 400_000),  # tick in ms
    st.lists(power, min_size=3, max_size=3),
    st.integers(-20000, 20000),  # reactive power
    st.sampled_from(["", "", "", "", "reboot", "no clock", "back", "forth"]),
)


def meter_of(saved: bytes | None = None) -> Meter:
    meter = Meter(b"1", 3, Calendar(CALENDAR, []), capture_s=60)
    if saved is not None:
        meter.restore(saved)
    return meter


def values(rows):
    return {code: value for code, value, _ in rows}


@given(st.lists(step, max_size=60))
def test_rates_add_up_and_nothing_goes_backwards_or_is_lost(steps):
    meter = meter_of()
    at_ms = T0 * 1000
    true = {"import": 0, "export": 0, "in": 0, "out": 0}
    last = values(meter.snapshot(T0))
    for tick_ms, powers, reactive, what in steps:
        at_ms += tick_ms + {"back": -7200_000, "forth": 5400_000}.get(what, 0)
        if what == "reboot":
            meter = meter_of(meter.save())
        clock = (None, 0) if what == "no clock" else divmod(at_ms, 1000)
        phases = [(p, reactive if not number else 0, 230000, 0) for number, p in enumerate(powers)]
        captures = meter.tick((50000, phases), tick_ms, *clock)
        total = sum(powers)
        true["import" if total > 0 else "export"] += abs(total) * tick_ms
        true["in" if reactive > 0 else "out"] += abs(reactive) * tick_ms
        for now in [values(rows) for _, rows in captures] + [values(meter.snapshot(clock[0]))]:
            assert sum(now[code] for code in RATES) == now[obis.IMPORT_ENERGY]
            assert sum(now[code] for code in EXPORT_RATES) == now[obis.EXPORT_ENERGY]
            assert all(now[code] >= last[code] for code in CUMULATIVE)
            last = now
    state = take_state(meter)
    rests = sum(state[f"rate{rate}_rest"] for rate in (1, 2, 3, 4))
    assert last[obis.IMPORT_ENERGY] * 3_600_000 + rests == true["import"]
    assert last[obis.EXPORT_ENERGY] * 3_600_000 + state["export_rest"] == true["export"]
    assert last[obis.REACTIVE_IMPORT] * 3_600_000 + state["varh_in_rest"] == true["in"]
    assert last[obis.REACTIVE_EXPORT] * 3_600_000 + state["varh_out_rest"] == true["out"]


@given(st.lists(st.tuples(st.integers(1, 200_000), st.integers(-5000, 20000)), max_size=80))
def test_the_demand_maximum_is_that_of_an_independent_sum(steps):
    meter = Meter(b"1")
    at_ms = T0 * 1000
    energy = {}
    for tick_ms, power_w in steps:
        end_ms = at_ms + tick_ms
        while at_ms < end_ms:
            until_ms = min(end_ms, (at_ms // 900_000 + 1) * 900_000)
            interval = at_ms // 900_000
            energy[interval] = energy.get(interval, 0) + max(power_w, 0) * (until_ms - at_ms)
            at_ms = until_ms
        meter.tick((50000, [(power_w, 0, 230000, 0)]), tick_ms, *divmod(at_ms, 1000))
    closed = {
        interval: total // 900_000
        for interval, total in energy.items()
        if (interval + 1) * 900_000 <= at_ms
    }
    best = max(closed.values(), default=0)
    assert meter.demand.maximum_w == best
    if best:
        first = min(interval for interval, mean in closed.items() if mean == best)
        assert meter.demand.maximum_at == (first + 1) * 900


@given(st.lists(st.integers(0, 2**40), min_size=len(FIELDS), max_size=len(FIELDS)))
def test_any_state_survives_its_encoding(numbers):
    state = dict(zip(FIELDS, numbers, strict=True))
    assert decode_state(encode_state(state)) == state
