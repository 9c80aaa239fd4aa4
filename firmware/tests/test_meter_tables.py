"""The firmware's tables agree with its codes, its snapshots, the wire and the street."""

import json
from pathlib import Path

import event_codes
import event_table
import register_table
from counter import Counter
from meter_wire import obis as wire_obis
from metering import Meter

ROOT = Path(__file__).resolve().parents[2]


def test_every_register_of_a_snapshot_is_in_the_table_once():
    codes = [row[0] for row in register_table.TABLE]
    assert sorted(codes) == sorted(row[0] for row in Meter(b"1", 3).snapshot(0))


def test_unit_scaler_and_kind_are_those_of_the_wire():
    for code, _, unit, scaler, kind, _ in register_table.TABLE:
        known = wire_obis.find_register(code)
        assert known is not None, code
        assert (known.unit, known.scaler, known.kind) == (unit, scaler, kind), known
    codes = [row[0] for row in register_table.TABLE]
    for code, unit_code, scaler in register_table.describe(codes):
        known = wire_obis.find_register(code)
        assert (known.unit_code, known.scaler) == (unit_code, scaler)


def test_every_event_code_has_one_row_with_its_name():
    codes = {name.lower(): value for name, value in vars(event_codes).items() if name.isupper()}
    assert {row[1]: row[0] for row in event_table.TABLE} == codes
    assert len(set(codes.values())) == len(codes) == len(event_table.TABLE)


def test_the_street_s_configuration_has_eight_households_and_two_plants():
    street = json.loads((ROOT / "examples/street-electricity.json").read_text())
    houses = street["households"]
    assert len(houses) == 8
    assert sum("pv_profile" in house for house in houses.values()) == 2


def test_the_generator_s_register_is_the_wire_s_and_in_the_table_of_channels():
    meter = Meter(b"1", 3)
    meter.production = Counter()
    (row,) = register_table.CHANNEL_TABLE
    assert [code for code, _, _ in meter.snapshot(0)][-1] == row[0]
    known = wire_obis.find_register(row[0])
    assert known is not None
    assert (known.code, known.unit, known.scaler, known.kind) == ("1-1:2.8.0*255", *row[2:5])
    assert register_table.describe([row[0]]) == [(row[0], known.unit_code, known.scaler)]
