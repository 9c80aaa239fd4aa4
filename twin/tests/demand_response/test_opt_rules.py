"""When a house takes part: a row of the table is a sentence."""

import pytest
from meter_twin.demand_response import opt_rules
from meter_twin.demand_response.dr_event import DrEvent, Interval, Signal
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.demand_response.opt_rules import LocalTime, OptRules, decide_opt

DAY = 20_000 * 86_400
SIX_PM = DAY + 18 * 3600


def to_local(time_s):
    return LocalTime(time_s // 86_400, time_s % 86_400 // 60)


def make(event_id="e", start_s=SIX_PM, minutes=60, price=None, **changes):
    name, value = ("SIMPLE", 1) if price is None else ("ELECTRICITY_PRICE", price)
    signals = (Signal(name, "level", "", (Interval(0, minutes * 60, value),)),)
    return DrEvent(event_id, 0, 0, "", start_s, minutes * 60, signals)._replace(**changes)


def agreed(*events, is_in=True, cancelled_s=None):
    return [Kept(event, Opt(is_in), 0, cancelled_s) for event in events]


QUIET = OptRules(quiet_from_minute=22 * 60, quiet_to_minute=7 * 60)
TWO_A_DAY = OptRules(most_events_a_day=2)
TWO_HOURS = OptRules(most_minutes_a_day=120)
DEAR = OptRules(least_price_micro=300_000)
ROWS = [
    ("always", OptRules(), make(), [], opt_rules.TAKES_PART),
    ("never", OptRules(takes_part=False), make(), [], opt_rules.NEVER),
    ("before the quiet hours", QUIET, make(minutes=240), [], opt_rules.TAKES_PART),
    ("into the quiet hours", QUIET, make(minutes=241), [], opt_rules.QUIET),
    ("with its tolerance into them", QUIET, make(minutes=240, start_after_s=60), [], opt_rules.QUIET),
    ("within them", QUIET, make(start_s=DAY + 3 * 3600), [], opt_rules.QUIET),
    ("in their first minute", QUIET, make(start_s=DAY + 22 * 3600), [], opt_rules.QUIET),
    ("after them", QUIET, make(start_s=DAY + 7 * 3600), [], opt_rules.TAKES_PART),
    ("without an end", QUIET, make(minutes=0), [], opt_rules.QUIET),
    ("the second a day", TWO_A_DAY, make(), agreed(make("a")), opt_rules.TAKES_PART),
    ("the third a day", TWO_A_DAY, make(), agreed(make("a"), make("b")), opt_rules.ENOUGH),
    ("the first of the next", TWO_A_DAY, make(), agreed(make("a", SIX_PM - 86_400), make("b", SIX_PM - 86_400)), opt_rules.TAKES_PART),
    ("those it refused do not count", TWO_A_DAY, make(), agreed(make("a"), make("b"), is_in=False), opt_rules.TAKES_PART),
    ("those cancelled do not count", TWO_A_DAY, make(), agreed(make("a"), make("b"), cancelled_s=1), opt_rules.TAKES_PART),
    ("test events do not count", TWO_A_DAY, make(), agreed(make("a", is_test=True), make("b")), opt_rules.TAKES_PART),
    ("itself does not count", TWO_A_DAY, make("a"), agreed(make("a"), make("b")), opt_rules.TAKES_PART),
    ("two hours in all", TWO_HOURS, make(), agreed(make("a")), opt_rules.TAKES_PART),
    ("more than two hours", TWO_HOURS, make(minutes=61), agreed(make("a")), opt_rules.ENOUGH),
    ("nobody knows how long", TWO_HOURS, make(minutes=0), [], opt_rules.ENOUGH),
    ("a dear price", DEAR, make(price=300_000), [], opt_rules.TAKES_PART),
    ("a cheap price", DEAR, make(price=299_999), [], opt_rules.CHEAP),
    ("no price", DEAR, make(), [], opt_rules.TAKES_PART),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "event", "others", "expected"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_whether_a_house_takes_part(rules, event, others, expected):
    assert decide_opt(event, rules, others, to_local) is expected


def test_the_customer_is_above_all_rules():
    found = decide_opt(make(), OptRules(), [], to_local, is_overridden=True)
    assert found == Opt(False, "overrideStatus")
