"""A clock that was wrong, steps or is missing neither loses nor repeats a reading.

Real processes; the oracle is the firmware's own log. The small profile has no RTC that could be
wrong at its start; the rest runs for both builds. Neighbours: `test_faults`, `wrong_clock`.
"""

import itertools
import pathlib
import sys
import time

import pytest
from final_check import settle
from harness import World
from oracle import Ledger, read_store
from processes import wait_for
from small_world import SmallWorld, both_builds

pytestmark = pytest.mark.timeout(600)
CLOCK_STEP, CLOCK_SET = 3, 4
STEP_S = 7
"""More than is slewed (3 s); there and back it is less than a twin may move in a day (60 s)."""
WAITED_S = 3
"""What a busy machine may add to a step, or keep the meter's process waiting."""
AFTER = STEP_S + 3
"""Readings after each step: those after the step back show every repeated second."""


@pytest.mark.parametrize("error_s", [-40, 40], ids=["forward", "back"])
def test_a_stepped_clock_neither_loses_nor_repeats(world: World, error_s: int) -> None:
    world.start()
    world.wait_stored(6)
    world.firmware.kill()
    world.configure_meter(rtc_error_s=error_s)
    world.firmware.start()
    wait_for(lambda: CLOCK_STEP in read_store(world.twin.store).event_codes(), "a step")
    wait_for(lambda: read_store(world.twin.store).adjusted(), "a flagged reading")
    ledger = settle(world)
    (rows,) = ledger.raw.values()
    newest_s = int.from_bytes(rows[-1][1][3:7], "big")
    assert abs(newest_s - time.time()) < 25, "the offset of the clock was kept"  # it is 40 s


@both_builds
def test_without_a_clock_the_meter_counts_on_and_is_set_by_its_twin(world: World) -> None:
    world.start_broker()
    world.make_firmware(rtc=False).start()
    wait_for(lambda: sum(k == 1 for k, _ in world.oracle().values()) >= 2, "readings without time")
    world.operator.start()
    world.operator.take_over()
    world.twin.start()
    ledger = settle(world)
    (rows,) = ledger.raw.values()
    first = next(raw for _, raw in rows if raw[0] == 1)
    assert int.from_bytes(first[3:7], "big") == 0
    assert int.from_bytes(first[1:3], "big") & 0x90 == 0x90
    assert CLOCK_SET in ledger.event_codes()


def steps(ledger: Ledger) -> list[tuple[int, int]]:
    """Return (number, offset in ms) of each step of the clock."""
    return [
        (seq, int(entry.arguments[0]))
        for seq, entry in ledger.parsed()
        if entry.event_code == CLOCK_STEP
    ]


def readings(ledger: Ledger) -> list[tuple[int, int]]:
    """Return (number, UTC second) of each reading that has one: without an RTC the first have not."""
    rows = [(seq, entry.time_s) for seq, entry in ledger.parsed() if not entry.is_event]
    return [(seq, time_s) for seq, time_s in rows if time_s]


def restart_twin_with_clock(world: World, shift_s: int) -> None:
    """Kill the twin; the next one has a wrong clock, which it tells the meter with WELCOME."""
    world.twin.kill()
    runner = pathlib.Path(__file__).with_name("wrong_clock.py")
    world.twin.command = [sys.executable, str(runner), str(shift_s)]
    world.twin.start()


def wait_step(world: World, count: int) -> None:
    """Wait until so many steps are stored, and some readings after the last."""

    def happened() -> bool:
        ledger = read_store(world.twin.store)
        found = steps(ledger)
        if len(found) < count:
            return False
        return len([seq for seq, _ in readings(ledger) if seq > found[-1][0]]) >= AFTER

    wait_for(happened, f"step {count} of the clock and {AFTER} readings", 240, 0.5)


@both_builds
def test_a_running_meter_s_clock_steps_both_ways_and_no_interval_is_lost(world: World) -> None:
    world.start()
    world.wait_stored(6)
    process = world.firmware.pid
    restart_twin_with_clock(world, STEP_S)
    wait_step(world, 1)
    restart_twin_with_clock(world, 0)
    wait_step(world, 2)
    assert world.firmware.pid == process, "the meter was restarted"
    world.wait_stored()
    ledger = world.check()
    (forth, forth_ms), (back, back_ms) = steps(ledger)
    # As exact as the WELCOME was quick: on a busy machine it is on its way for a while.
    assert abs(forth_ms - STEP_S * 1000) < WAITED_S * 1000
    assert abs(back_ms + STEP_S * 1000) < WAITED_S * 1000
    rows = readings(ledger)
    after = [next(seq for seq, _ in rows if seq > step) for step in (forth, back)]
    first = [rows[0][0]] if CLOCK_SET in ledger.event_codes() else []
    assert ledger.adjusted() == first + after, "the readings that the steps fell into are flagged"
    moved = {seq: late - early for (_, early), (seq, late) in itertools.pairwise(rows)}
    seconds = [by for seq, by in moved.items() if seq not in after]
    assert min(seconds) == 1, "each second once"
    # The small profile looks once a second: boundaries that a busy machine let pass together are
    # one reading there. The other one divides a tick, and has each.
    late_s = WAITED_S if isinstance(world, SmallWorld) else 0
    assert sum(seconds) - len(seconds) <= late_s, "no second is left out"
    # A boundary at each end of the step, and the time that WELCOME waited, which may be in it.
    assert abs(moved[after[0]] - 1 - forth_ms / 1000) < WAITED_S
    assert abs(moved[after[1]] - 1 - back_ms / 1000) < WAITED_S
    times = [time_s for _, time_s in rows]
    repeated = len(times) - len(set(times))
    assert repeated >= -back_ms // 1000 - 1, "both readings of a repeated second are kept"
    assert abs(times[-1] - time.time()) < 20
    settle(world)
