"""Energy and values of buckets, against a recomputation from the rules, one reading at a time."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_archive.demand import find_demand_maximum
from meter_archive.intervals import build_buckets, build_value_buckets
from meter_archive.snapshots import Snapshot, build_series, register_kind
from meter_wire.obis import REGISTERS, parse_code
from metering_days import (
    ADJUSTED,
    BEGIN_S,
    CAPTURE_S,
    ESTIMATED,
    INVALID,
    boundaries,
    meters,
    plain,
    shuffled,
)


def at(place):
    return BEGIN_S + place * CAPTURE_S


def counting(readings, time_s):
    """Return the reading of a second that counts, by the rule's own words."""
    rows = [one for one in readings if one.time_s == time_s and not one.status & INVALID]
    return max(rows, key=lambda one: (one.incarnation, one.seq), default=None)


def recompute(readings, start_s, end_s):
    """Return (energy, quality, flags, readings, expected) of a bucket from the rules."""
    dated = [one for one in readings if one.time_s and not one.status & INVALID]
    inside = [one for one in dated if start_s < one.time_s <= end_s]
    flags = int(np.bitwise_or.reduce([one.status for one in inside])) if inside else 0
    seconds = range(start_s, end_s + 1)
    on_boundary = {one.time_s for one in inside if one.time_s % CAPTURE_S == 0}
    expected = len([one for one in seconds[1:] if one % CAPTURE_S == 0])
    first, last = counting(dated, start_s), counting(dated, end_s)
    times = sorted({one.time_s for one in dated if one.time_s in seconds})
    values = [counting(dated, time_s).value for time_s in times]
    if first is None or last is None or values != sorted(values):
        return None, "missing", flags, len(on_boundary), expected
    guessed = (first.status | last.status) & ESTIMATED
    quality = "estimated" if guessed else "metered"
    return last.value - first.value, quality, flags, len(on_boundary), expected


@given(meters(), boundaries(), st.data())
def test_buckets_are_what_the_rules_say_and_do_not_depend_on_the_order_of_arrival(
    readings, bounds, data
):
    got = build_buckets(build_series(data.draw(shuffled(readings))), bounds, CAPTURE_S)
    assert got == build_buckets(build_series(readings), bounds, CAPTURE_S)
    assert [(one.start_s, one.end_s) for one in got] == list(pairwise(bounds))
    for one in got:
        assert one[2:7] == recompute(readings, one.start_s, one.end_s)
        assert bool(one.reason) == (one.energy is None)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=200), st.data())
def test_energies_of_all_buckets_sum_to_what_the_register_moved(steps, data):
    values = np.cumsum(steps).tolist()
    readings = data.draw(shuffled(plain(values)))
    inner = data.draw(st.sets(st.integers(1, len(values) - 1)))
    bounds = [at(place) for place in sorted({0, *inner, len(values) - 1})]
    buckets = build_buckets(build_series(readings), bounds, CAPTURE_S)
    assert sum(one.energy for one in buckets) == values[-1] - values[0]
    frame = pd.Series(values, index=[at(place) for place in range(len(values))])
    assert [one.energy for one in buckets] == frame.loc[bounds].diff().dropna().tolist()


@given(meters(), boundaries(), st.data())
def test_a_late_reading_changes_only_buckets_that_touch_it(readings, bounds, data):
    if not readings:
        return
    late = data.draw(st.sampled_from(readings))
    without = [one for one in readings if one is not late]
    before = build_buckets(build_series(without), bounds, CAPTURE_S)
    after = build_buckets(build_series([*without, late]), bounds, CAPTURE_S)
    for old, new in zip(before, after, strict=True):
        touches = late.time_s and old.start_s <= late.time_s <= old.end_s
        assert touches or old == new


@given(meters())
def test_every_reading_counts_or_is_counted_as_left_out(readings):
    series = build_series(readings)
    assert len(series.snapshots) + series.undated + series.repeated == len(readings)
    assert series.undated == sum(not one.time_s or bool(one.status & INVALID) for one in readings)


def test_of_one_second_the_highest_number_of_the_newest_incarnation_counts():
    old = Snapshot(at(1), 150, 0, 90, 1, 5)
    first = Snapshot(at(1), 160, ADJUSTED, 7, 2, 1)
    again = Snapshot(at(1), 170, 0, 8, 2, 1)
    series = build_series([*plain([100]), again, old, first, *plain([None, None, 200])])
    (bucket, following) = build_buckets(series, [at(0), at(1), at(2)], CAPTURE_S)
    assert (bucket.energy, following.energy) == (70, 30)
    assert (bucket.flags, series.repeated, bucket.readings) == (ADJUSTED, 2, 1)


def test_a_reading_with_an_invalid_clock_belongs_to_no_second():
    readings = [*plain([100, 120]), Snapshot(at(1), 999, INVALID | 0x80, 9, 1, 1)]
    readings += [Snapshot(0, 999, 0, 10, 1, 1)]
    series = build_series(readings)
    assert build_buckets(series, [at(0), at(1)], CAPTURE_S)[0][2:5] == (20, "metered", 0)
    assert series.undated == 2


@pytest.mark.parametrize(
    ("values", "energy", "reason"),
    [
        ([100, 120, 150], 50, ""),
        ([100, None, 150], 50, ""),
        ([100, 100, 100], 0, ""),
        ([None, 120, 150], None, "missing_snapshot"),
        ([100, 120, None], None, "missing_snapshot"),
        ([100, 120, 99], None, "register_decreased"),
        ([100, 99, 150], None, "register_decreased"),
    ],
)
def test_energy_is_the_difference_at_the_two_boundaries_or_missing(values, energy, reason):
    (bucket,) = build_buckets(build_series(plain(values)), [at(0), at(2)], CAPTURE_S)
    assert (bucket.energy, bucket.reason) == (energy, reason)
    assert bucket.readings == 2 - values[1:].count(None)
    assert bucket.expected == 2


@pytest.mark.parametrize(
    ("later", "energy", "reason"),
    [([120, 150], 50, ""), ([0, 150], None, "new_incarnation"), ([119, 150], 50, "")],
)
def test_incarnations_are_differenced_unless_the_register_began_anew(later, energy, reason):
    readings = [*plain([100, 119]), *plain(later, begin_s=at(2), incarnation=2)]
    (bucket,) = build_buckets(build_series(readings), [at(0), at(3)], CAPTURE_S)
    assert (bucket.energy, bucket.reason) == (energy, reason)


def test_an_estimated_register_completes_a_bucket_and_never_replaces_a_reading():
    series = build_series(plain([100, None, 150]))
    bounds = [at(0), at(1), at(2)]
    got = build_buckets(series, bounds, CAPTURE_S, {at(1): 130, at(2): 999})
    assert [one[2:4] for one in got] == [(30, "estimated"), (20, "estimated")]
    got = build_buckets(build_series(plain([100, 110, 150])), bounds, CAPTURE_S, {at(1): 130})
    assert [one[2:4] for one in got] == [(10, "metered"), (40, "metered")]


def test_readings_at_the_beginning_belong_to_the_bucket_before():
    readings = plain([100, 120], status=ADJUSTED)
    (bucket,) = build_buckets(build_series(readings), [at(1), at(2)], CAPTURE_S)
    assert (bucket.flags, bucket.readings, bucket.expected) == (0, 0, 1)


@given(meters(), boundaries())
def test_values_have_least_mean_and_largest_of_the_readings_in_each_bucket(readings, bounds):
    series = build_series(readings)
    for one in build_value_buckets(series, bounds, CAPTURE_S):
        inside = [s.value for s in series.snapshots if one.start_s < s.time_s <= one.end_s]
        if not inside:
            assert one[2:5] == (None, None, None)
            continue
        assert (one.least, one.largest) == (min(inside), max(inside))
        assert -0.5 < one.mean - np.mean(inside) <= 0.5 + 1e-9


@given(st.lists(st.none() | st.integers(0, 10**4), min_size=1, max_size=120), st.integers(1, 4))
def test_the_demand_maximum_is_the_largest_of_all_periods_that_have_both_ends(steps, quarters):
    values, total = [], 0
    for step in steps:
        total += step or 0
        values.append(None if step is None else total)
    period_s = quarters * CAPTURE_S
    got = find_demand_maximum(build_series(plain(values)), at(0), at(len(values) - 1), period_s)
    known = {at(place): value for place, value in enumerate(values) if value is not None}
    starts = [one for one in range(at(0), at(len(values) - 1)) if one % period_s == 0]
    starts = [one for one in starts if one + period_s <= at(len(values) - 1)]
    powers = {
        one: (known[one + period_s] - known[one]) * 3600 // period_s
        for one in starts
        if one in known and one + period_s in known
    }
    assert (got.known, got.expected) == (len(powers), len(starts))
    if not powers:
        assert got.largest is None
        return
    highest = max(powers.values())
    earliest = min(one for one, power in powers.items() if power == highest)
    assert got.largest == (highest, earliest, earliest + period_s)


def test_an_estimated_period_has_no_demand():
    readings = [*plain([0, 10]), Snapshot(at(2), 1000, ESTIMATED, 3, 1, 1)]
    got = find_demand_maximum(build_series(readings), at(0), at(2))
    assert got == ((40, at(0), at(1)), 1, 2)


def test_what_a_register_is_follows_group_d_of_its_code():
    for code, known in REGISTERS.items():
        if code[0] == 1:
            assert register_kind(code) == known.kind, known.code
    expected = {
        "1-0:1.8.4*255": "cumulative",
        "1-0:9.8.0*255": "cumulative",
        "1-0:1.8.0*1": "other",
        "1-0:1.9.0*255": "other",
        "1-0:1.29.0*255": "other",
        "1-0:32.7.0*255": "instantaneous",
        "1-0:1.6.0*255": "maximum",
        "0-0:96.14.0*255": "instantaneous",
        "0-0:96.1.0*255": "other",
        "7-0:3.8.0*255": "other",
    }
    assert {code: register_kind(parse_code(code)) for code in expected} == expected
