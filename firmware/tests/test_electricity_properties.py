"""The energy of each quarter hour under random seeds, tick jitter and kinds of household."""

import struct

import pytest
from electricity import Electricity
from hypothesis import given, settings
from hypothesis import strategies as st
from metering import Meter
from simulation.curves import load_curve, solar_curve

ORIGIN = 1451602800
BOOT = 1795000123


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiles")
    for name, factor in (("load", 7919), ("sun", 104729)):
        values = [(number + 3) * factor * 31 % 1_000_000 for number in range(192)]
        head = struct.pack("<4sB3sIIIQ", b"MTPF", 1, b"", ORIGIN, 900, 192, sum(values))
        (folder / f"{name}.bin").write_bytes(head + struct.pack("<192i", *values))
    return str(folder)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    phases=st.sampled_from([1, 3]),
    plant_kw=st.sampled_from([0, 3, 9.9]),
    jitter=st.lists(st.integers(50, 2500), min_size=1, max_size=50),
    annual_kwh=st.integers(1, 200),
)
def test_each_quarter_hour_has_the_source_s_energy(
    profiles, seed, phases, plant_kw, jitter, annual_kwh
):
    config = {"profile": "load", "annual_kwh": annual_kwh, "phases": phases, "seed": seed}
    config["start_at"] = "2016-01-01T09:00:00Z"
    if plant_kw:
        config.update(pv_profile="sun", pv_kwp=plant_kw)
    electricity = Electricity(config, profiles, BOOT)
    meter = Meter(b"1", phases)
    at_ms, turn, before, checked = BOOT * 1000, 0, None, 0
    while checked < 2:
        tick_ms = min(jitter[turn % len(jitter)], electricity.edge_ms())
        turn += 1
        position_ms = electricity.position_ms
        at_ms += tick_ms
        captures = meter.tick(electricity.tick(tick_ms), tick_ms, *divmod(at_ms, 1000))
        for _, rows in captures:
            now = {row[0]: row[1] for row in rows}
            energy = [now[bytes((1, 0, direction, 8, 0, 255))] for direction in (1, 2)]
            if before:
                load, plant = electricity.source_energy_mj(position_ms)
                moved = [new - old for new, old in zip(energy, before, strict=True)]
                error_mj = (moved[0] - moved[1]) * 3_600_000 - (load - plant)
                # Each register rounds to a whole Wh by itself; with a plant both may move.
                assert abs(error_mj) < 3_600_000 * (2 if plant_kw else 1)
                checked += 1
            before = energy


@given(
    st.sampled_from([load_curve, solar_curve]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 40000),
    st.integers(0, 10**11),
    st.sampled_from([1, 3]),
    st.lists(st.integers(0, 900_000), max_size=20),
)
def test_a_curve_never_falls_and_ends_at_the_energy(shape, seed, quarter, energy, phases, times):
    curve = shape(seed, quarter, energy, phases)
    last = 0
    for within_ms in sorted(times):
        total = sum(curve.until(within_ms))
        assert last <= total <= energy
        last = total
    assert sum(curve.until(0)) == 0
    assert sum(curve.until(900_000)) == energy
