"""What the home's energy management is told."""

from meter_twin.applications.local_time import build_local_time, find_zone
from meter_twin.deciders import Deciders
from meter_twin.demand_response.dr_event import LATEST_LOCAL_S, MICRO, DrEvent, Interval, Signal
from meter_twin.demand_response.ems_plan import build_plan
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.demand_response.load_limit import LoadLimit
from meter_twin.demand_response.opt_rules import NEVER, STOPPED, TAKES_PART
from meter_twin.demand_response.price_plan import Price

NOW = 1_781_456_400  # 2026-06-14T17:00:00Z


def event(name="SIMPLE", **changes):
    signal = Signal(name, "level", "", (Interval(0, 3600, 2 * MICRO),))
    return DrEvent("peak-1", 0, 0, "", NOW, 3600, (signal,))._replace(**changes)


def test_a_plan_has_the_limit_the_prices_and_the_events_and_ends_by_itself():
    limit = LoadLimit(900, NOW + 3600, "peak-1")
    price = Price(NOW, NOW + 3600, 240_000, "EUR/kWh", "p")
    plan = build_plan(limit, [price], [Kept(event(), Opt(True), 0)], NOW)
    assert plan == {
        "issued": "2026-06-14T17:00:00Z",
        "valid_until": "2026-06-14T17:10:00Z",
        "stopped": False,
        "limit": {"watts": 900, "until": "2026-06-14T18:00:00Z", "event": "peak-1"},
        "limits": {"import": None, "export": None},
        "charge": None,
        "dispatch": None,
        "prices": [
            {
                "start": "2026-06-14T17:00:00Z",
                "end": "2026-06-14T18:00:00Z",
                "price": 0.24,
                "unit": "EUR/kWh",
            }
        ],
        "events": [
            {
                "id": "peak-1",
                "status": "active",
                "signal": "SIMPLE",
                "start": "2026-06-14T17:00:00Z",
                "end": "2026-06-14T18:00:00Z",
                "test": False,
            }
        ],
    }


def test_events_in_which_the_house_takes_no_part_and_those_that_are_over_are_not_told():
    kept = [Kept(event(), Opt(False), 0), Kept(event(start_s=NOW - 7200), Opt(True), 0)]
    assert build_plan(None, [], kept, NOW)["events"] == []


def test_while_load_control_is_stopped_a_plan_has_no_limit_and_says_so():
    plan = build_plan(LoadLimit(900, None, "peak-1"), [], [], NOW, stopped=True)
    assert (plan["stopped"], plan["limit"]) == (True, None)


class Rule:
    def __init__(self, signals, opt, limits_loads):
        self.signals, self.limits_loads, self.opt = signals, limits_loads, opt
        self.was_overridden = None

    def decide(self, event, others, *, is_overridden):
        del event, others
        self.was_overridden = is_overridden
        return self.opt


def test_an_event_is_decided_by_who_acts_on_it_and_limits_come_first():
    prices = Rule({"ELECTRICITY_PRICE"}, TAKES_PART, limits_loads=False)
    loads = Rule({"SIMPLE"}, NEVER, limits_loads=True)
    both = Deciders([prices, loads])
    assert both.signals == {"ELECTRICITY_PRICE", "SIMPLE"}
    mixed = event()._replace(signals=event("ELECTRICITY_PRICE").signals + event().signals)
    assert both.decide(event("ELECTRICITY_PRICE"), [], is_overridden=True) == TAKES_PART
    assert both.decide(mixed, [], is_overridden=True) == NEVER
    assert (prices.was_overridden, loads.was_overridden) == (True, True)
    assert both.decide(event("BID"), [], is_overridden=False) == NEVER


def test_while_load_control_is_stopped_a_house_takes_part_in_no_limit_whatever_its_rules_say():
    loads = Rule(["SIMPLE"], TAKES_PART, limits_loads=True)
    prices = Rule(["ELECTRICITY_PRICE"], TAKES_PART, limits_loads=False)
    both = Deciders([prices, loads])
    stopped = {"is_overridden": False, "is_stopped": True}
    assert both.decide(event(), [], **stopped) == STOPPED
    assert both.decide(event("ELECTRICITY_PRICE"), [], **stopped) == TAKES_PART


def test_while_load_control_is_stopped_no_capacity_is_bid_for():
    bids = Rule(["IMPORT_CAPACITY_AVAILABLE"], TAKES_PART, limits_loads=False)
    bids.bid = lambda offers: offers
    both = Deciders([bids])
    offer = event("IMPORT_CAPACITY_AVAILABLE")
    assert both.decide(offer, [], is_overridden=False) == TAKES_PART
    assert both.decide(offer, [], is_overridden=False, is_stopped=True) == STOPPED


def test_an_event_without_a_sensible_end_keeps_no_plan_away():
    endless = event(duration_s=10_000 * 366 * 86_400)
    plan = build_plan(None, [], [Kept(endless, Opt(True), 0)], 0)
    assert plan["events"][0]["end"].startswith("9999-12-30")
    to_local = build_local_time(find_zone("Europe/Brussels"))
    assert to_local(253_402_300_799) == to_local(LATEST_LOCAL_S)
