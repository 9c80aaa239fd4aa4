"""What energy costs when: in order, without overlap, with edges that are others in each house."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_twin.demand_response.dr_event import MICRO, DrEvent, Fault, Interval, Signal
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.demand_response.price_plan import HORIZON_S, MOST_ROWS, find_prices

START = 1_800_000_000
HOUR = 3600
IN, OUT = Opt(True), Opt(False)


def keep(*prices, event_id="p", opt=IN, start_s=START, each_s=HOUR, cancelled_s=None, **changes):
    rows = tuple(Interval(at * each_s, each_s, round(one * MICRO)) for at, one in enumerate(prices))
    signal = Signal("ELECTRICITY_PRICE", "price", "EUR/kWh", rows)
    event = DrEvent(event_id, 0, 0, "", start_s, each_s * len(prices), (signal,))
    return Kept(event._replace(**changes), opt, 0, cancelled_s)


def rows(*kept, now_s=START, spread_s=0, ven_id="ven-1"):
    found = find_prices(kept, now_s, spread_s, ven_id)
    return [((one.start_s - START) / HOUR, (one.end_s - START) / HOUR, one.value_micro / MICRO) for one in found]  # fmt: skip


def test_each_interval_is_a_price():
    assert rows(keep(0.2, 0.3)) == [(0, 1, 0.2), (1, 2, 0.3)]


def test_what_is_over_or_far_is_left_out():
    far = keep(0.9, event_id="far", start_s=START + HORIZON_S + HOUR)
    assert rows(keep(0.2, 0.3), far, now_s=START + HOUR) == [(1, 2, 0.3)]


@pytest.mark.parametrize(
    "one",
    [
        keep(0.2, opt=OUT),
        keep(0.2, is_test=True),
        keep(0.2, fault=Fault(400, "x")),
        keep(0.2, cancelled_s=START),
    ],
)
def test_what_does_not_count_is_left_out(one):
    assert rows(one) == []


def test_a_cancellation_cuts_off_what_is_ahead():
    assert rows(keep(0.2, 0.3, cancelled_s=START + HOUR + 1800)) == [(0, 1, 0.2), (1, 1.5, 0.3)]


def test_of_two_events_the_one_of_the_higher_priority_counts():
    all_day = keep(0.2, each_s=4 * HOUR)
    peak = keep(0.9, event_id="peak", start_s=START + HOUR, priority=1)
    assert rows(all_day, peak) == [(0, 1, 0.2), (1, 2, 0.9), (2, 4, 0.2)]


def test_edges_are_moved_by_less_than_the_spread_and_differently_in_each_house():
    moves = set()
    for house in range(40):
        ((start, end, _),) = rows(keep(0.2), spread_s=600, ven_id=f"ven-{house}")
        assert round((end - start) * HOUR) == HOUR
        assert 0 <= start * HOUR < 600
        moves.add(start)
    assert len(moves) > 30


def test_an_event_with_a_tolerance_of_its_own_has_moved_already():
    one = keep(0.2, start_after_s=300)._replace(offset_s=120)
    assert rows(one, spread_s=600) == [(120 / HOUR, 1 + 120 / HOUR, 0.2)]


EVENTS = st.lists(
    st.builds(
        lambda number, start, count, priority: keep(
            *range(count), event_id=f"e{number}", start_s=START + start, priority=priority,
            each_s=1700,
        ),
        st.integers(0, 9), st.integers(-9000, 200_000), st.integers(1, 30), st.integers(0, 3),
    ),
    max_size=8,
)  # fmt: skip


@given(EVENTS)
def test_prices_are_in_order_bounded_and_never_overlap(kept):
    found = find_prices(kept, START, 600, "ven-1")
    assert len(found) <= MOST_ROWS
    for before, after in itertools.pairwise(found):
        assert before.start_s < before.end_s <= after.start_s
