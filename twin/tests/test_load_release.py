"""How limits are lifted when load control is stopped."""

import pytest
from meter_twin.load_release import LIFT_S, RETRY_MS, LoadRelease
from meter_wire.commands import Write
from meter_wire.twin_commands import LOCAL_CODES


def limit(index, limit_w, seconds=600):
    return Write("load", limit_w, index=index, seconds=seconds)


@pytest.fixture
def release():
    return LoadRelease()


def lift_all(release, now_ms):
    """Return what is lifted when the meter answers each command."""
    found = []
    while (command := release.find_next(now_ms)) is not None:
        found.append((command.index, command.value))
        assert command.seconds == LIFT_S
        release.take(command, "ok", now_ms)
    return found


def test_a_limit_in_force_is_lifted_by_its_own_value_and_one_that_has_ended_is_left(release):
    release.note(limit(0, 500, seconds=599), 0)
    release.note(limit(1, 900), 0)
    release.begin(599_000)
    assert lift_all(release, 599_000) == [(1, 900)]
    assert release.left == 0


def test_a_limit_that_may_be_in_force_counts_until_the_meter_has_answered_to_the_next(release):
    day = limit(0, 500, seconds=86_400)
    release.note(day, 0)
    release.confirm(day, 0)
    release.note(limit(0, 900, seconds=60), 3_600_000)  # the meter is away
    release.begin(7_200_000)
    assert [one for one, _ in lift_all(release, 7_200_000)] == [0]


def test_a_limit_that_the_meter_has_replaced_counts_no_more(release):
    day, minute = limit(0, 500, seconds=86_400), limit(0, 900, seconds=60)
    release.note(day, 0)
    release.note(minute, 1_000)
    release.confirm(day, 1_500)  # answered late, and replaced already
    release.confirm(minute, 2_000)
    release.begin(62_000)
    assert release.left == 0


def test_a_load_that_nobody_has_limited_is_not_moved(release):
    release.begin(0)
    assert release.find_next(0) is None


@pytest.mark.parametrize("code", [*sorted(LOCAL_CODES), "busy", "expired", "not_active"])
def test_without_the_meters_answer_it_is_told_again(release, code):
    release.note(limit(0, 0), 0)
    release.begin(0)
    release.take(release.find_next(0), code, 10)
    assert release.find_next(10 + RETRY_MS - 1) is None
    assert lift_all(release, 10 + RETRY_MS) == [(0, 0)]


@pytest.mark.parametrize("code", ["ok", "refused", "unknown", "out_of_range"])
def test_what_the_meter_has_answered_is_not_told_again(release, code):
    release.note(limit(0, 0), 0)
    release.begin(0)
    release.take(release.find_next(0), code, 10)
    assert (release.find_next(10 + RETRY_MS), release.left) == (None, 0)


def test_when_loads_may_be_moved_again_nothing_more_is_lifted(release):
    release.note(limit(0, 0), 0)
    release.begin(0)
    command = release.find_next(0)
    release.end()
    release.take(command, "timeout", 10)
    assert (release.find_next(10 + RETRY_MS), release.left) == (None, 0)


def test_what_was_told_is_known_after_a_restart_by_another_clock(release):
    release.note(limit(1, 900), 0)
    release.note(limit(2, 0, seconds=5), 0)
    again = LoadRelease()
    again.restore(release.export(10_000, 1_000), 77, 1_100)
    again.begin(77)
    assert lift_all(again, 77) == [(1, 900)]
    gone = LoadRelease()
    gone.restore(release.export(10_000, 1_000), 77, 1_590)
    gone.begin(77)
    assert lift_all(gone, 77) == []


def test_what_the_twin_before_has_told_is_lifted_once_and_never_over_what_this_one_knows(release):
    release.note(limit(0, 500), 0)
    release.begin(0)
    assert lift_all(release, 0) == [(0, 500)]
    for _ in range(2):
        release.inherit(limit(0, 700), 0)
        release.inherit(limit(1, 900), 0)
    assert lift_all(release, 0) == [(1, 900)]
    release.inherit(limit(1, 900), 0)
    assert lift_all(release, 0) == []
