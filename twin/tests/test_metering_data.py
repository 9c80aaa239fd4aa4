"""Rules of the application metering-data."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin.application import Answer, Context, Query, QueryError, ReadingStored, Record
from meter_twin.applications.metering_data import MeteringData
from meter_twin.option_schema import apply_schema
from meter_wire.entries import Entry, RegisterValue, parse_entry
from meter_wire.obis import parse_code
from meter_wire.portable.entry import encode_reading, encode_register

A, B = b"A" * 8, b"B" * 8
IMPORT = "1-0:1.8.0*255"
T0 = 1_800_000_000 // 900 * 900
CONTEXT = Context("house-1", "point", "UTC", 60)


def new():
    return MeteringData(apply_schema(MeteringData.option_schema, {}, "options"), CONTEXT)


def reading(seq, time_s, energy_wh, status=0, incarnation=A):
    registers = [encode_register(parse_code(IMPORT), energy_wh)]
    registers.append(encode_register(parse_code("1-0:32.7.0*255"), 230_123))
    raw = encode_reading(status, time_s, 0, 1, registers)
    return ReadingStored(incarnation, seq, parse_entry(raw))


def feed(application, readings):
    effects = []
    for one in readings:
        effects += application.handle(one, 0)
    return [effect for effect in effects if isinstance(effect, Record)]


def test_neighbouring_quarter_hour_snapshots_are_differenced():
    records = feed(new(), [reading(k, T0 + 60 * k, 1000 + k) for k in range(31)])
    assert [(r.series, r.time_s, r.body["registers"]) for r in records] == [
        ("profile", T0 + 900, {IMPORT: 15}),
        ("profile", T0 + 1800, {IMPORT: 15}),
    ]


def test_readings_between_quarter_hours_are_never_interpolated():
    times = [T0, T0 + 840, T0 + 960, T0 + 1800]
    records = feed(new(), [reading(k, t, 1000 + 10 * k) for k, t in enumerate(times)])
    assert [(r.series, r.body["reason"], r.body["registers"]) for r in records] == [
        ("gap", "missing_snapshot", {IMPORT: 30})
    ]


def test_a_clock_stepped_back_puts_the_energy_into_the_next_flagged_interval():
    status = 0x0002
    readings = [
        reading(1, T0, 1000),
        reading(2, T0 + 900, 1010),
        reading(3, T0, 1020, status),
        reading(4, T0 + 900, 1030),
        reading(5, T0 + 1800, 1040),
    ]
    records = feed(new(), readings)
    assert [(r.time_s, r.body["registers"][IMPORT], r.body["status"]) for r in records] == [
        (T0 + 900, 10, []),
        (T0 + 1800, 30, ["clock_adjusted"]),
    ]


def test_a_reading_without_a_valid_clock_is_no_snapshot_but_flags_the_interval():
    readings = [
        reading(1, T0, 1000),
        reading(2, T0 + 900, 1005, 0x0010),
        reading(3, T0 + 1800, 1010),
    ]
    (record,) = feed(new(), readings)
    assert record.series == "gap"
    assert record.body["status"] == ["clock_invalid"]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (reading(2, T0 + 900, 10, incarnation=B), "new_incarnation"),
        (reading(2, T0 + 900, 999), "register_decreased"),
    ],
)
def test_registers_that_cannot_be_compared_make_a_gap(second, reason):
    (record,) = feed(new(), [reading(1, T0, 1000), second])
    assert (record.series, record.body["reason"]) == ("gap", reason)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 50)), max_size=40))
@settings(deadline=None)
def test_profile_and_gaps_always_sum_to_what_the_register_moved(steps):
    application, energy, readings, first = new(), 1000, [], None
    for seq, (minutes, increase) in enumerate(steps):
        energy += increase
        readings.append((T0 + minutes * 300, energy))
        del seq
    records = feed(application, [reading(k, t, e) for k, (t, e) in enumerate(readings)])
    highest = 0
    for time_s, value in readings:
        if time_s % 900 == 0 and time_s > highest:
            first = value if first is None else first
            highest, last = time_s, value
    total = sum(record.body["registers"][IMPORT] for record in records)
    assert total == (0 if first is None else last - first)


def test_current_registers_carry_their_age_and_source():
    application = new()
    feed(application, [reading(7, T0, 1234)])
    (answer,) = application.handle(Query("registers", {}), T0 + 42)
    assert isinstance(answer, Answer)
    document = answer.document
    assert (document["source"], document["age_seconds"], document["seq"]) == ("cached", 42, 7)
    assert document["registers"][IMPORT] == {"value": 1234, "unit": "Wh"}
    assert document["registers"]["1-0:32.7.0*255"] == {"value": 230.123, "unit": "V"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (Query("registers", {"code": "1.8.0"}), "code"),
        (Query("registers", {"code": "1-0:9.9.9*255"}), "code"),
        (Query("profile", {"register": "x"}), "register"),
        (Query("profile", {"from": "yesterday"}), "from"),
        (Query("profile", {"colour": "red"}), "colour"),
    ],
)
def test_a_wrong_query_names_its_field(query, field):
    with pytest.raises(QueryError) as caught:
        new().handle(query, T0)
    assert caught.value.field == field


def test_a_register_that_was_never_read_is_named():
    application = new()
    application.handle(reading(1, T0, 5), T0)
    with pytest.raises(QueryError, match=r"1-0:9\.9\.9\*255"):
        application.handle(Query("registers", {"code": "1-0:9.9.9*255"}), 0)


@pytest.mark.parametrize("version", MeteringData.state_versions)
def test_the_state_goes_through_every_version_it_names(version):
    old, young = new(), new()
    feed(old, [reading(1, T0, 1000), reading(2, T0 + 60, 1001, 0x0002)])
    old._registers["0-0:96.1.0*255"] = (b"M1".hex(), None, True)
    young.import_state(version, old.export_state(version))
    later = [reading(3, T0 + 900, 1015)]
    assert feed(young, later) == feed(old, later)
    query = Query("registers", {})
    assert young.handle(query, T0 + 900) == old.handle(query, T0 + 900)


@pytest.mark.parametrize("state", [b"", b"[]", b"{}", b'{"registers":1}', b"\xff"])
def test_a_damaged_state_is_refused_and_changes_nothing(state):
    application = new()
    feed(application, [reading(1, T0, 1000)])
    before = application.export_state(1)
    with pytest.raises(ValueError):  # noqa: PT011 - any kind of it is a refusal
        application.import_state(1, state)
    assert application.export_state(1) == before


def test_registers_beyond_the_cap_are_not_kept():
    application = new()
    values = tuple(RegisterValue(bytes((1, 0, n, 8, 1, 255)), n) for n in range(100))
    application.handle(ReadingStored(A, 1, Entry(1, 0, T0, 0, 1, values)), 0)
    (answer,) = application.handle(Query("registers", {}), T0)
    assert len(answer.document["registers"]) == 64
