"""Power quality as a whole: what disturbs the meter's voltage stands in its twin's tables."""

import pathlib
import struct
from typing import Any

import pytest
from harness import World
from processes import wait_for

pytestmark = pytest.mark.timeout(600)

DISTURBANCES = [
    {"kind": "dip", "at_s": 3, "duration_ms": 300, "percent": 60},
    {"kind": "swell", "at_s": 6, "duration_ms": 400, "percent": 115},
    {"kind": "interruption", "at_s": 9, "duration_ms": 1500, "percent": 0},
]
NOMINAL_MV = 230_000
HALF_CYCLE_MS = 10
QUARTERS_A_YEAR = 35040
QUALITY = ("dip", "swell", "interruption")


def write_flat_profile(folder: pathlib.Path) -> None:
    """Write a profile whose household always takes the same power."""
    values = [1_000_000] * QUARTERS_A_YEAR
    head = struct.pack("<4sB3sIIIQ", b"MTPF", 1, b"", 1451602800, 900, len(values), sum(values))
    (folder / "flat.bin").write_bytes(head + struct.pack(f"<{len(values)}i", *values))


def events_of(world: World, *codes: str) -> list[list[Any]]:
    """Return [code, *arguments] of the events of some sorts that the twin has stored, in order."""
    try:
        events = world.ask("GET", "/v1/events")[1]["events"]
    except OSError:  # the twin does not serve yet
        return []
    return [[one["code"], *one["arguments"].values()] for one in events if one["code"] in codes]


def cells(table: dict[str, Any]) -> dict[tuple[str, str], int]:
    """Return what a table counts, by its row and column."""
    return {
        (row, column): count
        for row, counts in zip(table["rows"], table["counts"], strict=True)
        for column, count in zip(table["columns_ms"], counts, strict=True)
        if count
    }


def check_events(events: list[list[Any]]) -> int:
    """Compare the events with what was put in; return how long the interruption was, in ms."""
    # A voltage of nothing is below the threshold of a dip as well: the meter reports both.
    assert sorted(code for code, *_ in events) == ["dip", "dip", "interruption", "swell"]
    first: dict[str, list[int]] = {}
    for code, *arguments in events:
        first.setdefault(code, arguments)
    for wanted in DISTURBANCES:
        phase, duration_ms, extreme_mv = first[str(wanted["kind"])]
        assert phase == 1
        assert duration_ms == pytest.approx(wanted["duration_ms"], abs=2 * HALF_CYCLE_MS)
        assert extreme_mv * 100 / NOMINAL_MV == pytest.approx(wanted["percent"], abs=4)
    return first["interruption"][1]


def check_tables(world: World, interruptions: int, interrupted_ms: int) -> None:
    """Compare /v1/quality with what was put in."""

    def counted() -> dict[str, Any] | None:
        found: dict[str, Any] = world.ask("GET", "/v1/quality")[1]
        return found if found["interruptions"]["shortInterruptions"] == interruptions else None

    quality = wait_for(counted, "the table has every interruption")
    assert quality is not None
    assert (quality["phases"], quality["nominal_mv"]) == (1, NOMINAL_MV)
    assert cells(quality["dips"]) == {("70>u>=40", "200<t<=500"): 1}
    assert cells(quality["swells"]) == {("120>u>110", "10<=t<=500"): 1}
    assert quality["interruptions"] == {
        "shortInterruptions": interruptions,
        "longInterruptions": 0,
        "interruptedMs": interrupted_ms,
        "longDips": 0,
        "longSwells": 0,
    }


def test_dip_swell_interruption_and_power_cut_reach_the_tables_of_the_twin(world: World) -> None:
    write_flat_profile(world.folder)
    world.twin_settings["applications"] = {"metering-data": {}, "power-quality": {}}
    house = {"profile": "flat", "annual_kwh": 2000, "phases": 1, "start_at": "2016-06-14T07:30:00Z"}
    world.start(profiles=str(world.folder), electricity={**house, "disturbances": DISTURBANCES})
    wait_for(lambda: len(events_of(world, *QUALITY)) == 4, "all are over and stored", period_s=0.5)
    interrupted_ms = check_events(events_of(world, *QUALITY))
    check_tables(world, 1, interrupted_ms)

    world.wait_stored(len(world.oracle()) + 4)  # a cut right after an interruption is one with it
    world.firmware.kill()
    world.configure_meter(electricity=house)
    world.firmware.start()
    wait_for(lambda: len(events_of(world, "power_up")) == 2, "power is back", period_s=0.5)
    assert events_of(world, "power_down") == [["power_down", 1]]
    outage_ms = events_of(world, "power_up")[1][1]
    assert outage_ms > 0
    check_tables(world, 2, interrupted_ms + outage_ms)
    world.check()
