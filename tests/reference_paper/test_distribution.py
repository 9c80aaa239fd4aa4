"""Numbers and pictures of delays."""

import itertools
import xml.etree.ElementTree as ET

import pytest
from cdf_chart import draw, find_axis
from distribution import find_cdf, find_delays, to_one_way_ms
from hypothesis import given
from hypothesis import strategies as st


def test_one_way_is_half_of_the_round_trip_and_what_was_lost_is_none() -> None:
    assert to_one_way_ms([0.002, None, 1.0]) == [1.0, 500.0]


def test_a_distribution_of_four() -> None:
    assert find_cdf([4.0, 1.0, 3.0, 2.0], 10) == [(1.0, 0.25), (2.0, 0.5), (3.0, 0.75), (4.0, 1.0)]


@given(st.lists(st.floats(0.01, 1e6), min_size=1), st.integers(2, 50))
def test_a_distribution_rises_from_the_least_to_all(values: list[float], most: int) -> None:
    points = find_cdf(values, most)
    assert 1 <= len(points) <= most
    assert (points[0][0], points[-1]) == (min(values), (max(values), 1.0))
    for (value, share), (later, more) in itertools.pairwise(points):
        assert value <= later
        assert share < more
    for value, share in points:
        assert sum(one < value for one in values) < share * len(values) + 1e-6
        assert share * len(values) <= sum(one <= value for one in values) + 1e-6


@pytest.mark.parametrize(("values", "most"), [([], 5), ([1.0], 1)])
def test_a_distribution_of_nothing_is_refused(values: list[float], most: int) -> None:
    with pytest.raises(ValueError, match="distribution"):
        find_cdf(values, most)


def test_a_reading_that_never_came_is_lost_and_one_outside_does_not_count() -> None:
    arrivals = {95: 95.1, 100: 100.5, 110: 111.25, 120: 119.9, 125: 126.0}
    assert find_delays(arrivals, 100, 120, 5) == [0.5, None, 1.25, None, 0.0]


def test_an_axis_has_round_numbers_around_the_values() -> None:
    assert find_axis([0.7, 13]) == [0.5, 1, 2, 5, 10, 20]
    assert find_axis([2, 2]) == [2, 5]


def test_an_axis_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        find_axis([0.0, 1.0])


def test_a_picture_has_a_line_and_a_name_for_each_delay() -> None:
    picture = draw("Half & half", {"t5": [1.0, 2.0, 3.0], "t5'' <far>": [20.0, 900.0]})
    root = ET.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f"{space}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 2]
    texts = {element.text for element in root.iter(f"{space}text")}
    assert {"Half & half", "t5 (n = 3)", "t5'' <far> (n = 2)", "one way, ms", "1000"} <= texts


def test_a_line_ends_where_all_have_arrived() -> None:
    root = ET.fromstring(draw("one", {"t1": [1.0, 100.0]}))
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    assert line.attrib["points"].split() == ["56.0,176.0", "624.0,40.0"]
