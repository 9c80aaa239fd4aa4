# ruff: noqa: BLE001, PT017, RUF005, SIM105 - MicroPython has no others
"""Trips, contacts, last gasp and start over real parts, without a link. Both Pythons."""

from actuators import PROTECTION
from event_codes import (
    FIRMWARE_START,
    LOCK_OUT,
    POWER_DOWN,
    POWER_HELD,
    POWER_UP,
    RELAY_LOAD,
    RESET,
    TAMPER_COVER,
    TAMPER_MAGNET,
    TRIP,
)
from inputs import GASPS_AN_HOUR
from local_control import Contactors
from local_rig import VERSION, LocalRig
from meter_wire.portable.entry import STATUS_POWER_DOWN
from registers import CONNECTED, DISCONNECTED, IMPORT_ENERGY, READY_FOR_RECONNECTION
from trips import HOLD_MS

LOAD = (None, 500, 0)
OVER_VOLTAGE = (0, 0, 253000, 250000, 3000)
UNDER_FREQUENCY = (3, 0, 49000, 49800, 0)
OVER_CURRENT = (4, 0, 20000, 18000, 0)
STARTED = (FIRMWARE_START, 7, VERSION)
OPENED = (RELAY_LOAD, 0, 0, PROTECTION)
CLOSED = (RELAY_LOAD, 0, 1, PROTECTION)


def test_a_trip_opens_the_load_after_its_delay_and_both_ends_are_recorded():
    rig = LocalRig(loads=[LOAD], trips=[OVER_VOLTAGE])
    rig.grid.voltage_mv = 254000
    assert rig.pass_time(3000) == []
    rig.grid.voltage_mv = 255500
    assert rig.pass_time(1000) == [OPENED, (TRIP, 1, 1, 0, 255500)]
    assert rig.grid.load_permille == 500
    rig.grid.voltage_mv = 251000
    assert rig.pass_time(2 * HOLD_MS) == []
    rig.grid.voltage_mv = 250000
    assert rig.pass_time(1000) == [CLOSED, (TRIP, 1, 0, 0, 255500)]
    assert rig.grid.load_permille == 1000


def test_no_trip_touches_the_supply():
    rows = []
    for kind, wrong in enumerate((1, 999999, 1, 99999, 1, 1)):
        good = wrong - 1 if wrong == 1 else wrong + 1
        rows.append((kind, 0, wrong, good, 0))
    rig = LocalRig(loads=[LOAD], trips=rows)
    assert len([event for event in rig.pass_time(1000) if event[0] == TRIP]) == len(rows)
    assert (rig.supply.state, rig.grid.supply) == (CONNECTED, True)


def test_a_front_end_without_a_frequency_never_trips_on_it():
    for frequency in (None, 0):
        rig = LocalRig(loads=[LOAD], trips=[UNDER_FREQUENCY])
        rig.grid.frequency_mhz = frequency or 0
        assert rig.pass_time(10000) == []
        rig.grid.frequency_mhz = 48000
        assert OPENED in rig.pass_time(1000)


def test_a_sample_that_is_old_is_none():
    rig = LocalRig(loads=[LOAD], trips=[UNDER_FREQUENCY])
    rig.grid.frequency_mhz = 48000
    rig.measuring.tick = lambda: None
    rig.measuring.meter.frequency_mhz = 48000
    rig.now_ms = 60000
    before = rig.ring.head
    rig.local.poll_loads()
    assert rig.since(before) == []


def test_an_overcurrent_that_comes_back_locks_the_load_out_until_the_local_action():
    rig = LocalRig(loads=[LOAD + (0, 0, 0, 2)], trips=[OVER_CURRENT], contacts=["button"])
    rig.grid.house_w = 8000
    events = rig.pass_time(10 * HOLD_MS)
    assert [event for event in events if event[0] == LOCK_OUT] == [(LOCK_OUT, 0, 1)]
    assert events.count(OPENED) == 2
    rig.grid.house_w = 2000
    assert CLOSED not in rig.pass_time(10 * HOLD_MS)
    assert not rig.loads.loads[0].closed
    rig.on = {"button"}
    assert (LOCK_OUT, 0, 0) in rig.pass_time(1000, 100)
    assert rig.loads.loads[0].closed


def test_the_button_is_the_local_action_and_one_held_at_the_start_is_none():
    rig = LocalRig(contacts=["button"])
    rig.on = {"button"}
    rig.supply.state = READY_FOR_RECONNECTION
    rig.pass_time(1000)
    assert rig.supply.state == READY_FOR_RECONNECTION
    rig.on = set()
    rig.pass_time(1000, 100)
    rig.on = {"button"}
    rig.pass_time(1000, 100)
    assert rig.supply.state == CONNECTED


def test_opening_the_cover_and_a_magnet_are_recorded_when_they_begin_and_end():
    rig = LocalRig(contacts=["cover", "magnet"])
    rig.on = {"cover"}
    assert rig.pass_time(1000, 100) == [(TAMPER_COVER, 1)]
    rig.on = {"cover", "magnet"}
    assert rig.pass_time(1000, 100) == [(TAMPER_MAGNET, 1)]
    rig.on = set()
    assert rig.pass_time(1000, 100) == [(TAMPER_COVER, 0), (TAMPER_MAGNET, 0)]


def test_a_cover_that_was_opened_while_the_power_was_down_is_told_after_the_start():
    rig = LocalRig(contacts=["cover", "magnet"])
    again = rig.again()
    again.on = {"cover"}
    assert again.pass_time(1000, 100) == [(TAMPER_COVER, 1)]
    third = again.again()
    third.on = {"cover"}
    assert third.pass_time(1000, 100) == [], "it was told"
    third.on = set()
    assert third.pass_time(1000, 100) == [(TAMPER_COVER, 0)]


def starts(rig):
    return [event for event in rig.told() if event[0] in (POWER_DOWN, POWER_UP, POWER_HELD, RESET)]


def fail(rig, ms=100):
    rig.on = {"power_fail"}
    rig.pass_time(ms, 20)


def test_a_power_cut_that_was_seen_coming_is_told_once_and_costs_no_energy():
    rig = LocalRig(contacts=["power_fail"])
    rig.pass_time(1800000)
    rig.pass_time(30000)
    energy = rig.register(IMPORT_ENERGY)
    fail(rig)
    assert starts(rig)[-1] == (POWER_DOWN, 0)
    again = rig.again()
    assert starts(again)[-2:] == [(POWER_DOWN, 0), (POWER_UP, 59980)], "from the sign of it on"
    assert again.told()[-1] == STARTED
    assert again.register(IMPORT_ENERGY) == energy
    assert again.recorder.status & STATUS_POWER_DOWN
    third = again.again()
    assert starts(third)[-2][0:2] == (POWER_DOWN, 1), "this one came unseen"


def test_without_a_last_gasp_the_cut_is_reconstructed():
    rig = LocalRig()
    rig.pass_time(130000)
    assert [row[:2] for row in starts(rig.again())[-2:]] == [(POWER_DOWN, 1), (POWER_UP, 70000)]


class ShortRing(LocalRig):
    """Comes to the end of a segment every few entries."""

    ring_bytes = 8 * 720


def test_the_last_gasp_is_one_step_of_few_writes_wherever_the_ring_stands():
    seen = set()
    for entries in range(60):
        rig = ShortRing(contacts=["power_fail"])
        rig.measuring.tick = lambda: None
        for number in range(entries):
            rig.recorder.event_now(TRIP, number)
        before = rig.medium.operations
        fail(rig)
        seen.add(rig.medium.operations - before)
    assert min(seen) == 3, "a record, and a slot that is made and written"
    assert max(seen) <= 7, "besides a segment that is begun, and the marks before it"


def test_a_power_cut_in_any_write_of_the_last_gasp_leaves_the_cut_told_once():
    for cut in range(4):
        for keep in (0, 2, 4):
            rig = LocalRig(contacts=["power_fail"])
            rig.pass_time(10000)
            rig.medium.cut_at = rig.medium.operations + cut
            rig.medium.keep = keep
            told = len(starts(rig))
            try:
                fail(rig)
            except Exception as error:
                assert type(error).__name__ == "PowerCutError"
            again = rig.again()
            new = [event[0] for event in starts(again)[told:]]
            assert new == [POWER_DOWN, POWER_UP], (cut, keep)
            third = again.again()
            new = [event[0] for event in starts(third)[told:]]
            assert new == [POWER_DOWN, POWER_UP] * 2, (cut, keep)


def test_a_power_cut_at_any_write_of_the_start_after_a_last_gasp_hides_no_cut():
    for cut in range(12):
        rig = LocalRig(contacts=["power_fail"])
        rig.pass_time(10000)
        fail(rig)
        medium = rig.medium.survive()
        medium.cut_at, medium.keep = cut, 4
        try:
            LocalRig(medium, contacts=["power_fail"], rtc_s=rig.rtc_s + 100)
        except Exception as error:
            assert type(error).__name__ == "PowerCutError"
        again = LocalRig(medium.survive(), contacts=["power_fail"], rtc_s=rig.rtc_s + 200)
        codes = [event[0] for event in starts(again)]
        assert codes[1] == POWER_DOWN, cut
        ups = codes[2:].count(POWER_UP)
        downs = codes[2:].count(POWER_DOWN)
        assert ups - 1 <= downs <= ups, (cut, codes)


def test_a_power_that_did_not_go_is_recorded_and_the_next_cut_is_told():
    rig = LocalRig(contacts=["power_fail"])
    fail(rig)
    rig.on = set()
    rig.pass_time(5000, 100)
    assert starts(rig)[1:] == [(POWER_DOWN, 0), (POWER_HELD,)]
    assert [row[0] for row in starts(rig.again())[3:]] == [POWER_DOWN, POWER_UP]


def test_entries_after_the_last_gasp_do_not_have_the_cut_told_twice():
    rig = LocalRig(contacts=["power_fail", "cover"])
    fail(rig)
    rig.on = {"power_fail", "cover"}
    assert rig.pass_time(1000, 100) == [(TAMPER_COVER, 1)]
    assert [row[0] for row in starts(rig.again())[1:]] == [POWER_DOWN, POWER_UP]


def test_a_failing_power_that_comes_again_and_again_does_not_wear_the_flash():
    rig = LocalRig(contacts=["power_fail"])
    rig.measuring.tick = lambda: None
    before = rig.medium.operations
    for _ in range(300):
        rig.on = {"power_fail"}
        rig.pass_time(1000, 500)
        rig.on = set()
        rig.pass_time(5000, 500)
    assert starts(rig)[1:].count((POWER_DOWN, 0)) == GASPS_AN_HOUR
    assert rig.medium.operations - before <= 10 * GASPS_AN_HOUR


def test_a_reset_by_the_watchdog_is_told_as_such_and_as_no_power_cut():
    rig = LocalRig()
    rig.pass_time(130000)
    for cause, number in (("watchdog", 1), ("soft", 2)):
        again = rig.again(cause, away_s=2)
        assert starts(again)[1:] == [(RESET, number, 12000)], "10 s since the last save"
        assert again.told()[-1] == STARTED
        assert not again.recorder.status & STATUS_POWER_DOWN
    for cause in ("power", "hard", "sleep", "unknown"):
        assert starts(rig.again(cause))[-1][0] == POWER_UP


def test_a_reset_after_a_last_gasp_says_that_the_power_did_not_go():
    rig = LocalRig(contacts=["power_fail"])
    fail(rig)
    assert [row[0] for row in starts(rig.again("watchdog"))[1:]] == [POWER_DOWN, POWER_HELD, RESET]


class FakeOutput:
    def __init__(self, is_on):
        self.is_on = is_on

    def set(self, flag):
        self.is_on = flag


class FakeBoard:
    """A board with some pins; `outputs` by name."""

    def __init__(self, *names):
        self.outputs = {}
        self._names = names

    def has_pin(self, name):
        return name in self._names

    def output(self, name, is_on=False):
        self.outputs[name] = FakeOutput(is_on)
        return self.outputs[name]


def test_the_contactors_of_the_board_follow_loads_and_supply():
    rig = LocalRig(loads=[LOAD, (0, 100, 0)], trips=[OVER_CURRENT])
    board = FakeBoard("load0", "load1", "supply")
    rig.commands.contactors = Contactors(board, rig.loads.loads, rig.supply.state)

    def positions():
        return [board.outputs[name].is_on for name in ("load0", "load1", "supply")]

    assert positions() == [True, False, True]
    rig.grid.house_w = 9000
    rig.pass_time(1000)
    assert positions() == [False, False, True]
    rig.supply.state = DISCONNECTED
    rig.commands.apply_supply(0)
    assert positions() == [False, False, False]


def test_a_board_without_contactors_has_none_moved():
    rig = LocalRig(loads=[LOAD], trips=[OVER_CURRENT])
    rig.commands.contactors = Contactors(FakeBoard(), rig.loads.loads, rig.supply.state)
    rig.grid.house_w = 9000
    assert OPENED in rig.pass_time(1000)


def test_a_contactor_opens_before_anything_is_written():
    rig = LocalRig(loads=[LOAD], trips=[OVER_CURRENT])
    board = FakeBoard("load0")
    rig.commands.contactors = Contactors(board, rig.loads.loads, rig.supply.state)
    rig.grid.house_w = 9000
    rig.now_ms += 1000
    rig.measuring.tick()
    rig.medium.cut_at = rig.medium.operations
    try:
        rig.local.poll_loads()
    except Exception:
        pass
    assert not board.outputs["load0"].is_on
