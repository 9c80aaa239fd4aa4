"""Events of 3.1 in the words of both OpenADRs (OpenADR 3.1.0, User Guide 7.1, 7.3, 7.4; Table 1)."""

import pytest
from fake_vtn import NOW, describe_event, moment
from hypothesis import given
from hypothesis import strategies as st
from meter_twin.openadr3.event_codec import parse_event
from meter_twin.openadr3.event_mapping import map_event
from meter_twin.openadr3.json_codec import JsonError
from meter_twin.openadr3.program_codec import Program, Unit

PROGRAM = Program("peaks", {})
START = NOW + 3600


def read(now_s=NOW, program=PROGRAM, **more):
    row = {"id": "e-1", "createdDateTime": moment(NOW), "modificationDateTime": moment(NOW)}
    return map_event(parse_event(row | describe_event(**more)), program, now_s)


def rows(*values, kind="PRICE"):
    return [
        {"id": at, "payloads": [{"type": kind, "values": [one]}]} for at, one in enumerate(values)
    ]


def spans(event, at=0):
    return [(one.offset_s, one.duration_s, one.value_micro) for one in event.signals[at].intervals]


def test_a_default_period_places_all_intervals_one_after_the_other():
    event = read(intervals=rows(0.17, 0.22, 0.3))
    assert (event.start_s, event.duration_s) == (START, 3 * 3600)
    assert spans(event) == [(0, 3600, 170_000), (3600, 3600, 220_000), (7200, 3600, 300_000)]


def test_an_interval_has_a_duration_and_a_start_of_its_own():
    two = rows(1, 2)
    two[0]["intervalPeriod"] = {"duration": "PT2H"}
    two[1]["intervalPeriod"] = {"start": moment(START + 3 * 3600)}
    event = read(intervals=two)
    assert [one[:2] for one in spans(event)] == [(0, 7200), (3 * 3600, 3600)]
    assert event.duration_s == 4 * 3600


def test_without_a_default_period_each_interval_has_its_own():
    one = [{"id": 0, "intervalPeriod": {"start": moment(START), "duration": "PT3H"}, "payloads": [{"type": "PRICE", "values": [0.17, 0.03, 0.11]}]}]  # fmt: skip
    event = read(intervals=one, intervalPeriod=None)
    assert spans(event) == [(0, 3600, 170_000), (3600, 3600, 30_000), (7200, 3600, 110_000)]


@pytest.mark.parametrize("start", ["0001-01-01", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "0000-01-01"])  # fmt: skip
def test_a_start_at_the_beginning_of_time_is_when_it_was_modified(start):
    event = read(intervalPeriod={"start": start, "duration": "P9999Y"})
    assert (event.start_s, event.duration_s, event.end_s) == (NOW, 0, 0)
    assert spans(event) == [(0, 0, 2_000_000)]


def test_a_random_start_is_within_its_bounds_to_either_side():
    event = read(intervalPeriod={"start": moment(START), "duration": "PT1H", "randomizeStart": "PT10M"})  # fmt: skip
    assert (event.start_s, event.start_after_s, event.duration_s) == (START - 600, 1200, 3600)


def test_a_duration_of_the_event_cuts_its_intervals():
    event = read(intervals=rows(1, 2, 3), duration="PT90M")
    assert [one[:2] for one in spans(event)] == [(0, 3600), (3600, 1800)]
    assert event.duration_s == 5400


def test_intervals_repeat_as_long_as_the_event_lasts():
    event = read(intervals=rows(1, 2), duration="PT5H")
    assert [one[2] // 10**6 for one in spans(event)] == [1, 2, 1, 2, 1]
    assert event.duration_s == 5 * 3600


def test_a_tariff_that_repeats_for_ever_always_says_what_is_now():
    day = rows(*range(24))
    before = None
    for now_s in range(START, START + 30 * 86400, 6 * 3600):
        event = read(now_s, intervals=day, duration="P9999Y")
        passed = now_s - event.start_s
        (now,) = [v for o, d, v in spans(event) if o <= passed < o + d]
        assert now // 10**6 == passed // 3600 % 24
        assert len(event.signals[0].intervals) <= 192
        assert any(o >= passed + 86400 for o, _, _ in spans(event))
        assert before is None or event.modification >= before
        before = event.modification
    assert event.modification > read(intervals=day, duration="P9999Y").modification


@pytest.mark.parametrize(
    ("kind", "units", "value", "found"),
    [
        ("SIMPLE", {}, 2, ("SIMPLE", "level", "", 2_000_000)),
        ("PRICE", {"units": "KWH", "currency": "EUR"}, 0.25, ("ELECTRICITY_PRICE", "price", "EUR/kWh", 250_000)),
        ("PRICE", {"units": "THERMS", "currency": "USD"}, 1, ("PRICE", "price", "USD/THERMS", 1_000_000)),
        ("EXPORT_PRICE", {"units": "KWH", "currency": "EUR"}, -0.01, ("EXPORT_PRICE", "price", "EUR/kWh", -10_000)),
        ("DISPATCH_SETPOINT", {"units": "KW"}, 1.5, ("LOAD_DISPATCH", "setpoint", "W", 1_500_000_000)),
        ("DISPATCH_SETPOINT", {}, 1.5, ("LOAD_DISPATCH", "setpoint", "W", 1_500_000_000)),
        ("DISPATCH_SETPOINT", {"units": "AMPS"}, 6, ("LOAD_DISPATCH", "setpoint", "AMPS", 6_000_000)),
        ("DISPATCH_SETPOINT_RELATIVE", {"units": "KW"}, -1, ("LOAD_DISPATCH", "delta", "W", -1_000_000_000)),
        ("CHARGE_STATE_SETPOINT", {"units": "PERCENT"}, 0.8, ("CHARGE_STATE", "setpoint", "%", 80_000_000)),
        ("CHARGE_STATE_SETPOINT", {"units": "KWH"}, 5, ("CHARGE_STATE", "setpoint", "Wh", 5_000_000_000)),
        ("CONTROL_LEVEL_OFFSET_PERCENT", {}, -0.2, ("LOAD_CONTROL", "x-loadControlPercentOffset", "%", -20_000_000)),
        ("IMPORT_CAPACITY_LIMIT", {"units": "KW"}, 4.2, ("IMPORT_CAPACITY_LIMIT", "setpoint", "W", 4_200_000_000)),
        ("EXPORT_CAPACITY_LIMIT", {"units": "W"}, 0, ("EXPORT_CAPACITY_LIMIT", "setpoint", "W", 0)),
        ("IMPORT_CAPACITY_AVAILABLE_PRICE", {"currency": "EUR"}, 1, ("IMPORT_CAPACITY_AVAILABLE_PRICE", "price", "EUR/kW", 1_000_000)),
        ("GHG", {"units": "GHG"}, 400, ("GHG", "x-gramsPerKwh", "GHG", 400_000_000)),
        ("ALERT_GRID_EMERGENCY", {}, "stay calm", ("ALERT_GRID_EMERGENCY", "x-alert_grid_emergency", "", 1_000_000)),
    ],
)  # fmt: skip
def test_a_payload_type_is_a_signal(kind, units, value, found):
    described = [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind} | units]
    event = read(payload=(kind, [value]), payloadDescriptors=described if units else None)
    (signal,) = event.signals
    assert event.fault is None
    assert (signal.name, signal.type, signal.unit, signal.intervals[0].value_micro) == found


def test_the_program_says_the_units_that_the_event_does_not():
    program = Program("prices", {"PRICE": Unit("KWH", "SEK")})
    event = read(payload=("PRICE", [1]), program=program)
    assert (event.signals[0].unit, event.market_context) == ("SEK/kWh", "prices")


@pytest.mark.parametrize(("said", "found"), [(None, 0), (0, 1), (7, 8)])
def test_zero_is_the_first_priority_and_none_the_last(said, found):
    assert read(priority=said).priority == found


def test_several_types_in_an_interval_are_several_signals():
    both = [
        {"id": 0, "payloads": [{"type": "PRICE", "values": [1]}, {"type": "GHG", "values": [2]}]}
    ]
    assert [one.name for one in read(intervals=both).signals] == ["ELECTRICITY_PRICE", "GHG"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"payload": ("SIMPLE", [4])},
        {"payload": ("SIMPLE", [1.5])},
        {"payload": ("PRICE", ["dear"])},
        {"payload": ("PRICE", [1e300])},
        {"payload": ("PRICE", [[]])},
        {"intervals": 7},
        {"intervals": [7]},
        {"intervals": [{"id": 0, "payloads": [{"type": "PRICE", "values": 3}]}]},
        {"intervals": rows(*range(500))},
        {"intervalPeriod": {"start": "soon", "duration": "PT1H"}},
        {"intervalPeriod": {"start": moment(START), "duration": "-PT1H"}},
        {"intervalPeriod": {"duration": "PT1H"}},
        {"intervalPeriod": []},
        {"priority": -1},
        {"priority": "high"},
        {"targets": [7]},
        {"reportDescriptors": [{}]},
        {"intervals": rows(*range(200)), "duration": "P9999Y"},
    ],
)
def test_what_is_wrong_with_an_event_is_its_fault(wrong):
    event = read(**wrong)
    assert event.fault.code == 454
    assert event.fault.description


@pytest.mark.parametrize("values", [[], None])
def test_intervals_without_values_say_nothing(values):
    empty = [{"id": 0, "payloads": [{"type": "PRICE", "values": values}] if values == [] else None}]
    event = read(intervals=empty, duration="P9999Y")
    assert (event.signals, event.fault) == ((), None)


@pytest.mark.parametrize(
    "change",
    [{"id": None}, {"id": "../x"}, {"id": 7}, {"programID": "a/b"}, {"modificationDateTime": None}],
)
def test_an_event_that_cannot_be_named_is_a_bad_answer(change):
    row = {"id": "e-1", "modificationDateTime": moment(NOW)} | describe_event()
    assert parse_event(row)
    with pytest.raises(JsonError):
        parse_event(row | change)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["intervalPeriod", "intervals", "targets", "priority", "duration", "payloadDescriptors", "reportDescriptors", "createdDateTime"]), JSON), st.integers(0, 1 << 40))  # fmt: skip
def test_whatever_an_event_has_it_is_mapped_or_at_fault(more, now_s):
    row = {"id": "e", "programID": "p", "modificationDateTime": moment(NOW)}
    event = map_event(parse_event(row | describe_event() | more), PROGRAM, now_s)
    assert event.event_id == "e"


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=30),
    st.integers(0, 40),
    st.integers(0, 100_000),
)
def test_what_is_in_force_is_what_the_user_guide_says(minutes, lasts, passed_s):
    """Against a plain walk through the intervals, minute by minute."""
    intervals = [
        {"id": at, "intervalPeriod": {"duration": f"PT{one}M"}, "payloads": [{"type": "GHG", "values": [at]}]}
        for at, one in enumerate(minutes)
    ]  # fmt: skip
    more = {"duration": f"PT{lasts}M"} if lasts else {}
    event = read(START + passed_s, intervals=intervals, **more)
    walk = [at for at, one in enumerate(minutes) for _ in range(one)]
    length = lasts or len(walk)
    minute = passed_s // 60
    expected = walk[minute % len(walk)] if minute < length else None
    found = [v for o, d, v in spans(event) if o <= passed_s < o + d]
    assert found == ([] if expected is None else [expected * 10**6])
