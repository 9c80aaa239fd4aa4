"""Dips, swells, interruptions and means against an independent oracle written with numpy."""

import numpy as np
from event_codes import DIP, INTERRUPTION, SWELL
from hypothesis import given
from hypothesis import strategies as st
from quality import Quality

UN = 230000
T0_S = 1795000200
LIMITS = {DIP: (0.90, 0.92, -1), SWELL: (1.10, 1.08, 1), INTERRUPTION: (0.05, 0.07, -1)}
EDGES = [
    int(UN * limit) + offset
    for begin, end, _ in LIMITS.values()
    for limit in (begin, end)
    for offset in (-1, 0, 1)
]
value = st.one_of(st.sampled_from(EDGES), st.integers(0, 280000), st.just(UN))
runs = st.lists(st.tuples(value, st.integers(1, 40)), max_size=25)


def oracle(values: np.ndarray, code: int) -> list[tuple[int, int, int]]:
    """Return (first half cycle, number, extreme) of each ended disturbance.

    A sample decides (above the end threshold: over; beyond the begin threshold: on) or keeps the
    state of the last one that decided.
    """
    begin, end, sign = LIMITS[code]
    on = sign * values > sign * round(UN * begin)
    over = sign * values <= sign * round(UN * end)
    decided = np.where(on, 1, np.where(over, 0, -1))
    last = np.maximum.accumulate(np.where(decided >= 0, np.arange(len(values)), -1))
    state = np.where(last >= 0, decided[np.maximum(last, 0)], 0)
    edges = np.diff(np.concatenate([[0], state]))
    found = []
    for first in np.flatnonzero(edges == 1):
        ends = np.flatnonzero(edges == -1)
        ends = ends[ends > first]
        if len(ends):
            part = values[first : ends[0]]
            extreme = part.max() if sign > 0 else part.min()
            found.append((int(first), int(ends[0] - first), int(extreme)))
    return found


@given(runs, st.lists(st.integers(1, 150), min_size=1, max_size=40))
def test_every_disturbance_is_found_as_by_the_oracle_however_ticks_cut_it(levels, cuts):
    values = [level for level, length in levels for _ in range(length)]
    quality = Quality()
    events = []
    place = turn = 0
    while place < len(values):
        part = values[place : place + cuts[turn % len(cuts)]]
        place += len(part)
        turn += 1
        seconds, ms = divmod(place * 10, 1000)
        events += quality.half_cycles([part], 10000, T0_S + seconds, ms, len(part) * 10000)
    got = sorted(events)
    expected = sorted(
        (code, (T0_S + first * 10 // 1000, first * 10 % 1000), 1, number * 10, extreme)
        for code in LIMITS
        for first, number, extreme in oracle(np.array(values, dtype=np.int64), code)
    )
    assert got == expected


@given(st.lists(st.tuples(st.integers(0, 300000), st.integers(1, 3000)), min_size=1, max_size=900))
def test_ten_minute_means_are_the_root_of_the_mean_square(ticks):
    quality = Quality()
    at_ms = T0_S * 1000
    samples, weights, events = [], [], []
    for voltage, tick_ms in ticks:
        inside_ms = min(tick_ms, (T0_S + 600) * 1000 - at_ms)
        at_ms += tick_ms
        if inside_ms > 0:
            samples.append(voltage)
            weights.append(inside_ms)
        events += quality.tick([voltage], tick_ms, *divmod(at_ms, 1000))
    if at_ms < (T0_S + 600) * 1000:
        samples.append(UN)
        weights.append((T0_S + 600) * 1000 - at_ms)
        events += quality.tick([UN], weights[-1], T0_S + 600)
    _, start, covered_s, flagged, least, mean, most = events[0]
    expected = np.sqrt(np.average(np.array(samples, dtype=np.float64) ** 2, weights=weights))
    assert (start, covered_s, flagged) == ((T0_S, 0), 600, 0)
    assert (least, most) == (min(samples), max(samples))
    assert abs(mean - expected) <= 1
