"""Loads expire on the monotonic clock, the supply moves by the utility alone. Both Pythons."""

from actuators import COMMAND, EXPIRED, LIMIT, Loads, Supply
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


def test_at_power_return_a_load_is_in_its_safe_state():
    assert Loads([(None, 300, 0)], no_spread).loads[0].closed
    assert not Loads([(0, 300, 0)], no_spread).loads[0].closed


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
