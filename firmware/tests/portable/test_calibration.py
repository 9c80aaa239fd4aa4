# ruff: noqa: B905, PT017 - MicroPython has no others
"""Rules of the calibration: one rounding, ratios after gain and offset, errors that name the field."""

from calibration import Calibration, Scale, two_point
from config import ConfigError


def refused(table, *words):
    try:
        Calibration(table)
    except ConfigError as fault:
        for word in words:
            assert word in str(fault), str(fault)
        return
    raise AssertionError(table)


def test_a_scale_rounds_once_and_half_up_and_keeps_the_sign():
    third = Scale(1, 3)
    assert [third.of(raw) for raw in (1, 2, 3, -1, -2, -3)] == [0, 1, 1, 0, -1, -1]
    assert [Scale(1, 2).of(raw) for raw in (1, 3, -1, -3)] == [1, 2, 0, -1]


def test_a_ratio_of_a_ratio_is_exact():
    assert Scale(1, 3).times(3, 7).times(7, 1).of(123456789) == 123456789


def test_nothing_stays_nothing_whatever_the_offset():
    assert Scale(1, 1, 50).of(0) == 0
    assert Scale(1, 1, 50).of(1) == 51


def test_a_magnitude_is_not_below_zero():
    assert Scale(1, 1, -50).of(20) == -30
    assert Scale(1, 1, -50).magnitude(20) == 0


def test_an_empty_calibration_changes_nothing():
    for table in (None, {}):
        calibration = Calibration(table)
        for quantity in ("voltage", "current", "active_power", "reactive_power", "frequency"):
            assert calibration.scale(quantity, 1, 1).of(-98765) == -98765
        assert calibration.pulse_mj(2250000, 1) == (2250000, 1)


def test_gain_and_offset_come_before_the_transformers_ratio():
    calibration = Calibration(
        {
            "current": {"gain_ppm": 1010000, "offset_ma": -7},
            "voltage": {"offset_mv": 11},
            "ct": [200, 5],
            "vt": [20000, 100],
        }
    )
    assert calibration.scale("current", 1, 1).of(1000) == (1010 - 7) * 40
    assert calibration.scale("voltage", 1, 1).of(100000) == 100011 * 200
    assert calibration.scale("active_power", 1, 1).of(3) == 3 * 40 * 200
    assert calibration.scale("frequency", 1, 1).of(50000) == 50000


def test_a_pulse_is_worth_its_energy_times_gain_and_ratios():
    calibration = Calibration({"active_power": {"gain_ppm": 1000001}, "ct": [200, 5]})
    mj, per = calibration.pulse_mj(2250000, 1)
    assert mj * 1000000 == 2250000 * 1000001 * 40 * per


def test_what_counts_energy_itself_has_no_offset_of_power():
    calibration = Calibration({"active_power": {"offset_mw": 5}})
    try:
        calibration.pulse_mj(1, 1)
    except ConfigError as fault:
        assert "calibration.active_power.offset_mw" in str(fault)
    else:
        raise AssertionError


def test_pulses_of_another_meter_have_no_gain_of_ours():
    calibration = Calibration({"active_power": {"gain_ppm": 1000001}})
    try:
        calibration.pulse_mj(1, 1, own_gain=False)
    except ConfigError as fault:
        assert "calibration.active_power.gain_ppm" in str(fault)
    else:
        raise AssertionError


def test_two_points_give_the_gain_and_offset_that_take_the_readings_to_the_reference():
    rows = (
        ((1000, 230000), (1013, 231871)),
        ((230000, 1000), (231871, 1013)),
        ((12, 60000), (0, 59111)),
        ((5, 6), (5, 6)),
        ((100, 10000), (103, 9903)),
    )
    for read, reference in rows:
        gain_ppm, offset = two_point(read, reference)
        table = {"voltage": {"gain_ppm": gain_ppm, "offset_mv": offset}}
        scale = Calibration(table).scale("voltage", 1, 1)
        for value, expected in zip(read, reference):
            assert abs(scale.of(value) - expected) <= 1, (read, reference, gain_ppm, offset)


def test_two_points_of_the_same_load_are_refused():
    try:
        two_point((5, 5), (1, 2))
    except ValueError as fault:
        assert "read" in str(fault)
    else:
        raise AssertionError


def test_errors_name_the_field_and_the_remedy():
    refused([], "calibration:", "give")
    refused({"volts": {}}, "calibration.volts", "voltage")
    refused({"voltage": 5}, "voltage", "give")
    refused({"voltage": {"gain": 1}}, "calibration.voltage.gain:", "gain_ppm")
    refused({"voltage": {"gain_ppm": 1.01}}, "calibration.voltage.gain_ppm", "whole number")
    refused({"current": {"gain_ppm": 499999}}, "calibration.current.gain_ppm", "500000")
    refused({"current": {"gain_ppm": 2000001}}, "calibration.current.gain_ppm", "2000000")
    refused({"current": {"offset_mv": 1}}, "calibration.current.offset_mv", "offset_ma")
    refused({"active_power": {"offset_mw": True}}, "calibration.active_power.offset_mw")
    refused({"frequency": {"offset_mhz": 1}}, "calibration.frequency.offset_mhz")
    refused({"ct": 40}, "calibration.ct:", "[200, 5]")
    refused({"ct": [200, 0]}, "calibration.ct.secondary")
    refused({"vt": [0, 1]}, "calibration.vt.primary")
