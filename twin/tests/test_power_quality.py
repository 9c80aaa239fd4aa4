"""Rules of the application power-quality: cells of EN 50160, polyphase merging, weekly index."""

import importlib.util
import pathlib
import sys

import pytest
from meter_twin.application import Context, EventStored, Query, Record, RegistersDescribed
from meter_twin.applications.disturbances import DIP_COLUMNS, DIP_ROWS, Disturbances
from meter_twin.applications.power_quality import PowerQuality
from meter_twin.applications.voltage_week import WEEK_S
from meter_twin.option_schema import OptionError, apply_schema
from meter_twin.register_units import RegisterUnit
from meter_wire.entries import Entry
from meter_wire.event_names import EVENTS, get_event_code

MONDAY = 1_799_625_600 - (1_799_625_600 - 4 * 86400) % WEEK_S
CONTEXT = Context("house-1", "point", "UTC", 60)


def new(**options):
    return PowerQuality(apply_schema(PowerQuality.option_schema, options, "options"), CONTEXT)


def event(name, time_s, *arguments):
    entry = Entry(2, 0, time_s, 0, 1, (), get_event_code(name), arguments)
    return EventStored(b"A" * 8, 1, entry)


def tables(application):
    (answer,) = application.handle(Query("quality", {}), MONDAY)
    return answer.document


@pytest.mark.parametrize(
    ("percent", "duration_ms", "row", "column"),
    [
        (89.9, 200, "90>u>=80", "10<=t<=200"),
        (80, 201, "90>u>=80", "200<t<=500"),
        (79.9, 500, "80>u>=70", "200<t<=500"),
        (70, 1000, "80>u>=70", "500<t<=1000"),
        (69.9, 1001, "70>u>=40", "1000<t<=5000"),
        (40, 5000, "70>u>=40", "1000<t<=5000"),
        (39.9, 5001, "40>u>=5", "5000<t<=60000"),
        (5, 60000, "40>u>=5", "5000<t<=60000"),
        (4.9, 20, "5>u", "10<=t<=200"),
    ],
)
def test_en_50160_table_2_counts_a_dip_in_its_cell(percent, duration_ms, row, column):
    disturbances = Disturbances(230_000, 3)
    disturbances.add("dip", 0, duration_ms, round(2300 * percent), 1)
    counts = disturbances.describe()["dips"]["counts"]
    assert counts[DIP_ROWS.index(row)][DIP_COLUMNS.index(column)] == 1
    assert sum(map(sum, counts)) == 1


@pytest.mark.parametrize(
    ("millivolts", "duration_ms", "row", "column"),
    [(275_999, 500, 1, 0), (276_000, 501, 0, 1), (254_000, 5001, 1, 2)],
)
def test_en_50160_table_4_counts_a_swell_in_its_cell(millivolts, duration_ms, row, column):
    disturbances = Disturbances(230_000, 1)
    disturbances.add("swell", 0, duration_ms, millivolts, 1)
    assert disturbances.describe()["swells"]["counts"][row][column] == 1


def test_overlapping_events_of_phases_are_one_with_the_worst_voltage():
    application = new(phases=3)
    application.handle(event("dip", MONDAY, 1, 300, 180_000), 0)
    application.handle(event("dip", MONDAY, 2, 900, 150_000), 0)
    counts = tables(application)["dips"]["counts"]
    assert sum(map(sum, counts)) == 1
    assert counts[DIP_ROWS.index("70>u>=40")][DIP_COLUMNS.index("500<t<=1000")] == 1


def test_an_interruption_is_not_counted_as_a_dip_beside_it():
    application = new()
    application.handle(event("interruption", MONDAY, 1, 2000, 1000), 0)
    application.handle(event("dip", MONDAY, 1, 2100, 1000), 0)
    document = tables(application)
    assert sum(map(sum, document["dips"]["counts"])) == 0
    assert document["interruptions"]["shortInterruptions"] == 1
    assert document["interruptions"]["interruptedMs"] == 2000


def described(phases):
    codes = [bytes((1, 0, group, 7, 0, 255)) for group in (32, 52, 72)[:phases]]
    codes.append(bytes((1, 0, 1, 8, 0, 255)))
    return RegistersDescribed(dict.fromkeys(codes, RegisterUnit("V", -1)))


@pytest.mark.parametrize(
    ("options", "phases", "dips", "interruptions"),
    [
        ({}, 3, 1, 0),
        ({}, 1, 0, 1),
        ({}, None, 1, 0),
        ({"phases": 0}, 3, 1, 0),
        ({"phases": 1}, 3, 0, 1),
        ({"phases": 3}, 1, 1, 0),
    ],
)
def test_phase_2_alone_below_five_percent_is_a_dip_of_three_phases_and_the_end_of_one(
    options, phases, dips, interruptions
):
    application = new(**options)
    if phases:
        before = application.export_state(1)
        application.handle(described(phases), 0)
        assert application.export_state(1) == before
    application.handle(event("interruption", MONDAY, 2, 2000, 1000), 0)
    document = tables(application)
    assert sum(map(sum, document["dips"]["counts"])) == dips
    assert document["interruptions"]["shortInterruptions"] == interruptions
    assert document["phases"] == (options.get("phases") or phases)


def test_an_outage_before_the_meter_has_described_itself_is_an_interruption_for_all_that():
    application = new()
    application.handle(event("power_up", MONDAY + 3600, 1000), 0)
    application.handle(described(3), 0)
    application.import_state(1, application.export_state(1))
    assert tables(application)["interruptions"]["shortInterruptions"] == 1
    assert tables(application)["phases"] == 3


def test_one_interrupted_phase_of_three_is_a_dip():
    application = new(phases=3)
    application.handle(event("interruption", MONDAY, 1, 2000, 1000), 0)
    document = tables(application)
    assert sum(map(sum, document["dips"]["counts"])) == 1
    assert document["interruptions"]["shortInterruptions"] == 0


@pytest.mark.parametrize(
    ("outage_ms", "short", "long"), [(180_000, 1, 0), (180_001, 0, 1), (-1, 0, 0)]
)
def test_an_outage_counts_as_interruption_by_its_length(outage_ms, short, long):
    application = new()
    application.handle(event("power_up", MONDAY + 3600, outage_ms), 0)
    others = tables(application)["interruptions"]
    assert (others["shortInterruptions"], others["longInterruptions"]) == (short, long)


def test_events_far_apart_are_counted_apart():
    application = new()
    for number in range(300):
        application.handle(event("dip", MONDAY + 600 * number, 1, 100, 200_000), 0)
    assert tables(application)["dips"]["counts"][0][0] == 300


def test_the_weekly_index_is_the_share_of_whole_unflagged_means_within_ten_percent():
    application = new()
    for k in range(1008):
        mean = 206_999 if k < 51 else 230_000
        application.handle(event("voltage_10min", MONDAY + 600 * k, 600, 0, 1, mean, 2), 0)
    (phase,) = tables(application)["week"]["phases"]
    assert phase["means"] == 1008
    assert phase["within_10_percent"] == 94.94
    assert not phase["passes_95_percent"]
    assert phase["passes_100_percent"]


@pytest.mark.parametrize(
    ("mean_mv", "inside", "wide"),
    [
        (207_000, 1, 1),
        (206_999, 0, 1),
        (195_500, 0, 1),
        (195_499, 0, 0),
        (253_000, 1, 1),
        (253_001, 0, 0),
    ],
)
def test_en_50160_4_2_2_2_limits_are_inclusive(mean_mv, inside, wide):
    application = new()
    application.handle(event("voltage_10min", MONDAY, 600, 0, 1, mean_mv, 2), 0)
    (phase,) = tables(application)["week"]["phases"]
    assert (phase["within_10_percent"], phase["passes_100_percent"]) == (100 * inside, bool(wide))


def test_flagged_and_partial_means_are_counted_but_not_in_the_index():
    application = new()
    application.handle(event("voltage_10min", MONDAY, 600, 1, 1, 100, 2), 0)
    application.handle(event("voltage_10min", MONDAY + 600, 599, 0, 1, 100, 2), 0)
    week = tables(application)["week"]
    assert (week["flagged"], week["partial"], week["phases"]) == (1, 1, [])


def test_a_week_ends_on_monday_utc_with_a_record():
    application = new()
    first = [event("voltage_10min", MONDAY + 600 * k, 600, 0, 1, 230_000, 2) for k in (0, 1007)]
    assert [application.handle(one, 0) for one in first] == [[], []]
    (record,) = application.handle(
        event("voltage_10min", MONDAY + WEEK_S, 600, 0, 1, 230_000, 2), 0
    )
    assert isinstance(record, Record)
    assert (record.series, record.time_s) == ("week", MONDAY)
    assert record.body["phases"][0]["means"] == 2


@pytest.mark.parametrize("version", PowerQuality.state_versions)
def test_the_state_goes_through_every_version_it_names(version):
    old, young = new(phases=3), new(phases=3)
    old.handle(event("dip", MONDAY, 1, 300, 180_000), 0)
    old.handle(event("interruption", MONDAY, 2, 300, 1000), 0)
    old.handle(event("voltage_10min", MONDAY, 600, 0, 1, 230_000, 2), 0)
    young.import_state(version, old.export_state(version))
    for one in (old, young):
        one.handle(event("dip", MONDAY, 3, 900, 100_000), 0)
    assert tables(young) == tables(old)
    assert young.export_state(version) == old.export_state(version)


@pytest.mark.parametrize("state", [b"", b"[]", b"{}", b'{"disturbances":{},"week":{}}'])
def test_a_damaged_state_is_refused_and_changes_nothing(state):
    application = new()
    before = application.export_state(1)
    with pytest.raises(ValueError):  # noqa: PT011 - any kind of it is a refusal
        application.import_state(1, state)
    assert application.export_state(1) == before


@pytest.mark.parametrize("arguments", [(), (1,), (b"x", b"y", b"z")])
def test_an_event_with_missing_arguments_is_passed_over(arguments):
    application = new()
    for name in ("dip", "power_up", "voltage_10min"):
        application.handle(event(name, MONDAY, *arguments), 0)
    assert sum(map(sum, tables(application)["dips"]["counts"])) == 0


def test_a_bad_option_is_refused_with_its_path():
    with pytest.raises(OptionError) as caught:
        new(phases=2)
    assert caught.value.violation.field == "options.phases"


def test_the_table_of_event_names_is_the_firmwares():
    source = pathlib.Path(__file__).parents[2] / "firmware" / "src"
    sys.path.insert(0, str(source))
    try:
        spec = importlib.util.spec_from_file_location("event_table_", source / "event_table.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(source))
    firmware = [(code, name, arguments) for code, name, arguments, _ in module.TABLE]
    assert [tuple(kind) for kind in EVENTS] == firmware


def test_two_dips_of_one_phase_within_a_second_are_two():
    application = new(phases=3)
    for _ in range(2):
        for phase in (1, 2):
            application.handle(event("dip", MONDAY, phase, 100, 180_000), 0)
    assert sum(map(sum, tables(application)["dips"]["counts"])) == 2
