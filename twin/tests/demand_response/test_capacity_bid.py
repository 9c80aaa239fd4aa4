"""What a house bids for capacity: the rule, and the application that holds it."""

import pytest
from meter_twin.application import Context
from meter_twin.applications.capacity_bidding import CapacityBidding
from meter_twin.deciders import Deciders
from meter_twin.demand_response.capacity_bid import CapacityOffer
from meter_twin.demand_response.dr_event import MICRO, DrEvent, Interval, Signal
from meter_twin.demand_response.opt_rules import NEVER, OVERRIDDEN, TAKES_PART
from meter_twin.option_schema import apply_schema

CONTEXT = Context("house-1", "541448860000000001", "Europe/Brussels", 900)
SEVEN = 1_781_413_200  # 2026-06-14T05:00:00Z, 07:00 in Brussels
HOUR = 3600


def build(**options):
    given = {"wantedWatts": 4000, "mostPriceMilli": 120} | options
    return CapacityBidding(apply_schema(CapacityBidding.option_schema, given, "options"), CONTEXT)


def offer(direction="IMPORT", start_s=SEVEN, watts=11_000, price=110_000, duration_s=HOUR):
    return CapacityOffer(direction, start_s, duration_s, watts, price)


def wanted(application, *offers):
    return [one.wanted_w for one in application.bid(offers)]


def event(*names):
    signals = tuple(
        Signal(name, "setpoint", "W", (Interval(0, HOUR, 4000 * MICRO),)) for name in names
    )
    return DrEvent("offer-1", 0, 0, "", SEVEN, HOUR, signals)


def test_a_house_bids_for_what_it_wants_or_as_much_as_there_is():
    assert wanted(build(), offer(), offer(watts=2000), offer(watts=0)) == [4000, 2000]


@pytest.mark.parametrize(("price", "found"), [(120_000, [4000]), (120_001, [])])
def test_what_costs_more_than_it_is_willing_to_pay_is_not_bid_for(price, found):
    assert wanted(build(), offer(price=price)) == found


def test_a_house_bids_in_one_direction():
    assert wanted(build(), offer("EXPORT")) == []
    assert wanted(build(direction="export"), offer("EXPORT"), offer()) == [4000]


@pytest.mark.parametrize(
    ("begins", "ends", "found"),
    [
        ("00:00", "00:00", [4000]),
        ("07:00", "08:00", [4000]),
        ("07:01", "09:00", []),
        ("06:00", "07:59", []),
        ("22:00", "08:00", [4000]),
        ("08:00", "22:00", []),
    ],
)
def test_an_interval_has_to_lie_within_the_local_hours_as_a_whole(begins, ends, found):
    assert wanted(build(wantedFrom=begins, wantedTo=ends), offer()) == found


def test_without_options_nothing_is_bid_for_and_offers_are_refused():
    application = build(wantedWatts=0)
    assert wanted(application, offer(price=0)) == []
    told = application.decide(event("IMPORT_CAPACITY_AVAILABLE"), [], is_overridden=False)
    assert told == NEVER


def test_the_customers_override_is_about_offers_and_not_about_what_was_granted():
    offered, granted = event("IMPORT_CAPACITY_AVAILABLE"), event("IMPORT_CAPACITY_RESERVATION")
    assert build().decide(offered, [], is_overridden=False) == TAKES_PART
    assert build().decide(offered, [], is_overridden=True) == OVERRIDDEN
    assert build().decide(granted, [], is_overridden=True) == TAKES_PART


def test_the_agent_is_given_the_bids_of_the_application():
    application = build()
    assert Deciders([application]).bidding([offer()]) == application.bid([offer()])
    assert Deciders([]).bidding is None
