"""Which reports a reportDescriptor asks for (OpenADR 3.1.0, User Guide 7.5), and what is in them."""

import json

import pytest
from fake_vtn import NOW, describe_event, moment
from hypothesis import given
from hypothesis import strategies as st
from meter_twin.openadr3.event_codec import parse_event
from meter_twin.openadr3.report_codec import Author
from meter_twin.openadr3.reporting import Reporting
from meter_twin.openadr3.running import export_running, restore_running
from test_agent31 import Status31, sample

HOUR = 3600
AUTHOR = Author("house-1", "meter-1")


def say(count=4, start_s=NOW, more=None, **descriptor):
    rows = [{"id": 10 + at, "payloads": [{"type": "GHG", "values": [1]}]} for at in range(count)]
    event = describe_event(start_s, intervals=rows, **(more or {}))
    event["reportDescriptors"] = [{"payloadType": "USAGE"} | descriptor]
    row = {"id": "e-1", "modificationDateTime": moment(NOW)}
    return parse_event(row | event)


def run(event, now_s=NOW, until_s=NOW + 48 * HOUR):
    """Return (first id, hours, when) of each report that is made, hour by hour."""
    reporting, made = Reporting(AUTHOR), []
    reporting.accept([event], [], now_s)
    for at_s in range(now_s, until_s, HOUR):
        while (due := reporting.find_due(at_s, lambda _, at_s=at_s: at_s)) is not None:
            letter = reporting.make(due, [], Status31)
            ids = [one["id"] for one in json.loads(letter.body)["resources"][0]["intervals"]]
            made.append((ids, (at_s - NOW) // HOUR))
            reporting.delivered(letter)
    return made


@pytest.mark.parametrize(
    ("descriptor", "found"),
    [
        ({}, [([10, 11, 12, 13], 4)]),
        ({"startInterval": 1, "numIntervals": 3}, [([11, 12, 13], 4)]),
        ({"startInterval": 0, "numIntervals": 2, "frequency": 2, "repeat": 2}, [([10, 11], 2), ([12, 13], 4)]),
        ({"startInterval": 0, "numIntervals": 1, "repeat": -1}, [([10], 1), ([11], 2), ([12], 3), ([13], 4)]),
        ({"startInterval": 0, "numIntervals": 3, "frequency": 1, "repeat": 3}, [([10, 11, 12], 3), ([11, 12, 13], 4)]),
        ({"numIntervals": 2}, [([12, 13], 4)]),
        ({"historical": False}, []),
        ({"frequency": 0}, []),
        ({"units": "JOULES"}, []),
        ({"payloadType": "STORAGE_CHARGE_LEVEL"}, []),
        ({"startInterval": 3, "numIntervals": 2}, []),
        ({"startInterval": 0, "numIntervals": 1, "repeat": 2}, [([10], 1), ([11], 2)]),
    ],
)  # fmt: skip
def test_a_descriptor_asks_for_reports(descriptor, found):
    assert run(say(**descriptor)) == found


def test_intervals_that_repeat_are_reported_each_time():
    assert run(say(2, more={"duration": "P9999Y"}), until_s=NOW + 7 * HOUR) == [
        ([10, 11], 2),
        ([10, 11], 4),
        ([10, 11], 6),
    ]


def test_without_intervals_the_period_of_the_event_implies_them():
    assert run(say(0, repeat=3)) == [([0], 1), ([0], 2), ([0], 3)]
    assert len(run(say(0, repeat=-1), until_s=NOW + 10 * HOUR)) == 9
    assert run(say(0, more={"intervalPeriod": None})) == []


def test_of_a_row_that_is_late_only_the_last_report_is_made():
    event = say(0, repeat=-1)
    late = NOW + 1000 * HOUR
    assert run(event, late, late + 2 * HOUR)[0][1] == 1000
    assert len(run(event, late, late + 2 * HOUR)) == 2


def test_a_report_waits_for_quarter_hours_that_are_late_and_says_what_is_missing():
    reporting = Reporting(AUTHOR)
    reporting.accept([say(1)], [], NOW)
    end_s = NOW + HOUR
    assert reporting.find_due(end_s + 599, lambda _: end_s - 900) is None
    due = reporting.find_due(end_s + 600, lambda _: end_s - 900)
    letter = reporting.make(due, [sample(at) for at in range(NOW, end_s - 900, 900)], Status31)
    (row,) = json.loads(letter.body)["resources"][0]["intervals"]
    assert row["payloads"] == [{"type": "DATA_QUALITY", "values": ["MISSING"]}]


def test_values_that_are_not_good_are_said_to_be_bad():
    reporting = Reporting(AUTHOR)
    reporting.accept([say(1, payloadType="DEMAND")], [], NOW)
    samples = [sample(at, 500, at > NOW) for at in range(NOW, NOW + HOUR, 900)]
    letter = reporting.make(reporting.find_due(NOW + HOUR, lambda _: NOW + HOUR), samples, Status31)
    (row,) = json.loads(letter.body)["resources"][0]["intervals"]
    assert [one["values"] for one in row["payloads"]] == [[2.0], ["BAD"]]


def test_an_event_that_is_deleted_is_reported_on_no_more():
    reporting = Reporting(AUTHOR)
    reporting.accept([say(1)], [], NOW)
    reporting.accept([], [], NOW + 10)
    assert list(reporting) == []


def test_an_event_that_has_ended_is_still_reported_on():
    reporting = Reporting(AUTHOR)
    reporting.accept([say(1)], [], NOW)
    reporting.accept([], [], NOW + HOUR)
    assert reporting.find_due(NOW + HOUR, lambda _: NOW + HOUR)
    reporting.accept([], [], NOW + 26 * HOUR)
    assert list(reporting) == []


def test_there_is_an_end_to_what_is_kept():
    reporting = Reporting(AUTHOR)
    events = [say(400)._replace(event_id=f"e-{at}") for at in range(100)]
    reporting.accept(events, [], NOW)
    assert len(list(reporting)) == 5


@given(
    st.integers(1, 6),
    st.fixed_dictionaries(
        {},
        optional={
            name: st.integers(-3, 8)
            for name in ("startInterval", "numIntervals", "frequency", "repeat")
        },
    ),
    st.sampled_from([None, "PT3H", "PT30H", "P9999Y"]),
    st.integers(-40, 40),
)
def test_no_interval_is_reported_before_it_has_ended(count, descriptor, duration, late):
    event = say(count, more={"duration": duration} if duration else None, **descriptor)
    reporting = Reporting(AUTHOR)
    now_s = NOW + late * HOUR
    reporting.accept([event], [], now_s)
    assert restore_running(json.loads(json.dumps(export_running(reporting)))) == list(reporting)
    names = []
    for at_s in range(now_s, now_s + 20 * HOUR, HOUR):
        while (due := reporting.find_due(at_s, lambda _, at_s=at_s: at_s)) is not None:
            letter = reporting.make(due, [], Status31)
            assert due.sent_until_s + due.span_s <= at_s
            names.append(letter.name)
            reporting.delivered(letter)
    assert len(names) == len(set(names))
