# ruff: noqa: B905, C419, PT017, PT018, PTH104, PTH123 - MicroPython has no others
"""Rules of the simulated electricity: exact quarter hours, feeder sum, disturbances, errors."""

import binascii
import os
import struct

import registers as obis
from electricity import Electricity, load_electricity, street_electricity
from metering import Meter
from quality import Quality
from simulation.prng import Xorshift, wander
from simulation.utc_text import parse_utc

FOLDER = "/tmp"
ORIGIN = 1451602800
START = "2016-01-02T08:00:00Z"
BOOT = 1795000123
LOAD = "metertwin-test-load"
SUN = "metertwin-test-sun"


def write_profiles():
    for name, peak, seed in ((LOAD, 1000000, 1), (SUN, 600000, 2)):
        random = Xorshift(seed)
        values = [random.below(peak) for _ in range(384)]
        values[100] = 0
        head = struct.pack("<4sB3sIIIQ", b"MTPF", 1, b"", ORIGIN, 900, 384, sum(values))
        own = f"{FOLDER}/{name}-{binascii.hexlify(os.urandom(6)).decode()}"
        with open(own, "wb") as file:
            file.write(head + b"".join([struct.pack("<i", value) for value in values]))
        os.rename(own, f"{FOLDER}/{name}.bin")  # another run may be reading it


write_profiles()


def house(seed=1, **more):
    config = {"profile": LOAD, "annual_kwh": 30, "phases": 3, "seed": seed, "start_at": START}
    config.update(more)
    return config


def solar(seed=1, **more):
    config = house(seed, pv_profile=SUN, pv_kwp=8.5)
    config.update(more)
    return config


def both_wh(rows):
    values = {row[0]: row[1] for row in rows}
    return values[obis.IMPORT_ENERGY], values[obis.EXPORT_ENERGY]


def quarters(electricity, ticks, boot=BOOT):
    """Run through ticks; return (imported Wh, exported Wh, source's mWh) of whole quarter hours."""
    meter = Meter(b"1", electricity.phases)
    at_ms = boot * 1000
    found = []
    before = None
    for tick_ms in ticks:
        at_ms += tick_ms
        position_ms = electricity.position_ms
        captures = meter.tick(electricity.tick(tick_ms), tick_ms, at_ms // 1000, at_ms % 1000)
        for _, rows in captures:
            now = both_wh(rows)
            if before is not None:
                load, plant = electricity.source_energy_mj(position_ms)
                found.append((now[0] - before[0], now[1] - before[1], (load - plant) // 3600))
            before = now
    return found


def assert_within_a_watt_hour(found, number):
    """Each register that moved shows whole watt-hours, so each may differ by less than one."""
    assert len(found) == number, len(found)
    for imported_wh, exported_wh, source_mwh in found:
        allowed = 2000 if imported_wh and exported_wh else 1000
        error = (imported_wh - exported_wh) * 1000 - source_mwh
        assert abs(error) < allowed, (imported_wh, exported_wh, source_mwh)


def test_samples_carry_the_source_s_energy_to_a_few_milliwatt_hours():
    aligned = BOOT // 900 * 900
    for config in (house(1), solar(2), solar(3, phases=1)):
        electricity = Electricity(config, FOLDER, aligned)
        for _ in range(3):
            load, plant = electricity.source_energy_mj(electricity.position_ms)
            total = 0
            for _ in range(900):
                total += sum([phase[0] for phase in electricity.tick(1000)[1]]) * 1000
            assert abs(total - load + plant) < 3600000 // 500


def test_the_energy_of_a_quarter_hour_is_the_source_s():
    random = Xorshift(9)
    for config in (house(1), house(2, phases=1), solar(3), solar(4, phases=1, pv_kwp=3)):
        ticks = [random.between(200, 1800) for _ in range(4000)]
        found = quarters(Electricity(config, FOLDER, BOOT), ticks)
        assert len(found) in (3, 4)
        assert_within_a_watt_hour(found, len(found))


def test_intervals_of_profile_and_utc_coincide_wherever_the_demo_begins():
    electricity = Electricity(house(), FOLDER, BOOT)
    assert (electricity.position_ms // 1000 - BOOT + ORIGIN) % 900 == 0
    start = parse_utc(START, "start_at")
    assert 0 <= electricity.position_ms // 1000 + ORIGIN - start < 900


def test_meters_with_an_anchor_agree_whenever_they_boot():
    config = house(anchor="2026-11-18T09:00:00Z")
    early = Electricity(config, FOLDER, BOOT)
    late = Electricity(config, FOLDER, BOOT + 2000)
    early.tick(2000000)
    early.tick(1000)
    late.tick(1000)
    assert late.position_ms == early.position_ms
    for one, other in zip(early.tick(1000)[1], late.tick(1000)[1]):
        assert abs(one[0] - other[0]) <= 2


def street():
    houses = {}
    for number in range(1, 9):
        config = solar(number) if number in (3, 6) else house(number)
        if number % 2:
            config["phases"] = 1
            config["line"] = number % 3 + 1
        del config["start_at"]
        houses[f"house-{number}"] = config
    return {"start_at": START, "households": houses, "feeder": {"phases": 3}}


def test_the_feeder_measures_the_sum_of_the_households():
    config = street()
    ticks = [1000] * 2000
    sums = [0, 0]
    for name in config["households"]:
        found = quarters(street_electricity(config, name, FOLDER, BOOT), ticks)
        assert_within_a_watt_hour(found, 1)
        sums[0] += found[0][0] - found[0][1]
        sums[1] += found[0][2]
    feeder = load_electricity({"street": config}, FOLDER, BOOT)
    found = quarters(feeder, ticks)
    assert_within_a_watt_hour(found, 1)
    assert abs(found[0][2] - sums[1]) <= 8
    assert abs((found[0][0] - found[0][1]) * 1000 - sums[1]) < 2000
    assert abs(found[0][0] - found[0][1] - sums[0]) <= 10


def test_power_within_a_quarter_hour_moves():
    electricity = Electricity(house(phases=1), FOLDER, BOOT)
    powers = {electricity.tick(1000)[1][0][0] for _ in range(600)}
    assert len(powers) > 5


def test_the_same_seed_gives_the_same_electricity_and_another_seed_another():
    runs = []
    for seed in (5, 5, 6):
        electricity = Electricity(house(seed), FOLDER, BOOT)
        runs.append([electricity.tick(1000) for _ in range(300)])
    assert runs[0] == runs[1] != runs[2]


def test_voltage_falls_with_load_and_rises_with_plant_and_neighbours_matter():
    from simulation.grid import voltage_mv

    at = 123456789
    free = voltage_mv(at, 0, 0, 0, busbar=False)
    assert voltage_mv(at, 0, 5000, 0, busbar=False) < free - 4000
    assert voltage_mv(at, 0, -5000, 0, busbar=False) > free + 4000
    assert voltage_mv(at, 0, 0, 5000, busbar=False) < free - 1500
    assert free > voltage_mv(at, 0, 5000, 0, busbar=True) > free - 500


def test_frequency_stays_near_50_hz_and_moves():
    electricity = Electricity(house(), FOLDER, BOOT)
    seen = [electricity.tick(5000)[0] for _ in range(500)]
    assert 49950 <= min(seen) < max(seen) <= 50050


def test_injected_disturbances_are_measured():
    electricity = Electricity(
        solar(disturbances=[{"kind": "swell", "at_s": 30, "duration_ms": 300, "phase": 3}]),
        FOLDER,
        BOOT,
    )
    quality = Quality(3)
    events = []
    for second in range(60):
        if second == 10:
            electricity.waveform.inject("dip", 200, phase=2, percent=70, delay_ms=500)
        if second == 20:
            electricity.waveform.inject("interruption", 1500)
        electricity.tick(1000)
        wave = electricity.waveform
        events += quality.half_cycles(
            wave.half_cycles, wave.half_us, BOOT + second + 1, 0, wave.age_us
        )
    dips = [event for event in events if event[0] == 10]
    swells = [event for event in events if event[0] == 11]
    interruptions = [event for event in events if event[0] == 12]
    assert [event[2] for event in dips] == [2, 1, 2, 3]
    assert 190 <= dips[0][3] <= 230
    assert dips[0][1][0] == BOOT + 10 and 480 <= dips[0][1][1] <= 520
    assert 155000 < dips[0][4] < 168000
    assert [event[2] for event in interruptions] == [1, 2, 3]
    assert all([1480 <= event[3] <= 1510 for event in interruptions])
    assert [event[2] for event in swells] == [3]


def test_nothing_flows_through_an_open_supply_or_a_dead_phase():
    electricity = Electricity(house(), FOLDER, BOOT)
    electricity.supply = False
    for _ in range(3):
        phases = electricity.tick(1000)[1]
    assert [phase[0] for phase in phases] == [0, 0, 0]
    assert min([phase[2] for phase in phases]) > 200000
    electricity.supply = True
    electricity.waveform.inject("interruption", 5000, phase=2)
    electricity.tick(1000)
    phases = electricity.tick(1000)[1]
    assert (phases[1][0], phases[1][2]) == (0, 0)
    assert phases[0][0] > 0


def test_a_load_that_is_off_takes_its_share_of_the_house_and_nothing_of_the_plant():
    whole, rest = (Electricity(solar(), FOLDER, BOOT) for _ in range(2))
    rest.load_permille = 700
    used = whole.members[0].between(whole.position_ms, whole.position_ms + 60000)[0]
    for sample, other in zip(whole.tick(60000)[1], rest.tick(60000)[1]):
        lost_w = used[0] * 300 // 1000 // 60000
        assert lost_w > 10
        assert abs(sample[0] - other[0] - lost_w) <= 1, (sample, other, lost_w)
        used = used[1:]


def test_speed_moves_the_position_and_keeps_the_power():
    slow = Electricity(house(), FOLDER, BOOT)
    fast = Electricity(house(), FOLDER, BOOT, speed=60)
    total = sum([sum([phase[0] for phase in slow.tick(1000)[1]]) for _ in range(600)])
    mean = sum([sum([phase[0] for phase in fast.tick(1000)[1]]) for _ in range(10)]) / 10
    assert fast.position_ms == slow.position_ms
    assert abs(total / 600 - mean) < 5


def test_half_cycles_come_without_gap_whatever_the_ticks():
    electricity = Electricity(house(phases=1), FOLDER, BOOT)
    random = Xorshift(3)
    total_ms = count = 0
    for _ in range(300):
        tick_ms = random.between(1, 1500)
        electricity.tick(tick_ms)
        total_ms += tick_ms
        count += len(electricity.waveform.half_cycles[0])
        assert electricity.waveform.age_us < (tick_ms + 11) * 1000
    assert abs(count - total_ms // 10) < total_ms // 10000 + 2


def test_wandering_is_continuous_and_bounded():
    last = wander(1, 0, 1000, 50)
    for time_ms in range(0, 20000, 10):
        value = wander(1, time_ms, 1000, 50)
        assert abs(value) <= 50
        assert abs(value - last) <= 2
        last = value


def test_errors_name_the_field():
    rows = (
        (house(annual_kwh=0), "household.annual_kwh"),
        (house(phases=2), "household.phases"),
        (house(profile="none"), "household.profile"),
        (house(profile="../x"), "household.profile"),
        (house(pv_profile=SUN), "household.pv_kwp"),
        (house(start_at="yesterday"), "start_at"),
        (house(anchor="2016-13-01T00:00:00Z"), "anchor"),
        (house(disturbances=[{"kind": "x", "at_s": 1, "duration_ms": 5}]), "disturbances[0].kind"),
        (house(disturbances=[{"kind": "dip", "at_s": 1}]), "disturbances[0].duration_ms"),
        ({"street": street(), "name": "nobody"}, "nobody"),
        ({"street": {}}, "households"),
    )
    for config, words in rows:
        try:
            load_electricity(config, FOLDER, BOOT)
        except ValueError as fault:
            assert words in str(fault), str(fault)
        else:
            raise AssertionError(words)
