"""Properties of the chip drivers: whatever the line does, only what the chip said is a value."""

import sys
from math import gcd
from pathlib import Path

import registers as obis
from calibration import Calibration, two_point
from chips.bl0942 import PACKET_BYTES, Bl0942, parse_packet
from chips.pulses import KWH_MJ, PulseEnergy
from exact import Exact
from hypothesis import assume, example, given
from hypothesis import strategies as st
from metering import Meter
from tariff import Calendar

sys.path.insert(0, str(Path(__file__).with_name("portable")))
from fake_chips import Bl0942Chip

T0 = 1795000500
QUARTERS = [
    ("1234567", f"{hour:02d}:{minute:02d}", (hour * 4 + minute // 15) % 4 + 1)
    for hour in range(24)
    for minute in (0, 15, 30, 45)
]
u24 = st.integers(0, (1 << 24) - 1)


@st.composite
def packets(draw):
    chip = Bl0942Chip(draw(st.integers(0, 3)))
    chip.i_rms, chip.v_rms, chip.count = draw(u24), draw(u24), draw(u24)
    chip.watt = draw(st.integers(-(1 << 23), (1 << 23) - 1))
    chip.period = draw(st.integers(0, 65535))
    return chip


@given(packets())
def test_any_packet_survives_its_encoding(chip):
    found = parse_packet(chip.packet(), chip.address)
    assert found == (chip.i_rms, chip.v_rms, chip.watt, chip.count, chip.period)


@given(packets(), st.integers(0, PACKET_BYTES - 1), st.integers(1, 255))
def test_any_octet_changed_anyhow_gives_no_value(chip, at, flip):
    broken = bytearray(chip.packet())
    broken[at] ^= flip
    assert parse_packet(bytes(broken), chip.address) is None


@given(packets(), st.binary(min_size=1, max_size=PACKET_BYTES), st.integers(0, PACKET_BYTES - 1))
def test_any_stretch_replaced_gives_no_value_unless_the_octets_sum_to_the_same(chip, noise, at):
    packet = chip.packet()
    broken = (packet[:at] + noise + packet[at + len(noise) :])[:PACKET_BYTES]
    assume(sum(broken[:-1]) - sum(packet[:-1]) & 0xFF or broken[-1] != packet[-1])
    assume((sum(broken) - sum(packet)) & 0xFF)
    assert parse_packet(broken, chip.address) is None


@given(packets(), st.integers(0, 3))
def test_a_packet_of_another_address_gives_no_value(chip, address):
    assume(address != chip.address)
    assert parse_packet(chip.packet(), address) is None


class Line:
    """A UART that brings what is put in."""

    def __init__(self):
        self.octets = b""

    def read(self):
        octets, self.octets = self.octets, b""
        return octets

    def write(self, _octets):
        pass


class Noting(Bl0942):
    """Notes each packet that it takes."""

    def __init__(self, line):
        super().__init__(line, {}, (1, 1))
        self.taken = []

    def _take(self, packet, _unheard_ms):
        self.taken.append(packet)
        return True


noise = st.one_of(st.binary(max_size=60), st.just(b"\x55" * 5))
cut = st.tuples(st.just("cut"), packets(), st.integers(1, PACKET_BYTES - 1))
item = st.one_of(
    st.tuples(st.just("noise"), noise, st.just(0)),
    st.tuples(st.just("whole"), packets(), st.just(0)),
    cut,
)


@given(st.lists(item, max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_every_whole_packet_is_taken_and_nothing_else_however_the_stream_is_cut(items, sizes):
    stream, sent = b"", []
    for kind, what, until in items:
        if kind == "noise":
            stream += what
            continue
        what.address, what.period = 0, 20000 + what.period % 100
        packet = what.packet()
        stream += packet[:until] if kind == "cut" else packet
        if kind == "whole":
            sent.append(parse_packet(packet, 0))
    stream += b"\xff" * 2 * PACKET_BYTES
    line = Line()
    driver = Noting(line)
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        line.octets = stream[at : at + size]
        driver.poll(100)
        at, turn = at + size, turn + 1
    assert driver.taken == sent


@given(
    st.integers(-(10**9), 10**9),
    st.integers(-(10**9), 10**9),
    st.integers(600_000, 1_900_000),
    st.integers(-900_000, 900_000),
)
@example(0, 1, 1_000_000, 0)
def test_two_points_find_the_gain_and_offset_of_a_chip(low, high, gain_ppm, offset):
    assume(low != high and low and high)
    table = {"active_power": {"gain_ppm": gain_ppm, "offset_mw": offset}}
    true = Calibration(table).scale("active_power", 1, 1)
    read, reference = (low, high), (true.of(low), true.of(high))
    found = two_point(read, reference)
    assume(abs(found[0] - 1_250_000) <= 750_000 and abs(found[1]) <= 1_000_000)
    table = {"active_power": {"gain_ppm": found[0], "offset_mw": found[1]}}
    scale = Calibration(table).scale("active_power", 1, 1)
    most = 2 + abs(high - low) // 2_000_000
    assert all(
        abs(scale.of(raw) - value) <= most for raw, value in zip(read, reference, strict=True)
    )


@given(st.integers(1, 100_000), st.lists(st.integers(0, 10**6), max_size=40))
def test_pulses_are_their_energy_whatever_the_portions(per_kwh, portions):
    energy = PulseEnergy(KWH_MJ, per_kwh)
    total = 0
    for pulses in portions:
        energy_mj, energy.remainder = energy.split(pulses)
        total += energy_mj
    assert total * per_kwh + energy.remainder == sum(portions) * KWH_MJ
    assert 0 <= energy.remainder < per_kwh // gcd(per_kwh, KWH_MJ) * gcd(per_kwh, KWH_MJ)


mj = st.integers(0, 10**12)
tick = st.tuples(
    st.integers(1, 400_000),
    st.tuples(mj, mj, mj),
    st.sampled_from(["", "", "", "reboot", "no clock", "back", "forth"]),
)


@given(st.lists(tick, max_size=40))
def test_exact_energy_is_neither_lost_nor_counted_twice_over_boundaries_and_rates(ticks):
    meter = meter_of()
    at_ms = T0 * 1000
    sums = [0, 0, 0]
    last = [0, 0, 0]
    for tick_ms, energies, what in ticks:
        at_ms += tick_ms + {"back": -7200_000, "forth": 5400_000}.get(what, 0)
        if what == "reboot":
            production, saved = meter.production, meter.save()
            meter = meter_of()
            meter.restore(saved)
            meter.production = production
        clock = (None, 0) if what == "no clock" else divmod(at_ms, 1000)
        sample = (None, [(None, None, None, None)])
        captures = meter.tick(sample, tick_ms, *clock, Exact(energies, tick_ms))
        sums = [done + more for done, more in zip(sums, energies, strict=True)]
        for rows in [rows for _, rows in captures] + [meter.snapshot(None)]:
            values = {code: value for code, value, _ in rows}
            codes = (obis.IMPORT_ENERGY, obis.EXPORT_ENERGY, obis.PRODUCTION_ENERGY)
            now = [values[code] for code in codes]
            assert all(new >= old for new, old in zip(now, last, strict=True))
            last = now
    counted = [
        sum(counter.units * 3_600_000 + counter.remainder for counter in counters)
        for counters in (meter.rates, meter.exports, [meter.production])
    ]
    assert counted == sums


def meter_of():
    from counter import Counter

    meter = Meter(b"1", 1, Calendar(QUARTERS, []), capture_s=60)
    meter.production = Counter()
    return meter


@given(st.tuples(mj, mj, mj), st.lists(st.integers(0, 10**5), min_size=1, max_size=30))
def test_the_parts_of_a_tick_sum_to_its_energy_and_none_is_negative(energies, parts):
    exact = Exact(energies, sum(parts))
    taken = [exact.take(part) for part in parts]
    assert all(share >= 0 for part in taken for share in part)
    assert tuple(sum(column) for column in zip(*taken, strict=True)) == energies
