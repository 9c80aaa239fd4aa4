"""The street of the demo on the measured profiles: every quarter hour is the source's, to 1 Wh.

The oracle reads the profile files itself: header and values as `simulation/profile.py` describes.
Neighbour: portable/test_electricity.py, the same rule on synthetic profiles.
"""

import json
import struct
from pathlib import Path

import pytest
from electricity import load_electricity
from metering import Meter

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ROOT / "build/profiles"
STREET = json.loads((ROOT / "examples/street-electricity.json").read_text())
HOUSES = STREET["households"]
BOOT_S = 1795000123
"""In a quarter hour, so that the first boundary only begins the comparison."""
QUARTERS = 2
WH_MJ = 3_600_000
LEAST_W, MOST_W = 20, 15_000
"""Bounds of what these houses draw and feed in over a quarter hour: whether they are real."""


@pytest.fixture(scope="module", autouse=True)
def profiles():
    assert (PROFILES / "NOTICE").exists(), "no profiles: run `make profiles`"


def source_mj(profile: str, position_ms: int, numerator: int, *, of_year: bool) -> float:
    """Return the energy that a file gives a quarter hour, in millijoule."""
    data = (PROFILES / f"{profile}.bin").read_bytes()
    count, total = struct.unpack_from("<IQ", data, 16)
    values = struct.unpack_from(f"<{count}i", data, 28)
    assert sum(values) == total
    value = values[position_ms // 900_000 % count]
    return value * numerator / (total if of_year else 1_000_000)


def house_mj(house: dict, position_ms: int) -> tuple[float, float]:
    """Return what a house used and what its plant made in the quarter hour of a position."""
    shifted_ms = position_ms + house.get("shift_days", 0) * 86_400_000
    annual_mj = house["annual_kwh"] * 1000 * WH_MJ
    used = source_mj(house["profile"], shifted_ms, annual_mj, of_year=True)
    if "pv_profile" not in house:
        return used, 0
    peak_mj = round(house["pv_kwp"] * 1000) * 900_000
    return used, source_mj(house["pv_profile"], position_ms, peak_mj, of_year=False)


def measure(street: dict, name: str | None):
    """Yield (imported Wh, exported Wh, its position in the profile) of whole quarter hours."""
    electricity = load_electricity({"street": street, "name": name}, str(PROFILES), BOOT_S)
    meter = Meter(b"1", electricity.phases)
    at_ms, before, found = BOOT_S * 1000, None, 0
    while found < QUARTERS:
        tick_ms = min(1900, electricity.edge_ms())
        position_ms = electricity.position_ms
        at_ms += tick_ms
        captures = meter.tick(electricity.tick(tick_ms), tick_ms, *divmod(at_ms, 1000))
        for _, rows in captures:
            now = {row[0]: row[1] for row in rows}
            energy = [now[bytes((1, 0, direction, 8, 0, 255))] for direction in (1, 2)]
            if before:
                found += 1
                yield energy[0] - before[0], energy[1] - before[1], position_ms
            before = energy


@pytest.mark.parametrize("start_at", ["2016-06-22T11:00:00Z", "2016-12-13T17:30:00Z"])
@pytest.mark.parametrize("name", [*HOUSES, None], ids=lambda name: name or "feeder")
def test_a_real_quarter_hour_is_the_source_s_within_a_watt_hour(name, start_at):
    houses = list(HOUSES.values()) if name is None else [HOUSES[name]]
    for imported_wh, exported_wh, position_ms in measure({**STREET, "start_at": start_at}, name):
        energies = [house_mj(house, position_ms) for house in houses]
        used, made = (sum(column) for column in zip(*energies, strict=True))
        assert LEAST_W * 900_000 < max(used, made) < MOST_W * 900_000 * len(houses)
        # Each register shows whole watt-hours: one that moved is wrong by less than one.
        moved = (imported_wh > 0) + (exported_wh > 0)
        assert abs((imported_wh - exported_wh) * WH_MJ - (used - made)) < WH_MJ * moved


def test_the_real_street_has_plausible_voltage_and_frequency():
    for name in [*HOUSES, None]:
        electricity = load_electricity({"street": STREET, "name": name}, str(PROFILES), BOOT_S)
        frequency, phases = electricity.tick(1000)
        assert 49900 < frequency < 50100
        assert all(210000 < phase[2] < 250000 for phase in phases)
