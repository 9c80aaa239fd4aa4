"""Trips pick up late, drop out with hysteresis, and never on what is not measured. Both Pythons."""

from trip_kinds import KINDS
from trips import HOLD_MS, LOST_MS, SIGNS, Trip, Trips, quantities

PLACES = {}
for place, row in enumerate(KINDS):
    PLACES[row[0]] = place
OVER_VOLTAGE = PLACES["over_voltage"]
UNDER_FREQUENCY = PLACES["under_frequency"]


def over(delay_ms=0):
    return Trip(OVER_VOLTAGE, 0, 253000, 250000, delay_ms)


def under(delay_ms=0):
    return Trip(UNDER_FREQUENCY, 0, 49000, 49500, delay_ms)


def test_it_begins_beyond_the_threshold_and_not_at_it():
    assert not over().poll(253000, 0)
    assert over().poll(253001, 0)
    assert not under().poll(49000, 0)
    assert under().poll(48999, 0)


def test_it_begins_when_the_value_was_wrong_for_the_delay():
    trip = over(1000)
    assert not trip.poll(254000, 0)
    assert not trip.poll(254000, 999)
    assert trip.poll(254000, 1000)
    assert trip.active


def test_the_delay_begins_anew_after_the_drop_out_and_only_then():
    trip = over(1000)
    trip.poll(254000, 0)
    assert not trip.poll(250001, 900)
    assert trip.poll(251000, 1000), "between the thresholds the delay runs on"
    trip = over(1000)
    trip.poll(254000, 0)
    assert not trip.poll(250000, 900)
    assert not trip.poll(254000, 1000)
    assert not trip.poll(254000, 1999)
    assert trip.poll(254000, 2000)


def test_it_ends_at_the_drop_out_and_not_between_the_thresholds():
    for trip, wrong, between, good in (
        (over(), 254000, 250001, 250000),
        (under(), 48000, 49499, 49500),
    ):
        trip.poll(wrong, 0)
        assert not trip.poll(between, 10 * HOLD_MS)
        assert trip.poll(good, 10 * HOLD_MS + 1)
        assert not trip.active


def test_it_lasts_a_minute_at_least():
    trip = over()
    trip.poll(254000, 5)
    assert not trip.poll(230000, 5 + HOLD_MS - 1)
    assert trip.poll(230000, 5 + HOLD_MS)


def test_the_extreme_is_the_worst_value_in_the_units_of_the_kind():
    trip = under(1000)
    for value, now_ms in ((48900, 0), (48500, 500), (48800, 1000), (48700, 2000)):
        trip.poll(value, now_ms)
    assert trip.active
    assert trip.extreme == 48500
    trip.poll(48100, 3000)
    trip.poll(50000, 1000 + HOLD_MS)
    assert (trip.active, trip.extreme) == (False, 48100)
    trip.poll(48990, 200000)
    assert trip.extreme == 48990, "the next one has its own"


def test_what_is_not_measured_never_trips():
    assert quantities(0, [])[UNDER_FREQUENCY] is None
    assert quantities(None, [])[UNDER_FREQUENCY] is None
    trips = Trips([(kind, 0, 1 if sign > 0 else 10**6, 2, 0) for kind, sign in enumerate(SIGNS)])
    for sample in ((0, []), (None, []), (None, [(None, None, None, None)])):
        assert trips.poll(quantities(*sample), 0) == []
    assert trips.poll(quantities(0, [(0, 0, 0, 0)]), 0) == [], "no supply is no low voltage"


def test_a_missing_value_lets_the_delay_begin_anew():
    trip = over(1000)
    trip.poll(254000, 0)
    trip.poll(None, 500)
    assert not trip.poll(254000, 1000)
    assert trip.poll(254000, 2000)


def test_a_trip_ends_a_minute_after_the_last_value():
    trip = over()
    trip.poll(254000, 0)
    trip.poll(254000, 100000)
    assert not trip.poll(None, 100000 + LOST_MS - 1)
    assert trip.poll(None, 100000 + LOST_MS)
    assert not trip.active


def test_the_quantities_of_a_sample_are_those_of_its_worst_phase():
    phases = [(100, 0, 231000, 500), (-30, 0, 207000, 9000), (50, 0, 0, 0)]
    assert quantities(50010, phases) == (231000, 207000, 50010, 50010, 9000, 120)


def test_each_kind_acts_on_its_load_alone():
    trips = Trips([(OVER_VOLTAGE, 0, 253000, 250000, 0), (PLACES["load_limit"], 1, 5000, 4000, 0)])
    sample = quantities(50000, [(6000, 0, 240000, 26000)])
    assert trips.poll(sample, 0) == [(6, 1, 1, 6000)]
    assert (trips.sources(0), trips.sources(1)) == (0, 1 << PLACES["load_limit"])
    sample = quantities(50000, [(1000, 0, 254000, 4000)])
    assert trips.poll(sample, HOLD_MS) == [(1, 1, 0, 254000), (6, 0, 1, 6000)]
    assert (trips.sources(0), trips.sources(1)) == (1, 0)


def test_without_configuration_nothing_trips():
    trips = Trips(())
    assert trips.poll(quantities(1, [(10**9, 0, 10**9, 10**9)]), 0) == []
    assert trips.sources(0) == 0
