"""Rules of the registers: exact energy, boundaries, clock steps, state."""

import registers as obis
from counter import Counter
from meter_state import FIELDS, StateError, decode_state, encode_state, take_state
from metering import Meter
from tariff import Calendar

T0 = 1795000500  # 2026-11-18T11:15:00Z, a quarter hour
RATE = [obis.electricity(1, 8, rate) for rate in (1, 2, 3, 4)]
EXPORT_RATE = [obis.electricity(2, 8, rate) for rate in (1, 2, 3, 4)]
OLD_STATE = bytes.fromhex(
    "01141e000000b0ea0100000078c0c17c00c08db70100000000cddd79fecb060082be018687"
)
"""Of firmware without rates of export: 30 Wh and 30000 mJ imported, 120 Wh and 2040000 exported."""


def sample(*powers, reactive=0):
    return 50000, [(power, reactive, 230000, abs(power) * 1000 // 230) for power in powers]


def values(rows):
    return {code: value for code, value, _ in rows}


def raises(error, call, *arguments):
    try:
        call(*arguments)
    except error as fault:
        return str(fault)
    raise AssertionError("no error")


def test_t0_is_a_quarter_hour():
    assert T0 % 900 == 0


def test_a_watt_hour_is_counted_after_exactly_3600000_millijoule():
    counter = Counter()
    counter.add(3599, 1000)
    assert (counter.units, counter.remainder) == (0, 3599000)
    counter.add(999, 1)
    assert counter.units == 0
    counter.add(1, 1)
    assert (counter.units, counter.remainder) == (1, 0)


def test_phases_are_summed_before_the_direction_is_decided():
    meter = Meter(b"1", 3)
    meter.tick(sample(3000, -1000, -1000), 3600, T0 + 10)
    got = values(meter.snapshot(T0))
    assert got[obis.IMPORT_ENERGY] == 1
    assert got[obis.EXPORT_ENERGY] == 0
    assert (got[obis.NET_POWER], got[obis.IMPORT_POWER], got[obis.EXPORT_POWER]) == (1000, 1000, 0)
    meter.tick(sample(-3000, 1000, 1000), 3600, T0 + 14)
    got = values(meter.snapshot(T0))
    assert got[obis.EXPORT_ENERGY] == 1
    assert (got[obis.NET_POWER], got[obis.IMPORT_POWER], got[obis.EXPORT_POWER]) == (-1000, 0, 1000)


def test_reactive_energy_is_counted_by_sign():
    meter = Meter(b"1")
    meter.tick(sample(0, reactive=3600), 1000, T0 + 1)
    meter.tick(sample(0, reactive=-7200), 1000, T0 + 2)
    got = values(meter.snapshot(T0))
    assert (got[obis.REACTIVE_IMPORT], got[obis.REACTIVE_EXPORT]) == (1, 2)


def test_a_snapshot_has_every_register_of_a_three_phase_meter_once():
    codes = [row[0] for row in Meter(b"1", 3).snapshot(T0)]
    assert len(codes) == len(set(codes)) == 28
    assert len(Meter(b"1", 1).snapshot(T0)) == 24


def test_power_factor_is_p_over_s_and_one_without_load():
    meter = Meter(b"1")
    assert values(meter.snapshot(T0))[obis.POWER_FACTOR] == 1000
    meter.tick(sample(400, reactive=300), 1000, T0)
    assert meter.power_factor() == 800
    meter.tick(sample(-400, reactive=300), 1000, T0 + 1)
    assert meter.power_factor() == 800
    meter.tick(sample(0, reactive=300), 1000, T0 + 2)
    assert meter.power_factor() == 0


def test_a_tick_across_a_boundary_is_divided_exactly():
    meter = Meter(b"1")
    meter.tick(sample(0), 1000, T0 - 3)
    captures = meter.tick(sample(3600), 5000, T0 + 2)
    assert [boundary for boundary, _ in captures] == [T0]
    assert values(captures[0][1])[obis.IMPORT_ENERGY] == 3
    assert values(meter.snapshot(T0 + 2))[obis.IMPORT_ENERGY] == 5


def test_a_tick_that_ends_on_the_boundary_belongs_to_the_interval_before():
    meter = Meter(b"1")
    captures = meter.tick(sample(3600), 1000, T0)
    assert captures[0][0] == T0
    assert values(captures[0][1])[obis.IMPORT_ENERGY] == 1
    assert meter.tick(sample(3600), 1000, T0 + 1) == []


def test_a_long_stall_gives_every_capture_its_share():
    meter = Meter(b"1", capture_s=10)
    meter.tick(sample(0), 1000, T0 + 5)
    captures = meter.tick(sample(3600), 30000, T0 + 35)
    got = [(at - T0, values(rows)[obis.IMPORT_ENERGY]) for at, rows in captures]
    assert got == [(10, 5), (20, 15), (30, 25)]


def test_a_slewing_clock_loses_and_repeats_no_boundary():
    for utc_per_tick_ms in (999, 1001, 1400, 600):
        meter = Meter(b"1", capture_s=10)
        at_ms = 500
        boundaries = []
        for _ in range(300):
            at_ms += utc_per_tick_ms
            got = meter.tick(sample(100), 1000, T0 + at_ms // 1000, at_ms % 1000)
            boundaries += [boundary - T0 for boundary, _ in got]
        assert boundaries == list(range(10, at_ms // 1000 + 1, 10))


def test_without_a_clock_energy_is_counted_and_nothing_captured():
    meter = Meter(b"1")
    assert meter.tick(sample(3600), 900000, None) == []
    assert values(meter.snapshot(None))[obis.IMPORT_ENERGY] == 900
    assert values(meter.snapshot(None))[obis.CLOCK] == 0
    assert meter.tick(sample(3600), 1000, T0 + 1) == []
    assert meter.demand.joules == 0 or meter.demand.maximum_w == 0


def test_demand_maximum_is_the_largest_mean_with_the_time_of_its_end():
    meter = Meter(b"1")
    for minute, power in enumerate([1000] * 15 + [4000] * 5 + [0] * 10 + [1200] * 15):
        meter.tick(sample(power), 60000, T0 + 60 * minute + 60)
    rows = {row[0]: row[1:] for row in meter.snapshot(T0)}
    assert rows[obis.DEMAND_MAXIMUM] == (1333, T0 + 1800)


def test_exported_power_makes_no_demand():
    meter = Meter(b"1")
    for minute in range(15):
        meter.tick(sample(-5000), 60000, T0 + 60 * minute + 60)
    assert meter.demand.maximum_w == 0


def test_after_a_clock_step_only_what_follows_it_makes_demand():
    for before_s, after_s in ((600, 360), (300, 660)):
        meter = Meter(b"1")
        meter.tick(sample(90000), 60000, T0 + before_s)
        meter.tick(sample(90000), 60000, T0 + after_s)
        for at in range(after_s + 60, 901, 60):
            meter.tick(sample(22500), 60000, T0 + at)
        assert meter.demand.maximum_w == 22500 * (900 - after_s) // 900


def test_the_maximum_is_captured_and_then_reset_when_the_local_month_ends():
    month_end = 1796083200 - 3600  # 2026-12-01T00:00 at UTC+1
    meter = Meter(b"1", calendar=Calendar([], [(0, 3600)]))
    meter.tick(sample(3000), 1000, month_end - 899)
    captures = meter.tick(sample(3000), 900000, month_end + 1)
    rows = {row[0]: row[1:] for row in captures[0][1]}
    assert captures[0][0] == month_end
    assert rows[obis.DEMAND_MAXIMUM] == (3000, month_end)
    assert (meter.demand.maximum_w, meter.demand.maximum_at) == (0, None)


def test_a_clock_that_was_years_ahead_ends_the_billing_periods_after_it_is_right_again():
    month_end = 1796083200
    meter = Meter(b"1")
    meter.tick(sample(3000), 1000, month_end + 3 * 365 * 86400)
    meter.tick(sample(3000), 1000, month_end - 1800)
    meter.tick(sample(3000), 1799000, month_end - 1)
    assert meter.demand.maximum_w == 3000
    meter.tick(sample(0), 2000, month_end + 1)
    assert meter.demand.maximum_w == 0


def test_rates_add_up_and_change_at_the_switch():
    meter = Meter(b"1", calendar=Calendar([("1234567", "00:00", 2), ("1234567", "11:15", 1)], []))
    meter.tick(sample(3600), 1000, T0 - 9)
    captures = meter.tick(sample(3600), 20000, T0 + 11)
    assert values(captures[0][1])[obis.ACTIVE_TARIFF] == 2
    got = values(meter.snapshot(T0 + 11))
    assert [got[code] for code in RATE] == [11, 10, 0, 0]
    assert got[obis.IMPORT_ENERGY] == 21
    assert got[obis.ACTIVE_TARIFF] == 1


def test_exported_energy_is_counted_in_the_active_rate_and_the_rates_add_up():
    meter = Meter(b"1", calendar=Calendar([("1234567", "00:00", 2), ("1234567", "11:15", 1)], []))
    meter.tick(sample(-3600), 1000, T0 - 9)
    meter.tick(sample(-3600), 20000, T0 + 11)
    got = values(meter.snapshot(T0 + 11))
    assert [got[code] for code in EXPORT_RATE] == [11, 10, 0, 0]
    assert got[obis.EXPORT_ENERGY] == 21
    assert [got[code] for code in RATE] == [0, 0, 0, 0]


def test_state_survives_and_the_interval_goes_on_after_a_reboot_within_it():
    meter = Meter(b"1")
    for minute in range(7):
        meter.tick(sample(4321, reactive=77), 60000, T0 + 60 * minute + 60)
    again = Meter(b"1")
    again.restore(meter.save())
    assert take_state(again) == take_state(meter)
    for minute in range(7, 15):
        again.tick(sample(4321), 60000, T0 + 60 * minute + 60)
    assert again.demand.maximum_w == 4321


def test_after_a_reboot_in_a_later_interval_the_old_energy_makes_no_demand():
    meter = Meter(b"1")
    for minute in range(14):
        meter.tick(sample(9000), 60000, T0 + 60 * minute + 60)
    again = Meter(b"1")
    again.restore(meter.save())
    for minute in range(15):
        again.tick(sample(900), 60000, T0 + 1800 + 60 * minute + 60)
    assert (again.demand.maximum_w, again.demand.maximum_at) == (900, T0 + 2700)


def test_an_older_state_is_refused_and_changes_nothing():
    meter = Meter(b"1")
    old = meter.save()
    meter.tick(sample(3600), 1000, T0)
    before = take_state(meter)
    assert "backwards" in raises(StateError, meter.restore, old)
    assert take_state(meter) == before


def test_a_corrupted_truncated_or_foreign_state_is_refused():
    data = Meter(b"1").save()
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 4
        raises(StateError, decode_state, bytes(broken))
        raises(StateError, decode_state, data[:position])


def test_fields_of_an_older_or_newer_firmware_are_tolerated():
    import meter_state

    state = {name: number * 12345 for number, name in enumerate(FIELDS)}
    whole = encode_state(state)
    assert decode_state(whole) == state
    original = meter_state.FIELDS
    try:
        meter_state.FIELDS = original[:-2]
        older = encode_state(state)
        assert decode_state(whole) == {name: state[name] for name in original[:-2]}
    finally:
        meter_state.FIELDS = original
    assert decode_state(older)["export4_rest"] == 0
    assert decode_state(older)["demand_j"] == state["demand_j"]


def test_what_older_firmware_exported_is_in_rate_1_and_nothing_is_lost():
    meter = Meter(b"1", calendar=Calendar([("1234567", "00:00", 2)], []))
    meter.restore(OLD_STATE)
    got = values(meter.snapshot(T0))
    assert (got[obis.IMPORT_ENERGY], got[obis.EXPORT_ENERGY]) == (30, 120)
    assert [got[code] for code in EXPORT_RATE] == [120, 0, 0, 0]
    meter.tick(sample(-1000), 1560, T0 + 10)
    meter.tick(sample(-3600), 1000, T0 + 11)
    again = Meter(b"1")
    again.restore(meter.save())
    got = values(again.snapshot(T0))
    assert [got[code] for code in EXPORT_RATE] == [120, 1, 0, 0]
    assert got[obis.EXPORT_ENERGY] == 121
    assert take_state(again)["export_rest"] == 2040000 + 1560000


def test_a_state_whose_export_rates_exceed_their_total_is_refused():
    state = dict.fromkeys(FIELDS, 0)
    state["export_wh"] = 9
    state["export2_wh"] = 4
    state["export3_wh"] = 5
    Meter(b"1").restore(encode_state(state))
    state["export4_wh"] = 1
    assert "exceed" in raises(StateError, Meter(b"1").restore, encode_state(state))


def test_a_wrong_period_is_refused():
    for capture_s in (0, 7, 90):
        assert "capture_s" in raises(ValueError, Meter, b"1", 1, None, capture_s)
