"""Moments and durations of 2.0b."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_twin.openadr2.times import (
    MOST_MOMENT_S,
    format_duration,
    format_moment,
    parse_duration,
    parse_moment,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT15M", 900),
        ("PT0S", 0),
        ("P0D", 0),
        ("P1DT2H3M4S", 93_784),
        ("-PT5M", -300),
        ("+PT5M", 300),
        ("P2W", 1_209_600),
        ("P1Y", 31_536_000),
        ("P1M", 2_592_000),
        ("PT1.9S", 1),
        (" PT1H ", 3600),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "15M", "PT1H2", "P-1D", "PT1e3S", "T1H", "P1.5D"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.integers(-(10**8), 10**8))
def test_a_duration_is_read_as_it_was_written(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2020-01-01T12:00:00Z", 1_577_880_000),
        ("2020-01-01T16:00:00+04:00", 1_577_880_000),
        ("2020-01-01T12:00:00.999999Z", 1_577_880_000),
        ("2020-01-01T12:00:00", 1_577_880_000),
    ],
)
def test_a_moment_is_utc(text, seconds):
    """Conformance rule 1."""
    assert parse_moment(text) == seconds


@pytest.mark.parametrize("text", ["", "now", "1969-12-31T23:59:59Z", "2020-13-01T00:00:00Z"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match=r"moment|1970"):
        parse_moment(text)


@given(st.integers(0, MOST_MOMENT_S))
def test_a_moment_is_read_as_it_was_written(seconds):
    assert parse_moment(format_moment(seconds)) == seconds
