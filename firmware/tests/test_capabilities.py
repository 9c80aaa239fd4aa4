"""What the meter says it can do, from its configuration, and that orders are refused likewise."""

SUPPLY, UTILITY_ORDERS = 0x04, 0x08
KEY = (
    "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
)


def capabilities(meter):
    return meter.commands.link.info.capabilities


def test_a_meter_says_whether_it_has_a_supply_relay(make):
    assert capabilities(make()) & SUPPLY
    assert not capabilities(make(supply_relay=False)) & SUPPLY


def test_a_meter_without_a_supply_relay_does_not_disconnect(make):
    assert make().supply.order(False, 1)
    meter = make(supply_relay=False)
    assert not meter.supply.order(False, 2)
    assert meter.supply.counter == 0


def test_a_meter_verifies_orders_if_it_has_the_utility_s_key(make):
    assert not capabilities(make()) & UTILITY_ORDERS
    assert capabilities(make(utility_key=KEY)) & UTILITY_ORDERS


def test_the_spread_that_was_set_comes_before_the_configured_one(make):
    meter = make(report_spread_s=10)
    assert meter.commands.link.spread_ms == 10_000
    meter.commands.handle(("write", 1, 1, 2, 0, 300, 0))
    assert make(report_spread_s=10).commands.link.spread_ms == 300_000
