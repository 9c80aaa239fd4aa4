"""A simulated load's pulses: its energy through the day, no part of a pulse lost. Both Pythons."""

from simulation.load_curve import DAY_S, LoadCurve

PULSE_UJ = 2250000000
KWH_UJ = 3600 * 1000 * 1000000


def test_a_day_at_a_kilowatt_is_24_kwh_however_often_it_is_asked():
    for step_s in (1, 60, 900):
        curve = LoadCurve((1000,), PULSE_UJ)
        for at in range(step_s, DAY_S + 1, step_s):
            pulses = curve.count(step_s * 1000, at)
        assert pulses == 24 * KWH_UJ // PULSE_UJ


def test_the_power_is_that_of_the_time_of_day():
    curve = LoadCurve((0, 2250, 0, 4500), PULSE_UJ)
    counts = [curve.count(1000000, hour * 3600) for hour in (0, 5, 6, 11, 12, 18, 24, 48 + 23)]
    assert counts == [0, 0, 1000, 2000, 2000, 4000, 4000, 6000]


def test_the_rest_of_a_pulse_waits_for_the_next_call():
    curve = LoadCurve((700,), 10342967)
    total_ms = 0
    for at in range(200):
        total_ms += 997
        assert curve.count(997, at) == 700 * total_ms * 1000 // 10342967
