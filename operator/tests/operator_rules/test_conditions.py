"""Conditions: coarse, sticky over a broker restart, written on change only."""

import pytest
from meter_operator.observed import TwinState
from meter_operator.status import changed, coarse


async def serving(operator, **state):
    operator.add_meter()
    await operator.settle()
    operator.set_pod("house-1-e1")
    fields = {"online": True, "meter": "connected", "last_seen": "2026-06-01T10:07:31Z"} | state
    operator.cache.states["house-1"] = {1: TwinState(1, **fields)}
    await operator.settle()


async def test_a_connected_meter_is_shown_with_a_coarse_time(operator):
    await serving(operator)
    assert operator.condition("MeterConnected")["status"] == "True"
    assert operator.status()["lastSeen"] == "2026-06-01T10:05:00Z"


async def test_a_silent_meter_is_shown(operator):
    await serving(operator, meter="silent")
    assert operator.condition("MeterConnected")["reason"] == "Silent"
    assert operator.condition("Ready")["status"] == "True"


async def test_a_meter_that_a_new_twin_has_not_heard_is_said_of_this_twin_only(operator):
    """`lastSeen` of an earlier epoch stands beside it."""
    await serving(operator)
    operator.cache.states["house-1"] = {1: TwinState(1, online=True, meter="never")}
    await operator.settle()
    assert operator.status()["lastSeen"] == "2026-06-01T10:05:00Z"
    found = operator.condition("MeterConnected")
    assert found["reason"] == "NeverSeen"
    assert found["message"] == "the meter has not spoken to this twin yet"


async def test_a_broker_restart_flips_nothing(operator):
    await serving(operator)
    before = operator.cluster.writes
    operator.cache.states["house-1"] = {1: TwinState(1, online=False)}
    await operator.settle()
    operator.cache.states.clear()
    await operator.settle()
    assert operator.cluster.writes == before


async def test_a_restarted_operator_writes_nothing_about_a_silent_meter(operator):
    await serving(operator, meter="silent")
    before = operator.cluster.writes
    operator.restart()
    await operator.settle()
    assert operator.cluster.writes == before


async def test_a_twin_that_does_not_serve_leaves_its_meter_unknown(operator):
    await serving(operator)
    operator.set_pod("house-1-e1", ready=False)
    await operator.settle()
    assert operator.condition("MeterConnected")["status"] == "Unknown"
    assert operator.condition("Ready")["status"] == "False"


def test_last_seen_alone_is_written_after_five_minutes_and_later_in_a_large_fleet():
    status = {"lastSeen": "2026-06-01T10:05:00Z"}
    wanted = {"lastSeen": "2026-06-01T10:10:00Z"}
    assert changed(status, wanted) == wanted
    assert changed(status, wanted, fleet_size=10_000) == {}
    assert changed(status, {"lastSeen": "2026-06-01T11:30:00Z"}, fleet_size=10_000)


def test_a_time_that_is_none_is_left_out():
    assert coarse("") == coarse("yesterday") == ""


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00Z", "x" * 9],
)
async def test_a_senseless_time_of_a_twin_does_not_keep_the_status_from_being_written(
    operator, moment
):
    await serving(operator, last_seen=moment)
    assert operator.condition()["status"] == "True"
    assert "lastSeen" not in operator.status()
