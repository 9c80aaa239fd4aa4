"""What a twin may change without the utility: small steps of the clock. Both Pythons.

Neighbour: test_periods.py, apart so that each has room in the heap of a board.
"""

from event_codes import CLOCK_REFUSED, CLOCK_STEP, ORDER
from meter_rig import DEVICE, NOW_S, Rig
from meter_wire.portable.order import ACTION_SET_CLOCK
from meter_wire.portable.tlv import field, number

OK, UNSIGNED = 0, 6
CLOCK_ADJUSTED = 2


def time(rig, utc_s):
    return rig.handle("time", utc_s * 1000)


def test_an_unsigned_time_of_over_sixty_seconds_is_refused_counted_and_recorded():
    rig = Rig()
    assert time(rig, NOW_S + 62) == UNSIGNED
    assert time(rig, NOW_S - 62) == UNSIGNED
    assert rig.link.refused == {"unsigned": 2}
    assert rig.events() == [CLOCK_REFUSED]
    assert NOW_S <= rig.timekeeper.utc()[0] <= NOW_S + 2


def test_a_refused_time_is_an_event_once_an_hour():
    rig = Rig()
    for uptime_s, events in ((10, 1), (3600, 1), (3610, 2), (3700, 2)):
        rig.timekeeper.uptime_ms = lambda ms=uptime_s * 1000: ms
        assert time(rig, NOW_S + 40000) == UNSIGNED
        assert rig.events() == [CLOCK_REFUSED] * events


def test_a_time_with_welcome_is_judged_likewise_and_has_no_answer():
    rig = Rig()
    rig.commands.handle(("time", 1, 0, (NOW_S + 1000) * 1000))
    assert rig.link.answers == []
    assert rig.link.refused == {"unsigned": 1}


def test_an_unsigned_time_within_sixty_seconds_steps_with_flag_and_event():
    rig = Rig()
    assert time(rig, NOW_S + 50) == OK
    assert rig.events() == [CLOCK_STEP]
    assert rig.recorder.status == CLOCK_ADJUSTED


def test_readings_stay_in_the_order_of_their_numbers_over_a_signed_step_back():
    rig = Rig()
    rig.recorder.reading(NOW_S, [])
    order = (
        b"\x01" + field(1, DEVICE.encode()) + number(2, ACTION_SET_CLOCK) + number(3, 0)
        + field(4, b"dso") + number(5, 0) + number(6, 1) + number(7, (NOW_S - 7200) * 1000)
        + number(9, 7) + number(10, 60)
    )  # fmt: skip
    assert rig.handle("order", order, b"") == OK
    rig.recorder.reading(NOW_S - 7200, [])
    rig.recorder.reading(NOW_S - 7140, [])
    assert rig.events() == [ORDER, CLOCK_STEP]
    entries = [rig.ring.read(seq)[0] for seq in range(1, rig.ring.head + 1)]
    times = [int.from_bytes(one[3:7], "big") for one in entries if one[0] == 1]
    flags = [one[2] & CLOCK_ADJUSTED for one in entries if one[0] == 1]
    assert times == [NOW_S, NOW_S - 7200, NOW_S - 7140]
    assert flags == [0, CLOCK_ADJUSTED, 0], "the first reading after the step has the flag"
    uptimes = [int.from_bytes(one[7:11], "big") for one in entries]
    assert uptimes == sorted(uptimes), "seq and uptime never go back"
