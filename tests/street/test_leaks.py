"""The search for leaks finds a value of any size where it is one, and leaves other numbers alone."""

import inspect
import re

import pytest
from leaks import find_keys, find_unknown_series, find_values, parse_registers
from meter_operator import http_server
from meter_twin.health import format_series
from meter_twin.status import Status
from prometheus_client import generate_latest

ROW = {
    "registers": {
        "1-0:1.8.0*255": {"value": 48_123, "unit": "Wh"},
        "1-0:2.8.0*255": {"value": 0, "unit": "Wh"},
        "1-0:1.8.1*255": {"value": 7_654_321, "unit": "Wh"},
        "1-0:16.7.0*255": {"value": -432, "unit": "W"},
        "1-0:31.7.0*255": {"value": 1.5, "unit": "A"},
        "1-0:32.7.0*255": {"value": 230.12, "unit": "V"},
        "1-0:13.7.0*255": {"value": 0.98, "unit": ""},
        "0-0:96.3.10*255": {"value": 1, "unit": ""},
        "0-0:96.1.0*255": {"value": "6d31", "unit": ""},
    }
}
REGISTERS = parse_registers([ROW])


@pytest.fixture(scope="session")
def street():
    """This module needs no cluster: it hides the fixture that waits for one."""


@pytest.mark.parametrize(
    "text",
    [
        "stored 7654321 of 3",
        "a voltage as an integer: 230120",
        '{"1-0:1.8.0*255": {"value": 48123, "unit": "Wh"}}',
        "1-0:1.8.0*255=48123",
        "reading 48123 under 1-0:1.8.0*255",
        "1.8.0: 48123",
        '"16.7.0*255": -432',
        "1-0:2.8.0*255 0",
        'metertwin_x{code="1-0:31.7.0*255"} 1500',
        "1-0:32.7.0*255 230.12",
        "1-0:13.7.0*255 980",
        "the house takes -432 W now",
        "1.500 A on L1",
        '"power_w": -432',
        "energy=48123",
        'value="230.120"',
    ],
)
def test_a_value_of_any_size_is_found_where_it_stands_as_one(text):
    assert find_values(f"first line\n{text}\nlast line", REGISTERS)


@pytest.mark.parametrize(
    "text",
    [
        "listens on port 48123, process 432, epoch 0",
        "48123 entries stored, 0 holes",
        "2026-01-01T00:00:00Z house-432 10.0.0.1 0-432",
        "registers: [1-0:1.8.0*255, 1-0:2.8.0*255, 1-0:1.8.1*255]",
        "1-0:1.8.0*255 is shown\nport 48123",
        "port 48123\n1-0:1.8.0*255 is shown",
        "1-0:1.8.0*255 was read at 1-0:2.8.0*255 by 432",
        "version 1.8.0, release 16.7.0",
        "1.8.0: 432",
        "exports: 0, registers: 432",
        "spec.registers[0]: 1-0:2.8.0*255 is not offered",
        "17654321 76543210 7654321.5 a7654321",
        "48123 W and 432 Wh",
        "",
    ],
)
def test_other_numbers_are_no_values(text):
    assert find_values(text, REGISTERS) == set()


def test_a_key_is_found_in_each_of_its_forms_and_any_private_key():
    keys = {"fleet key": ["aabb", "AABB"], "other": ["ccdd"]}
    assert list(find_keys("x=AABB", keys)) == ["fleet key"]
    assert list(find_keys("-----BEGIN EC PRIVATE KEY-----", keys)) == ["a private key"]
    assert list(find_keys("nothing", keys)) == []


def test_a_metric_that_nobody_has_judged_is_found():
    assert find_unknown_series('metertwin_twin_power_watts{phase="1"} 432\n') == {
        "metertwin_twin_power_watts"
    }
    assert find_unknown_series("# HELP x y\nmetertwin_twin_epoch 3\n") == set()


def test_every_metric_of_twin_and_operator_has_been_judged():
    names = re.findall(r'\("(\w+)", "(?:gauge|counter)"', inspect.getsource(Status.series))
    assert len(names) == 10
    text = format_series([(name, "gauge", "", 1) for name in names]).decode()
    assert find_unknown_series(text) == set()
    assert find_unknown_series(generate_latest(http_server.REGISTRY).decode()) == set()
