"""Whatever orders, darkness and steps of the clock come: the rate is that of a simple model."""

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).with_name("portable")))
from calendars import Calendars
from flash_with_cuts import CutFlash, Medium
from state import State
from tariff import Calendar

NOW_S = 1_800_000_123
CALENDARS = [
    b"\x01\x01"
    + bytes([ord("a") + rate])
    + b"\x01"
    + (0x7F << 2 | rate).to_bytes(2, "big")
    + b"\x00"
    for rate in range(4)
]
"""Of each rate, always."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.integers(0, 3), st.integers(-2000, 5000)),
        st.tuples(st.just("at once"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.integers(1, 3000)),
        st.tuples(st.just("reboot"), st.just(0), st.integers(0, 5000)),
        st.tuples(st.just("step"), st.just(0), st.integers(-60, 60)),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(STEPS)
def test_the_calendar_in_force_is_the_last_whose_quarter_hour_came(steps):
    medium, now_s, counter = Medium(), NOW_S, 0
    state = State(CutFlash(medium))
    calendars = Calendars(state, Calendar([], []))
    before, newest = (0, 1), (0, 1)  # (from when on, rate)
    for what, rate, value in steps:
        if what in ("order", "at once"):
            counter += 1
            activates_s = 0 if what == "at once" else now_s + value
            calendars.take(CALENDARS[rate], counter, activates_s, now_s)
            state.save()
            wanted = max(activates_s, now_s + 1)
            from_s = wanted if wanted % 900 == 0 else wanted - wanted % 900 + 900
            before = newest if now_s >= newest[0] else before
            newest = (from_s, rate + 1)
        else:
            now_s += value
        if what == "reboot":
            medium = medium.survive()
            state = State(CutFlash(medium))
            calendars = Calendars(state, Calendar([], []))
        expected = newest if now_s >= newest[0] else before
        assert calendars.rate(now_s) == expected[1]
        if (plan := calendars.news()) is not None:
            calendars.tell(plan)
            state.save()
        assert calendars.news() is None
        shown = [row[1:] for row in calendars.rows()]
        assert shown[0][1] == (expected[0] or None)
        assert shown[1][1] == (newest[0] if expected is not newest else None)
