"""Rules of the waveform core against sines of known amplitude, phase, frequency and harmonics.

The samples are whole ADC steps, so a result is off by what rounding to steps makes of it: the
tolerances are 0.1 % of RMS and of apparent power (0.2 % for reactive power), and 5 mHz.
"""

from array import array
from math import cos, pi, sin, sqrt

from calibration import Calibration
from chips.waveform import CHUNK, FINE, Sampled, crossings, measure, sums
from fake_chips import take

RATE = 4000
"""Samples a second: 80 in a period of 50 Hz, 66.7 in one of 60 Hz."""
AMPLITUDE_U, AMPLITUDE_I = 1800, 1500


def wave(hertz, angle, amplitude, harmonics=(), count=1000, middle=2048, start=0.3, rate=RATE):
    """Return samples of amplitude·sin(ωt + start - angle) and of harmonics (n, share, angle)."""
    samples = array("h", bytes(2 * count))
    for index in range(count):
        at = 2 * pi * hertz * index / rate + start
        level = sin(at - angle)
        for order, share, late in harmonics:
            level += share * sin(order * at - late)
        level = level * amplitude + middle
        samples[index] = int(level + 0.5) if level >= 0 else -int(0.5 - level)
    return samples


def found(hertz, angle, harmonics_u=(), harmonics_i=(), amplitude_i=AMPLITUDE_I, **more):
    """Return (mHz, U, I, P, Q) in ADC steps."""
    voltages = wave(hertz, 0, AMPLITUDE_U, harmonics_u, **more)
    currents = wave(hertz, angle, amplitude_i, harmonics_i, **more)
    frequency, voltage, current, power, reactive = measure(voltages, currents, RATE * 1000)
    square = FINE * FINE
    return frequency, voltage / FINE, current / FINE, power / square, reactive / square


def near(value, expected, most):
    assert abs(value - expected) <= most, (value, expected, most)


def test_rms_powers_and_frequency_of_a_sine_whatever_its_phase():
    apparent = AMPLITUDE_U * AMPLITUDE_I / 2
    for hertz in (45.3, 49.98, 50.0, 50.2, 60.0, 64.7):
        for degrees in (0, 30, 60, 89, 90, 120, 180, 210, 270, 330):
            angle = degrees * pi / 180
            frequency, voltage, current, power, reactive = found(hertz, angle)
            near(frequency, hertz * 1000, 5)
            near(voltage, AMPLITUDE_U / sqrt(2), AMPLITUDE_U / 1000)
            near(current, AMPLITUDE_I / sqrt(2), AMPLITUDE_I / 1000)
            near(power, apparent * cos(angle), apparent / 1000)
            near(reactive, apparent * sin(angle), apparent / 500)


def test_harmonics_count_in_rms_and_in_active_power_where_both_have_them():
    harmonics_u = ((3, 0.05, 0.4), (5, 0.03, 1.0))
    harmonics_i = ((3, 0.30, 0.9), (7, 0.10, 0.0))
    frequency, voltage, current, power, _ = found(
        50.0, 0.5, harmonics_u, harmonics_i, amplitude_i=1000
    )
    apparent = AMPLITUDE_U * 1000 / 2
    near(frequency, 50000, 5)
    near(voltage, AMPLITUDE_U * sqrt((1 + 0.05**2 + 0.03**2) / 2), 2)
    near(current, 1000 * sqrt((1 + 0.3**2 + 0.1**2) / 2), 1)
    near(power, apparent * (cos(0.5) + 0.05 * 0.30 * cos(0.9 - 0.4)), apparent / 1000)


def test_harmonics_of_the_current_alone_make_no_reactive_power():
    apparent = AMPLITUDE_U * 1000 / 2
    for angle in (0.0, 0.5, -0.5):
        reactive = found(50.0, angle, (), ((3, 0.30, 0.9), (5, 0.1, 0.2)), amplitude_i=1000)[4]
        near(reactive, apparent * sin(angle), apparent / 500)


def test_harmonics_make_no_more_zero_crossings():
    samples = wave(50, 0, 1200, ((3, 0.4, pi), (11, 0.15, 0)), count=1600)
    assert 19 <= len(crossings(samples, 2048)) <= 20


def test_few_periods_are_enough_wherever_they_begin():
    apparent = AMPLITUDE_U * AMPLITUDE_I / 2
    for tenth in range(0, 63, 3):
        for angle in (0.0, pi / 4, pi / 2):
            _, voltage, current, power, reactive = found(
                51.7, angle, count=330, start=tenth / 10, rate=RATE
            )
            near(voltage, AMPLITUDE_U / sqrt(2), AMPLITUDE_U / 1000)
            near(current, AMPLITUDE_I / sqrt(2), AMPLITUDE_I / 1000)
            near(power, apparent * cos(angle), apparent / 1000)
            near(reactive, apparent * sin(angle), apparent / 500)


def test_the_direction_is_the_sign_of_active_power():
    assert found(50.0, 0.2)[3] > 0 > found(50.0, pi - 0.2)[3]


def test_an_offset_of_the_adc_is_no_signal():
    for middle in (0, 2048, 2100):
        voltages = wave(50.0, 0, 1000, middle=middle)
        currents = wave(50.0, 0, 10, middle=middle + 17)
        _, voltage, current, power, _ = measure(voltages, currents, RATE * 1000)
        near(voltage / FINE, 1000 / sqrt(2), 1)
        near(current / FINE, 10 / sqrt(2), 0.1)
        near(power / FINE / FINE, 5000, 25)


def test_without_a_voltage_there_is_no_frequency_and_no_power_is_made_up():
    frequency, voltage, current, power, reactive = measure(
        [2048] * 400, [2000, 2096] * 200, 4000000
    )
    assert (frequency, reactive) == (None, None)
    assert (voltage, power) == (0, 0)
    near(current / FINE, 48, 0.2)


def test_too_few_samples_are_no_measurement():
    assert measure([], [], RATE * 1000) is None
    assert measure([1], [1], RATE * 1000) is None
    assert measure([1, 2, 3], [1, 2], RATE * 1000) is None


def test_the_inner_sums_stay_small_integers_at_full_scale():
    full = [2047] * CHUNK
    assert max(sums(full, full, 0, CHUNK, 0, 0)) < 1 << 30
    assert min(sums(full, [-2048] * CHUNK, 0, CHUNK, 0, 0)) > -(1 << 30)


class Adc:
    """Blocks that the test puts in."""

    def __init__(self):
        self.block = None

    def read(self):
        block, self.block = self.block, None
        return block


def sampled():
    calibration = Calibration(None)
    uv, ua, square = 200000, 20000, FINE * FINE * 1000000000
    scales = {
        "voltage": calibration.scale("voltage", uv, FINE * 1000),
        "current": calibration.scale("current", ua, FINE * 1000),
        "active_power": calibration.scale("active_power", uv * ua, square),
        "reactive_power": calibration.scale("reactive_power", uv * ua, square),
        "frequency": calibration.scale("frequency", 1, 1),
    }
    adc = Adc()
    return adc, Sampled(adc, scales)


def block(angle):
    return wave(50, 0, 1626), wave(50, angle, 707), RATE * 1000


def test_a_block_is_volts_amperes_watts_and_var():
    adc, driver = sampled()
    adc.block = block(0.5)
    driver.poll(1000)
    frequency_mhz, power_w, reactive_var, voltage_mv, current_ma = driver.sample
    volts, amperes = 1626 * 0.2 / sqrt(2), 707 * 0.02 / sqrt(2)
    near(frequency_mhz, 50000, 5)
    near(voltage_mv, volts * 1000, 230)
    near(current_ma, amperes * 1000, 10)
    near(power_w, volts * amperes * cos(0.5), 3)
    near(reactive_var, volts * amperes * sin(0.5), 3)


def test_power_times_time_loses_nothing_between_polls_of_any_length():
    adc, driver = sampled()
    adc.block = block(pi)
    driver.poll(1)
    power_mw = driver._power_mw
    assert power_mw < 0
    energy_mj = take(driver)
    for tick_ms in [7, 13, 999, 1, 1000, 480] * 50:
        adc.block = block(pi)
        driver.poll(tick_ms)
        energy_mj += take(driver)
    assert energy_mj == power_mw * (1 + 2500 * 50) // 1000


def test_an_adc_that_stops_is_silent_counts_nothing_and_comes_back():
    adc, driver = sampled()
    adc.block = block(0)
    driver.poll(1000)
    driver.poll(2000)
    assert not driver.silent
    assert take(driver) > 0
    driver.poll(1000)
    assert driver.silent
    assert (driver.sample, driver.energy_mj) == ((None,) * 5, 0)
    adc.block = block(0)
    driver.poll(1000)
    assert not driver.silent
    assert driver.energy_mj > 0
