# ruff: noqa: PERF401 - MicroPython has no others
"""Rules of power quality: thresholds and hysteresis on both sides, means."""

from event_codes import DIP, INTERRUPTION, SWELL, VOLTAGE_10MIN
from quality import Quality

UN = 230000
T0 = 1795000200  # a ten-minute tick


def watch(values, phases=1):
    quality = Quality(phases)
    return quality, quality.half_cycles([list(values)] * phases, 10000, T0, 0, len(values) * 10000)


def codes(events):
    return [event[0] for event in events]


def test_t0_is_a_ten_minute_tick():
    assert T0 % 600 == 0


def test_a_dip_begins_below_90_percent_and_not_at_it():
    assert codes(watch([UN, 207000, UN])[1]) == []
    assert watch([UN, 206999, UN])[1] == [(DIP, (T0 - 1, 980), 1, 10, 206999)]


def test_a_dip_ends_at_92_percent_and_not_below_it():
    assert watch([206000, 211599])[1] == []
    assert watch([206000, 211599, 211600])[1] == [(DIP, (T0 - 1, 970), 1, 20, 206000)]


def test_a_swell_begins_above_110_percent_and_not_at_it():
    assert codes(watch([253000, UN])[1]) == []
    assert watch([253001, UN])[1] == [(SWELL, (T0 - 1, 980), 1, 10, 253001)]


def test_a_swell_ends_at_108_percent_and_not_above_it():
    assert watch([254000, 248401])[1] == []
    assert watch([254000, 248401, 248400])[1] == [(SWELL, (T0 - 1, 970), 1, 20, 254000)]


def test_an_interruption_begins_below_5_and_ends_at_7_percent():
    assert codes(watch([11500, UN])[1]) == [DIP]
    events = watch([100000, 11499, 16099, 16100, UN])[1]
    assert events == [
        (DIP, (T0 - 1, 950), 1, 40, 11499),
        (INTERRUPTION, (T0 - 1, 960), 1, 20, 11499),
    ]


def test_a_disturbance_goes_on_over_many_ticks():
    quality = Quality()
    assert quality.half_cycles([[UN, 150000]], 10000, T0, 0, 20000) == []
    assert quality.running()
    for tick in range(100):
        assert quality.half_cycles([[140000] * 100], 10000, T0 + tick + 1, 0, 1000000) == []
    events = quality.half_cycles([[UN]], 10000, T0 + 101, 0, 10000)
    assert events == [(DIP, (T0 - 1, 990), 1, 100010, 140000)]
    assert not quality.running()


def test_phases_are_judged_apart():
    quality = Quality(3)
    events = quality.half_cycles([[UN, UN], [200000, UN], [260000, UN]], 10000, T0, 0, 20000)
    assert events == [(DIP, (T0 - 1, 980), 2, 10, 200000), (SWELL, (T0 - 1, 980), 3, 10, 260000)]


def test_ten_minutes_have_min_root_mean_square_and_max():
    quality = Quality()
    events = []
    for second in range(600):
        value = 220000 if second < 300 else 240000
        events += quality.tick([value], 1000, T0 + second + 1)
    assert events == [(VOLTAGE_10MIN, (T0, 0), 600, 0, 220000, 230217, 240000)]


def test_a_tick_across_the_ten_minutes_is_divided():
    quality = Quality()
    quality.tick([230000], 1000, T0 + 598)
    events = quality.tick([200000], 4000, T0 + 602)
    assert events[0][:3] == (VOLTAGE_10MIN, (T0, 0), 3)
    assert quality.means[0].covered_ms == 2000


def test_ten_minutes_with_a_disturbance_are_flagged_until_it_has_ended():
    quality = Quality()
    quality.tick([UN], 1000, T0 + 1)
    quality.half_cycles([[200000]], 10000, T0 + 1, 0, 10000)
    flags = []
    for minute in range(1, 41):
        if minute == 12:
            quality.half_cycles([[UN]], 10000, T0 + 60 * minute, 0, 10000)
        for event in quality.tick([UN], 60000 if minute > 1 else 59000, T0 + 60 * minute):
            flags.append(event[3])
    assert flags == [1, 1, 0, 0]


def test_a_clock_step_throws_the_interval_away():
    quality = Quality()
    quality.tick([UN], 1000, T0 + 1)
    assert quality.tick([UN], 1000, T0 + 700) == []
    events = quality.tick([UN], 500000, T0 + 1200)
    assert events[0][2] == 501, "only what came after the step"
