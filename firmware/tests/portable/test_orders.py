"""Orders of the utility: parsed whole, judged, carried out once, or refused. Both Pythons."""

from event_codes import CLOCK_STEP, ORDER, RELAY_SUPPLY
from meter_rig import DEVICE, NOW_S, Rig
from meter_rig import encode_order as encode
from meter_wire.portable.order import ACTION_ARM, ACTION_DISCONNECT, ACTION_SET_CLOCK, Order
from meter_wire.portable.tlv import RemoteProtocolError, field, number
from orders import Gate
from registers import CONNECTED, DISCONNECTED, READY_FOR_RECONNECTION

OK, EXPIRED, REFUSED, REPEATED = 0, 2, 3, 4


def refused(data):
    try:
        Order(data)
    except RemoteProtocolError:
        return True
    return False


def test_an_order_has_device_action_reason_operator_expiry_and_counter():
    order = Order(encode(counter=3))
    assert (order.device, order.action, order.reason) == (DEVICE, ACTION_DISCONNECT, 7)
    assert (order.operator, order.not_after_s, order.counter) == ("dso.example", NOW_S + 600, 3)


def test_a_time_comes_with_the_action_that_sets_the_clock_and_with_no_other():
    time = number(7, 1795000000123)
    assert Order(encode(ACTION_SET_CLOCK, extra=time)).utc_ms == 1795000000123
    assert refused(encode(ACTION_SET_CLOCK))
    assert refused(encode(ACTION_ARM, extra=time))


def test_an_order_without_one_of_its_fields_is_refused():
    for tag in range(1, 7):
        assert refused(encode(leave_out=tag)), tag


def test_a_field_out_of_its_bounds_is_refused():
    assert refused(encode(counter=0))
    assert refused(encode(leave_out=4, extra=field(4, b"")))
    assert refused(encode(leave_out=4, extra=field(4, b"x" * 65)))
    assert refused(encode(extra=field(8, b"short")))
    assert refused(encode(extra=number(10, 5)))
    assert refused(encode(extra=number(9, 5)))
    assert refused(encode(leave_out=1, extra=field(1, b"\xff\xff")))


def test_another_version_or_a_cut_order_is_refused():
    assert refused(encode(version=2))
    assert refused(b"")
    for length in range(1, len(encode()) - 1):
        assert refused(encode()[:length]), length


def order(rig, *arguments, **fields):
    return rig.handle("order", encode(*arguments, **fields), b"")


def test_an_order_disconnects_and_one_arms_and_both_are_recorded():
    rig = Rig()
    assert order(rig) == OK
    assert rig.supply.state == DISCONNECTED
    assert rig.measuring.front_end.supply is False
    assert order(rig, ACTION_ARM, counter=2) == OK
    assert rig.supply.state == READY_FOR_RECONNECTION
    assert rig.measuring.front_end.supply is False
    assert rig.events() == [ORDER, RELAY_SUPPLY, ORDER, RELAY_SUPPLY]
    assert rig.commands.local_action()
    assert rig.supply.state == CONNECTED
    assert rig.link.refused == {}


def test_an_order_is_carried_out_once_over_reboots_too():
    rig = Rig()
    assert order(rig, counter=5) == OK
    assert order(rig, counter=5) == REPEATED
    assert order(rig, counter=4) == REPEATED
    assert rig.link.refused == {"repeated": 2}
    rig = rig.reboot()
    assert rig.supply.state == DISCONNECTED
    assert order(rig, ACTION_ARM, counter=5) == REPEATED
    assert rig.supply.state == DISCONNECTED
    assert order(rig, ACTION_ARM, counter=6) == OK


def test_an_order_after_its_expiry_is_refused_and_the_last_second_counts():
    rig = Rig()
    assert order(rig, not_after=NOW_S - 1) == EXPIRED
    assert rig.link.refused == {"expired": 1}
    assert rig.supply.state == CONNECTED
    assert order(rig, not_after=NOW_S + 1) == OK


def test_an_order_to_another_meter_or_incarnation_is_refused():
    rig = Rig()
    assert order(rig, device="house-2") == REFUSED
    assert order(rig, extra=field(8, b"elsewher")) == REFUSED
    assert rig.link.refused == {"device": 2}
    assert rig.supply.state == CONNECTED
    assert order(rig, extra=field(8, rig.ring.incarnation)) == OK


def test_without_a_clock_an_order_needs_an_expiry_on_the_uptime():
    rig = Rig(rtc_s=None)
    assert order(rig) == EXPIRED
    assert order(rig, extra=number(9, 8) + number(10, 100)) == EXPIRED
    assert rig.link.refused == {"expired": 2}
    assert order(rig, extra=number(9, 7) + number(10, 100)) == OK


def test_an_order_past_its_uptime_is_refused():
    rig = Rig()
    rig.timekeeper.uptime_ms = lambda: 101000
    assert order(rig, extra=number(9, 7) + number(10, 100)) == EXPIRED
    assert order(rig, extra=number(9, 7) + number(10, 101)) == OK


def test_an_action_that_is_not_known_is_refused():
    rig = Rig()
    for action in (0, 5, 255):
        assert order(rig, action) == REFUSED
    assert rig.link.refused == {"order": 3}
    assert (rig.supply.state, rig.supply.counter) == (CONNECTED, 0)


def test_a_meter_without_a_supply_relay_refuses_to_disconnect_and_says_so():
    rig = Rig(has_relay=False)
    assert order(rig) == REFUSED
    assert order(rig, ACTION_ARM, counter=2) == REFUSED
    assert rig.link.refused == {"order": 2}
    assert (rig.supply.state, rig.events()) == (CONNECTED, [])


def test_a_meter_that_must_never_be_darkened_refuses_to_disconnect():
    rig = Rig(never=True)
    assert order(rig) == REFUSED
    assert rig.link.refused == {"order": 1}
    assert rig.supply.state == CONNECTED


def test_a_malformed_order_is_answered_and_counted():
    rig = Rig()
    assert rig.handle("order", b"\x01\x00", b"") == REFUSED
    assert rig.handle("order", encode(version=2), b"") == REFUSED
    assert rig.link.refused == {"malformed": 1, "version": 1}


def test_a_forged_order_closes_the_gate_for_a_minute():
    asked = []
    now_ms = [5000]

    def verify(order, signature):
        asked.append(order)
        return signature == b"genuine"

    gate = Gate(verify, lambda: now_ms[0])
    assert gate(b"a", b"genuine")
    assert gate(b"b", b"genuine")
    assert not gate(b"c", b"forged")
    now_ms[0] = 64999
    assert not gate(b"d", b"genuine")
    assert asked == [b"a", b"b", b"c"], "nothing is verified while it is closed"
    now_ms[0] = 65000
    assert gate(b"e", b"genuine")


def test_an_order_steps_the_clock_however_far_once():
    rig = Rig()
    limits = number(9, 7) + number(10, 60)
    there = number(7, (NOW_S + 86400) * 1000) + limits
    assert order(rig, ACTION_SET_CLOCK, extra=there, not_after=NOW_S - 9) == OK
    assert NOW_S + 86400 <= rig.timekeeper.utc()[0] <= NOW_S + 86402
    assert rig.events() == [ORDER, CLOCK_STEP]
    back = number(7, NOW_S * 1000) + limits
    assert order(rig, ACTION_SET_CLOCK, extra=back) == REPEATED
    assert order(rig, ACTION_SET_CLOCK, extra=back, counter=2) == OK
    assert NOW_S <= rig.timekeeper.utc()[0] <= NOW_S + 2
    assert rig.reboot().supply.counter == 2


def test_an_order_for_the_clock_that_a_twin_held_back_is_refused():
    rig = Rig()
    there = number(7, (NOW_S + 86400) * 1000)
    assert order(rig, ACTION_SET_CLOCK, extra=there) == REFUSED
    assert rig.link.refused == {"unlimited": 1}
    there += number(9, 7) + number(10, 60)
    rig.timekeeper.uptime_ms = lambda: 61000
    assert order(rig, ACTION_SET_CLOCK, extra=there) == EXPIRED
    later = rig.reboot(boot=8)
    assert order(later, ACTION_SET_CLOCK, extra=there) == EXPIRED
    assert later.events() == rig.events() == []
    assert later.supply.counter == rig.supply.counter == 0


def test_an_order_names_the_low_16_bits_of_the_boot_number():
    rig = Rig(boot=65543)
    assert order(rig, extra=number(9, 8) + number(10, 100)) == EXPIRED
    assert order(rig, extra=number(9, 7) + number(10, 100)) == OK
