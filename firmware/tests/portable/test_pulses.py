"""Rules of the pulse inputs: every pulse is worth its energy to the mJ, whatever the ticks."""

from calibration import Calibration
from chips.pulses import KWH_MJ, PulseEnergy, PulseTrain
from counter import Counter
from fake_chips import Train, take
from simulation.prng import Xorshift


class Counted:
    """A counter that the test sets."""

    def __init__(self):
        self.pulses = 0
        self.us = 0

    def count(self):
        return self.pulses

    def period_us(self):
        return self.us


def worth(energy, pulses):
    """Return the mJ of some pulses and keep the remainder, as a driver does."""
    energy_mj, energy.remainder = energy.split(pulses)
    return energy_mj


def test_a_pulse_of_1600_and_of_300_a_kwh_is_a_whole_number_of_millijoule():
    assert worth(PulseEnergy(KWH_MJ, 1600), 1) == 2250000
    assert worth(PulseEnergy(KWH_MJ, 300), 1) == 12000000


def test_where_a_kwh_does_not_divide_the_remainder_is_carried():
    energy = PulseEnergy(KWH_MJ, 7000)
    assert [worth(energy, 1) for _ in range(7)] == [
        514285,
        514286,
        514286,
        514285,
        514286,
        514286,
        514286,
    ]
    assert energy.remainder == 0


def test_a_million_pulses_in_any_portions_are_exactly_their_energy():
    for per_kwh in (1600, 300, 7000, 999):
        random = Xorshift(per_kwh)
        energy = PulseEnergy(KWH_MJ, per_kwh)
        register = Counter()
        left = 1000000
        while left:
            pulses = min(left, random.between(0, 4000))
            left -= pulses
            register.add(worth(energy, pulses), 1)
        whole = 1000000 * KWH_MJ
        total = register.units * 3600000 + register.remainder
        assert total * per_kwh + energy.remainder == whole, per_kwh


def test_pulses_that_came_before_the_first_look_count():
    counted = Counted()
    counted.pulses = 3
    train = PulseTrain(counted, KWH_MJ, 1600)
    train.poll(1000)
    assert take(train) == 3 * 2250000
    train.poll(1000)
    assert train.energy_mj == 0


def test_power_is_the_energy_of_a_pulse_over_the_time_between_two():
    train, pulses = PulseTrain(Train(), KWH_MJ, 1600), Train()
    train._counter = pulses
    pulses.hertz = 2300 * 1600 / 3600000
    for _ in range(100):
        pulses.advance(1000)
        train.poll(1000)
    assert abs(train.sample[1] - 2300) <= 2300 // 2
    assert train.sample == (None, train.power_w(), None, None, None)
    pulses.hertz = 40000 * 1600 / 3600000
    for _ in range(3):
        pulses.advance(10000)
        train.poll(10000)
    assert abs(train.power_w() - 40000) < 400


def test_without_pulses_the_power_sinks_to_what_would_have_sent_one():
    counted = Counted()
    train = PulseTrain(counted, KWH_MJ, 1600)
    counted.pulses, counted.us = 1, 2250000
    train.poll(1000)
    assert train.power_w() == 1000
    counted.us = 0
    train.poll(2000)
    assert train.power_w() == 1000
    train.poll(2500)
    assert train.power_w() == 500
    for _ in range(500):
        train.poll(10000)
    assert train.power_w() == 0


def test_pulses_minutes_apart_have_a_period_though_the_board_has_none_of_it():
    counted = Counted()
    train = PulseTrain(counted, KWH_MJ, 1600)
    for _ in range(3):
        for _ in range(299):
            train.poll(1000)
        counted.pulses += 1
        train.poll(1000)
        assert take(train) == 2250000
        assert train.power_w() == 8


def test_before_the_first_pulse_the_power_is_not_known_until_it_is_nothing():
    train = PulseTrain(Counted(), KWH_MJ, 1600)
    assert train.power_w() is None
    train.poll(4000000)
    assert train.power_w() is None
    train.poll(600000)
    assert train.power_w() == 0


def test_a_transformer_ahead_of_the_meter_multiplies_the_pulse():
    worth = Calibration({"ct": [100, 5], "vt": [10000, 100]}).pulse_mj(KWH_MJ, 1600, own_gain=False)
    counted = Counted()
    train = PulseTrain(counted, *worth)
    counted.pulses = 7
    train.poll(1000)
    assert train.energy_mj == 7 * 2250000 * 20 * 100
