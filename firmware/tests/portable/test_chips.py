"""Rules of the chip drivers, each against a simulator made after its data sheet."""

from chip_front_end import build_front_end
from chips.bl0942 import PACKET_BYTES, circuit, parse_packet
from fake_chips import Bl0942Chip, Hal, PulseChip, take

PULSE_NJ = 672817728609
PULSE_MJ = PULSE_NJ // 1000000
"""What a pulse of CF_CNT is worth behind 1 mΩ and 5 · 390 kΩ / 510 Ω, by the data sheet's formulas:
419430.4 · 1.218² / 3537 · 1950.51 / 0.51 mJ; an integer, because boards have 30-bit floats."""


def bl0942(chip, config=None, cause="unknown"):
    return build_front_end({"chip": "bl0942"}, config or {}, Hal(uart=chip, cause=cause)).driver


def near(value, expected, most):
    assert abs(value - expected) <= most, (value, expected)


def worth_mj(pulses):
    return (pulses * PULSE_NJ + 500000) // 1000000


def settle(driver, chip):
    """Take what the chip has counted so far, while no time passes for it."""
    driver.poll(1000)
    driver.poll(1000)
    take(driver)
    chip.pulses = 0


def step(driver, chip, ticks=1, tick_ms=1000):
    """Let ticks pass; return the energy in mJ."""
    energy_mj = 0
    for _ in range(ticks):
        chip.advance(tick_ms)
        driver.poll(tick_ms)
        energy_mj += take(driver)
    return energy_mj


def test_a_packet_is_what_the_data_sheet_says():
    chip = Bl0942Chip()
    chip.i_rms, chip.v_rms, chip.watt, chip.count, chip.period = 1, 0x030201, -2, 0xFFFFFE, 20000
    packet = chip.packet()
    assert len(packet) == PACKET_BYTES == 23
    assert parse_packet(packet, 0) == (1, 0x030201, -2, 0xFFFFFE, 20000)
    assert parse_packet(packet, 1) is None
    assert parse_packet(packet[:-1], 0) is None


def test_a_packet_of_a_real_chip_is_taken_and_its_values_fit_the_formulas():
    """A lamp of 40 W at 230 V through a reversed shunt; values as Tasmota's xnrg_14_bl09xx has them.

    Its divider is not known, so this holds the constants against each other: a lamp has P = U·I.
    STATUS has more bits than those of the data sheet.
    """
    current, voltage, watt = 47523, 3558558, -26380
    packet = b"\x55"
    for value in (current, voltage, 17299, watt % (1 << 24), 153, 19990, 0x121):
        packet += value.to_bytes(3, "little")
    packet += bytes((255 - (0x58 + sum(packet)) % 256,))
    assert parse_packet(packet, 0) == (current, voltage, watt, 153, 19990)
    parts = circuit(1000, [1950510, 510])
    amperes = current * parts["current"][0] // parts["current"][1]
    volts = voltage * parts["voltage"][0] // parts["voltage"][1]
    watts = -watt * parts["active_power"][0] // parts["active_power"][1]
    near(watts, amperes * volts // 1000, watts // 100)


def test_a_pulse_of_the_energy_counter_is_its_period_times_the_power():
    parts = circuit(1000, [1950510, 510])
    near(parts["energy"][0] * 10 // parts["energy"][1], 6728177, 1)
    near(parts["active_power"][0] * 10000 // parts["active_power"][1], 16041, 1)


def test_any_single_octet_changed_makes_no_packet():
    packet = Bl0942Chip().packet()
    for at in range(PACKET_BYTES):
        for flip in (1, 0x55, 0x80, 0xFF):
            broken = packet[:at] + bytes((packet[at] ^ flip,)) + packet[at + 1 :]
            assert parse_packet(broken, 0) is None, (at, flip)


def test_an_octet_that_the_registers_do_not_have_makes_no_packet():
    for at in (18, 21):
        packet = bytearray(Bl0942Chip().packet())
        packet[at] += 1
        packet[-1] = (packet[-1] - 1) % 256
        assert parse_packet(bytes(packet), 0) is None


def test_a_bl0942_is_asked_once_a_tick_and_its_values_are_those_of_the_circuit():
    chip = Bl0942Chip(2)
    board = {"chip": "bl0942", "circuit": {"address": 2}}
    driver = build_front_end(board, {}, Hal(uart=chip)).driver
    chip.set(230.5, 10.25, 2300, 49.98)
    step(driver, chip, 3)
    frequency_mhz, power_w, reactive_var, voltage_mv, current_ma = driver.sample
    near(frequency_mhz, 49980, 3)
    near(power_w, 2300, 1)
    near(voltage_mv, 230500, 1)
    near(current_ma, 10250, 1)
    assert reactive_var is None
    assert chip.asked == 3


def test_the_sign_of_power_is_the_direction():
    chip = Bl0942Chip()
    driver = bl0942(chip)
    chip.set(230, 10, 2300)
    used_mj = step(driver, chip, 60)
    chip.set(230, 10, -2300)
    step(driver, chip, 2)
    made_mj = step(driver, chip, 60)
    assert driver.sample[1] == -2300
    near(used_mj, 2300 * 58 * 1000, 2 * PULSE_MJ)
    near(made_mj, -2300 * 60 * 1000, 2 * PULSE_MJ)


def test_the_energy_is_that_of_the_counter_to_the_pulse_over_its_wrap():
    chip = Bl0942Chip(count=(1 << 24) - 5)
    driver = bl0942(chip)
    chip.set(230, 10, 2300)
    settle(driver, chip)
    energy_mj = step(driver, chip, 40)
    driver.poll(1000)
    energy_mj += driver.energy_mj
    assert chip.count < 1 << 10
    near(energy_mj, worth_mj(chip.pulses), 1)
    near(energy_mj, 2300 * 40000, 2 * PULSE_MJ)


def test_the_gain_of_power_is_that_of_energy():
    energies = []
    for gain_ppm in (1000000, 1100000):
        chip = Bl0942Chip()
        driver = bl0942(chip, {"calibration": {"active_power": {"gain_ppm": gain_ppm}}})
        chip.set(230, 10, 2000)
        energies.append(step(driver, chip, 600))
        near(driver.sample[1], 2000 * gain_ppm // 1000000, 1)
    near(energies[1], energies[0] * 11 // 10, 1)


def test_garbage_before_and_between_packets_costs_no_packet():
    for garbage in (b"\0", b"\x55", b"\x55" * 30, bytes(range(200)), b"U\xaaU\xaa"):
        chip = Bl0942Chip()
        driver = bl0942(chip)
        chip.set(230, 1, 200)
        chip.out = garbage
        for _ in range(4):
            chip.out = chip.out + garbage
            step(driver, chip)
        near(driver.sample[3], 230000, 1)
        assert not driver.silent


def test_a_bad_sum_is_counted_and_gives_no_value():
    chip = Bl0942Chip()
    driver = bl0942(chip)
    chip.set(230, 1, 200)
    packet = bytearray(chip.packet())
    packet[5] ^= 1
    chip.out = bytes(packet)
    driver.poll(1000)
    assert driver.bad_sums == 1
    assert driver.sample == (None,) * 5


def test_a_packet_in_two_parts_is_one():
    chip = Bl0942Chip()
    driver = bl0942(chip)
    chip.set(230, 1, 200)
    packet = chip.packet()
    chip.is_alive = False
    chip.out = packet[:9]
    driver.poll(100)
    chip.out = packet[9:]
    driver.poll(100)
    near(driver.sample[3], 230000, 1)
    assert driver.bad_sums == 0


def test_fast_ticks_do_not_ask_before_the_answer_can_be_there():
    chip = Bl0942Chip()
    chip.is_alive = False
    driver = bl0942(chip)
    asked = []
    chip.write = asked.append
    for _ in range(100):
        driver.poll(20)
    assert len(asked) == 8


def test_a_silent_chip_has_no_values_and_comes_back_by_itself_with_all_its_energy():
    chip = Bl0942Chip()
    driver = bl0942(chip)
    chip.set(230, 10, 2300)
    settle(driver, chip)
    energy_mj = step(driver, chip, 30)
    chip.is_alive = False
    energy_mj += step(driver, chip, 3)
    assert not driver.silent
    near(driver.sample[3], 230000, 1)
    energy_mj += step(driver, chip, 2)
    assert driver.silent
    assert driver.sample == (None,) * 5
    assert step(driver, chip, 595) == 0
    chip.is_alive = True
    step(driver, chip)
    assert driver.silent
    driver.poll(1000)
    assert driver.late
    assert not driver.silent
    near(energy_mj + driver.energy_mj, worth_mj(chip.pulses), 1)
    assert chip.pulses > 2000
    step(driver, chip)
    assert not driver.late


def test_one_long_tick_without_an_answer_is_no_silence_and_two_are():
    chip = Bl0942Chip()
    driver = bl0942(chip)
    chip.set(230, 10, 2300)
    step(driver, chip, 3, 10000)
    chip.out = b""
    step(driver, chip, 1, 10000)
    assert not driver.silent
    chip.is_alive = False
    chip.out = b""
    step(driver, chip, 2, 10000)
    assert driver.silent


def test_a_chip_that_started_again_counts_from_zero():
    chip = Bl0942Chip(count=100000)
    driver = bl0942(chip)
    chip.set(230, 10, 2300)
    step(driver, chip, 10)
    chip.count = 0
    step(driver, chip)
    near(step(driver, chip, 20), 2300 * 20000, 2 * PULSE_MJ)


def test_a_counter_that_cannot_be_is_refused_with_its_packet_unless_the_next_agrees():
    chip = Bl0942Chip(count=100000)
    driver = bl0942(chip)
    chip.set(230, 10, 2300)
    step(driver, chip, 10)
    settle(driver, chip)
    real, chip.count = chip.count, chip.count + 500000
    chip.set(150, 10, 2300)
    chip.out = chip.packet()
    chip.count = real
    chip.set(230, 10, 2300)
    driver.poll(1000)
    assert (take(driver), driver.implausible) == (0, 1)
    near(driver.sample[3], 230000, 1)
    energy_mj = step(driver, chip, 10)
    driver.poll(1000)
    near(energy_mj + driver.energy_mj, worth_mj(chip.pulses), 1)
    chip.count += 500000
    step(driver, chip, 2)
    assert driver.implausible == 2
    chip.advance(1000)
    driver.poll(1000)
    assert driver.lost
    take(driver)
    near(step(driver, chip, 27), 2300 * 27000, 2 * PULSE_MJ)
    assert not driver.lost


def test_after_a_watchdog_the_chip_s_counter_goes_on_and_after_power_it_begins_at_zero():
    chip = Bl0942Chip(count=5000)
    driver = bl0942(chip)
    driver.resume(4990)
    chip.set(230, 0, 0)
    near(step(driver, chip, 2), worth_mj(10), 1)
    chip = Bl0942Chip(count=700)
    driver = bl0942(chip)
    driver.resume(None)
    near(step(driver, chip, 2), worth_mj(700), 1)
    chip = Bl0942Chip(count=5000)
    driver = bl0942(chip)
    assert step(driver, chip, 3) == 0


def pulse_chip(model, **config):
    chip = PulseChip(model)
    counters = {"cf": chip.cf, "cf1": chip.cf1}
    hal = Hal(counters=counters, outputs={"sel": chip})
    return chip, build_front_end({"chip": model}, config, hal).driver


def test_a_pulse_chip_shows_voltage_current_and_power_by_its_data_sheet():
    for model in ("hlw8012", "bl0937"):
        chip, driver = pulse_chip(model)
        chip.load(230, 10, 2300)
        step(driver, chip, 30)
        frequency_mhz, power_w, reactive_var, voltage_mv, current_ma = driver.sample
        assert (frequency_mhz, reactive_var) == (None, None)
        near(voltage_mv, 230000, 1000)
        near(current_ma, 10000, 20)
        near(power_w, 2300, 15)


def test_a_pulse_chip_s_energy_is_that_of_its_pulses():
    for model in ("hlw8012", "bl0937"):
        chip, driver = pulse_chip(model)
        chip.load(230, 10, 2300)
        energy_mj = step(driver, chip, 3600)
        near(energy_mj, 2300 * 3600 * 1000, 2300 * 36)
        assert energy_mj % chip.cf.pulses < chip.cf.pulses


def test_voltage_and_current_come_by_turns_and_no_window_mixes_them():
    chip, driver = pulse_chip("hlw8012")
    chip.load(230, 0, 0)
    step(driver, chip, 40)
    assert chip.turns == 1 + 40 // 2
    assert driver.sample[4] == 0
    near(driver.sample[3], 230000, 1000)


def test_a_pulse_chip_without_pulses_of_the_voltage_is_silent_and_comes_back():
    chip, driver = pulse_chip("hlw8012")
    chip.load(230, 1, 200)
    step(driver, chip, 8)
    assert driver.sample[1] is not None
    chip.load(0, 0, 0)
    step(driver, chip, 6)
    assert driver.silent
    assert driver.sample == (None,) * 5
    chip.load(230, 1, 200)
    step(driver, chip, 6)
    assert not driver.silent
    near(driver.sample[1], 200, 10)


def test_a_pulse_chip_s_current_and_voltage_are_calibrated():
    chip, driver = pulse_chip(
        "bl0937",
        calibration={"voltage": {"gain_ppm": 900000}, "current": {"gain_ppm": 1200000}},
    )
    chip.load(230, 10, 2300)
    step(driver, chip, 30)
    near(driver.sample[3], 207000, 1000)
    near(driver.sample[4], 12000, 50)
