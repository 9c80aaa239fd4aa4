"""What a load may draw, moment by moment."""

import pytest
from meter_twin.demand_response.dr_event import MICRO, DrEvent, Fault, Interval, Signal
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.demand_response.load_limit import LoadRule, find_load_limit

START = 1_800_000_000
RULE = LoadRule(3000, (2000, 1000, 0))
IN = Opt(True)


def signal(*values, name="SIMPLE", kind="level", unit="", each_s=3600):
    rows = [Interval(at * each_s, each_s, round(value * MICRO)) for at, value in enumerate(values)]
    return Signal(name, kind, unit, tuple(rows))


def keep(*signals, event_id="e", seconds=3600, opt=IN, offset_s=0, cancelled_s=None, **changes):
    event = DrEvent(event_id, 0, 0, "", START, seconds, signals or (signal(2),))._replace(**changes)
    return Kept(event, opt, offset_s, cancelled_s)


def watts(*kept, at_s=0):
    found = find_load_limit(kept, RULE, START + at_s)
    return None if found is None else found.limit_w


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (signal(0), None),
        (signal(1), 2000),
        (signal(2), 1000),
        (signal(3), 0),
        (signal(1200, name="LOAD_DISPATCH", kind="setpoint", unit="W"), 1200),
        (signal(-5, name="LOAD_DISPATCH", kind="setpoint"), 0),
        (signal(9000, name="LOAD_DISPATCH", kind="setpoint", unit="W"), None),
        (signal(0.5, name="LOAD_DISPATCH", kind="multiplier"), 1500),
        (signal(0.25, name="LOAD_CONTROL", kind="x-loadControlCapacity"), 750),
        (signal(-40, name="LOAD_CONTROL", kind="x-loadControlPercentOffset"), 1800),
        (signal(-500, name="LOAD_DISPATCH", kind="delta", unit="W"), None),
        (signal(5, name="LOAD_DISPATCH", kind="setpoint", unit="A"), None),
        (signal(21, name="LOAD_CONTROL", kind="x-loadControlSetpoint"), None),
        (signal(0.3, name="ELECTRICITY_PRICE", kind="price"), None),
    ],
)
def test_a_signal_is_a_limit(one, expected):
    assert watts(keep(one)) == expected


@pytest.mark.parametrize(
    ("at_s", "limit_w", "until_s"),
    [
        (-1, None, 0),
        (0, 2000, 1800),
        (1799, 2000, 1800),
        (1800, 1000, 3600),
        (3599, 1000, 3600),
        (3600, None, 0),
    ],
)
def test_a_limit_holds_for_its_interval(at_s, limit_w, until_s):
    found = find_load_limit([keep(signal(1, 2, each_s=1800))], RULE, START + at_s)
    assert (found and found.limit_w) == limit_w
    if found:
        assert found.until_s == START + until_s


def test_it_is_as_much_later_as_the_event_is_for_this_house():
    assert watts(keep(offset_s=600), at_s=599) is None
    assert watts(keep(offset_s=600), at_s=4199) == 1000
    assert watts(keep(offset_s=600), at_s=4200) is None


@pytest.mark.parametrize(
    ("at_s", "limit_w"),
    [(-301, None), (-300, None), (-241, None), (-240, 2600), (-60, 1400), (-1, 1400), (0, 1000)],
)
def test_in_the_ramp_up_the_limit_comes_down_by_the_minute(at_s, limit_w):
    assert watts(keep(ramp_up_s=300), at_s=at_s) == limit_w


@pytest.mark.parametrize(
    ("at_s", "limit_w"),
    [(3599, 1000), (3600, 1000), (3660, 1400), (3840, 2600), (3899, 2600), (3900, None)],
)
def test_in_the_recovery_it_goes_up_again(at_s, limit_w):
    assert watts(keep(recovery_s=300), at_s=at_s) == limit_w


def test_an_event_that_was_cancelled_before_it_began_leaves_nothing():
    gone = keep(ramp_up_s=300, recovery_s=300, cancelled_s=START - 100)
    assert [watts(gone, at_s=at_s) for at_s in range(-400, 4000, 50)] == [None] * 88


def test_an_event_that_was_cancelled_recovers_too():
    gone = keep(recovery_s=600, cancelled_s=START + 1200)
    assert [watts(gone, at_s=at_s) for at_s in (1199, 1200, 1500, 1800)] == [1000, 1000, 2000, None]


@pytest.mark.parametrize(
    "one",
    [
        keep(opt=Opt(False)),
        keep(is_test=True),
        keep(fault=Fault(454, "bad")),
    ],
)
def test_what_is_not_to_be_done_is_no_limit(one):
    assert watts(one) is None


def test_the_highest_priority_decides_alone():
    weak = keep(signal(1), event_id="a", priority=1)
    strong = keep(signal(3), event_id="b", priority=2)
    assert watts(weak, strong) == 2000
    assert watts(keep(signal(0), event_id="a", priority=1), strong) is None


def test_who_says_nothing_about_loads_does_not_decide():
    price = keep(signal(0.3, name="ELECTRICITY_PRICE", kind="price"), event_id="a", priority=1)
    assert watts(price, keep(event_id="b", priority=2)) == 1000


def test_what_is_active_goes_before_what_is_ramping():
    ramping = keep(signal(3), event_id="a", priority=1, start_s=START + 200, ramp_up_s=300)
    assert watts(ramping, keep(event_id="b", priority=2)) == 1000


def test_an_event_without_an_end_has_a_limit_without_one():
    found = find_load_limit([keep(signal(2, each_s=0), seconds=0)], RULE, START + 10**6)
    assert (found.limit_w, found.until_s) == (1000, None)
