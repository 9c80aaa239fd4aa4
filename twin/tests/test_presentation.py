"""Events as JSON: arguments have names, and those of each phase the name of their phase."""

import pytest
from meter_twin.presentation import format_entry
from meter_wire.entries import parse_entry
from meter_wire.event_names import get_event_code
from meter_wire.portable.entry import encode_event

ONE = {"covered_s": 600, "flagged": 0, "min_mv": 1, "mean_mv": 2, "max_mv": 3}
THREE = {
    "covered_s": 600, "flagged": 0,
    "l1_min_mv": 1, "l1_mean_mv": 2, "l1_max_mv": 3,
    "l2_min_mv": 4, "l2_mean_mv": 5, "l2_max_mv": 6,
    "l3_min_mv": 7, "l3_mean_mv": 8, "l3_max_mv": 9,
}  # fmt: skip


def arguments_of(code: int, *values: int) -> dict:
    entry = parse_entry(encode_event(0, 1_781_422_200, 1, 1, code, list(values)))
    return format_entry(bytes(8), 1, entry, {})["arguments"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(range(1, 4), ONE, id="one phase needs no names of phases"),
        pytest.param(range(1, 10), THREE, id="of three phases each has its own"),
        pytest.param(range(1, 5), {**ONE, "argument_5": 4}, id="what is no whole phase is kept"),
        pytest.param((1,), {"covered_s": 600, "flagged": 0, "min_mv": 1}, id="so is a part"),
    ],
)
def test_arguments_of_each_phase_have_the_name_of_their_phase(values, expected):
    assert arguments_of(get_event_code("voltage_10min"), 600, 0, *values) == expected


def test_arguments_that_no_table_knows_have_their_number():
    assert arguments_of(get_event_code("ring_overflow"), 5, 6) == {"lost": 5, "argument_1": 6}
    assert arguments_of(200, 5) == {"argument_0": 5}
