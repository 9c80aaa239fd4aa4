"""Gaps among capture boundaries: where, how much, and why."""

from itertools import pairwise

import pytest
from hypothesis import given
from meter_archive.gaps import IncarnationHole, find_gaps
from meter_archive.snapshots import Snapshot, build_series
from meter_wire.effects import Hole
from metering_days import BEGIN_S, CAPTURE_S, POWER_DOWN, meters, plain


def at(place):
    return BEGIN_S + place * CAPTURE_S


def gaps(readings, last, holes=()):
    return find_gaps(build_series(readings), at(0), at(last), CAPTURE_S, holes)


def test_a_gap_lies_between_two_snapshots_and_knows_what_the_register_moved():
    (gap,) = gaps(plain([100, None, None, 160, 170]), 4)
    assert gap == (at(1), at(2), at(0), at(3), 2, 60, "")


@pytest.mark.parametrize("values", [[None, 100, 110], [100, 110, None]])
def test_a_gap_at_the_end_of_what_is_known_has_no_advance(values):
    (gap,) = gaps(plain(values), 2)
    assert (gap.missing, gap.advance) == (1, None)


@given(meters())
def test_gaps_and_snapshots_make_up_all_boundaries(readings):
    found = gaps(readings, 80)
    missing = [one for gap in found for one in range(gap.first_s, gap.last_s + 1, CAPTURE_S)]
    known = [one for one in build_series(readings).times if one % CAPTURE_S == 0]
    known = [one for one in known if at(0) <= one <= at(80)]
    assert sorted(missing + known) == [at(place) for place in range(81)]
    assert sum(gap.missing for gap in found) == len(missing)
    assert all(b.first_s > a.end_s - 1 for a, b in pairwise(found))


def hole(first, last, reason, incarnation=1):
    return IncarnationHole(incarnation, Hole(first, last, reason))


@pytest.mark.parametrize(
    ("holes", "status", "reason"),
    [
        ([], 0, ""),
        ([hole(2, 3, 1)], 0, "overflow"),
        ([hole(2, 3, 1)], POWER_DOWN, "overflow"),
        ([hole(2, 2, 2), hole(3, 3, 1)], 0, "overflow"),
        ([hole(2, 3, 3)], 0, "released"),
        ([hole(2, 3, 2)], 0, "reserved"),
        ([hole(2, 3, 2)], POWER_DOWN, "power_down"),
        ([hole(5, 9, 1)], 0, ""),
        ([hole(0, 0, 1)], 0, ""),
        ([hole(2, 3, 1, incarnation=2)], 0, ""),
    ],
)
def test_a_gap_has_the_reason_that_says_most(holes, status, reason):
    after = Snapshot(at(3), 160, status, 4, 1, 1)
    (gap,) = gaps([*plain([100]), after], 3, holes)
    assert gap.reason == reason


def test_no_advance_is_known_over_a_register_that_began_anew():
    (gap,) = gaps([*plain([100]), Snapshot(at(2), 20, 0, 1, 2, 1)], 2)
    assert (gap.advance, gap.reason) == (None, "new_incarnation")
    (gap,) = gaps([*plain([100]), Snapshot(at(2), 20, 0, 2, 1, 1)], 2)
    assert (gap.advance, gap.reason) == (None, "register_decreased")
