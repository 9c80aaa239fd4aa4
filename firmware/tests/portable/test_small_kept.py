"""What the small profile keeps over resets, power cuts and MemoryErrors. Both Pythons."""

import asyncio

import small_sntp
from event_codes import (
    CLOCK_SET,
    POWER_DOWN,
    POWER_HELD,
    POWER_UP,
    RELAY_LOAD,
    RESET,
    TAMPER_COVER,
    TAMPER_MAGNET,
)
from scarcity import ScarceLooks, ScarceMedium, go_on, sweep_looks, sweep_writes
from small_record import PRODUCED_ENERGY, SAVE_WH
from small_rig import NOW_MS, PULSE_UJ, SmallRig

UNIT_UJ = 3600000000
LOAD = 3


def counted_uj(register):
    return (register.units * 3600000 + register.remainder) * 1000 + register.rest_uj


def test_a_reset_without_a_power_cut_loses_no_pulse_and_no_part_of_a_watt_hour():
    rig = SmallRig({"pulse_uj": 10342967})
    pulses = 0
    for cause in ("soft", "watchdog", "soft"):
        rig.house_w = 1999
        rig.pass_time(70)
        pulses += rig.board.pulses
        head = rig.meter.ring.head
        rig = rig.again(cause)
        assert counted_uj(rig.meter.energy) == pulses * 10342967
        assert rig.since(head) == [(RESET, 2 if cause == "soft" else 1, -1)]
    rig = rig.again("power")
    assert rig.meter.energy.units == pulses * 10342967 // UNIT_UJ
    assert rig.meter.energy.remainder == 0


def test_kept_memory_of_another_ring_or_of_broken_octets_is_nobodys():
    rig = SmallRig()
    rig.house_w = 3600
    rig.pass_time(60)
    assert rig.meter.energy.units == 60
    other = SmallRig(kept=rig.board.kept, cause="soft")
    assert other.meter.energy.units == 0
    for place in range(1, len(rig.board.kept)):
        wrong = bytearray(rig.board.kept)
        wrong[place] ^= 16
        broken = SmallRig(medium=rig.medium.survive(), kept=bytes(wrong), cause="soft")
        assert broken.meter.energy.units == 0, place
    short = SmallRig(medium=rig.medium.survive(), kept=rig.board.kept[:-1], cause="soft")
    assert short.meter.energy.units == 0


def test_what_the_flash_has_is_never_taken_back_by_an_older_memory():
    rig = SmallRig({"capture_period_s": 60})
    rig.house_w = 3600
    rig.pass_time(30)
    older = rig.board.kept
    rig.pass_time(40)
    rig.board.kept = older
    assert rig.again("soft").meter.energy.units == 60, "that of the reading"


def test_a_power_cut_costs_at_most_a_hundred_watt_hours():
    rig = SmallRig()
    rig.house_w = 3600
    for _ in range(11):
        rig.pass_time(37)
        lost_wh = rig.meter.energy.units - rig.again().meter.energy.units
        assert 0 <= lost_wh < SAVE_WH
    rig.house_w = 0
    operations = rig.medium.operations
    rig.pass_time(300)
    assert rig.medium.operations == operations, "without energy nothing is written"


def test_the_last_gasp_is_told_at_once_and_loses_no_watt_hour():
    rig = SmallRig({}, ("power_fail",))
    rig.house_w = 3600
    rig.pass_time(50)
    rig.board.on = {"power_fail"}
    assert rig.pass_time(1) == [(POWER_DOWN, 0)]
    head = rig.meter.ring.head
    again = rig.again()
    assert again.meter.energy.units == 51
    assert again.since(head) == [(POWER_UP, -1)]


def test_a_power_that_held_is_told_so_by_the_meter_or_by_its_next_start():
    rig = SmallRig({}, ("power_fail",))
    rig.board.on = {"power_fail"}
    rig.pass_time(1)
    head = rig.meter.ring.head
    again = rig.again("soft")
    assert again.since(head) == [(POWER_HELD,), (RESET, 2, -1)]
    rig.board.on = set()
    assert rig.pass_time(5) == [(POWER_HELD,)]
    head = rig.meter.ring.head
    assert rig.again("soft").since(head) == [(RESET, 2, -1)], "told already"


def test_cover_and_magnet_are_told_once_each_and_known_over_a_start():
    rig = SmallRig({}, ("cover", "magnet"))
    rig.board.on = {"cover"}
    assert rig.pass_time(3) == [(TAMPER_COVER, 1)]
    rig.board.on = {"cover", "magnet"}
    assert rig.pass_time(3) == [(TAMPER_MAGNET, 1)]
    again = rig.again()
    assert again.pass_time(3) == [(TAMPER_COVER, 0), (TAMPER_MAGNET, 0)]


def test_without_contacts_there_is_no_task_for_them():
    assert SmallRig().meter.inputs is None


def test_a_generators_energy_is_a_register_of_its_own_in_reading_and_over_a_cut():
    table = {"capture_period_s": 60, "generator_uj": 12000000000}
    rig = SmallRig(table, ())
    rig.house_w = 3600
    for _ in range(4):
        rig.board.produced += 30
        rig.pass_time(60)
    reading = rig.readings()[-1]
    used, produced = rig.meter.registers
    assert used.units == 240
    assert produced.units == 400
    place = reading.find(PRODUCED_ENERGY)
    assert int.from_bytes(reading[place + 6 :], "big") == 400
    again = rig.again()
    assert [one.units for one in again.meter.registers] == [240, 400]


def test_a_register_begins_at_the_display_and_a_higher_one_adds_the_difference_once():
    table = {"pulses": {"utility": {"start_wh": 12345678}}}
    rig = SmallRig(table)
    assert rig.meter.energy.units == 12345678
    rig.house_w = 3600
    rig.pass_time(120)
    units = rig.meter.energy.units
    assert units == 12345678 + 120
    again = rig.again("soft")
    assert again.meter.energy.units == units
    more = {"pulses": {"utility": {"start_wh": 12345778}}}
    again = again.again("soft", more)
    assert again.meter.energy.units == units + 100
    assert again.again("soft", table).meter.energy.units == units + 100, "no register goes back"


def run_measure(rig, looks):
    """Let the task that measures look so often."""
    times = []
    tick = rig.meter.tick

    def counted():
        times.append(1)
        if len(times) > looks:
            raise asyncio.CancelledError
        tick()
        return 1

    rig.meter.tick = counted
    try:
        asyncio.run(rig.meter.measure())
    except asyncio.CancelledError:
        rig.meter.tick = tick


def test_the_watchdog_is_fed_when_all_have_beaten_and_only_then():
    rig = SmallRig({"watchdog_s": 120})
    assert rig.board.timeouts_ms == [120000]
    run_measure(rig, 3)
    assert rig.board.fed == 0, "no word of the link"
    rig.meter.beats = 1
    run_measure(rig, 3)
    assert rig.board.fed == 1
    rig = SmallRig({"watchdog_s": 120}, ("cover",))
    rig.meter.beats = 1
    run_measure(rig, 3)
    assert rig.board.fed == 0, "no word of the contacts"
    rig.meter.beats = 3
    run_measure(rig, 3)
    assert rig.board.fed == 1


def test_there_is_no_watchdog_unless_asked_and_none_after_three_resets_in_a_row():
    assert SmallRig().board.timeouts_ms == []
    rig = SmallRig({"watchdog_s": 120})
    found = []
    for _ in range(4):
        rig = rig.again("watchdog")
        found.append(len(rig.board.timeouts_ms))
    assert found == [1, 1, 0, 0]


def test_a_first_time_of_the_network_gives_way_to_the_twins_whatever_it_is():
    rig = SmallRig({"sntp": {"host": "time"}})
    head = rig.meter.ring.head

    async def ask(*_arguments):
        return NOW_MS

    kept, small_sntp.ask = small_sntp.ask, ask
    try:
        asyncio.run(small_sntp.ask_first(rig.meter))
    finally:
        small_sntp.ask = kept
    assert rig.since(head) == [(CLOCK_SET,)]
    assert rig.meter.stamp()[1] == NOW_MS // 1000
    assert rig.meter.set_clock(NOW_MS + 86400000) == 0
    assert rig.meter.stamp()[1] == NOW_MS // 1000 + 86400
    assert rig.meter.set_clock(NOW_MS) == 6, "and no other"
    rig.meter.set_first(NOW_MS)
    assert rig.meter.stamp()[1] == NOW_MS // 1000 + 86400


A_SECOND_UJ = 360 * 7 * PULSE_UJ
"""Of the household below, whose pulses are worth seven times what they took."""


class Scarce(SmallRig, ScarceLooks):
    """A meter whose looks go on after a MemoryError, as its tasks do."""

    def __init__(self):
        table = {"capture_period_s": 60, "loads": [{"release_s": 0}], "pulse_uj": PULSE_UJ * 7}
        super().__init__(table, ("cover", "power_fail"), medium=ScarceMedium())
        self.meter.set_clock(NOW_MS)

    def ticks(self):
        self.look_at_time()
        return super().ticks()

    def step(self, ms=1000):
        self.flow(ms)
        for work in (self.meter.inputs.poll, self.look):
            go_on(work)

    def play(self):
        """Three minutes: a limit, an open cover, a short failure of the power."""
        before = self.meter.ring.head
        self.house_w = 3600
        self.pass_time(10)
        go_on(lambda: self.write(LOAD, 0, 50))
        self.board.on = {"cover"}
        self.pass_time(60)
        self.board.on = {"power_fail"}
        self.pass_time(3)
        self.board.on = set()
        self.pass_time(110)
        events = sorted(self.since(before))
        return events, [row[3:7] for row in self.readings()], counted_uj(self.meter.energy)


def check_against_a_rich_one():
    """Return what judges a meter that memory was short for: it has recorded the same."""
    events, readings, energy_uj = Scarce().play()
    assert len(readings) == 3
    assert [row[0] for row in events].count(RELAY_LOAD) == 2

    def check(meter, found, place):
        assert found[0] == events, place
        assert found[1] == readings, place
        assert abs(found[2] - energy_uj) <= A_SECOND_UJ, "the load may have moved a second later"
        assert found[2] == (meter.board.pulses * 7) * PULSE_UJ, place
        head, lost = meter.meter.ring.head, meter.meter.ring.lost
        again = meter.again()
        assert (again.meter.ring.lost, again.meter.ring.head > head) == (lost, True)

    return check


def test_no_memory_in_any_write_loses_no_entry_and_makes_none_twice():
    assert sweep_writes(Scarce, check_against_a_rich_one()) > 15


def test_no_memory_at_any_look_at_the_time_loses_no_entry_and_makes_none_twice():
    assert sweep_looks(Scarce, check_against_a_rich_one(), 7) > 100
