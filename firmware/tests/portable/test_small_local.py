# ruff: noqa: SIM105 - MicroPython has no others
"""The small profile's load: limits, times, trips, without twin, broker and network. Both Pythons."""

from actuators import COMMAND, EXPIRED, LIMIT, LOCAL_ACTION, POWER_RETURN, PROTECTION
from event_codes import LIMIT_TRIP, LOCK_OUT, RELAY_LOAD, TRIP
from small_local import Power
from small_rig import NOW_MS, SmallRig

OK, REFUSED, OUT_OF_RANGE = 0, 3, 9
LOAD = 3
LOAD_LIMIT = 6


def make(pins=(), trip=None, **load):
    table = {"loads": [load]}
    if trip:
        table["trips"] = {"load_limit": trip}
    return SmallRig(table, pins)


def moved(closed, reason):
    return (RELAY_LOAD, 0, closed, reason)


def test_without_a_load_the_relay_is_left_alone_and_a_limit_refused():
    rig = SmallRig({"loads": []})
    assert rig.meter.local is None
    assert rig.board.relay is None
    assert rig.meter.link.info.capabilities == 0
    assert rig.write(LOAD, 500, 60) == REFUSED


def test_a_load_is_closed_at_the_power_return_unless_its_safe_state_is_open():
    assert make().board.relay
    assert make().meter.link.info.capabilities == 2
    assert make().pass_time(5) == []
    rig = make(safe_w=0)
    assert not rig.board.relay
    assert rig.pass_time(1) == [moved(0, POWER_RETURN)]
    assert rig.again().pass_time(5) == [], "it was open before"


def test_a_limit_opens_at_once_and_ends_on_the_uptime_whatever_the_clock_does():
    rig = make(release_s=0)
    head = rig.meter.ring.head
    assert rig.write(LOAD, 0, 60) == OK
    assert not rig.board.relay
    assert rig.since(head) == [moved(0, COMMAND)]
    rig.meter.set_clock(NOW_MS)
    rig.meter.clock.set(NOW_MS + 7 * 86400000, rig.meter.uptime_ms(), True)
    assert moved(1, EXPIRED) not in rig.pass_time(59)
    assert rig.pass_time(1) == [moved(1, EXPIRED)]
    assert rig.board.relay


def test_the_release_comes_at_random_within_its_spread():
    seen = set()
    for _ in range(12):
        rig = make(release_s=40)
        rig.write(LOAD, 0, 10)
        rig.pass_time(9)
        assert not rig.board.relay
        seconds = 9
        while not rig.board.relay:
            rig.step()
            seconds += 1
        assert seconds <= 51
        seen.add(seconds)
    assert len(seen) > 3


def test_a_limit_that_cannot_be_is_refused_and_changes_nothing():
    rig = make()
    for value, seconds, index in ((0, 0, 0), (0, 86401, 0), (-1, 60, 0), (0, 60, 1)):
        assert rig.write(LOAD, value, seconds, index) == OUT_OF_RANGE
    assert rig.pass_time(2) == []
    assert rig.board.relay


def test_a_limit_does_not_survive_the_power_which_returns_in_the_safe_state():
    rig = make()
    rig.write(LOAD, 0, 3600)
    again = rig.again()
    assert again.board.relay
    assert again.pass_time(1) == [moved(1, POWER_RETURN)]


def test_who_draws_more_than_a_twins_limit_is_off_until_it_ends():
    rig = make(release_s=0)
    rig.house_w = 500
    rig.pass_time(5)
    head = rig.meter.ring.head
    rig.write(LOAD, 300, 30)
    events = rig.since(head)
    assert events[0] == moved(0, LIMIT)
    assert events[1][0] == LIMIT_TRIP
    assert abs(events[1][1] - 500) <= 5
    assert events[1][2] == 300
    assert rig.pass_time(29) == []
    assert rig.pass_time(1) == [moved(1, EXPIRED)]
    assert rig.pass_time(60) == [], "no limit any more"


def test_who_draws_more_than_the_safe_limit_is_tried_again_each_minute_and_locked_out():
    rig = make(safe_w=300, release_s=0, lock_out_trips=3, min_off_s=0)
    rig.house_w = 500
    events = rig.pass_time(600)
    assert [row for row in events if row[0] == RELAY_LOAD][:3] == [
        moved(0, LIMIT), moved(1, EXPIRED), moved(0, LIMIT),
    ]  # fmt: skip
    assert len([row for row in events if row[0] == LIMIT_TRIP]) == 3
    assert (LOCK_OUT, 0, 1) in events
    assert not rig.board.relay


def test_the_button_ends_a_lock_out():
    rig = make(("button",), safe_w=300, release_s=0, lock_out_trips=1)
    rig.house_w = 500
    rig.pass_time(200)
    rig.house_w = 100
    assert rig.pass_time(200) == []
    rig.board.on = {"button"}
    assert rig.pass_time(2) == [moved(1, LOCAL_ACTION), (LOCK_OUT, 0, 0)]
    assert rig.board.relay


def test_minimum_times_hold_a_load_and_a_hold_off_the_power_return():
    rig = make(min_on_s=30, release_s=0)
    rig.pass_time(1)
    rig.write(LOAD, 0, 3600)
    assert rig.board.relay
    assert rig.pass_time(40) == [moved(0, COMMAND)]
    rig = make(hold_off_s=45, release_s=0)
    assert not rig.board.relay
    assert rig.pass_time(44) == [moved(0, POWER_RETURN)]
    assert rig.pass_time(2) == [moved(1, POWER_RETURN)]
    rig = make(min_off_s=20, release_s=0)
    rig.pass_time(20)
    rig.write(LOAD, 0, 5)
    assert rig.pass_time(18) == []
    assert rig.pass_time(3) == [moved(1, EXPIRED)]


def test_a_load_limit_trips_after_its_delay_and_ends_at_its_drop_out_after_a_minute():
    rig = make(trip={"pick_up_w": 400, "drop_out_w": 350, "delay_ms": 5000}, release_s=0)
    rig.house_w = 390
    assert rig.pass_time(60) == []
    rig.house_w = 420
    rig.pass_time(4)
    rig.house_w = 340
    assert rig.pass_time(10) == [], "back at its drop-out before the delay was over"
    rig.house_w = 420
    events = rig.pass_time(8)
    assert events[0] == moved(0, PROTECTION)
    assert events[1][:4] == (TRIP, LOAD_LIMIT, 1, 0)
    assert abs(events[1][4] - 420) <= 5
    rig.house_w = 100
    assert rig.pass_time(50) == []
    events = rig.pass_time(12)
    assert events[0] == moved(1, PROTECTION)
    assert events[1][:4] == (TRIP, LOAD_LIMIT, 0, 0)
    assert rig.pass_time(60) == []


def test_a_trip_is_off_by_default():
    rig = make()
    rig.house_w = 100000
    assert rig.pass_time(60) == []


def test_the_power_is_that_of_the_time_between_pulses_to_the_millisecond():
    power = Power(2250000000)
    assert power.poll(0, 0, 1000) is None
    assert power.poll(1, 1700, 2000) is None, "one pulse tells nothing"
    assert power.poll(1, 1700, 3000) is None
    assert power.poll(2, 3200, 4000) == 1500
    assert power.poll(3, 4450, 5000) == 1800
    assert power.poll(3, 4450, 5600) == 1800
    assert power.poll(3, 4450, 7450) == 750, "no pulse for three seconds: at most 750 W"
    assert power.poll(3, 4450, 4450 + 9000000) == 0
    assert power.poll(5, 4450 + 9001000, 4450 + 9001500) == 0, "none knows which came when"
    assert power.poll(6, 4450 + 9002000, 4450 + 9002500) == 2250


def test_the_power_knows_that_ticks_wrap():
    power = Power(10000000)
    power.poll(1, 0x3FFFFFFF - 99, 0x3FFFFFFF)
    assert power.poll(11, 900, 1000) == 100


def test_what_moved_while_nothing_could_be_recorded_is_told_later_all_of_it_once():
    rig = make(release_s=0)
    event = rig.meter.event

    def refuse(*_arguments):
        raise MemoryError

    rig.meter.event = refuse
    for value in (0, 9000):
        try:
            rig.write(LOAD, value, 3600)
        except MemoryError:
            pass
        assert rig.board.relay == bool(value), "the relay does not wait for the flash"
    rig.meter.event = event
    assert rig.pass_time(3) == [moved(0, COMMAND), moved(1, COMMAND)]
