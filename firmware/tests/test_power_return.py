"""What the start of the firmware does with supply and loads, which the power cut left somehow."""

from registers import CONNECTED, DISCONNECT_STATE, DISCONNECTED, READY_FOR_RECONNECTION

RELAY_LOAD = 8


def supply_of(meter):
    """Return 0-0:96.3.10 and whether the house has its supply."""
    _, rows = meter.measuring.snapshot([DISCONNECT_STATE])
    return rows[0][1], meter.measuring.front_end.supply


def moves_of(meter):
    """Return how often a load's contactor moved, as far as the ring knows."""
    entries = [meter.ring.read(seq)[0] for seq in range(1, meter.ring.head + 1)]
    return sum(entry[0] == 2 and entry[15] << 8 | entry[16] == RELAY_LOAD for entry in entries)


def limit(meter, limit_w):
    meter.commands._write(1, 1, 3, 0, limit_w, 600)


def test_a_house_that_the_utility_disconnected_stays_so_over_a_power_cut(make):
    meter = make()
    assert supply_of(meter) == (CONNECTED, True)
    for connect, counter, state in ((False, 1, DISCONNECTED), (True, 2, READY_FOR_RECONNECTION)):
        assert meter.supply.order(connect, counter)
        meter.commands.keep_supply()
        meter = make()
        assert supply_of(meter) == (state, False)
    assert meter.commands.local_action()
    assert supply_of(make()) == (CONNECTED, True)


def test_a_limited_load_is_back_with_the_power_and_the_ring_knows_both_moves(make):
    meter = make()
    limit(meter, 0)
    assert meter.measuring.front_end.load_permille == 700
    meter = make()
    assert meter.measuring.front_end.load_permille == 1000
    assert (moves_of(meter), moves_of(make())) == (2, 2)


def test_a_load_that_is_to_be_off_after_a_power_cut_is_off_from_the_first_tick(make):
    loads = [{"safe_w": 0, "share_permille": 400}]
    meter = make(loads=loads)
    assert meter.measuring.front_end.load_permille == 600
    limit(meter, 1000)
    assert meter.measuring.front_end.load_permille == 1000
    meter = make(loads=loads)
    assert (meter.measuring.front_end.load_permille, moves_of(meter)) == (600, 3)
