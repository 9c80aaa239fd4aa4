"""Gaps with their reasons and intervals with their gaps filled, through the port."""

import itertools

import numpy as np
import pytest
from fleet_of_batches import B
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meter_archive.scope import Grant, Scope
from quality_world import (
    DAY_S,
    HISTORY_DAYS,
    IMPORT,
    QUARTER_S,
    TODAY,
    TODAY_S,
    QualityWorld,
    energies,
    house,
    moment,
    place_s,
    reading,
    usual,
)

OVERFLOW, RESERVED, RELEASED = 1, 2, 3
POWER_DOWN = 1
FIRST_TODAY = HISTORY_DAYS * 96 + 2
"""The number of the reading at the end of today's first quarter hour."""


@pytest.fixture
async def world(url):
    async with QualityWorld(url) as made:
        await made.install(("abc", "P1", "house-1"), since=TODAY_S - 60 * DAY_S, zone="UTC")
        yield made


async def ask(world, path, **query):
    before = await world.digest()
    (device,) = (await world.ask(path, meter="house-1", **(TODAY | query)))["devices"]
    assert await world.digest() == before
    return device


def number(place):
    return FIRST_TODAY + place


@pytest.mark.parametrize(
    ("holes", "status", "given_too", "reason"),
    [
        ([(number(20), number(21), OVERFLOW)], {}, (), "overflow"),
        ([(number(20), number(21), RELEASED)], {}, (), "released"),
        ([(number(20), number(21), RESERVED)], {}, (), "reserved"),
        ([], {22: POWER_DOWN}, (), "power_down"),
        ([], {}, (), "not_arrived"),
        ([(number(20), number(20), RESERVED)], {22: POWER_DOWN}, (), "power_down"),
        ([], {}, (20, 21), "not_captured"),
    ],
)
async def test_a_gap_has_its_reason(world, holes, status, given_too, reason):
    rows = house(energies(), without=(20, 21), status=status)
    # numbers that are there, but not of that time: the meter was away, or its clock was elsewhere
    rows += [(number(one), reading(0, {IMPORT: 1})) for one in given_too]
    await world.give(rows, holes=holes)
    device = await ask(world, "gaps")
    (gap,) = device["gaps"]
    assert (gap["first"], gap["last"], gap["missing"]) == (place_s(21), place_s(22), 2)
    assert gap["advance"] == sum(usual(TODAY_S + place * QUARTER_S) for place in (20, 21, 22))
    assert gap["reason"] == reason
    assert (device["expected"], device["readings"]) == (97, 95)


async def test_numbers_that_are_not_there_have_their_reason(world):
    rows = [one for one in house(energies()) if one[0] not in {number(5), number(9), number(10)}]
    await world.give(rows, holes=[(number(9), number(10), OVERFLOW)])
    found = (await ask(world, "gaps"))["numbers"]
    assert [(one["first"], one["last"], one["reason"]) for one in found] == [
        (number(5), number(5), "not_arrived"),
        (number(9), number(10), "overflow"),
    ]
    # numbers of another tenant's time are not told
    world.scope = Scope("t", grants=(Grant("P1", moment(TODAY_S + 8 * QUARTER_S), None),))
    found = (await ask(world, "gaps"))["numbers"]
    assert [(one["first"], one["last"]) for one in found] == [(number(9), number(10))]


async def test_what_has_not_come_yet_and_what_never_was_are_told_apart(world):
    rows = house(energies())
    await world.give([one for one in rows if number(10) <= one[0] <= number(50)])
    early, late = (await ask(world, "gaps"))["gaps"]
    assert (early["reason"], early["advance"]) == ("before_first_reading", None)
    assert (late["reason"], late["advance"]) == ("not_arrived", None)
    # given late, they fill their gap
    await world.give([one for one in rows if one[0] > number(50)])
    assert [one["reason"] for one in (await ask(world, "gaps"))["gaps"]] == ["before_first_reading"]


async def test_a_short_gap_is_shared_out_evenly_and_marked(world):
    await world.give(house(energies(), without=(20, 21)))
    device = await ask(world, "intervals")
    rows = device["intervals"][20:23]
    assert [(one["quality"], one["method"], one["version"]) for one in rows] == [
        ("estimated", "linear-between-registers", 1)
    ] * 3
    assert {one["reason"] for one in rows} == {"not_arrived"}
    values = [one["value"] for one in rows]
    assert max(values) - min(values) <= 1
    assert device["counts"] == {"metered": 93, "estimated": 3}
    assert device["sum"] == sum(usual(TODAY_S + place * QUARTER_S) for place in range(96))


async def test_a_part_of_a_gap_is_estimated_as_the_whole_is(world):
    await world.give(house(energies(), without=range(20, 24)))
    whole = (await ask(world, "intervals"))["intervals"]
    part = await ask(world, "intervals", from_=place_s(22), to=place_s(24))
    assert part["intervals"] == whole[22:24]
    assert {one["method"] for one in part["intervals"]} == {"linear-between-registers"}
    (gap,) = (await ask(world, "gaps", from_=place_s(22), to=place_s(24)))["gaps"]
    assert (gap["first"], gap["last"]) == (place_s(21), place_s(24))


async def test_a_long_gap_has_the_form_of_like_days(world):
    await world.give(house(energies(), without=range(60, 91)))
    device = await ask(world, "intervals")
    rows = device["intervals"][60:92]
    assert {one["method"] for one in rows} == {"like-days"}
    truth = [usual(TODAY_S + place * QUARTER_S) for place in range(60, 92)]
    assert sum(one["value"] for one in rows) == sum(truth)
    assert np.abs(np.array([one["value"] for one in rows]) - truth).max() <= 13


async def test_without_a_reading_on_both_sides_an_estimate_says_that_it_has_no_anchor(world):
    await world.give(house(energies(), without=range(60, 96)))
    device = await ask(world, "intervals")
    assert {one["method"] for one in device["intervals"][60:]} == {"like-days-unanchored"}
    assert {one["quality"] for one in device["intervals"][60:]} == {"estimated"}


async def test_without_a_wish_for_estimates_there_are_none(world):
    await world.give(house(energies(), without=(20, 21)))
    device = await ask(world, "intervals", estimate="none")
    rows = device["intervals"][20:23]
    assert [(one["value"], one["quality"], one["method"]) for one in rows] == [
        (None, "missing", "")
    ] * 3
    assert device["counts"] == {"metered": 93, "missing": 3}


async def test_a_reading_that_comes_late_takes_the_place_of_its_estimate(world):
    rows = house(energies())
    late = {number(20), number(21)}
    await world.give([one for one in rows if one[0] not in late])
    await world.give([one for one in rows if one[0] in late])
    device = await ask(world, "intervals")
    assert device["counts"] == {"metered": 96}
    assert [one["value"] for one in device["intervals"]] == [
        usual(TODAY_S + place * QUARTER_S) for place in range(96)
    ]


async def test_no_estimate_goes_over_a_register_that_began_anew(world):
    rows = house(energies())
    await world.give([one for one in rows if one[0] <= number(19)])
    again = [
        (place, reading(TODAY_S + (23 + place) * QUARTER_S, {IMPORT: 5 * place}))
        for place in range(1, 74)
    ]
    await world.give(again, identity=B)
    device = await ask(world, "intervals")
    gap = device["intervals"][20:24]
    # what both registers moved between is not known: like days, of which there are enough, say it
    assert {one["method"] for one in gap} == {"like-days-unanchored"}
    assert [one["value"] for one in device["intervals"][24:]] == [5] * 72


async def test_estimates_end_where_a_tenure_does(world):
    await world.give(house(energies(), without=(20, 21)))
    since = moment(TODAY_S + 21 * QUARTER_S)
    world.scope = Scope("t", grants=(Grant("P1", since, None),))
    device = await ask(world, "intervals")
    assert device["intervals"][0]["start"] == place_s(21)
    # the register at its beginning was not read, and the reading before it is not this tenant's
    assert [one["quality"] for one in device["intervals"][:3]] == ["missing", "missing", "metered"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"register": "32.7.0"}, "register"),
        ({"estimate": "maybe"}, "estimate"),
        ({"from_": "2025-03-04T00:07"}, "from"),
        ({"from_": "2024-03-04"}, "to"),
    ],
)
async def test_a_wrong_parameter_of_intervals_is_named(world, query, field):
    asked = TODAY | query
    assert (await world.ask("intervals", 400, meter="house-1", **asked))["error"]["field"] == field


NUMBERS = itertools.count()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
async def test_over_every_gap_the_estimates_sum_to_what_the_register_moved(world, data):
    """Any readings lost, any energies: what is asked from reading to reading sums exactly."""
    device = f"meter-{next(NUMBERS)}"
    days = data.draw(st.integers(1, 3))
    count = days * 96
    moved = data.draw(st.lists(st.integers(0, 500), min_size=7, max_size=7))
    lost = data.draw(st.sets(st.integers(0, count - 2), max_size=120))
    lost |= set(range(*sorted(data.draw(st.tuples(st.integers(0, 50), st.integers(0, count - 2))))))
    rows = energies(
        {at: moved[at % 7] for at in range(count)}, days, data.draw(st.sampled_from([0, 9]))
    )
    await world.give(house(rows, without=lost), device=device)
    known = [0, *(place + 1 for place in range(count) if place not in lost)]
    low, high = sorted(
        data.draw(st.lists(st.sampled_from(known), min_size=2, max_size=2, unique=True))
    )
    document = await world.ask(
        "intervals", device=device, from_=f"{place_s(low)}", to=f"{place_s(high)}"
    )
    (found,) = document["devices"]
    ends = [TODAY_S + (place + 1) * QUARTER_S for place in range(low, high)]
    assert found["sum"] == sum(rows[at_s] for at_s in ends)
    assert found["counts"].get("missing", 0) == 0
    for interval, place in zip(found["intervals"], range(low, high), strict=True):
        metered = not {place - 1, place} & lost
        assert interval["quality"] == ("metered" if metered else "estimated")
        assert (interval["method"] == "") == metered
        if metered:
            assert interval["value"] == rows[TODAY_S + (place + 1) * QUARTER_S]
