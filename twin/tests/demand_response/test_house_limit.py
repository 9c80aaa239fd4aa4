"""What holds for a whole house, moment by moment: OpenADR 3.1's limits, charge and dispatch."""

import pytest
from meter_twin.application import Context
from meter_twin.applications.capacity_bidding import CapacityBidding
from meter_twin.applications.demand_response import DemandResponse
from meter_twin.deciders import Deciders
from meter_twin.demand_response.dr_event import MICRO, DrEvent, Fault, Interval, Signal
from meter_twin.demand_response.ems_plan import build_plan
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.demand_response.house_limit import Target, find_house_limits, find_import_limit
from meter_twin.demand_response.load_limit import LoadLimit
from meter_twin.option_schema import apply_schema

START = 1_781_456_400  # 2026-06-14T17:00:00Z
HOUR = 3600
CONTEXT = Context("house-1", "point", "UTC", 900)
IN = Opt(True)


def signal(name, *values, kind="setpoint", unit="W"):
    rows = [Interval(at * HOUR, HOUR, round(value * MICRO)) for at, value in enumerate(values)]
    return Signal(name, kind, unit, tuple(rows))


def keep(*signals, event_id="e", seconds=HOUR, opt=IN, **changes):
    return Kept(
        DrEvent(event_id, 0, 0, "", START, seconds, signals)._replace(**changes), opt, 0, None
    )


def limit(watts, name="IMPORT_CAPACITY_LIMIT", **more):
    return keep(signal(name, watts), **more)


def house(**options):
    return DemandResponse(apply_schema(DemandResponse.option_schema, options, "options"), CONTEXT)


def imports(*kept, at_s=0):
    found = find_house_limits(kept, START + at_s).import_limit
    return None if found is None else found.limit_w


def test_an_import_limit_and_an_export_limit_hold_while_their_event_does():
    kept = [limit(5000), limit(3000, "EXPORT_CAPACITY_LIMIT", event_id="x")]
    found = find_house_limits(kept, START)
    assert found.import_limit == LoadLimit(5000, START + HOUR, "e")
    assert found.export_limit == LoadLimit(3000, START + HOUR, "x")
    for at_s in (-1, HOUR):
        assert find_house_limits(kept, START + at_s) == (None, None, None, None)


def test_intervals_are_followed():
    kept = keep(signal("IMPORT_CAPACITY_LIMIT", 5000, 2000), seconds=2 * HOUR)
    assert [imports(kept, at_s=at) for at in (0, HOUR - 1, HOUR)] == [5000, 5000, 2000]


def test_of_two_limits_the_one_of_the_highest_priority_decides_alone():
    assert imports(limit(2000, event_id="a"), limit(5000, event_id="b", priority=1)) == 5000


@pytest.mark.parametrize(
    "changes", [{"opt": Opt(False)}, {"is_test": True}, {"fault": Fault(454, "wrong")}]
)
def test_what_the_house_takes_no_part_in_holds_not(changes):
    assert imports(limit(5000, **changes)) is None


@pytest.mark.parametrize("changed", [limit(-4000), keep(signal("IMPORT_CAPACITY_LIMIT", 0))])
def test_no_limit_is_negative(changed):
    assert imports(changed) == 0


def test_a_limit_in_another_unit_is_none():
    assert imports(keep(signal("IMPORT_CAPACITY_LIMIT", 5, unit="A"))) is None


def test_what_is_granted_adds_to_the_contract_and_the_lower_limit_holds():
    contract = limit(4000, "IMPORT_CAPACITY_SUBSCRIPTION", event_id="s")
    granted = limit(2000, "IMPORT_CAPACITY_RESERVATION", event_id="r")
    assert imports(contract) == 4000
    assert imports(contract, granted) == 6000
    assert imports(contract, granted, limit(5000)) == 5000
    assert imports(contract, granted, limit(7000)) == 6000
    assert imports(granted) is None


def test_the_contract_is_told_and_limits_no_load():
    contract = limit(1000, "IMPORT_CAPACITY_SUBSCRIPTION")
    assert find_import_limit([contract], START) is None
    assert house().find_limit([contract], START) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (signal("CHARGE_STATE", 80, unit="%"), (80, "%")),
        (signal("CHARGE_STATE", 140, unit="%"), (100, "%")),
        (signal("CHARGE_STATE", 6000, unit="Wh"), (6000, "Wh")),
        (signal("CHARGE_STATE", 6, unit="V"), None),
    ],
)
def test_a_charge_state_is_a_target_in_percent_or_watt_hours(said, expected):
    found = find_house_limits([keep(said)], START).charge
    assert (found and found[:2]) == expected


def test_a_dispatch_is_a_power_or_a_change_of_it():
    absolute = signal("LOAD_DISPATCH", -2000)
    assert find_house_limits([keep(absolute)], START).dispatch == Target(
        -2000, "W", START + HOUR, "e"
    )
    relative = signal("LOAD_DISPATCH", -500, kind="delta")
    assert find_house_limits([keep(relative)], START).dispatch.is_relative
    assert find_house_limits([keep(signal("LOAD_DISPATCH", 0.5, kind="multiplier"))], START).dispatch is None  # fmt: skip


@pytest.mark.parametrize(
    ("options", "watts", "expected"),
    [
        ({}, 2000, 2000),
        ({}, 2999, 2999),
        ({}, 3000, None),
        ({"keepImportLimit": False}, 2000, None),
    ],
)
def test_a_load_keeps_below_an_import_limit_that_is_below_its_rated_power(options, watts, expected):
    found = house(ratedWatts=3000, **options).find_limit([limit(watts)], START)
    assert (found and found.limit_w) == expected


@pytest.mark.parametrize(("watts", "by"), [(2000, "peak"), (500, "e")])
def test_of_an_import_limit_and_another_signal_the_lower_one_limits_the_load(watts, by):
    peak = keep(signal("SIMPLE", 2, kind="level", unit=""), event_id="peak")
    found = house(ratedWatts=3000, highWatts=1000).find_limit([peak, limit(watts)], START)
    assert (found.limit_w, found.event_id) == (min(watts, 1000), by)


@pytest.mark.parametrize(
    "name", ["IMPORT_CAPACITY_LIMIT", "EXPORT_CAPACITY_LIMIT", "CHARGE_STATE", "LOAD_DISPATCH"]
)
def test_the_rules_of_the_house_and_the_override_are_asked_as_for_every_signal(name):
    said = limit(5000, name).event
    assert Deciders([house()]).decide(said, [], is_overridden=False).is_in
    assert not Deciders([house(takePart=False)]).decide(said, [], is_overridden=False).is_in
    assert not Deciders([house()]).decide(said, [], is_overridden=True).is_in
    assert name in Deciders([house()]).signals


def test_who_bids_for_capacity_is_not_who_limits_loads():
    bidding = CapacityBidding(apply_schema(CapacityBidding.option_schema, {}, "options"), CONTEXT)
    both = Deciders([bidding, house(takePart=False)])
    assert not both.decide(limit(5000).event, [], is_overridden=False).is_in
    granted = limit(5000, "IMPORT_CAPACITY_RESERVATION").event
    assert both.decide(granted, [], is_overridden=False).is_in


def test_the_plan_hands_it_on():
    kept = [limit(5000), keep(signal("CHARGE_STATE", 80, unit="%"), event_id="c")]
    plan = build_plan(None, [], kept, START)
    until = "2026-06-14T18:00:00Z"
    assert plan["limits"] == {
        "import": {"watts": 5000, "until": until, "event": "e"},
        "export": None,
    }
    assert plan["charge"] == {
        "value": 80, "unit": "%", "relative": False, "until": until, "event": "c"}  # fmt: skip
    assert plan["dispatch"] is None
