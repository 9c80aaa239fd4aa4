"""Orders of the utility: parsed whole or refused. Both Pythons."""

from meter_wire.portable.tlv import RemoteProtocolError, field, number
from orders import DISCONNECT, SET_CLOCK, Order


def encode(action=DISCONNECT, leave_out=0, version=1, extra=b""):
    fields = (
        field(1, b"house-1"),
        number(2, action),
        number(3, 7),
        field(4, b"dso.example"),
        number(5, 1800000000),
        number(6, 3),
    )
    rows = [row for index, row in enumerate(fields) if index + 1 != leave_out]
    return bytes([version]) + b"".join(rows) + extra


def refused(data):
    try:
        Order(data)
    except RemoteProtocolError:
        return True
    return False


def test_an_order_has_device_action_reason_expiry_and_counter():
    order = Order(encode())
    assert (order.device, order.action, order.reason) == ("house-1", DISCONNECT, 7)
    assert (order.not_after_s, order.counter) == (1800000000, 3)


def test_a_time_comes_with_the_action_that_sets_the_clock():
    assert Order(encode(SET_CLOCK, extra=number(7, 1795000000123))).utc_ms == 1795000000123


def test_an_order_without_one_of_its_fields_is_refused():
    for tag in range(1, 7):
        assert refused(encode(leave_out=tag)), tag


def test_another_version_or_a_cut_order_is_refused():
    assert refused(encode(version=2))
    assert refused(b"")
    for length in range(1, len(encode()) - 1):
        assert refused(encode()[:length]), length
