"""Events as openleadr's VTN writes them; conformance rules of 2.0b by their number."""

import datetime as dt
import re

import pytest
from distributed import HOUR, START_S, describe, distribute, event, signal
from meter_twin.demand_response.dr_event import Interval, Targets
from meter_twin.openadr2.event_codec import INVALID_DATA, parse_distribute_event
from meter_twin.openadr2.message_codec import MessageError, parse_message


def read(octets):
    message = parse_message(octets)
    assert message.name == "oadrDistributeEvent"
    return parse_distribute_event(message.element)


def read_one(*args, **kwargs):
    (found,) = read(distribute(event(*args, **kwargs)))
    return found


def test_an_event_is_read_whole():
    found = read_one(
        describe(priority=2, modification=3),
        [signal(values=(1, 2))],
        tolerance={"startafter": dt.timedelta(minutes=10)},
        notification_period=HOUR,
        ramp_up_period=dt.timedelta(minutes=5),
        recovery_period=dt.timedelta(minutes=7),
        targets=[{"ven_id": "ven-1"}, {"group_id": "north"}, {"resource_id": "home"}],
    )
    assert (found.event_id, found.modification, found.priority) == ("peak-1", 3, 2)
    assert (found.start_s, found.duration_s, found.end_s) == (START_S, 3600, START_S + 3600)
    assert found.created_s == START_S - 3600
    assert (found.start_after_s, found.notification_s) == (600, 3600)
    assert (found.ramp_up_s, found.recovery_s) == (300, 420)
    assert found.targets == Targets(("ven-1",), ("home",), ("north",))
    (simple,) = found.signals
    assert simple.intervals == (Interval(0, 1800, 1_000_000), Interval(1800, 1800, 2_000_000))
    assert found.fault is None
    assert not found.is_test
    assert not found.is_cancelled
    assert found.is_answered


@pytest.mark.parametrize(("said", "is_answered"), [("always", True), ("never", False)])
def test_whether_an_answer_is_wanted(said, is_answered):
    assert read_one(response_required=said).is_answered is is_answered


@pytest.mark.parametrize(
    ("text", "is_test"),
    [("false", False), ("False", False), ("true", True), ("yes", True), ("x", True), ("0", True)],
)
def test_rule_6_any_string_but_false_is_a_test_event(text, is_test):
    octets = re.sub(b"testEvent>[^<]*<", f"testEvent>{text}<".encode(), distribute(event()))
    (found,) = read(octets)
    assert found.is_test is is_test


@pytest.mark.parametrize("value", [-1, 4, 1.5])
def test_rule_9_simple_has_four_levels_only(value):
    (found,) = read(broken(b"<ei:value>1<", f"<ei:value>{value}<".encode()))
    assert found.fault.code == INVALID_DATA
    assert "SIMPLE" in found.fault.description


@pytest.mark.parametrize("value", [0, 1, 2, 3])
def test_rule_9_each_level_of_simple_is_read(value):
    assert read_one(signals=[signal(values=(value,))]).fault is None


def test_a_cancelled_event_is_known_as_one():
    assert read_one(describe(event_status="cancelled", modification=1)).is_cancelled


@pytest.mark.parametrize(
    ("measurement", "value", "unit", "micro"),
    [
        ({"ns": "power", "name": "powerReal", "description": "RealPower", "unit": "W", "scale": "k"},
         1.5, "W", 1_500_000_000),
        ({"ns": "oadr", "name": "currencyPerKWh", "description": "currencyPerKWh", "unit": "EUR", "scale": "none"},
         0.253, "EUR/kWh", 253_000),
        ({"ns": "oadr", "name": "currencyPerKWh", "description": "currencyPerKWh", "unit": "EUR", "scale": "c"},
         25.3, "EUR/kWh", 253_000),
    ],
)  # fmt: skip
def test_a_value_is_read_in_its_unit(measurement, value, unit, micro):
    row = signal("ELECTRICITY_PRICE", "price", (value,), measurement=measurement)
    (found,) = read_one(signals=[row]).signals
    assert (found.unit, found.intervals[0].value_micro) == (unit, micro)


def broken(pattern, replacement, *events):
    return re.sub(
        pattern, replacement, distribute(*(events or (event(),))), count=1, flags=re.DOTALL
    )


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (b"<ei:value>1<", b"<ei:value>one<"),
        (b"<ei:value>1<", b"<ei:value>NaN<"),
        (b"<ei:value>1<", b"<ei:value>1e300<"),
        (b"<date-time>2026", b"<date-time>1026"),
        (b"<duration>PT1H<", b"<duration>an hour<"),
        (b"<duration>PT1H<", b"<duration>-PT1H<"),
        (b"<ei:priority>0<", b"<ei:priority>-1<"),
        (b"<ei:eiActivePeriod>.*?</ei:eiActivePeriod>", b""),
        (b"<ei:eiEventSignals>.*?</ei:eiEventSignals>", b""),
        (b"<strm:intervals.*?</strm:intervals>", b""),
    ],
)
def test_an_event_at_fault_can_still_be_answered(pattern, replacement):
    octets = broken(pattern, replacement, event(), event(describe("peak-2")))
    first, second = read(octets)
    assert (first.event_id, first.fault.code) == ("peak-1", INVALID_DATA)
    assert second.event_id == "peak-2"
    assert second.fault is None


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (b"<ei:eventID>peak-1<", b"<ei:eventID><"),
        (b"<ei:modificationNumber>0<", b"<ei:modificationNumber>x<"),
        (b"<ei:modificationNumber>0<", b"<ei:modificationNumber>4294967296<"),
        (b"<ei:eiEvent>.*?</ei:eiEvent>", b""),
    ],
)
def test_what_cannot_be_answered_is_a_bad_message(pattern, replacement):
    with pytest.raises(MessageError):
        read(broken(pattern, replacement))


def test_a_scale_that_nobody_knows_is_a_fault():
    measurement = {"ns": "power", "name": "powerReal", "description": "RealPower", "unit": "W", "scale": "k"}  # fmt: skip
    octets = distribute(
        event(signals=[signal("LOAD_DISPATCH", "setpoint", measurement=measurement)])
    )
    (found,) = read(octets.replace(b"Code>k<", b"Code>kk<"))
    assert "siScaleCode" in found.fault.description
