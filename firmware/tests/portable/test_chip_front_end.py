# ruff: noqa: PT017, PT018 - MicroPython has no others
"""Rules of a meter with a real front end: exact registers, absent ones, faults, add-on mode.

The metering task with its own ring, state and clock, on chips that are simulated.
"""

import chips.waveform  # noqa: F401 - while the heap is whole, as a board does at its start
import registers as obis
from chip_front_end import build_front_end
from chip_rig import ChipMeter
from chips.pulses import KWH_MJ
from config import ConfigError
from exact import Exact
from fake_chips import Bl0942Chip, Hal, PulseChip, Train
from flash_with_cuts import PowerCutError
from meter_rig import NOW_S
from meter_wire.portable.entry import STATUS_DATA_NOT_VALID, STATUS_ERROR
from metering import Meter
from simulation.prng import Xorshift

PULSES = {"chip": "pulses"}
BL0942 = {"chip": "bl0942"}
FAULT = STATUS_DATA_NOT_VALID | STATUS_ERROR
CUMULATIVE = (obis.IMPORT_ENERGY, obis.PRODUCTION_ENERGY)


def two_inputs(utility=1600, generator=300, start_wh=0, generator_start_wh=0):
    return {
        "pulses": {
            "utility": {"per_kwh": utility, "start_wh": start_wh},
            "generator": {"per_kwh": generator, "start_wh": generator_start_wh},
        }
    }


def pulse_meter(config, **more):
    trains = (Train(), Train())
    counters = {"utility_pulse": trains[0], "generator_pulse": trains[1]}
    return ChipMeter(PULSES, config, trains, counters=counters, **more)


def chip_meter(chip, config=None, **more):
    return ChipMeter(BL0942, config, (chip,), uart=chip, **more)


def mj(counter):
    return counter.units * 3600000 + counter.remainder


def test_the_parts_of_exact_energy_sum_to_it_and_follow_the_time():
    exact = Exact((1000, 7, 0), 3)
    assert [exact.take(1), exact.take(1), exact.take(1)] == [[333, 2, 0], [333, 2, 0], [334, 3, 0]]
    assert Exact((5, 0, 9), 0).take(0) == [5, 0, 9]


def test_a_million_pulses_are_their_energy_whatever_the_ticks_and_captures():
    for per_kwh in (1600, 300, 7000):
        random = Xorshift(per_kwh)
        meter = Meter(b"1", capture_s=10)
        counter = Train()
        config = {"pulses": {"utility": {"per_kwh": per_kwh}}}
        front_end = build_front_end(PULSES, config, Hal(counters={"utility_pulse": counter}))
        meter.absent = front_end.absent
        at_ms, last_wh, captures = NOW_S * 1000, 0, 0
        while counter.pulses < 1000000:
            counter.pulses = min(1000000, counter.pulses + random.between(0, 2500))
            tick_ms = random.between(1, 25000)
            at_ms += tick_ms
            sample = front_end.tick(tick_ms)
            rows = meter.tick(sample, tick_ms, at_ms // 1000, at_ms % 1000, front_end.exact)
            for boundary, capture in rows:
                assert boundary % 10 == 0
                values = {row[0]: row[1] for row in capture}
                assert values[obis.IMPORT_ENERGY] >= last_wh
                last_wh = values[obis.IMPORT_ENERGY]
                captures += 1
        assert captures > 400
        energy = front_end.driver.energy
        counted = sum([mj(rate) for rate in meter.rates]) * energy.per + energy.remainder
        assert counted * per_kwh == 1000000 * KWH_MJ * energy.per


def test_exact_energy_is_divided_at_a_capture_boundary_in_proportion_to_time():
    meter = Meter(b"1")
    meter.tick((None, [(0, None, None, None)]), 1000, NOW_S - 3, 0, Exact((0, 0, 0), 1000))
    sample = (None, [(0, None, None, None)])
    ((boundary, rows),) = meter.tick(
        sample, 4000, NOW_S + 1, 0, Exact((14400001, 7200002, 0), 4000)
    )
    values = {row[0]: row[1] for row in rows}
    assert boundary == NOW_S
    assert (values[obis.IMPORT_ENERGY], values[obis.EXPORT_ENERGY]) == (3, 1)
    assert mj(meter.rates[0]) == 14400001
    assert mj(meter.exports[0]) == 7200002


def test_two_inputs_are_two_registers_on_two_channels():
    meter = pulse_meter(two_inputs())
    utility, generator = meter.parts
    for _ in range(4):
        utility.pulses += 800
        generator.pulses += 300
        meter.run(1000, 1)
    values = meter.values()
    assert values[obis.IMPORT_ENERGY] == 2000
    assert values[obis.PRODUCTION_ENERGY] == 4000
    assert bytes((1, 1, 2, 8, 0, 255)) == obis.PRODUCTION_ENERGY
    assert sum([rate.units for rate in meter.measuring.meter.exports]) == 0


def test_a_meter_without_a_generator_has_no_register_of_it():
    meter = ChipMeter(
        PULSES, {"pulses": {"utility": {"per_kwh": 1600}}}, counters={"utility_pulse": Train()}
    )
    assert obis.PRODUCTION_ENERGY not in meter.values()


def test_a_pulse_meter_has_the_registers_that_pulses_tell_and_no_other():
    meter = pulse_meter(two_inputs())
    meter.parts[0].hertz = 1
    meter.run(1000, 20)
    codes = set(meter.values())
    assert codes == {
        obis.CLOCK, obis.SERIAL, obis.DISCONNECT_STATE, obis.ACTIVE_TARIFF,
        obis.IMPORT_ENERGY, obis.electricity(1, 8, 1), obis.electricity(1, 8, 2),
        obis.electricity(1, 8, 3), obis.electricity(1, 8, 4), obis.IMPORT_POWER,
        obis.DEMAND_MAXIMUM, obis.PRODUCTION_ENERGY,
    }  # fmt: skip
    assert meter.values()[obis.IMPORT_POWER] == 2250


def test_a_chip_has_the_registers_that_it_measures_before_and_after_its_first_values():
    chip = Bl0942Chip()
    meter = chip_meter(chip)
    before = set(meter.values())
    chip.set(230, 10, 1150)
    values = meter.run(1000, 3).values()
    assert set(values) == before
    assert values[obis.FREQUENCY] == 50000
    assert values[obis.POWER_FACTOR] == 500
    assert (values[obis.NET_POWER], values[obis.IMPORT_POWER]) == (1150, 1150)
    assert obis.EXPORT_ENERGY in values
    assert obis.REACTIVE_IMPORT not in values
    assert obis.REACTIVE_EXPORT not in values


def test_a_pulse_chip_has_no_frequency_and_no_direction():
    chip = PulseChip()
    hal = {"counters": {"cf": chip.cf, "cf1": chip.cf1}, "outputs": {"sel": chip}}
    meter = ChipMeter({"chip": "hlw8012"}, {}, (chip,), **hal)
    chip.load(230, 20, 2300)
    values = meter.run(1000, 30).values()
    for code in (obis.FREQUENCY, obis.NET_POWER, obis.EXPORT_POWER, obis.EXPORT_ENERGY):
        assert code not in values
    assert 490 <= values[obis.POWER_FACTOR] <= 510
    assert 2280 <= values[obis.IMPORT_POWER] <= 2320
    assert values[obis.IMPORT_ENERGY] == 2300 * 30 // 3600


def test_export_of_a_chip_goes_to_export_and_makes_no_demand():
    chip = Bl0942Chip()
    meter = chip_meter(chip)
    chip.set(230, 10, -2300)
    meter.run(1000, 1000)
    values = meter.values()
    assert values[obis.IMPORT_ENERGY] == 0
    assert 2300 * 990 // 3600 <= values[obis.EXPORT_ENERGY] <= 2300 * 1000 // 3600
    assert values[obis.DEMAND_MAXIMUM] == 0
    assert values[obis.NET_POWER] == -2300


def test_a_silent_chip_flags_its_readings_and_those_of_its_return_and_no_other():
    chip = Bl0942Chip()
    meter = chip_meter(chip)
    chip.set(230, 10, 2300)
    meter.run(1000, 130)
    chip.is_alive = False
    meter.run(1000, 120)
    chip.is_alive = True
    meter.run(1000, 170)
    assert [status & FAULT for _, _, status in meter.readings] == [0, 0, FAULT, FAULT, FAULT, 0, 0]
    dead = meter.readings[3][1]
    for code in (obis.FREQUENCY, obis.NET_POWER, obis.IMPORT_POWER, obis.POWER_FACTOR):
        assert code not in dead
    assert dead[obis.IMPORT_ENERGY] == meter.readings[2][1][obis.IMPORT_ENERGY]
    energy_wh = meter.values()[obis.IMPORT_ENERGY]
    assert abs(energy_wh - chip.pulses * 672817 // 3600000) <= 2


def test_a_read_is_flagged_while_the_chip_is_silent():
    chip = Bl0942Chip()
    meter = chip_meter(chip)
    meter.run(1000, 5)
    chip.is_alive = False

    def status():
        return int.from_bytes(meter.recorder.encode(*meter.measuring.snapshot())[1:3], "big")

    assert status() & FAULT == 0
    meter.run(1000, 10)
    assert status() & FAULT == FAULT
    chip.is_alive = True
    meter.run(1000, 5)
    assert status() & FAULT == 0


def test_a_stall_over_captures_while_the_chip_is_silent_flags_each_of_them():
    chip = Bl0942Chip()
    meter = chip_meter(chip)
    meter.run(1000, 5)
    chip.is_alive = False
    meter.run(1000, 10).run(180000, 1)
    assert [status & FAULT for _, _, status in meter.readings] == [FAULT] * 3


def test_a_tick_that_ends_on_the_boundary_flags_the_reading_before_it_alone():
    chip = Bl0942Chip()
    meter = chip_meter(chip)
    meter.run(1000, 5)
    chip.is_alive = False
    meter.run(1000, 53)
    chip.is_alive = True
    meter.run(1000, 70)
    assert [status & FAULT for _, _, status in meter.readings] == [FAULT, 0]


def test_a_return_in_the_first_tick_of_an_interval_flags_that_interval_too():
    chip = Bl0942Chip()
    meter = chip_meter(chip)
    meter.run(1000, 5)
    chip.is_alive = False
    meter.run(1000, 54)
    chip.is_alive = True
    meter.run(1000, 130)
    assert [status & FAULT for _, _, status in meter.readings] == [FAULT, FAULT, 0]


def test_energy_that_nobody_counted_flags_its_interval():
    chip = Bl0942Chip(count=100000)
    meter = chip_meter(chip)
    meter.run(1000, 70)
    chip.count += 500000
    meter.run(1000, 120)
    assert [status & FAULT for _, _, status in meter.readings] == [0, FAULT, 0]


def test_pulses_between_the_boot_and_the_first_tick_count():
    train = Train()
    train.pulses = 16
    config = {"pulses": {"utility": {"per_kwh": 1600}}}
    meter = ChipMeter(PULSES, config, (train,), counters={"utility_pulse": train})
    assert meter.run(1000, 1).values()[obis.IMPORT_ENERGY] == 10


def test_a_register_that_is_not_known_now_is_no_unknown_one():
    chip = Bl0942Chip()
    meter = chip_meter(chip)
    meter.run(1000, 5)
    codes = [obis.FREQUENCY, obis.IMPORT_ENERGY]
    assert len(meter.measuring.snapshot(codes)[1]) == 2
    chip.is_alive = False
    meter.run(1000, 10)
    assert [row[0] for row in meter.measuring.snapshot(codes)[1]] == [obis.IMPORT_ENERGY]
    assert meter.measuring.snapshot([obis.REACTIVE_IMPORT])[1] is None


def test_the_demand_of_a_chip_is_the_mean_of_its_energy():
    chip = Bl0942Chip()
    meter = chip_meter(chip)
    chip.set(230, 10, 2300)
    values = meter.run(1000, 910).values()
    assert 2280 <= values[obis.DEMAND_MAXIMUM] <= 2300


def test_the_power_factor_of_a_waveform_is_that_of_its_rms_harmonics_included():
    meter = Meter(b"1")
    meter.apparent_of_rms = True
    meter.tick((50000, [(800, 0, 230000, 5000)]), 1000, NOW_S)
    assert meter.power_factor() == 800000 // 1150


def test_energy_that_comes_late_counts_and_makes_no_demand():
    chip = Bl0942Chip()
    meter = chip_meter(chip)
    meter.run(1000, 5)
    chip.is_alive = False
    chip.set(230, 30, 6900)
    meter.run(1000, 880)
    chip.set(230, 1, 200)
    chip.is_alive = True
    meter.run(1000, 30)
    values = meter.values()
    assert values[obis.IMPORT_ENERGY] >= 6900 * 880 // 3600
    assert values[obis.DEMAND_MAXIMUM] <= 200


def test_the_display_of_a_legacy_meter_and_its_register_agree_from_the_first_reading():
    meter = pulse_meter(two_inputs(start_wh=12345678, generator_start_wh=999))
    values = meter.values()
    assert values[obis.IMPORT_ENERGY] == values[obis.electricity(1, 8, 1)] == 12345678
    assert values[obis.PRODUCTION_ENERGY] == 999
    meter.parts[0].pulses = 1600
    assert meter.run(1000, 1).values()[obis.IMPORT_ENERGY] == 12346678


def test_a_start_value_counts_once_and_a_higher_one_adds_what_is_more():
    config = two_inputs(start_wh=5000, generator_start_wh=70)
    meter = pulse_meter(config)
    for _ in range(3):
        meter = pulse_meter(config, medium=meter.medium.survive())
        assert [meter.values()[code] for code in CUMULATIVE] == [5000, 70]
    meter.parts[0].pulses = 16
    meter.run(1000, 61)
    higher = two_inputs(start_wh=6000, generator_start_wh=75)
    meter = pulse_meter(higher, medium=meter.medium.survive())
    assert [meter.values()[code] for code in CUMULATIVE] == [6010, 75]


def test_a_lower_start_value_is_refused_with_the_field_and_the_least_one():
    medium = pulse_meter(two_inputs(start_wh=5000, generator_start_wh=70)).medium
    for config, field, least in (
        (two_inputs(start_wh=4999, generator_start_wh=70), "pulses.utility.start_wh", "5000"),
        (two_inputs(start_wh=5000, generator_start_wh=0), "pulses.generator.start_wh", "70"),
    ):
        try:
            pulse_meter(config, medium=medium.survive())
        except ConfigError as fault:
            assert field in str(fault) and least in str(fault), str(fault)
        else:
            raise AssertionError(field)


def test_a_generator_that_is_unplugged_for_a_boot_keeps_its_register():
    meter = pulse_meter(two_inputs(generator_start_wh=70))
    only = {"pulses": {"utility": {"per_kwh": 1600}}}
    meter = pulse_meter(only, medium=meter.medium.survive())
    assert obis.PRODUCTION_ENERGY not in meter.values()
    meter = pulse_meter(two_inputs(generator_start_wh=70), medium=meter.medium.survive())
    assert meter.values()[obis.PRODUCTION_ENERGY] == 70


def test_a_power_cut_at_any_write_sets_no_register_back():
    random = Xorshift(11)
    config = two_inputs(7000, 300, 1000)
    medium = pulse_meter(config).medium
    at_ms = NOW_S * 1000
    shown = [0, 0]
    for number in range(120):
        medium = medium.survive()
        cut_at = random.between(1, 60)
        try:
            meter = pulse_meter(config, medium=medium, begin_ms=at_ms)
            medium.cut_at = medium.operations + cut_at
            for _ in range(100):
                for train in meter.parts:
                    train.pulses += random.between(0, 9000)
                meter.run(random.between(500, 4000), 1)
        except PowerCutError:
            pass
        for _, values, _ in meter.readings:
            found = [values[code] for code in CUMULATIVE]
            assert found[0] >= shown[0] and found[1] >= shown[1], (number, found, shown)
            shown = found
        at_ms += meter.timekeeper.now_ms + 5000
    assert shown[0] > 100000 and shown[1] > 100000


def test_the_remainders_of_pulses_survive_a_power_cut():
    config = two_inputs(7000, 7000)
    medium = None
    for _ in range(7):
        meter = pulse_meter(config, medium=medium)
        for train in meter.parts:
            train.pulses = 1
        meter.run(1000, 1)
        meter.measuring.save()
        medium = meter.medium.survive()
    meter = pulse_meter(config, medium=medium)
    assert mj(meter.measuring.meter.rates[0]) == mj(meter.front_end.production) == KWH_MJ // 1000
    assert meter.front_end.driver.energy.remainder == 0


def test_a_chip_that_ran_on_while_the_processor_started_again_loses_no_energy():
    chip = Bl0942Chip()
    meter = chip_meter(chip, cause="power")
    chip.set(230, 10, 2300)
    meter.run(1000, 200)
    chip.out = b""
    for _ in range(20):
        chip.advance(1000)
    meter = chip_meter(chip, medium=meter.medium.survive(), cause="watchdog")
    meter.run(1000, 100)
    chip.set(230, 0, 0)
    meter.run(1000, 2)
    meter.measuring.save()
    assert mj(meter.measuring.meter.rates[0]) == chip.pulses * 672817 + chip.pulses * 7286 // 10000


def test_a_chip_that_lost_power_with_the_processor_counts_from_zero():
    chip = Bl0942Chip()
    meter = chip_meter(chip, cause="power")
    chip.set(230, 10, 2300)
    meter.run(1000, 200)
    chip.count = 3
    chip.out = b""
    chip.set(230, 0, 0)
    before_mj = mj(meter.measuring.meter.rates[0])
    meter.measuring.save()
    meter = chip_meter(chip, medium=meter.medium.survive(), cause="power")
    meter.run(1000, 3)
    assert 0 <= mj(meter.measuring.meter.rates[0]) - before_mj - 3 * 672817 <= 3


def test_pulses_of_a_utility_make_any_board_an_add_on():
    train = Train()
    board = {"chip": "bl0942", "pulses_per_kwh": {"utility": 1000}}
    config = {"pulses": {"utility": {}}}
    front_end = build_front_end(board, config, Hal(counters={"utility_pulse": train}))
    train.pulses = 1
    front_end.tick(1000)
    assert front_end.exact.energies_mj == (3600000, 0, 0)


def test_a_board_s_pulses_hold_unless_the_configuration_says_otherwise():
    board = {"chip": "pulses", "pulses_per_kwh": {"utility": 1600, "generator": 300}}
    for config, expected in (
        ({}, (2250000, 0, 12000000)),
        ({"pulses": {"generator": {"per_kwh": 1000}}}, (2250000, 0, 3600000)),
    ):
        trains = {"utility_pulse": Train(), "generator_pulse": Train()}
        front_end = build_front_end(board, config, Hal(counters=trains))
        for train in trains.values():
            train.pulses = 1
        front_end.tick(1000)
        assert front_end.exact.energies_mj == expected


def test_errors_name_the_field():
    rows = (
        ({"chip": "ade7953"}, {}, "chip:"),
        ({}, {}, "chip:"),
        (PULSES, {}, "pulses.utility:"),
        (PULSES, {"pulses": 5}, "pulses:"),
        (PULSES, {"pulses": {"utility": {"per_kwh": 0}}}, "pulses.utility.per_kwh:"),
        (PULSES, {"pulses": {"utility": {}}}, "pulses.utility.per_kwh:"),
        (PULSES, {"pulses": {"solar": {}}}, "pulses.solar:"),
        (
            PULSES,
            {"pulses": {"utility": {"per_kwh": 1, "start_wh": -1}}},
            "pulses.utility.start_wh:",
        ),
        (
            {"chip": "pulses", "pulses_per_kwh": {"utility": 1600}},
            {"calibration": {"active_power": {"gain_ppm": 1000001}}},
            "calibration.active_power.gain_ppm:",
        ),
        (BL0942, {"calibration": {"ct": 3}}, "calibration.ct:"),
        ({"chip": "bl0942", "circuit": {"shunt_uohm": 0}}, {}, "circuit.shunt_uohm:"),
        ({"chip": "bl0942", "circuit": {"divider_ohm": 3}}, {}, "circuit.divider_ohm:"),
        ({"chip": "bl0937", "circuit": {"divider_ohm": [1, 2]}}, {}, "circuit.divider_ohm.lower:"),
        ({"chip": "bl0942", "circuit": {"address": 4}}, {}, "circuit.address:"),
        ({"chip": "waveform"}, {}, "chip:"),
    )
    trains = {"utility_pulse": Train(), "generator_pulse": Train()}
    for board, config, field in rows:
        try:
            build_front_end(board, config, Hal(uart=Bl0942Chip(), counters=trains))
        except ConfigError as fault:
            assert str(fault).startswith(field), str(fault)
        else:
            raise AssertionError(field)
