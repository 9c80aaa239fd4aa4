"""Units: what the meter described, durably; the table of codes only while nothing was described."""

import asyncio
import time

import pytest
from meter_twin.application import Answer, Context, Query, ReadingStored, RegistersDescribed
from meter_twin.applications.metering_data import MeteringData
from meter_twin.description import Description
from meter_twin.register_units import RegisterUnit, find_unit, units_of
from meter_twin.store import Store
from meter_wire.effects import Described
from meter_wire.entries import parse_description, parse_entry
from meter_wire.obis import find_register, parse_code
from meter_wire.portable.description import encode_description
from meter_wire.portable.entry import encode_reading, encode_register

IMPORT = "1-0:1.8.0*255"
UNHEARD = "1-0:99.7.0*255"
VOLT, WATT_HOUR, NAMELESS = 35, 30, 200
ROWS = [(parse_code(UNHEARD), VOLT, -2), (parse_code(IMPORT), WATT_HOUR, 1)]
BODY = encode_description("4711", "1.0.0", ROWS)
DESCRIBED = Described(b"digest-1", BODY, *parse_description(BODY))


def test_the_table_of_codes_never_heard_of_the_register_of_these_tests():
    assert find_register(parse_code(UNHEARD)) is None


@pytest.mark.parametrize(
    ("code", "described", "expected"),
    [
        (IMPORT, [], ("Wh", 0)),
        (IMPORT, ROWS, ("Wh", 1)),
        (UNHEARD, ROWS, ("V", -2)),
        (UNHEARD, [], ("", 0)),
        ("1-0:32.7.0*255", ROWS, ("V", -3)),
        (UNHEARD, [(parse_code(UNHEARD), 255, 0)], ("", 0)),
        (UNHEARD, [(parse_code(UNHEARD), NAMELESS, 0)], ("DLMS unit 200", 0)),
    ],
)
def test_a_unit_is_the_described_one_then_that_of_the_table(code, described, expected):
    assert find_unit(parse_code(code), units_of(described)) == expected


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "twin.db"))
    yield store
    store.close()


def test_a_description_outlives_the_process_and_a_later_one_replaces_it(store):
    description = Description(store)
    shown = description.units
    assert (dict(shown), description.digest) == ({}, b"")
    description.learn(DESCRIBED)
    again = Description(store)
    assert again.digest == b"digest-1"
    assert again.units == shown == units_of(ROWS)
    body = encode_description("4711", "1.1.0", ROWS[1:])
    again.learn(Described(b"digest-2", body, *parse_description(body)))
    assert Description(store).units == again.units == units_of(ROWS[1:])


@pytest.mark.parametrize("body", [None, b"\x2f\x05damaged"])
def test_a_digest_without_a_readable_description_is_forgotten_so_that_it_is_asked_for(store, body):
    store.save_properties({"description_digest": b"digest-1"})
    if body is not None:
        store.save_properties({"description": body})
    assert Description(store).digest == b""


def test_metering_data_answers_in_described_units():
    application = MeteringData({"retentionDays": 60}, Context("house-1", "point", "UTC", 60))
    registers = [
        encode_register(parse_code(UNHEARD), 23012),
        encode_register(parse_code(IMPORT), 5),
    ]
    entry = parse_entry(encode_reading(0, 900, 0, 1, registers))
    application.handle(ReadingStored(b"A" * 8, 1, entry), 900)

    def registers():
        (answer,) = application.handle(Query("registers", {}), 900)
        assert isinstance(answer, Answer)
        return answer.document["registers"]

    assert registers()[UNHEARD] == {"value": 23012, "unit": ""}
    state = application.export_state(1)
    assert application.handle(RegistersDescribed(units_of(ROWS)), 0) == []
    assert registers()[UNHEARD] == {"value": 230.12, "unit": "V"}
    assert application.export_state(1) == state
    (answer,) = application.handle(Query("profile", {"register": IMPORT}), 900)
    assert (answer.document["unit"], answer.document["scaler"]) == RegisterUnit("Wh", 1)


async def test_a_register_that_only_the_meter_knows_has_its_unit_in_every_read(world, tools):
    def reading(time_s, energy_wh):
        return tools.reading(time_s, energy_wh, more=[encode_register(parse_code(UNHEARD), 23012)])

    world.start_broker()
    twin = world.start_twin()
    await asyncio.to_thread(twin.wait_serving)
    await world.operate("active")
    meter = tools.Meter(world)
    meter.description = encode_description("4711", "1.0.0", ROWS[:1])
    meter.live = reading
    meter.power_on()
    expected = {"value": 230.12, "unit": "V"}
    meter.append(reading(int(time.time()) // 60 * 60, 1000))
    await tools.eventually(
        lambda: twin.get("/v1/registers")[1]["registers"].get(UNHEARD) == expected, "the unit"
    )
    _, live = await asyncio.to_thread(twin.get, "/v1/registers?live=1")
    assert (live["source"], live["registers"][UNHEARD]) == ("metered", expected)
    _, listed = await asyncio.to_thread(twin.get, "/v1/readings")
    assert listed["readings"][0]["registers"][UNHEARD] == expected
    assert listed["readings"][0]["registers"][IMPORT] == {"value": 1000, "unit": "Wh"}
    await meter.power_off()
    twin.kill()
    again = world.start_twin()
    await asyncio.to_thread(again.wait_serving)
    _, cached = await asyncio.to_thread(again.get, "/v1/registers")
    assert cached["registers"][UNHEARD] == expected
