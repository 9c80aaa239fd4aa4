# ruff: noqa: B905, PTH104, PTH123 - MicroPython has no others
"""The metering task on a simulated supply: what it records of power quality, what it counts.

A clock that the test moves, real parts on a RAM flash, both Pythons. Where the supply's own figure
is needed, a second supply without disturbances runs through the same stretches of time.
Neighbours: test_quality.py and test_electricity.py, the parts that meet here.
"""

import os
import struct

from electricity import Electricity
from event_codes import DIP, INTERRUPTION, SWELL, VOLTAGE_10MIN
from flash_with_cuts import CutFlash, Medium
from isqrt import isqrt
from measuring import Measuring
from meter_rig import NOW_S, Config, parse_event
from meter_wire.portable.entry import KIND_EVENT, STATUS_CLOCK_INVALID, STATUS_COUNTED_ON
from recorder import Recorder
from registers import IMPORT_ENERGY
from ring import Ring
from state import State
from timekeeper import Timekeeper

FOLDER = "/tmp"
PROFILE = "metertwin-test-measuring"
QUARTERS_WH = (100, 2400)
"""What the house uses in even and odd quarter hours; `annual_kwh` makes watt-hours of the values."""
ANNUAL_KWH = sum(QUARTERS_WH) * 48 // 1000
HALF_CYCLES_MS = 21
"""A disturbance touches up to two half cycles more than it lasts, each 9.99 to 10.01 ms."""


def write_profile():
    """Write a day of quarter hours; the file gets its name when it is whole."""
    head = struct.pack("<4sB3sIIIQ", b"MTPF", 1, b"", NOW_S - 86400, 900, 96, ANNUAL_KWH * 1000)
    name = os.urandom(8).hex()
    with open(f"{FOLDER}/{name}", "wb") as file:
        file.write(head + struct.pack("<ii", *QUARTERS_WH) * 48)
    os.rename(f"{FOLDER}/{name}", f"{FOLDER}/{PROFILE}.bin")


write_profile()


class PlayedTime(Timekeeper):
    """Time that passes when the test says so."""

    now_ms = 0

    def uptime_ms(self):
        return self.now_ms


class NotingSupply(Electricity):
    """Notes every stretch that it was asked for."""

    def __init__(self, config, boot_ms):
        super().__init__(config, FOLDER, boot_ms // 1000, boot_ms=boot_ms % 1000)
        self.stretches = []

    def tick(self, tick_ms):
        sample = super().tick(tick_ms)
        if tick_ms > 0:
            self.stretches.append((tick_ms, sample[1]))
        return sample


class NotingRecorder(Recorder):
    """Notes (boundary, imported Wh) of every reading."""

    def __init__(self, ring, timekeeper):
        super().__init__(ring, timekeeper, 1)
        self.energies = []

    def reading(self, utc_s, rows):
        self.energies += [(utc_s, row[1]) for row in rows if row[0] == IMPORT_ENERGY]
        return super().reading(utc_s, rows)


class WatchingConfig(Config):
    """Quarter hours, and power quality."""

    capture_period_s = 900
    quality = True


class House:
    """A meter that booted at `boot_ms` of UTC, on a supply with these disturbances."""

    def __init__(self, boot_ms, disturbances=(), phases=3, has_clock=True, config=WatchingConfig):
        self.supply_config = {"profile": PROFILE, "annual_kwh": ANNUAL_KWH, "phases": phases}
        self.boot_ms = boot_ms
        flash = CutFlash(Medium())
        state = State(flash)
        self.timekeeper = PlayedTime(state, False)
        if has_clock:
            self.timekeeper.set(boot_ms, True)
        self.ring = Ring(flash, state, 32768, 8, lambda length: b"i" * length)
        self.recorder = NotingRecorder(self.ring, self.timekeeper)
        disturbed = dict(self.supply_config)
        disturbed["disturbances"] = list(disturbances)
        self.supply = NotingSupply(disturbed, boot_ms)
        self.measuring = Measuring(config, state, self.recorder, self.timekeeper, self.supply)

    def run(self, tick_ms, ticks):
        for _ in range(ticks):
            self.timekeeper.now_ms += tick_ms
            self.measuring.tick()
        return self

    def events(self):
        """Return (code, UTC second of its begin, arguments…) of the events in the ring."""
        entries = [self.ring.read(seq)[0] for seq in range(1, self.ring.head + 1)]
        return [parse_event(entry) for entry in entries if entry[0] == KIND_EVENT]

    def calm_mv(self, phase, begin_ms, end_ms):
        """Return the phase's undisturbed voltages of the stretches that touch these uptimes."""
        calm = Electricity(
            self.supply_config, FOLDER, self.boot_ms // 1000, boot_ms=self.boot_ms % 1000
        )
        at_ms = 0
        voltages = []
        for tick_ms, _ in self.supply.stretches:
            sample = calm.tick(tick_ms)
            if at_ms < end_ms and begin_ms < at_ms + tick_ms:
                voltages.append(sample[1][phase - 1][2])
            at_ms += tick_ms
        return voltages

    def voltages_mv(self, begin_ms, end_ms):
        """Return each phase's minimum, root mean square and maximum between two uptimes."""
        at_ms = 0
        values = [[] for _ in range(self.supply.phases)]
        squares = [0] * self.supply.phases
        for tick_ms, sample in self.supply.stretches:
            within_ms = min(at_ms + tick_ms, end_ms) - max(at_ms, begin_ms)
            at_ms += tick_ms
            for phase, (_, _, voltage_mv, _) in enumerate(sample):
                if within_ms > 0:
                    values[phase].append(voltage_mv)
                    squares[phase] += voltage_mv * voltage_mv * within_ms
        found = ()
        for seen, square in zip(values, squares):
            found += (min(seen), isqrt(square // (end_ms - begin_ms)), max(seen))
        return found


def disturbance(kind, at_s, duration_ms, phase):
    return {"kind": kind, "at_s": at_s, "duration_ms": duration_ms, "phase": phase}


DISTURBANCES = (
    disturbance("dip", 5, 200, 2),
    disturbance("swell", 12, 300, 3),
    disturbance("interruption", 20, 1500, 1),
)


def test_disturbances_are_recorded_with_their_begin_phase_length_and_extreme():
    for boot_ms in (NOW_S * 1000 + 20050, NOW_S * 1000 + 20940):
        house = House(boot_ms, DISTURBANCES).run(970, 30)
        (dip_mv,) = house.calm_mv(2, 5000, 5200)
        (swell_mv,) = house.calm_mv(3, 12000, 12300)
        expected = [
            (DIP, 5, 2, 200, dip_mv * 60 // 100),
            (SWELL, 12, 3, 300, swell_mv * 118 // 100),
            (DIP, 20, 1, 1500, 0),
            (INTERRUPTION, 20, 1, 1500 - HALF_CYCLES_MS, 0),
        ]
        events = house.events()
        assert len(events) == len(expected), events
        for event, (code, at_s, phase, least_ms, extreme_mv) in zip(events, expected):
            assert event[:3] == (code, boot_ms // 1000 + at_s, phase), event
            assert least_ms <= event[3] <= least_ms + HALF_CYCLES_MS, event
            assert event[4] == extreme_mv, event


def test_a_dip_over_the_quarter_hour_is_one_event_that_began_before_it():
    boot_ms = (NOW_S + 890) * 1000 + 50
    house = House(boot_ms, [disturbance("dip", 9, 2000, 1)]).run(4000, 4)
    assert [stretch[0] for stretch in house.supply.stretches] == [4000, 4000, 1950, 2050, 4000]
    ((code, began_s, phase, duration_ms, extreme_mv),) = house.events()
    assert (code, began_s, phase) == (DIP, NOW_S + 899, 1)
    assert 2000 <= duration_ms <= 2000 + HALF_CYCLES_MS
    assert extreme_mv == min(house.calm_mv(1, 9000, 11000)) * 60 // 100


def test_without_a_clock_a_disturbance_is_recorded_with_its_length_and_no_time():
    boot_ms = (NOW_S + 890) * 1000 + 50
    house = House(boot_ms, [disturbance("dip", 9, 2000, 1)], has_clock=False).run(4000, 4)
    ((code, began_s, phase, duration_ms, _),) = house.events()
    assert (code, began_s, phase) == (DIP, 0, 1)
    assert 2000 <= duration_ms <= 2000 + HALF_CYCLES_MS
    status = int.from_bytes(house.ring.read(1)[0][1:3], "big")
    assert status == STATUS_CLOCK_INVALID | STATUS_COUNTED_ON


def test_a_meter_without_power_quality_records_no_disturbance():
    class CountingConfig(WatchingConfig):
        quality = False

    house = House(NOW_S * 1000 + 20050, DISTURBANCES, config=CountingConfig).run(970, 30)
    assert house.events() == []


def test_ten_minutes_of_voltage_are_recorded_at_the_utc_tick_over_a_quarter_hour_too():
    """The meter boots 39.7 s before one tick; the ten minutes after it hold an edge."""
    house = House((NOW_S + 560) * 1000 + 300, DISTURBANCES).run(1600, 400)
    events = [event for event in house.events() if event[0] == VOLTAGE_10MIN]
    assert [event[:4] for event in events] == [
        (VOLTAGE_10MIN, NOW_S, 39, 1),
        (VOLTAGE_10MIN, NOW_S + 600, 600, 0),
    ]
    assert events[0][4:] == house.voltages_mv(0, 39700)
    assert events[1][4:] == house.voltages_mv(39700, 639700)


def test_each_quarter_hour_has_the_source_s_energy_though_ticks_lie_across_its_edge():
    for phases in (1, 3):
        house = House((NOW_S - 37) * 1000 + 50, phases=phases).run(13000, 283)
        energies = house.recorder.energies
        assert [reading[0] for reading in energies] == [NOW_S + 900 * n for n in range(5)]
        for number in range(4):
            counted_wh = energies[number + 1][1] - energies[number][1]
            assert abs(counted_wh - QUARTERS_WH[number % 2]) <= 1, (phases, number, counted_wh)
