"""What the demo's street is: when it begins, who lives there, what each pays for."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

DEMO = Path(__file__).resolve().parents[1]
FORENOON = range(6, 12)


@pytest.fixture
def street(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import it as `make demo` does: its folder is no package."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(DEMO))
    import street

    yield street
    for name in set(sys.modules) - before:
        del sys.modules[name]


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_it_begins_on_a_forenoon_in_june(street: ModuleType) -> None:
    begun = datetime.fromisoformat(read(street.ELECTRICITY)["start_at"])
    local = begun.astimezone(ZoneInfo(read(street.TARIFFS)["zone"]))
    assert (local.month, local.hour in FORENOON) == (6, True)


def test_there_are_houses_of_one_phase_and_of_three_and_a_feeder_of_three(
    street: ModuleType,
) -> None:
    found = read(street.ELECTRICITY)
    assert {row["phases"] for row in found["households"].values()} == {1, 3}
    assert found["feeder"] == {"phases": 3}


def test_each_meter_of_the_street_is_declared_and_the_boards_among_them(street: ModuleType) -> None:
    rows = list(yaml.safe_load_all(street.STREET.read_text()))
    declared = [row["metadata"]["name"] for row in rows if row["kind"] == "SmartMeter"]
    assert sorted(declared) == sorted(street.devices())
    assert street.boards() == ["house-9", "house-10"]
    assert all(street.firmware_of(device) == "firmware-esp8266" for device in street.boards())
    assert street.firmware_of("feeder-1") == street.firmware_of("house-1") == "firmware"


def test_each_meter_has_its_own_calendar_and_there_are_one_two_and_four_rates(
    street: ModuleType,
) -> None:
    tariffs, houses = read(street.TARIFFS), read(street.ELECTRICITY)["households"]
    assert tariffs["meters"].keys() == {*houses, "feeder-1"}
    rates = set()
    for device, calendar in tariffs["meters"].items():
        found = street.meter_configuration(device, "2016-06-22T08:00:00Z")["tariff"]
        assert found == {"zone": tariffs["zone"], "switches": tariffs["calendars"][calendar]}
        rates.add(len({switch[2] for switch in found["switches"]}))
    assert rates == {1, 2, 4}
