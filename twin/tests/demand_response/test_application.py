"""Options of the application demand-response, as the rules that they are."""

import datetime as dt

import pytest
from meter_twin.application import Context
from meter_twin.applications.demand_response import DemandResponse
from meter_twin.demand_response.baseline import METHODS
from meter_twin.demand_response.dr_event import MICRO, DrEvent, Interval, Signal
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.option_schema import OptionError, apply_schema

SUMMER = 1_781_456_400  # 2026-06-14T17:00:00Z: 19:00 in Brussels
HOUR = 3600


def build(zone="Europe/Brussels", **options):
    checked = apply_schema(DemandResponse.option_schema, options, "options")
    return DemandResponse(checked, Context("house-1", "point", zone, 900))


def event(start_s=SUMMER, event_id="e", price=None):
    signals = [Signal("SIMPLE", "level", "", (Interval(0, HOUR, 2 * MICRO),))]
    if price is not None:
        rows = (Interval(0, HOUR, round(price * MICRO)),)
        signals.append(Signal("ELECTRICITY_PRICE", "price", "EUR/kWh", rows))
    return DrEvent(event_id, 0, 0, "", start_s, HOUR, tuple(signals))


def takes_part(house, one, others=(), *, is_overridden=False):
    return house.decide(one, others, is_overridden=is_overridden).is_in


def test_quiet_hours_are_local():
    house = build(quietFrom="19:00", quietTo="21:00")
    assert not takes_part(house, event())
    assert takes_part(build("UTC", quietFrom="19:00", quietTo="21:00"), event())
    winter = SUMMER + 183 * 86_400  # the same hour of UTC is 18:00 there
    assert takes_part(build(quietFrom="19:00", quietTo="21:00"), event(winter - HOUR))
    assert not takes_part(build(quietFrom="18:00", quietTo="19:00"), event(winter))


@pytest.mark.parametrize(
    ("least", "price", "takes"),
    [(0, 0.01, True), (300, 0.29, False), (300, 0.3, True), (300, None, True)],
)
def test_an_event_that_is_too_cheap_is_none_to_act_on(least, price, takes):
    assert takes_part(build(leastPriceMilli=least), event(price=price)) is takes


def test_events_of_one_local_day_are_counted_and_prices_alone_are_none():
    house = build(mostEventsADay=1)
    only_price = event(event_id="p")._replace(signals=event(price=0.2).signals[1:])
    assert takes_part(house, event(), [Kept(only_price, Opt(True), 0)])
    assert not takes_part(house, event(), [Kept(event(event_id="f"), Opt(True), 0)])
    tomorrow = Kept(event(SUMMER + 5 * HOUR, "t"), Opt(True), 0)  # 00:00 in Brussels
    assert takes_part(house, event(), [tomorrow])


def test_the_customer_is_above_the_rules():
    assert not takes_part(build(), event(), is_overridden=True)


def test_a_zone_that_nobody_knows_is_named():
    with pytest.raises(OptionError, match="timezone"):
        build("Europe/Nowhere")


def test_methods_of_a_baseline_are_those_that_can_be_computed():
    offered = DemandResponse.option_schema["properties"]["baseline"]["enum"]
    assert offered == ["none", *METHODS]


@pytest.mark.parametrize("text", ["2026-02-30", "2026-12-25,2026-12-26", "tomorrow", "2026-12-25 "])
def test_holidays_are_dates_that_a_calendar_has(text):
    with pytest.raises(OptionError, match="holidays"):
        build(holidays=text)


def test_holidays_are_days_like_those_of_a_weekend():
    calendar = build(holidays="2026-12-25 2027-01-01").baseline_rules.calendar
    days = {"2026-12-24": "weekday", "2026-12-25": "rest day", "2026-12-26": "rest day"}
    days["2027-01-01"] = "rest day"
    for day, kind in days.items():
        assert calendar.find_kind(dt.date.fromisoformat(day).toordinal()) == kind
