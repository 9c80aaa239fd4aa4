"""What a twin's limit of a load, and an order to the supply, do to the meter. Both Pythons."""

from actuators import COMMAND, EXPIRED, LIMIT, POWER_RETURN
from event_codes import CLOCK_STEP, LIMIT_TRIP, RELAY_LOAD
from meter_rig import NOW_S, Rig, encode_order
from meter_wire.portable.order import ACTION_ARM
from registers import (
    CONNECTED,
    DISCONNECT_STATE,
    DISCONNECTED,
    IMPORT_POWER,
    READY_FOR_RECONNECTION,
)

OK, OUT_OF_RANGE = 0, 9
LOAD = 3
ALL_W = 230
OTHERS_W = 161
"""What the house takes without its load of 300 permille."""
HOUR_S = 3600
OPENED = (RELAY_LOAD, 0, 0, COMMAND)
RELEASED = (RELAY_LOAD, 0, 1, EXPIRED)


class LoadRig(Rig):
    """A meter with a load, whose uptime moves when the test says so."""

    def __init__(self, medium=None, safe_w=None):
        super().__init__(medium, loads=[(safe_w, 300, 0)])
        self.now_ms = 0
        self.timekeeper.uptime_ms = lambda: self.now_ms
        self.commands.poll_loads()
        self.pass_time(10000)

    def pass_time(self, ms):
        """Let time pass; the tasks then do what they do each second."""
        self.now_ms += ms
        self.commands.poll_loads()
        self.measuring.tick()

    def limit(self, limit_w, seconds, index=0):
        code = self.handle("write", LOAD, index, limit_w, seconds)
        self.pass_time(10)
        return code

    def power_w(self):
        return self.register(IMPORT_POWER)


def test_a_limit_of_nothing_takes_the_load_off_until_its_uptime_is_over():
    rig = LoadRig()
    assert rig.power_w() == ALL_W
    assert rig.limit(0, 60) == OK
    assert (rig.power_w(), rig.told()) == (OTHERS_W, [OPENED])
    rig.pass_time(59980)
    assert (rig.power_w(), rig.told()) == (OTHERS_W, [OPENED])
    rig.pass_time(10)
    assert (rig.power_w(), rig.told()) == (ALL_W, [OPENED, RELEASED])


def test_no_step_of_the_clock_prolongs_or_shortens_a_limit():
    for step_s in (HOUR_S, -HOUR_S):
        rig = LoadRig()
        assert rig.limit(0, 60) == OK
        assert rig.commands.set_clock((NOW_S + step_s) * 1000, True) == "stepped"
        rig.pass_time(59980)
        assert (rig.power_w(), rig.events()) == (OTHERS_W, [RELAY_LOAD, CLOCK_STEP])
        rig.pass_time(10)
        assert (rig.power_w(), rig.told()[2:]) == (ALL_W, [RELEASED])


def test_power_above_the_limit_is_recorded_with_both_and_takes_the_load_off():
    rig = LoadRig()
    assert rig.limit(ALL_W, 60) == OK
    assert (rig.power_w(), rig.told()) == (ALL_W, [])
    assert rig.limit(ALL_W - 1, 60) == OK
    assert rig.power_w() == OTHERS_W
    assert rig.told() == [(RELAY_LOAD, 0, 0, LIMIT), (LIMIT_TRIP, ALL_W, ALL_W - 1)]
    rig.pass_time(60000)
    assert (rig.power_w(), rig.told()[2:]) == (ALL_W, [RELEASED])


def test_a_limit_out_of_bounds_is_answered_so_and_moves_nothing():
    rig = LoadRig()
    for limit_w, seconds, index in ((0, 60, 1), (-1, 60, 0), (0, 0, 0), (0, 86401, 0)):
        assert rig.limit(limit_w, seconds, index) == OUT_OF_RANGE
    assert (rig.power_w(), rig.told()) == (ALL_W, [])


def test_the_power_return_ends_a_limit_and_that_is_recorded_once():
    rig = LoadRig()
    assert rig.limit(0, 60) == OK
    again = LoadRig(rig.medium.survive())
    assert (again.power_w(), again.told()) == (ALL_W, [OPENED, (RELAY_LOAD, 0, 1, POWER_RETURN)])
    third = LoadRig(again.medium.survive())
    assert (third.power_w(), third.events()) == (ALL_W, [RELAY_LOAD, RELAY_LOAD])


def test_a_load_that_is_off_in_its_safe_state_is_off_after_the_power_return():
    rig = LoadRig(safe_w=0)
    assert rig.limit(1000, 60) == OK
    assert rig.power_w() == ALL_W
    again = LoadRig(rig.medium.survive(), safe_w=0)
    assert again.power_w() == OTHERS_W
    assert again.told()[-1] == (RELAY_LOAD, 0, 0, POWER_RETURN)


def test_the_register_of_the_supply_follows_each_of_its_states():
    rig = LoadRig()
    assert rig.register(DISCONNECT_STATE) == CONNECTED
    assert rig.handle("order", encode_order(), b"") == OK
    rig.pass_time(1000)
    assert (rig.register(DISCONNECT_STATE), rig.power_w()) == (DISCONNECTED, 0)
    assert rig.handle("order", encode_order(ACTION_ARM, counter=2), b"") == OK
    rig.pass_time(1000)
    assert (rig.register(DISCONNECT_STATE), rig.power_w()) == (READY_FOR_RECONNECTION, 0)
    assert rig.commands.local_action()
    rig.pass_time(1000)
    assert (rig.register(DISCONNECT_STATE), rig.power_w()) == (CONNECTED, ALL_W)
