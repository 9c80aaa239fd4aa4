"""Each check finds its fault, and nothing on days as they are."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_archive.findings import Context
from meter_archive.gaps import Gap
from meter_archive.intervals import Bucket
from meter_archive.like_days import History
from meter_archive.local_time import start_of_day
from meter_archive.snapshots import Snapshot
from meter_archive.validation import CHECKS, validate
from meter_wire.obis import parse_code
from metering_days import ADJUSTED, BEGIN_S, CAPTURE_S, meters, plain

BRUSSELS = ZoneInfo("Europe/Brussels")
IMPORT, EXPORT = parse_code("1-0:1.8.0*255"), parse_code("1-0:2.8.0*255")
TODAY = date(2026, 3, 2)
START_S = start_of_day(TODAY, BRUSSELS)


def usual(at_s):
    """Return what the house takes in a quarter hour: more in the evening, a little by chance."""
    hour = datetime.fromtimestamp(at_s, BRUSSELS).hour
    return 40 + (160 if 17 <= hour < 22 else 0) + at_s // CAPTURE_S * 7919 % 13


def bucket(place, energy, flags=0, begin_s=START_S):
    start_s = begin_s + place * CAPTURE_S
    quality = "missing" if energy is None else "metered"
    return Bucket(start_s, start_s + CAPTURE_S, energy, quality, flags, 1, 1)


def house(days=28, energy_of=usual):
    """Return the history of a house."""
    start_s = start_of_day(TODAY - timedelta(days=days), BRUSSELS)
    count = (START_S - start_s) // CAPTURE_S
    rows = [bucket(n, energy_of(start_s + n * CAPTURE_S), begin_s=start_s) for n in range(count)]
    return History(rows, BRUSSELS)


HOUSE = house()
EMPTY = History((), BRUSSELS)
DAY = [bucket(place, usual(START_S + place * CAPTURE_S)) for place in range(96)]


def context(buckets=DAY, history=HOUSE, **others):
    advance = sum(one.energy or 0 for one in buckets)
    given_ = {"register": IMPORT, "advance": advance, "readings": (), "gaps": (), **others}
    return Context(buckets=buckets, history=history, **given_)


def names(found):
    return [one.name for one in found]


def changed(changes, flags=0):
    """Return the day with other energies at some quarter hours."""
    rows = list(DAY)
    for place, energy in changes.items():
        rows[place] = bucket(place, energy, flags)
    return rows


def span(first, last):
    return START_S + first * CAPTURE_S, START_S + last * CAPTURE_S


def only(found, name, start_s, end_s):
    assert [(one.name, one.version, one.start_s, one.end_s) for one in found] == [
        (name, 1, start_s, end_s)
    ]


def test_a_usual_day_has_no_finding():
    readings = plain(np.cumsum([one.energy for one in DAY]).tolist())
    usual_day = context(readings=readings, companion=DAY, limit_w=9200, has_generation=False)
    assert validate(usual_day) == []
    assert len(CHECKS) == 9


def test_intervals_that_do_not_sum_to_the_advance_are_found_to_the_last_unit():
    total = sum(one.energy for one in DAY)
    only(validate(context(advance=total + 1)), "sum_mismatch", *span(0, 96))
    assert validate(context(advance=total)) == []
    assert validate(context(advance=None)) == []
    assert validate(context(changed({5: None}), advance=total)) == []
    assert validate(context([], advance=0)) == []


def test_a_register_that_goes_back_is_found_in_the_meters_own_order():
    (found,) = validate(context(readings=[*plain([100, 99, 120])][::-1]))
    assert found[:4] == ("negative_advance", 1, BEGIN_S, BEGIN_S + CAPTURE_S)
    stepped_back = [*plain([100, 110]), Snapshot(BEGIN_S, 120, ADJUSTED, 3, 1, 1)]
    assert validate(context(readings=stepped_back)) == []
    anew = [*plain([100]), Snapshot(BEGIN_S + 900, 0, 0, 1, 2, 1)]
    assert "began anew" in validate(context(readings=anew))[0].text


@given(meters())
def test_decreases_are_as_many_as_numpy_counts(readings):
    order = sorted(readings, key=lambda one: one[3:5][::-1])
    expected = int((np.diff([one.value for one in order]) < 0).sum()) if order else 0
    assert names(validate(context(readings=readings))).count("negative_advance") == expected


@pytest.mark.parametrize(("length", "found"), [(7, []), (8, ["stuck_register"])])
def test_a_register_is_stuck_when_its_companion_moves_for_two_hours(length, found):
    still = changed(dict.fromkeys(range(40, 40 + length), 0))
    got = validate(context(still, companion=DAY))
    assert names(got) == found
    if found:
        only(got, "stuck_register", *span(40, 48))
    assert validate(context(still)) == []
    assert validate(context(still, companion=still)) == []


@pytest.mark.parametrize(("length", "found"), [(16, []), (17, ["stuck_register"])])
def test_a_register_is_stuck_when_it_never_stood_half_as_long(length, found):
    still = changed(dict.fromkeys(range(30, 30 + length), 0))
    assert names(validate(context(still))) == found
    assert validate(context(still, EMPTY)) == []
    assert validate(context(still, house(9))) == []
    away = house(28, lambda at_s: usual(at_s) if at_s % 86400 < 43200 else 0)
    assert "stuck_register" not in names(validate(context(still, away)))
    # the same days in the history do not excuse themselves
    rows = [bucket(n, usual(START_S + n * CAPTURE_S)) for n in range(-2688, 0)]
    assert names(validate(context(still, History([*rows, *still], BRUSSELS)))) == found


def test_a_register_that_never_moved_is_not_stuck():
    nothing = [bucket(place, 0) for place in range(96)]
    assert validate(context(nothing, house(28, lambda _: 0), register=EXPORT)) == []
    once = house(28, lambda at_s: 1 if at_s % 3600 == 0 else 0)
    assert names(validate(context(nothing, once, register=EXPORT))) == ["stuck_register"]


def test_a_spike_is_far_above_the_same_quarter_hour_of_other_days():
    values = [usual(START_S + 8 * CAPTURE_S - days * 86400) for days in range(1, 29)]
    middle = np.median(values)
    deviation = 1.4826 * np.median(np.abs(np.array(values) - middle))
    largest = max(usual(START_S - n * CAPTURE_S) for n in range(1, 2689))
    limit = int(middle + 10 * max(deviation, largest / 20))
    assert validate(context(changed({8: limit}))) == []
    only(validate(context(changed({8: limit + 1}))), "spike", *span(8, 9))
    assert validate(context(changed({8: limit + 1}), house(9))) == []
    # what is far too much by night is usual in the evening
    assert validate(context(changed({8: 150, 72: 300}))) == []


def test_a_single_wild_day_does_not_hide_a_spike():
    rows = [bucket(n, usual(START_S + n * CAPTURE_S)) for n in range(-2688, 0)]
    rows[8] = rows[8]._replace(energy=260)
    only(validate(context(changed({8: 400}), History(rows, BRUSSELS))), "spike", *span(8, 9))


@pytest.mark.parametrize(("energy", "found"), [(2300, []), (2301, ["above_connection"])])
def test_a_mean_power_above_the_fuses_is_found_without_any_history(energy, found):
    assert names(validate(context(changed({8: energy}), EMPTY, limit_w=9200))) == found
    assert validate(context(changed({8: energy}), EMPTY)) == []


def test_an_hour_of_nothing_by_night_is_found_where_there_always_was_something():
    night = changed(dict.fromkeys(range(8, 12), 0))
    only(validate(context(night)), "night_zero", *span(8, 12))
    assert validate(context(changed(dict.fromkeys(range(8, 11), 0)))) == []
    assert validate(context(changed(dict.fromkeys(range(48, 52), 0)))) == []
    assert validate(context(night, house(9))) == []
    often_nothing = house(28, lambda at_s: 0 if at_s // 86400 % 14 == 0 else usual(at_s))
    assert validate(context(night, often_nothing)) == []
    # 05:00 is morning
    assert validate(context(changed(dict.fromkeys(range(17, 24), 0)))) == []


@pytest.mark.parametrize(
    ("register", "has_generation", "found"),
    [
        (EXPORT, False, ["reverse_flow"]),
        (EXPORT, True, []),
        (EXPORT, None, []),
        (IMPORT, False, []),
        (parse_code("1-0:2.7.0*255"), False, []),
    ],
)
def test_export_without_generation_is_found(register, has_generation, found):
    rows = [bucket(place, 3 if place in {40, 50} else 0) for place in range(96)]
    got = validate(context(rows, EMPTY, register=register, has_generation=has_generation))
    assert names(got) == found
    if found:
        only(got, "reverse_flow", *span(40, 51))
    still = [bucket(place, 0) for place in range(96)]
    assert validate(context(still, EMPTY, register=EXPORT, has_generation=False)) == []


def test_export_is_one_finding_a_local_day():
    rows = [bucket(place, 3) for place in range(192)]
    got = validate(context(rows, EMPTY, register=EXPORT, has_generation=False))
    assert [(one.start_s, one.end_s) for one in got] == [span(0, 96), span(96, 192)]


def test_gaps_and_clock_steps_are_found():
    gap = Gap(*span(5, 6), *span(4, 7), 2, 30, "overflow")
    (found,) = validate(context(gaps=[gap]))
    assert found[:4] == ("missing_intervals", 1, *span(4, 7))
    assert found.text == "2 readings are missing: overflow"
    only(validate(context(changed({8: 45}, ADJUSTED))), "clock_adjusted", *span(8, 9))


@given(st.lists(st.integers(0, 10**5), min_size=96, max_size=96))
def test_no_text_has_a_consumption_in_it(energies):
    distinct = [10**6 + place * 10**5 + energy for place, energy in enumerate(energies)]
    rows = [bucket(place, energy) for place, energy in enumerate(distinct)]
    for finding in validate(context(rows, advance=5, limit_w=1, companion=DAY)):
        assert not any(str(energy) in finding.text for energy in distinct)
