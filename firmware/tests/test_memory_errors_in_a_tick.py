"""A MemoryError at any place of a metering tick: nothing is lost, nothing is counted twice.

CPython's tracing raises it before each line of the firmware that may ask for memory, one after
another; the next tick comes as ever. What the ring and the registers have at the end, and after a power
cut right there, is what a meter has that was never short. On both Pythons, at coarser places:
portable/test_memory_errors.py.
"""

import ast
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "firmware/src"
sys.path[:0] = [str(SOURCE), str(ROOT / "wire/src"), str(Path(__file__).with_name("portable"))]

import chips.waveform
from chip_rig import ChipMeter
from event_codes import DIP, INTERRUPTION, SWELL, VOLTAGE_10MIN
from fake_chips import Bl0942Chip, PulseChip, Train
from front_end import FrontEnd
from meter_rig import NOW_S, Config, parse_event
from meter_wire.portable.entry import KIND_EVENT

PAIR = 2
ASKS = (ast.Call, ast.BinOp, ast.List, ast.Dict, ast.ListComp, ast.GeneratorExp, ast.JoinedStr)
MODULES = (
    "measuring", "metering", "counter", "demand", "utc_ticks", "exact", "tariff", "calendars",
    "chip_front_end", "chips/bl0942", "chips/hlw8012", "chips/pulses", "chips/waveform", "meter_state",
    "quality", "isqrt", "recorder",
)  # fmt: skip


def asks_for_memory(node):
    """Whether a statement may need memory: it calls, reckons or builds something.

    A pair that is assigned to two names is never built, on either Python; nor does a list grow
    when something is taken from it.
    """
    if isinstance(node, ast.Expr) and ast.unparse(node).endswith(".pop(0)"):
        return False
    value = node.value if isinstance(node, ast.Assign) else None
    if isinstance(value, ast.Tuple) and len(value.elts) == PAIR:
        return any(asks_for_memory(part) for part in value.elts)
    for part in ast.walk(node):
        if isinstance(part, ASKS):
            return True
        if isinstance(part, ast.Tuple) and isinstance(part.ctx, ast.Load):
            return True
    return False


@functools.cache
def places_of(file):
    """Return the lines of a module in functions where a statement begins that may need memory."""
    found = set()
    for function in ast.walk(ast.parse(Path(file).read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.stmt) or isinstance(node, ast.FunctionDef):
                continue
            if isinstance(node, ast.If | ast.While):
                head = node.test
            elif isinstance(node, ast.For):
                head = node.iter
            elif isinstance(node, ast.Try | ast.With):
                continue
            else:
                head = node
            if asks_for_memory(head):
                found.add(node.lineno)
    return found


class Shortage:
    """Raises MemoryError at the n-th place that is passed; `hit` tells where that was."""

    def __init__(self, at):
        self.at = at
        self.passed = 0
        self.hit = None
        # Read before it traces: Python 3.11 may fail to parse where many frames are below.
        self.places = {
            file: places_of(file) for file in (str(SOURCE / f"{name}.py") for name in MODULES)
        }

    def __enter__(self):
        sys.settrace(self._call)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _call(self, frame, _event, _argument):
        return self._line if frame.f_code.co_filename in self.places else None

    def _line(self, frame, event, _argument):
        if event == "line" and self.hit is None:
            file = frame.f_code.co_filename
            if frame.f_lineno in self.places[file]:
                if self.passed == self.at:
                    self.hit = (Path(file).name, frame.f_lineno)
                    raise MemoryError
                self.passed += 1
        return self._line


class Blocks:
    """An ADC whose blocks are as short as can be: what is measured of them is said below."""

    def advance(self, _ms):
        pass

    def read(self):
        return (), (), 0


def make_pulses(medium=None):
    utility, generator = Train(), Train()
    utility.hertz, generator.hertz = 3, 1
    config = {"pulses": {"utility": {"per_kwh": 7000}, "generator": {"per_kwh": 300}}}
    counters = {"utility_pulse": utility, "generator_pulse": generator}
    return ChipMeter({"chip": "pulses"}, config, (utility, generator), medium, counters=counters)


def make_bl0942(medium=None, chip=None):
    if chip is None:
        chip = Bl0942Chip()
        chip.set(230, 10, 2300)
    return ChipMeter({"chip": "bl0942"}, None, (chip,), medium, uart=chip, cause="power")


def make_hlw8012(medium=None):
    chip = PulseChip()
    chip.load(230, 10, 2300)
    counters = {"cf": chip.cf, "cf1": chip.cf1}
    return ChipMeter(
        {"chip": "hlw8012"}, None, (chip,), medium, counters=counters, outputs={"sel": chip}
    )


def make_waveform(medium=None):
    adc = Blocks()
    circuit = {"uv_per_step": 650000, "ua_per_step": 20000}
    return ChipMeter({"chip": "waveform", "circuit": circuit}, None, (adc,), medium, sampler=adc)


class DisturbedGrid(FrontEnd):
    """Three phases at 231 V, a half cycle each 50 ms (fewer places); `disturbed`: what is wrong."""

    half_us = 50000
    disturbed = ()

    def __init__(self):
        self.waveform = self
        self.half_cycles = [[], [], []]
        self.now_ms = self.told_ms = self.age_us = 0

    def tick(self, tick_ms):
        self.now_ms += tick_ms
        begin_ms, end_ms = self.told_ms, self.now_ms // 50 * 50
        self.told_ms, self.age_us = end_ms, (self.now_ms - begin_ms) * 1000
        at = range(begin_ms, end_ms, 50)
        self.half_cycles = [[self.voltage_mv(phase, ms) for ms in at] for phase in range(3)]
        voltage_mv = 231000 if self.now_ms > 50000 else 232000
        return 50000, [(700, 100, voltage_mv, 3074)] * 3

    def voltage_mv(self, phase, ms):
        for begin_ms, end_ms, only, voltage_mv in self.disturbed:
            if begin_ms <= ms < end_ms and only == phase:
                return voltage_mv
        return 231000


DISTURBED = (
    (54000, 58500, 2, 260000), (58300, 58900, 0, 150000), (58900, 59400, 0, 3000),
    (59400, 60100, 0, 180000), (59000, 60700, 1, 255000), (58600, 58900, 2, 120000),
    (58900, 59200, 2, 190000), (59400, 59700, 2, 200000), (61000, 63050, 2, 100000),
)  # fmt: skip
BEFORE = ((54000, 55000, 1, 180000),)
"""One that is over before the ticks, and has flagged the 10 minutes."""
"""(first ms, ms after the last, phase, mV): in the ticks, across the end of 10 minutes."""


class DisturbedMeter(ChipMeter):
    """A meter that watches the quality of `DisturbedGrid`; its minute ends a 10-minute interval."""

    class config(Config):  # noqa: N801 - an attribute of `ChipMeter`
        quality = True

    disturbed = DISTURBED

    def make_front_end(self, *_):
        grid = DisturbedGrid()
        grid.disturbed = self.disturbed
        return grid


class FlaggedMeter(DisturbedMeter):
    """The same with `BEFORE`."""

    disturbed = BEFORE


def make_flagged(medium=None):
    return FlaggedMeter({}, medium=medium, begin_ms=(NOW_S + 540) * 1000)


def make_disturbed(medium=None):
    return DisturbedMeter({}, medium=medium, begin_ms=(NOW_S + 540) * 1000)


def told(meter):
    """Return what the ring tells of quality: (code, UTC second of the begin, arguments…)."""
    ring = meter.recorder.ring
    rows = [ring.read(seq)[0] for seq in range(ring.oldest, ring.head + 1)]
    return [parse_event(row) for row in rows if row[0] == KIND_EVENT]


def watched(meter):
    """Return what the judging of quality goes on from."""
    quality = meter.measuring.quality
    means = [(mean.covered_ms, mean.deviations, mean.squares) for mean in quality.means]
    starts = [watch.start for phase in quality.watched for watch in phase]
    return means, starts, quality.flagged


MAKERS = {
    "pulses": make_pulses, "bl0942": make_bl0942, "hlw8012": make_hlw8012, "waveform": make_waveform,
}  # fmt: skip
TICKS = 4
BEFORE_S = 58
"""The ticks lie around a minute, at which a reading is due."""


def ready(maker, minutes=1):
    """Return a meter that has counted until shortly before a minute."""
    meter = maker()
    meter.run(1000, 60 * minutes - NOW_S % 60 - (60 - BEFORE_S) if NOW_S % 60 else BEFORE_S)
    return meter


def tick(meter):
    """Let about a second pass; a MemoryError ends no more than the tick."""
    try:
        meter.run(997, 1)
    except MemoryError:
        return False
    return True


def mj(counters):
    return sum(counter.units * 3600000 + counter.remainder for counter in counters)


def energies(meter):
    """Return what was counted in mJ: import, export, production."""
    found = meter.measuring.meter
    production = [found.production] if found.production is not None else []
    return mj(found.rates), mj(found.exports), mj(production)


def times(meter):
    return [(reading[0], reading[2]) for reading in meter.readings]


def play(maker, at=None):
    """Return (meter, shortage) after ticks across a minute; `at`: where memory is short."""
    meter = ready(maker)
    shortage = Shortage(at)
    with shortage:
        for _ in range(TICKS):
            tick(meter)
    for _ in range(3):
        assert tick(meter)
    return meter, shortage


@pytest.fixture(autouse=True)
def _measure(monkeypatch):
    monkeypatch.setattr(
        chips.waveform, "measure", lambda *_block: (50000, 60000, 60000, 3333337, 0)
    )


@pytest.mark.parametrize("name", MAKERS)
def test_a_tick_without_memory_counts_everything_once_with_the_next(name):
    maker = MAKERS[name]
    expected, counted = play(maker, -1)
    assert counted.passed > 100
    assert len(expected.readings) == 1
    for at in range(counted.passed):
        meter, shortage = play(maker, at)
        assert shortage.hit is not None
        assert energies(meter) == energies(expected), shortage.hit
        assert times(meter) == times(expected), shortage.hit
        assert meter.measuring.meter.demand.joules == expected.measuring.meter.demand.joules


@pytest.mark.parametrize(
    ("maker", "codes"),
    [
        (make_disturbed, [DIP] * 4 + [SWELL] * 2 + [INTERRUPTION, VOLTAGE_10MIN]),
        (make_flagged, [DIP, VOLTAGE_10MIN]),
    ],
)
def test_a_tick_without_memory_tells_each_disturbance_once_with_the_next(maker, codes):
    expected, counted = play(maker, -1)
    assert sorted(event[0] for event in told(expected)) == codes
    assert counted.passed > 200
    for at in range(counted.passed):
        meter, shortage = play(maker, at)
        assert shortage.hit is not None
        assert sorted(told(meter)) == sorted(told(expected)), shortage.hit
        assert watched(meter) == watched(expected), shortage.hit
        assert energies(meter) == energies(expected), shortage.hit
        assert times(meter) == times(expected), shortage.hit


def test_energy_is_counted_whatever_is_wrong_with_the_quality():
    meter = make_disturbed()

    def fail(*_arguments):
        raise ValueError("quality")

    meter.measuring.quality.half_cycles = fail
    for _ in range(3):
        before = energies(meter)
        with pytest.raises(ValueError, match="quality"):
            meter.run(1000, 1)
        assert energies(meter) > before


@pytest.mark.parametrize("keep", [lambda part: part.save(), lambda part: part._state.save()])
def test_registers_and_the_chips_own_counter_are_kept_together_whatever_failed_before(keep):
    """Kept as at a last gasp, and by another task, which knows nothing of it."""
    counted = play(make_bl0942, -1)[1].passed
    for at in range(counted):
        meter = ready(make_bl0942)
        (chip,) = meter.parts
        with Shortage(at) as shortage:
            while shortage.hit is None:
                tick(meter)
        keep(meter.measuring)
        again = make_bl0942(meter.medium.survive(), chip)
        again.run(1000, 3)
        driver = again.front_end.driver
        assert abs(energies(again)[0] - driver.energy.split(driver.count)[0]) <= 1, shortage.hit
