"""A hostile VTN, or a compromised twin, opens no `supply`, switches no rate, passes no cap.

The chain is the real one: agent, application and loop of the twin, the link's two cores, and the
meter's parts from `firmware/` (its rig). What a meter refuses of its own is also in
`wire/tests/test_link_rules.py` (`test_only_the_utility_moves_the_supply`), `wire/tests/test_orders.py`
(forged, changed, repeated orders) and `firmware/tests/portable/test_orders.py`, `test_actuators.py`.
"""

import asyncio
import dataclasses
import itertools
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin import utility_loop
from meter_twin.application import Context
from meter_twin.applications.demand_response import DemandResponse
from meter_twin.applications.pricing import Pricing
from meter_twin.deciders import Deciders
from meter_twin.demand_response.load_keeper import HOLD_S
from meter_twin.http_answer import HttpAnswer
from meter_twin.openadr2.agent import Agency, Agent
from meter_twin.openadr2.message_codec import build_message, write_message, write_response
from meter_twin.openadr2.times import format_moment
from meter_twin.openadr2.xml_codec import write_element, write_text
from meter_twin.option_schema import apply_schema
from meter_wire.commands import Order, Write
from meter_wire.effects import Answered
from meter_wire.memory import MemoryMeter
from meter_wire.owner_record import parse_owner_hello
from meter_wire.portable.entry import encode_int
from meter_wire.portable.keys import derive_key
from meter_wire.portable.order import verifier
from meter_wire.portable.tlv import field, number
from meter_wire.tables import ANSWERS, FRAME_TYPES, TAGS, TARGETS, number_of
from meter_wire.utility_calendar import UtilityCalendar, encode_calendar
from meter_wire.utility_order import (
    UtilityOrder,
    build_signed_message,
    encode_utility_order,
    pack_signature,
)

sys.path.append(str(Path(__file__).parents[2] / "firmware/tests/portable"))
from actuators import MAX_LIMIT_S
from event_codes import CALENDAR, ORDER, RELAY_SUPPLY
from meter_rig import NOW_S, Rig
from orders import Gate
from registers import ACTIVE_TARIFF, CONNECTED
from state import CALENDARS

RATED_W, LOAD_INDEX, RELEASE_S = 3000, 2, 60
LOADS = tuple((None, 300, RELEASE_S) for _ in range(3))
UTILITY_KEY = ec.derive_private_key(1 << 200, ec.SECP256R1())
OPTIONS = {"load": LOAD_INDEX, "ratedWatts": RATED_W, "mostEventsADay": 48, "mostMinutesADay": 1440}
TAG = {row.name: row.number for row in TAGS}


ALWAYS_2 = encode_calendar(UtilityCalendar("night", [["1234567", "00:00", 2]], []))
NIGHT = UtilityOrder(
    "house-1", "set_calendar", 7, "dso.example", NOW_S + 600, 1, activates=0, calendar=ALWAYS_2
)


class Meter:
    """The meter's link and the meter's parts, as `link_task` ties them; and a twin with its keys."""

    def __init__(self):
        self.rig = Rig(loads=LOADS)
        point = UTILITY_KEY.public_key().public_numbers()
        key = point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
        self.world = MemoryMeter("house-1", bytes(range(32)), random.Random(7).randbytes)
        self.world.verify = Gate(verifier(key), lambda: self.world.now_ms)
        self.world.reboot()
        self.world.send()
        hello = parse_owner_hello(self.world.hellos[-1], derive_key(self.world.key, "hello", "house-1"))  # fmt: skip
        assert self.world.accept(self.world.record(1, 1, nonce=hello.nonce))
        self.world.settle()
        self.twin = self.world.twin(1)
        self.world.events.clear()
        self.done = []
        self.codes = []

    def command(self, command):
        """Send what a twin's core sends; return the code of its answer."""
        _, effects = self.twin.link.command(command, 10_000, self.world.now_ms)
        self.twin.act(effects)
        self.settle()
        return next(one.code for one in reversed(self.twin.effects) if isinstance(one, Answered))

    def send(self, kind, body):
        """Send a frame of any kind under the twin's own keys."""
        self.twin.down.extend(self.twin.link._session.seal(kind, body))
        self.settle()

    def settle(self):
        self.world.settle()
        for name, epoch, identity, *values in self.world.events:
            code = self.rig.handle(name, *values) if name in ("write", "order", "time") else 0
            self.done.append((name, *values))
            self.codes.append(code)
            self.world.link.answer(epoch, identity, code)
        self.world.events.clear()
        self.world.settle()

    def check(self):
        """The supply is closed and nothing was done to it; each limit ends by itself."""
        assert self.rig.supply.state == CONNECTED
        assert self.rig.supply.counter == 0
        assert not {RELAY_SUPPLY, ORDER, CALENDAR} & set(self.rig.events())
        assert self.rig.state.get(CALENDARS) == b""
        now_ms = self.rig.timekeeper.uptime_ms()
        for load in self.rig.commands._loads.loads:
            if load.limit_w is not None:
                assert load.until_ms - now_ms <= (MAX_LIMIT_S + RELEASE_S + 1) * 1000


# A hostile VTN.

NAMES = st.sampled_from(
    ["SIMPLE", "LOAD_DISPATCH", "LOAD_CONTROL", "ELECTRICITY_PRICE", "supply", "x-supply", "0-0:96.3.10*255"]
) | st.text(max_size=8)  # fmt: skip
TYPES = st.sampled_from(
    ["level", "setpoint", "delta", "multiplier", "price", "x-loadControlCapacity",
     "x-loadControlPercentOffset", "x-loadControlLevelOffset", "supply"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["0", "1", "2", "3", "-1", "0.5", "-100", "99999999", "1e11", "1e300", "NaN", "INF", "", "x"]
)
SPANS = st.sampled_from(["PT0S", "PT1S", "PT5M", "PT1H", "P9999D", "-PT5M", ""])
TARGET = st.tuples(
    st.sampled_from(["venID", "resourceID", "groupID", "partyID"]),
    st.sampled_from(["ven-1", "house-1", "supply", "*"]),
)
SIGNAL = st.tuples(NAMES, TYPES, st.lists(st.tuples(SPANS, VALUES), max_size=3), st.booleans())
EVENT = st.tuples(
    st.integers(0, 3),  # which event
    st.integers(0, 3),  # modification
    st.integers(-7200, 7200),  # start
    *(SPANS, SPANS, SPANS, SPANS),  # duration, tolerance, ramp-up, recovery
    st.lists(SIGNAL, max_size=3),
    st.lists(TARGET, max_size=2),
    st.sampled_from(["far", "active", "cancelled", "supply"]),
)
KNOWN = st.sampled_from(
    [("SIMPLE", "level"), ("LOAD_DISPATCH", "setpoint"), ("LOAD_DISPATCH", "multiplier"),
     ("LOAD_CONTROL", "x-loadControlCapacity"), ("LOAD_CONTROL", "x-loadControlPercentOffset")]
)  # fmt: skip
PLAIN_SIGNAL = st.builds(
    lambda known, value, has_target: (*known, [("PT1H", value)], has_target),
    *(KNOWN, st.sampled_from(["0", "1", "2", "3"]), st.booleans()),
)
PLAIN_EVENT = st.tuples(
    *(st.integers(0, 3), st.integers(0, 3), st.integers(-1800, 600), st.just("PT1H")),
    *(st.just(""), st.sampled_from(["", "PT10M"]), st.sampled_from(["", "PT10M"])),
    st.lists(PLAIN_SIGNAL, min_size=1, max_size=2),
    *(st.just([("venID", "ven-1")]), st.just("active")),
)
VISIT = st.tuples(st.lists(PLAIN_EVENT | EVENT, max_size=3), st.integers(0, 1000))


def span(name, text):
    return write_element(name, write_text("xcal:duration", text)) if text else ""


def write_signal(signal):
    name, kind, intervals, has_target = signal
    rows = [
        write_element(
            "ei:interval",
            span("xcal:duration", length),
            write_element("ei:signalPayload", write_element("ei:payloadFloat", write_text("ei:value", value))),
        )
        for length, value in intervals
    ]  # fmt: skip
    asset = write_element("power:endDeviceAsset", write_text("power:mrid", "supply"))
    return write_element(
        "ei:eiEventSignal",
        write_element("strm:intervals", *rows),
        write_text("ei:signalName", name),
        write_text("ei:signalType", kind),
        write_element("ei:eiTarget", asset) if has_target else "",
    )


def write_event(event, now_s):
    number_, modification, start_s, lasts, startafter, ramp, recovery, signals, targets, status = event  # fmt: skip
    tolerance = write_element("xcal:tolerance", write_element("xcal:tolerate", write_text("xcal:startafter", startafter)))  # fmt: skip
    period = write_element(
        "xcal:properties",
        write_element("xcal:dtstart", write_text("xcal:date-time", format_moment(now_s + start_s))),
        span("xcal:duration", lasts),
        tolerance if startafter else "",
        span("ei:x-eiRampUp", ramp),
        span("ei:x-eiRecovery", recovery),
    )
    described = write_element(
        "ei:eventDescriptor",
        write_text("ei:eventID", f"e{number_}"),
        write_text("ei:modificationNumber", modification),
        write_text("ei:createdDateTime", format_moment(now_s)),
        write_text("ei:eventStatus", status),
    )
    return write_element(
        "oadr:oadrEvent",
        write_element(
            "ei:eiEvent",
            described,
            write_element("ei:eiActivePeriod", period),
            write_element("ei:eiEventSignals", *map(write_signal, signals)),
            write_element("ei:eiTarget", *(write_text(f"ei:{kind}", who) for kind, who in targets)),
        ),
    )


def registered():
    return build_message(
        write_message(
            "oadrCreatedPartyRegistration",
            write_response(200, "OK", "q"),
            write_text("ei:registrationID", "reg-1"),
            write_text("ei:venID", "ven-1"),
            write_text("ei:vtnID", "utility"),
        )
    )


class Visits:
    """A client whose server is hostile: after a registration it says events to whatever is asked."""

    def __init__(self):
        self.events = ""

    async def ask(self, question):
        if question.path == "/EiRegisterParty":
            return HttpAnswer(200, {}, registered().encode(), True)
        said = write_message("oadrDistributeEvent", write_text("pyld:requestID", "r"), self.events)
        return HttpAnswer(200, {}, build_message(said).encode(), True)

    async def close(self):
        pass


class Clock:
    def __init__(self):
        self.now_s = NOW_S

    def time(self):
        return self.now_s


class Commands:
    """The link as `utility_loop` sees it; keeps what it was told."""

    is_stopped = False

    def __init__(self, meter):
        self.meter = meter
        self.told = []

    async def command(self, command, _ttl_ms):
        self.told.append(command)
        return Answered(0, self.meter.command(command), None, b"")


async def live(visits):
    """Let a hostile VTN visit a house; return the meter, what it was told, and the last plan."""
    meter = Meter()
    pricing = Pricing(
        apply_schema(Pricing.option_schema, {}, ""), Context("house-1", "", "UTC", 900)
    )
    application = DemandResponse(
        apply_schema(DemandResponse.option_schema, OPTIONS, ""), Context("house-1", "", "UTC", 900)
    )
    ids, client, link = itertools.count(1), Visits(), Commands(meter)
    deciders = Deciders([application, pricing])
    agent = Agent(
        Agency("house-1", "house-1", deciders.signals, group_ids=frozenset({"*"})),
        lambda event, others, _now_s: deciders.decide(event, others, is_overridden=False),
        lambda: f"q{next(ids)}",
    )
    talk = SimpleNamespace(book=agent.book, ven_id="ven-1")
    acting = {"demand-response": application, "pricing": pricing}
    loop = utility_loop.UtilityLoop(talk, lambda: True, link, acting, lambda: None, lambda *_: None)
    for events, seconds in visits:
        clock = utility_loop.time
        client.events = "".join(write_event(one, clock.now_s) for one in events)
        for _ in range(4):
            question = agent.find_next(clock.now_s)
            if question is None:
                break
            answer = await client.ask(question)
            agent.take(200, answer.body, clock.now_s, 0.0)
        clock.now_s += seconds
        await loop._hold_load()
    return meter, link.told, loop.build_plan()


def test_whatever_a_vtn_says_the_meter_is_told_limits_of_its_load_only(monkeypatch):
    limited = []

    @settings(max_examples=80, deadline=None)
    @given(st.lists(VISIT, min_size=3, max_size=8))
    def check(visits):
        monkeypatch.setattr(utility_loop, "time", Clock())
        meter, told, _ = asyncio.run(live(visits))
        for one in told:
            assert isinstance(one, Write)
            assert (one.target, one.index) == ("load", LOAD_INDEX)
            assert 1 <= one.seconds <= HOLD_S
            assert 0 <= one.value <= RATED_W
        load = number_of(TARGETS, "load")
        assert all(one[:3] == ("write", load, LOAD_INDEX) for one in meter.done)
        meter.check()
        limited.extend(told)

    check()
    event = (0, 0, -60, "PT1H", "", "", "", [("SIMPLE", "level", [("PT1H", "3")], True)], [("venID", "ven-1")], "active")  # fmt: skip
    monkeypatch.setattr(utility_loop, "time", Clock())
    _, told, _ = asyncio.run(live([([], 1), ([event], 1), ([event], 1)]))
    assert told == [Write("load", 0, LOAD_INDEX, HOLD_S)], "such events do act"
    assert len(limited) > 20, "and some of the generated ones did"


def test_dynamic_prices_never_switch_registers(monkeypatch):
    """They reach the home's energy management; the meter hears nothing and counts as before."""
    monkeypatch.setattr(utility_loop, "time", Clock())
    intervals = [("PT15M", value) for value in ("0.1", "0.9", "-0.2", "5")]
    signal = ("ELECTRICITY_PRICE", "price", intervals, False)
    event = (0, 0, -60, "PT1H", "", "", "", [signal], [("venID", "ven-1")], "active")
    meter, told, plan = asyncio.run(live([([], 1), *[([event], 450)] * 6]))
    assert plan["prices"], "they were taken"
    assert told == []
    assert meter.done == []
    meter.check()
    assert {meter.rig.measuring.calendars.rate(NOW_S + s) for s in range(0, 86400, 900)} == {1}
    assert meter.rig.register(ACTIVE_TARIFF) == 1


# A compromised twin: it has its own keys, and says with them whatever it wants.


def forge(data):
    """Return an order to disconnect or a calendar, signed by whoever has no key of the utility."""
    disconnect = UtilityOrder("house-1", "disconnect", 7, "dso.example", NOW_S + 600, 1)
    order = encode_utility_order(data.draw(st.sampled_from([disconnect, NIGHT])))
    own = ec.derive_private_key(data.draw(st.integers(1, 1 << 128)), ec.SECP256R1())
    signature = pack_signature(own.sign(build_signed_message(order), ec.ECDSA(hashes.SHA256())))
    other = build_signed_message(order[:-1] + b"\x02")
    genuine = UTILITY_KEY.sign(other, ec.ECDSA(hashes.SHA256()))
    return order, data.draw(st.sampled_from([signature, pack_signature(genuine), bytes(64), b""]))


def raw_write(identity, target, index, value, seconds):
    return b"".join(
        [
            number(TAG["command"], identity),
            number(TAG["deadline"], 1 << 40),
            number(TAG["target"], target),
            field(TAG["value"], encode_int(value)),
            number(TAG["index"], index),
            number(TAG["seconds"], seconds),
        ]
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_a_compromised_twin_sends_the_supply_stays_closed_and_the_rate_as_it_is(data):
    meter, identities = Meter(), itertools.count(1000)
    for _ in range(data.draw(st.integers(1, 6))):
        kind = data.draw(st.sampled_from(["write", "write", "order", "frame"]))
        if kind == "write":
            body = raw_write(
                next(identities),
                data.draw(st.integers(0, 255)),
                data.draw(st.integers(0, 255)),
                data.draw(st.integers(-(2**31), 2**31)),
                data.draw(st.integers(0, 2**32 - 1)),
            )
            meter.send(number_of(FRAME_TYPES, "write"), body)
        elif kind == "order":
            meter.command(Order(*forge(data)))
        else:
            meter.send(data.draw(st.integers(0, 255)), data.draw(st.binary(max_size=80)))
    meter.check()


def test_supply_and_calendar_are_no_targets_of_a_write():
    meter = Meter()
    for target in (0, *range(len(TARGETS) + 1, 256)):
        meter.send(number_of(FRAME_TYPES, "write"), raw_write(1000 + target, target, 0, 0, 60))
        assert meter.done[-1][:2] == ("write", target)
    assert set(meter.codes) == {number_of(ANSWERS, "unknown")}
    meter.check()


@pytest.mark.parametrize(
    ("index", "value", "seconds", "is_done"),
    [
        (LOAD_INDEX, 0, MAX_LIMIT_S, True),
        (LOAD_INDEX, 0, MAX_LIMIT_S + 1, False),
        (LOAD_INDEX, 0, 0, False),
        (LOAD_INDEX, -1, 60, False),
        (len(LOADS), 0, 60, False),
    ],
)
def test_a_limit_beyond_the_meters_bounds_is_refused(index, value, seconds, is_done):
    meter = Meter()
    meter.send(number_of(FRAME_TYPES, "write"), raw_write(1000, 3, index, value, seconds))
    limits = [load.limit_w for load in meter.rig.commands._loads.loads]
    assert (limits != [None] * len(LOADS)) is is_done
    meter.check()


def test_the_same_chain_does_what_the_utility_has_signed():
    """Without this the tests above would prove little."""
    meter = Meter()
    order = encode_utility_order(UtilityOrder("house-1", "disconnect", 7, "dso.example", NOW_S + 600, 1))  # fmt: skip
    signature = pack_signature(UTILITY_KEY.sign(build_signed_message(order), ec.ECDSA(hashes.SHA256())))  # fmt: skip
    assert meter.command(Order(order, signature)) == "ok"
    assert meter.rig.supply.state != CONNECTED
    order = encode_utility_order(dataclasses.replace(NIGHT, counter=2))
    signature = pack_signature(UTILITY_KEY.sign(build_signed_message(order), ec.ECDSA(hashes.SHA256())))  # fmt: skip
    assert meter.command(Order(order, signature)) == "ok"
    assert meter.rig.measuring.calendars.rate(NOW_S + 900) == 2
