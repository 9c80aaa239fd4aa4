"""Loads expire on the monotonic clock, the supply moves by the utility alone. Both Pythons."""

from actuators import COMMAND, EXPIRED, LIMIT, POWER_RETURN, Loads, Supply
from registers import CONNECTED, DISCONNECTED, READY_FOR_RECONNECTION


def no_spread(length):
    return bytes(length)


def test_a_limit_of_zero_opens_the_contactor_until_it_expires():
    loads = Loads([(None, 300, 0)], no_spread)
    assert loads.limit(0, 0, 60, 1000)
    assert loads.poll(1000, 500) == [(0, 0, COMMAND)]
    assert loads.permille() == 700
    assert loads.poll(60999, 500) == []
    assert loads.poll(61000, 500) == [(0, 1, EXPIRED)]
    assert loads.permille() == 1000


def test_the_release_is_spread_at_random():
    loads = Loads([(None, 300, 60)], lambda length: b"\xff" * length)
    loads.limit(0, 0, 10, 0)
    loads.poll(0, 0)
    release_ms = 10000 + 0xFFFFFF % 60001
    assert loads.poll(release_ms - 1, 0) == []
    assert loads.poll(release_ms, 0) == [(0, 1, EXPIRED)]


def test_power_above_the_limit_trips_and_stays_open_until_the_limit_ends():
    loads = Loads([(None, 300, 0)], no_spread)
    loads.limit(0, 1000, 60, 0)
    assert loads.poll(0, 900) == []
    assert loads.poll(1, 1001) == [(0, 0, LIMIT)]
    assert loads.trips == [(1001, 1000)]
    assert loads.poll(2, 100) == []
    assert loads.poll(60000, 100) == [(0, 1, EXPIRED)]


def test_a_new_limit_replaces_the_one_that_opened_the_contactor():
    loads = Loads([(None, 300, 0)], no_spread)
    loads.limit(0, 0, 60, 0)
    assert loads.poll(0, 500) == [(0, 0, COMMAND)]
    loads.limit(0, 5000, 60, 10000)
    assert loads.poll(10000, 350) == [(0, 1, COMMAND)]
    loads.limit(0, 400, 60, 20000)
    assert loads.poll(20000, 500) == [(0, 0, LIMIT)]
    loads.limit(0, 400, 60, 30000)
    assert loads.poll(30000, 350) == [], "the same limit would trip again"
    loads.limit(0, 5000, 60, 40000)
    assert loads.poll(40000, 350) == [(0, 1, COMMAND)]


def test_a_load_that_is_open_in_its_safe_state_is_closed_while_a_limit_lasts():
    loads = Loads([(0, 300, 0)], no_spread, b"\x00")
    assert loads.limit(0, 2000, 60, 0)
    assert loads.poll(0, 350) == [(0, 1, COMMAND)]
    assert loads.poll(60000, 500) == [(0, 0, EXPIRED)]


def test_a_load_above_the_limit_of_its_safe_state_is_tried_again_once_a_minute():
    loads = Loads([(1000, 300, 0)], no_spread)
    assert loads.poll(0, 1001) == [(0, 0, LIMIT)]
    for now_ms in range(1000, 60000, 1000):
        assert loads.poll(now_ms, 700) == []
    assert loads.poll(60000, 700) == [(0, 1, EXPIRED)]
    assert loads.poll(61000, 1001) == [(0, 0, LIMIT)]


def test_at_power_return_a_load_is_in_its_safe_state():
    assert Loads([(None, 300, 0)], no_spread).loads[0].closed
    assert not Loads([(0, 300, 0)], no_spread).loads[0].closed


def test_what_the_power_return_moved_is_told_once():
    rows = [(None, 300, 0), (0, 300, 0), (1000, 300, 0)]
    loads = Loads(rows, no_spread)
    assert loads.poll(0, 0) == [(1, 0, POWER_RETURN)], "a contactor of no record was closed"
    assert loads.poll(1000, 0) == []
    assert Loads(rows, no_spread, loads.save()).poll(0, 0) == []
    loads.limit(0, 0, 60, 2000)
    loads.limit(1, 500, 60, 2000)
    assert len(loads.poll(2000, 0)) == 2
    again = Loads(rows, no_spread, loads.save())
    assert again.poll(0, 0) == [(0, 1, POWER_RETURN), (1, 0, POWER_RETURN)]


def test_a_limit_out_of_bounds_changes_nothing():
    loads = Loads([(None, 300, 0)], no_spread)
    for index, limit_w, seconds in ((1, 0, 60), (-1, 0, 60), (0, -1, 60), (0, 0, 0), (0, 0, 86401)):
        assert not loads.limit(index, limit_w, seconds, 0)
    assert loads.poll(0, 0) == []


def test_reconnection_of_the_supply_needs_somebody_at_the_meter():
    supply = Supply(False, b"")
    assert supply.state == CONNECTED
    assert supply.order(False, 1)
    assert supply.state == DISCONNECTED
    assert not supply.local_action()
    assert supply.order(True, 2)
    assert supply.state == READY_FOR_RECONNECTION
    assert supply.local_action()
    assert supply.state == CONNECTED


def test_an_order_counts_once_also_after_a_power_cut():
    supply = Supply(False, b"")
    assert supply.order(False, 5)
    supply = Supply(False, supply.save())
    assert supply.state == DISCONNECTED
    assert not supply.order(True, 5)
    assert supply.order(True, 6)


def test_a_meter_that_must_not_be_darkened_refuses():
    supply = Supply(True, b"")
    assert not supply.order(False, 1)
    assert supply.state == CONNECTED
