"""An event for a device behind the meter is about this device, not about the house."""

import json

import pytest
from fake_vtn import AGENCY, NOW, FakeVtn, describe_event, settle
from meter_twin.application import Context
from meter_twin.applications.demand_response import DemandResponse
from meter_twin.deciders import Deciders
from meter_twin.demand_response.capacity_bid import BidRule
from meter_twin.demand_response.ems_plan import build_plan
from meter_twin.demand_response.price_plan import find_prices
from meter_twin.openadr3.agent import Agent
from meter_twin.openadr3.authorization import Credentials
from meter_twin.openadr3.enrolment import Resource
from meter_twin.option_schema import apply_schema
from test_capacity31 import offer

NAMES = ("battery-1", "roof")
ASKS = [
    ("DISPATCH_SETPOINT", [-3]),
    ("DISPATCH_SETPOINT_RELATIVE", [1]),
    ("SIMPLE", [3]),
    ("IMPORT_CAPACITY_LIMIT", [1]),
    ("EXPORT_CAPACITY_LIMIT", [1]),
    ("CHARGE_STATE_SETPOINT", [0.8]),
]
HOUSE = DemandResponse(
    apply_schema(DemandResponse.option_schema, {}, "options"),
    Context("house-1", "point", "UTC", 900),
)


def build(memory=None, signals=None, bidding=None):
    deciders = Deciders([HOUSE])
    devices = tuple(Resource(name, "battery", 5000, 5000) for name in NAMES)
    agency = AGENCY._replace(
        resources=devices,
        signal_names=signals or deciders.signals,
        group_ids=frozenset({"north"}),
    )
    return Agent(
        agency,
        lambda event, others, _: deciders.decide(event, others, is_overridden=False),
        lambda: Credentials("client-1", "s3cr&t of house"),
        memory,
        bidding,
    )


def tell(payload, targets, agent=None):
    """Return an agent that has an event for these targets, which the VTN has granted it."""
    vtn = FakeVtn()
    vtn.granted = tuple(one for one in targets if one != "house-9")
    charge = {"payloadType": "CHARGE_STATE_SETPOINT", "units": "PERCENT"}
    about = {"payloadDescriptors": [charge], "targets": targets}
    vtn.add("events", describe_event(start_s=NOW, payload=payload, **about))
    agent = agent or build()
    settle(agent, vtn)
    (kept,) = agent.book
    assert kept.event.fault is None
    return agent, vtn


def plan(agent):
    kept = list(agent.book)
    return build_plan(HOUSE.find_limit(kept, NOW), (), kept, NOW)


def says_nothing_of_the_house(agent):
    found = plan(agent)
    house = found["limit"], found["charge"], found["dispatch"], *found["limits"].values()
    return house == (None,) * 5


@pytest.mark.parametrize("payload", ASKS)
@pytest.mark.parametrize("targets", [["battery-1"], ["battery-1", "roof"], ["roof", "house-9"]])
def test_an_event_for_devices_limits_no_load_and_asks_nothing_of_the_house(payload, targets):
    agent, _ = tell(payload, targets)
    assert says_nothing_of_the_house(agent)
    (row,) = plan(agent)["events"]
    assert row["resources"] == [one for one in targets if one in NAMES]


@pytest.mark.parametrize("payload", ASKS)
@pytest.mark.parametrize(
    "targets", [["meter-1"], ["house-1"], ["north"], ["granted"], ["battery-1", "north"], []]
)
def test_an_event_that_names_the_house_too_is_the_houses(payload, targets):
    agent, _ = tell(payload, targets)
    assert not says_nothing_of_the_house(agent)
    assert "resources" not in plan(agent)["events"][0]


@pytest.mark.parametrize(
    ("payload", "ask"),
    [
        (ASKS[0], (-3000, "W", False)),
        (ASKS[1], (1000, "W", True)),
        (ASKS[2], (3, "", False)),
        (ASKS[3], (1000, "W", False)),
        (ASKS[5], (80, "%", False)),
        (("CONTROL_LEVEL_OFFSET_PERCENT", [-0.2]), (-20, "%", True)),
    ],
)
def test_the_energy_management_is_told_what_is_asked_of_a_device(payload, ask):
    agent, _ = tell(payload, ["battery-1"])
    (row,) = plan(agent)["events"]
    assert (row["value"], row["unit"], row["relative"]) == ask
    kept = list(agent.book)
    (row,) = build_plan(None, (), kept, NOW, stopped=True)["events"]
    assert (row["resources"], row["value"], row["unit"]) == (["battery-1"], None, None)
    (row,) = build_plan(None, (), kept, NOW - 60)["events"]
    assert (row["status"], row["value"]) == ("far", None)
    assert agent.describe(NOW)["events"][0]["resources"] == ["battery-1"]


def test_a_price_for_a_device_is_no_price_of_the_house():
    signals = frozenset({"ELECTRICITY_PRICE"})
    for targets, count in ((["battery-1"], 0), (["north"], 1)):
        agent = build(signals=signals)
        agent._decide = lambda *_: HOUSE.decide(_[0], (), is_overridden=False)
        tell(("PRICE", [0.3]), targets, agent)
        assert len(find_prices(agent.book, NOW, 0, "v")) == count


def test_an_offer_to_a_device_is_not_answered_for_the_house():
    for targets, count in ((["battery-1"], 0), (["north"], 1)):
        vtn = FakeVtn()
        vtn.granted = tuple(targets)
        vtn.add("events", offer(targets=targets))
        agent = build(signals=AGENCY.signal_names, bidding=BidRule(4000, 120_000).bid)
        agent._decide = lambda *_: HOUSE.decide(_[0], (), is_overridden=False)
        settle(agent, vtn)
        assert len(vtn.reports("bid-")) == count


def test_a_successor_knows_for_which_devices_an_event_is():
    agent, _ = tell(ASKS[0], ["battery-1"])
    memory = json.loads(json.dumps(agent.export()))
    again = build(memory)
    assert json.loads(json.dumps(again.export())) == memory
    assert list(again.book) == list(agent.book)
    assert says_nothing_of_the_house(again)
    assert "resources" not in memory["events"][0]["event"], "an older twin reads it"
    house, _ = tell(ASKS[0], ["north"])
    assert set(house.export()["events"][0]) == {"event", "opt", "offset", "cancelledFrom"}


def test_a_memory_of_the_version_before_is_read_and_the_next_look_knows_the_devices():
    agent, vtn = tell(ASKS[0], ["battery-1"])
    memory = json.loads(json.dumps(agent.export()))
    del memory["events"][0]["resources"]
    again = build(memory)
    settle(again, vtn, NOW + 30)
    assert says_nothing_of_the_house(again)


@pytest.mark.parametrize("granted", [[], ["battery-1"]])
def test_an_event_for_a_device_that_is_gone_does_not_become_the_houses(granted):
    agent, vtn = tell(ASKS[0], ["battery-1"])
    again = build(agent.export())
    again._agency = again._agency._replace(resources=())
    vtn.objects["vens"][0]["targets"] = granted
    vtn.list_all = lambda kind, _query: vtn.objects[kind]
    settle(again, vtn, NOW + 30)
    assert len(list(again.book)) == 1
    assert says_nothing_of_the_house(again)
