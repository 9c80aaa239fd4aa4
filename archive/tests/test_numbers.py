"""Ranges of numbers behave as the sets that they stand for."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from meter_archive.numbers import contains, end_of_prefix, join, spans_of, subtract

NUMBERS = st.sets(st.integers(1, 40))


def spans(numbers):
    return spans_of(sorted(numbers))


def members(rows):
    return {one for first, last in rows for one in range(first, last + 1)}


@given(NUMBERS)
def test_ranges_hold_their_numbers_and_stand_apart(numbers):
    rows = spans(numbers)
    assert members(rows) == numbers
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(rows))
    assert {one for one in range(45) if contains(rows, one)} == numbers


@given(NUMBERS, NUMBERS)
def test_union_and_difference_are_those_of_sets(one, other):
    assert join([*spans(one), *spans(other)]) == spans(one | other)
    assert subtract(spans(one), spans(other)) == spans(one - other)


@given(NUMBERS)
def test_the_prefix_ends_before_the_first_missing_number(numbers):
    assert end_of_prefix(spans(numbers)) == min(set(range(1, 42)) - numbers) - 1
