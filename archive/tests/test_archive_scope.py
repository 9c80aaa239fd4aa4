"""What a scope leaves of installations: nothing of a tenant before or after, nothing foreign."""

from datetime import UTC, datetime

import pytest
from meter_archive.directory import Installation, Place
from meter_archive.scope import Grant, Scope, Tenure, cut_tenures


def day(number):
    return datetime(2026, 3, number, tzinfo=UTC)


def tenure(device, point, since, until, *labels):
    place = Place("fleet", f"meter-of-{point}", "UTC", "F1", labels, 900)
    return Tenure(
        Installation(device, point, day(since), place), None if until is None else day(until)
    )


HOUSE = [tenure("a", "P1", 1, 10), tenure("b", "P1", 10, None)]
NEXT_DOOR = tenure("c", "P2", 1, None, ("street", "north"))


def shown(tenures):
    return [
        (one.installation.device, one.installation.since.day, one.until and one.until.day)
        for one in tenures
    ]


def test_everything_is_everything():
    assert cut_tenures([*HOUSE, NEXT_DOOR], Scope("all", everything=True)) == [*HOUSE, NEXT_DOOR]


def test_a_scope_that_names_nothing_sees_nothing():
    assert cut_tenures([*HOUSE, NEXT_DOOR], Scope("empty")) == []


def test_a_label_shows_the_meters_that_have_it():
    scope = Scope("grid", label=("street", "north"))
    assert cut_tenures([*HOUSE, NEXT_DOOR], scope) == [NEXT_DOOR]
    assert cut_tenures([NEXT_DOOR], Scope("grid", label=("street", "south"))) == []


@pytest.mark.parametrize(
    ("since", "until", "seen"),
    [
        (1, None, [("a", 1, 10), ("b", 10, None)]),
        (4, 12, [("a", 4, 10), ("b", 10, 12)]),
        (4, 10, [("a", 4, 10)]),
        (10, 11, [("b", 10, 11)]),
        (20, 21, [("b", 20, 21)]),
    ],
)
def test_a_tenant_sees_its_own_point_within_its_tenure(since, until, seen):
    grant = Grant("P1", day(since), until and day(until))
    scope = Scope("tenant", grants=(grant,))
    assert shown(cut_tenures([*HOUSE, NEXT_DOOR], scope)) == seen


def test_two_tenures_at_one_point_are_two_parts_with_the_other_tenant_left_out():
    grants = (Grant("P1", day(2), day(4)), Grant("P1", day(6), day(8)))
    assert shown(cut_tenures(HOUSE, Scope("t", grants=grants))) == [("a", 2, 4), ("a", 6, 8)]
