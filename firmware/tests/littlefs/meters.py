"""The lives of the two meters, whole and small, whose registers never go back: see `story`."""

from os import urandom

import small
from flash import Flash
from measuring import FixedFrontEnd, Measuring
from meter_wire.portable.entry import KIND_READING
from recorder import Recorder
from ring import Ring
from small_record import IMPORT_ENERGY, RING_OVERFLOW
from small_start import POWER_UP
from state import State
from story import FOLDER

small.GC_THRESHOLD = -1  # of a heap of 38 KB: here the flash is in the heap


class Time:
    """What `Measuring` needs of a timekeeper."""

    def __init__(self):
        self.now_ms = 0

    def uptime_ms(self):
        return self.now_ms

    def utc(self):
        return 1800000000 + self.now_ms // 1000, self.now_ms % 1000

    def keep(self):
        pass


class Config:
    """What `Measuring` needs of a configuration: a capture a minute, saved each 20 s between."""

    tick_ms, save_period_s, capture_period_s, report_spread_s = 10000, 20, 60, 0
    serial, tariff, quality = "MT-1", {}, False


def told_lost(ring):
    """Return the number of the newest event of what was overwritten, 0 without one."""
    number = 0
    for seq in range(ring.oldest, ring.head + 1):
        entry = ring.read(seq)[0]
        if entry[0] != KIND_READING and entry[16] == RING_OVERFLOW:
            number = int.from_bytes(entry[-(entry[19] & 31) :], "big")
    return number


class Whole:
    """The measuring task of the whole firmware on the flash."""

    def __init__(self):
        state = State(Flash(FOLDER))
        self.ring = Ring(Flash(FOLDER), state, 4800, 3, urandom)
        self.boot = state.next_boot()
        state.save()
        self.time = Time()
        recorder = Recorder(self.ring, self.time, self.boot)
        self.measuring = Measuring(Config, state, recorder, self.time, FixedFrontEnd())
        self.measuring.restore()

    def read(self):
        """Measure until there is another reading."""
        head = self.ring.head
        while self.ring.head == head:
            self.time.now_ms += 10000
            self.measuring.tick()

    def energy_wh(self):
        """Return the register 1.8.0 of this moment."""
        return dict([row[:2] for row in self.measuring.snapshot()[1]])[IMPORT_ENERGY]


def live_whole(story, readings):
    """The life of `Whole`, with a start in its middle."""
    for number in range(1, readings + 1):
        if number in {1, readings // 2}:
            meter = Whole()
            story.tell("boot", meter.boot)
        meter.read()
        story.tell("energy", meter.energy_wh())
        story.tell("head", meter.ring.head)


def check_whole(story, operations):
    """The registers are those of the last reading told or later, never behind a reading."""
    meter = Whole()
    energy_wh = meter.energy_wh()
    told, coming = story.at("energy", operations, 0)
    assert told <= energy_wh <= coming, f"register {energy_wh}, told {told}"
    assert story.at("boot", operations, 0)[0] < meter.boot, "boot number"
    told, coming = story.at("head", operations, 0)
    assert told <= meter.ring.head <= coming, f"head {meter.ring.head}, told {told}"
    for number in range(meter.ring.oldest, meter.ring.head + 1):
        entry = meter.ring.read(number)[0]
        if entry[0] != KIND_READING:
            continue  # what was overwritten is an event
        at = entry.find(IMPORT_ENERGY[2:5])
        shown_wh = int.from_bytes(entry[at + 3 : at + 3 + entry[at - 1]], "big")
        assert shown_wh <= energy_wh, f"reading {number} shows {shown_wh}, kept is {energy_wh}"
    return meter


def follow_whole(meter):
    """The next reading and the next start go on from there."""
    energy_wh = meter.energy_wh()
    meter.read()
    assert told_lost(meter.ring) == meter.ring.lost, "overwritten and untold"
    again = Whole()
    assert again.ring.head == meter.ring.head, "head after the cut"
    assert again.energy_wh() > energy_wh, "register after the cut"


class Clock:
    """Ticks of the small meter, a minute apart."""

    now_ms = 0

    def __call__(self):
        return self.now_ms & 0x3FFFFFFF


def make_small(clock):
    """Start the small profile's meter on the flash; 40 readings fill its ring."""
    table = {
        "device": "house-1", "key": "00" * 32, "broker": {"host": "h"}, "capture_period_s": 60,
        "ring_bytes": 2400, "ring_segments": 3,
    }  # fmt: skip
    return small.Small(table, Flash(FOLDER), clock)


def units_of(entry):
    """Return the register of a small reading (form octet at 15, OBIS, value), None of an event."""
    return int.from_bytes(entry[19 : 19 + entry[15]], "big") if entry[0] == 1 else None


def live_small(story, readings):
    """The life of the small profile's meter: some pulses, a reading each minute, a start between."""
    clock = Clock()
    for number in range(1, readings + 1):
        if number in {1, readings // 2}:
            meter = make_small(clock)
            story.tell("boot", meter.boot)
        while True:
            head = meter.ring.head
            clock.now_ms += meter.tick()
            if meter.ring.head > head:
                break
        story.tell("units", meter.energy.units)
        story.tell("head", meter.ring.head)
        meter.pulses += 40 + number


def check_small(story, operations):
    """The register is the one of the last reading told, or of the one on its way; never behind."""
    meter = make_small(Clock())
    told, coming = story.at("units", operations, 0)
    assert told <= meter.energy.units <= coming, f"register {meter.energy.units}, told {told}"
    starts = meter.boot - story.at("boot", operations, 0)[0]
    assert starts > 0, "boot number"
    told, coming = story.at("head", operations, 0)
    assert told < meter.ring.head <= coming + starts, f"head {meter.ring.head}, told {told}"
    assert meter.ring.read(meter.ring.head)[0][16] == POWER_UP, "start"
    moments, overflows = [], []
    for number in range(meter.ring.oldest, meter.ring.head + 1):
        entry = meter.ring.read(number)[0]
        units = units_of(entry)
        if units is not None:
            assert units <= meter.energy.units, "a reading shows more than is kept"
            moments.append(entry[7:15])  # uptime and boot
        elif entry[16] == RING_OVERFLOW:
            overflows.append(entry[17:])
    assert len(set(moments)) == len(moments), "a reading is there twice"
    assert len(set(overflows)) == len(overflows), "an overflow is told twice"
    return meter


def follow_small(meter):
    """A reading follows, as an event what it overwrote, and the start after it: each once."""
    units, head = meter.energy.units, meter.ring.head
    meter.pulses += 1600
    meter.count_pulses()
    meter.record()
    expected = [units + 1000]
    if meter.ring.lost != told_lost(meter.ring):
        expected.append(RING_OVERFLOW)
    expected.append(POWER_UP)
    meter.tick()
    meter.tick()
    assert told_lost(meter.ring) == meter.ring.lost, "overwritten and untold"
    again = make_small(Clock())
    assert again.energy.units == units + 1000, "register after the cut"
    rows = [again.ring.read(number)[0] for number in range(head + 1, again.ring.head + 1)]
    found = [row[16] if units_of(row) is None else units_of(row) for row in rows]
    assert found == expected, f"after the cut: {found}, not {expected}"
