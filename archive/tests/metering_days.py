"""Readings of a simulated meter with everything that happens to them, for Hypothesis."""

import random

from hypothesis import strategies as st
from meter_archive.snapshots import Snapshot

CAPTURE_S = 900
BEGIN_S = 1_774_000_800  # 2026-03-20T10:00:00Z, a quarter hour; a clock change follows on 03-29
POWER_DOWN, ADJUSTED, NOT_VALID, INVALID, ESTIMATED = 0x0001, 0x0002, 0x0008, 0x0010, 0x0040


def plain(values, begin_s=BEGIN_S, status=0, incarnation=1):
    """Return a reading at each quarter hour; None leaves one out, its number is not given again."""
    return [
        Snapshot(begin_s + place * CAPTURE_S, value, status, place + 1, incarnation, 1)
        for place, value in enumerate(values)
        if value is not None
    ]


@st.composite
def meters(draw, most=60):
    """Draw readings in the meter's order: clock steps, invalid clocks, lost ones, new states."""
    clock_s, value, seq, incarnation = BEGIN_S, draw(st.integers(0, 1000)), 1, 1
    readings = []
    for _ in range(draw(st.integers(0, most))):
        what = draw(st.sampled_from("......lslbfine"))
        status = draw(st.sampled_from([0, 0, 0, 4, POWER_DOWN, ADJUSTED, ESTIMATED]))
        clock_s += CAPTURE_S
        value += draw(st.integers(0, 300))
        seq += 1
        if what == "b":
            clock_s -= draw(st.integers(1, 6)) * CAPTURE_S
        elif what == "f":
            clock_s += draw(st.integers(1, 6)) * CAPTURE_S
        elif what == "n":
            incarnation, seq = incarnation + 1, 1
            value = draw(st.sampled_from([0, value]))
        time_s = draw(st.sampled_from([0, clock_s])) if what == "i" else clock_s
        if what == "s":
            time_s += draw(st.integers(1, CAPTURE_S - 1))
        status |= INVALID if what == "i" else 0
        if what not in "le":
            epoch = draw(st.integers(1, 3))
            readings.append(Snapshot(time_s, value, status, seq, incarnation, epoch))
    return readings


@st.composite
def boundaries(draw):
    """Draw the boundaries of some buckets around the readings."""
    places = draw(st.sets(st.integers(-8, 120), min_size=2, max_size=30))
    return tuple(BEGIN_S + place * CAPTURE_S for place in sorted(places))


@st.composite
def shuffled(draw, rows):
    """Draw another order of rows, some of them given twice."""
    others = list(rows)
    random.Random(draw(st.integers(0, 2**32))).shuffle(others)
    return others + others[: draw(st.integers(0, 3))]
