"""Which reports are due, and what is in them."""

import json

import pytest
from meter_twin.openadr2 import reporting
from meter_twin.openadr2.report_codec import MeterStatus, ReportRequest, build_update_report
from meter_twin.openadr2.reporting import (
    GOOD,
    HISTORY_S,
    OK,
    REPORT_NOT_SUPPORTED,
    UNCERTAIN,
    Reporting,
    Sample,
    list_offers,
)

NOW = 1_800_000_000 // 900 * 900
STATUS = MeterStatus(True, False)


def ask(request_id="rr", specifier="telemetry-usage", **changes):
    asked = ReportRequest(request_id, specifier, 900, 3600, None, 0, ("import",))
    return asked._replace(**changes)


def make(*requests, code=OK, now_s=NOW):
    found = Reporting(list_offers("house-1"))
    assert found.accept(requests, now_s) == code
    return found


def samples(first_s, count, **changes):
    moved = {"1-0:1.8.0*255": 100, "1-0:2.8.0*255": 7}
    return [Sample(first_s + 900 * at, moved)._replace(**changes) for at in range(count)]


def send(found, now_s, rows=(), profile_until_s=2**40):
    due = found.find_due(now_s, lambda _: profile_until_s)
    return None if due is None else found.make(due, rows, STATUS, now_s)


def test_a_report_is_due_each_time_its_back_duration_has_passed():
    found = make(ask())
    assert send(found, NOW + 3599) is None
    report = send(found, NOW + 3600, samples(NOW, 4))
    assert (report.start_s, report.duration_s) == (NOW, 3600)
    assert [(one.start_s, one.duration_s, one.value) for one in report.values] == [(NOW + 900 * at, 900, 100) for at in range(4)]  # fmt: skip
    found.delivered(report.report_id)
    assert send(found, NOW + 7199) is None
    assert send(found, NOW + 7200).start_s == NOW + 3600


def test_a_report_is_made_once_while_it_is_underway():
    found = make(ask())
    report = send(found, NOW + 3600)
    assert send(found, NOW + 9000) is None
    found.lost(report.report_id)
    assert send(found, NOW + 9000).report_id == report.report_id


def test_a_report_that_was_missed_for_long_is_caught_up_one_by_one():
    found, starts = make(ask()), []
    while (report := send(found, NOW + 4 * 3600)) is not None:
        starts.append(report.start_s - NOW)
        found.delivered(report.report_id)
    assert starts == [0, 3600, 7200, 10_800]


def test_a_report_waits_for_the_profile_and_not_for_ever():
    found = make(ask())
    assert send(found, NOW + 3600, profile_until_s=NOW + 2700) is None
    assert send(found, NOW + 3600 + 599, profile_until_s=NOW + 2700) is None
    report = send(found, NOW + 3600 + 600, samples(NOW, 3), NOW + 2700)
    assert [one.start_s for one in report.values] == [NOW, NOW + 900, NOW + 1800]


@pytest.mark.parametrize(
    ("granularity_s", "expected"), [(0, [100] * 8), (900, [100] * 8), (1800, [200] * 4), (3600, [400] * 2)]
)  # fmt: skip
def test_quarter_hours_are_summed_up(granularity_s, expected):
    found = make(ask(granularity_s=granularity_s, back_s=7200))
    report = send(found, NOW + 7200, samples(NOW, 8))
    assert [one.value for one in report.values] == expected


def test_a_step_with_a_quarter_hour_missing_is_left_out_and_a_doubtful_one_says_so():
    found = make(ask(granularity_s=1800, back_s=7200, r_ids=("import", "export")))
    rows = samples(NOW, 8)
    del rows[3]
    rows[0] = rows[0]._replace(is_good=False)
    report = send(found, NOW + 7200, rows)
    found = [
        (one.r_id, (one.start_s - NOW) // 1800, one.value, one.quality) for one in report.values
    ]
    assert found == [
        ("import", 0, 200, UNCERTAIN),
        ("export", 0, 14, UNCERTAIN),
        ("import", 2, 200, GOOD),
        ("export", 2, 14, GOOD),
        ("import", 3, 200, GOOD),
        ("export", 3, 14, GOOD),
    ]


def test_history_is_sent_at_once_and_once():
    asked = ask(specifier="history-usage", back_s=0, start_s=NOW - 7200, duration_s=3600)
    found = make(asked)
    report = send(found, NOW, samples(NOW - 7200, 8))
    assert (report.name, report.start_s, len(report.values)) == ("HISTORY_USAGE", NOW - 7200, 4)
    found.delivered(report.report_id)
    assert found.pending == []


def test_history_that_the_profile_does_not_have_yet_is_waited_for_from_when_it_was_asked():
    asked = ask(specifier="history-usage", back_s=0, start_s=NOW - 7200, duration_s=3600)
    found = make(asked, now_s=NOW + 100)
    assert send(found, NOW + 100, profile_until_s=0) is None
    found = Reporting(list_offers("house-1"), Reporting.restore(found.export()))
    assert send(found, NOW + 699, profile_until_s=0) is None, "a successor waits on"
    assert send(found, NOW + 700, profile_until_s=0).values == ()


def test_history_that_a_twin_before_was_asked_for_goes_on_as_it_did_there():
    asked = ask(specifier="history-usage", back_s=0, start_s=NOW - 7200, duration_s=3600)
    (row,) = make(asked).export()
    del row["asked"]
    found = Reporting(list_offers("house-1"), Reporting.restore([row]))
    assert send(found, NOW, profile_until_s=0) is not None


@pytest.mark.parametrize("start_s", [0, 86_400, NOW - HISTORY_S - 1000])
def test_a_request_begins_no_earlier_than_the_meter_remembers_and_keeps_its_rhythm(start_s):
    found = make(ask(start_s=start_s))
    (row,) = found.export()
    oldest_s = NOW - HISTORY_S
    assert oldest_s - 3600 < row["sentUntil"] <= oldest_s
    assert (row["sentUntil"] - -(-start_s // 900) * 900) % 3600 == 0


def test_a_request_of_a_time_that_the_meter_has_forgotten_is_refused():
    asked = ask(back_s=0, start_s=NOW - HISTORY_S - 3600, duration_s=3600)
    assert make(asked, code=REPORT_NOT_SUPPORTED).pending == []


def test_what_a_memory_says_of_a_time_that_the_meter_has_forgotten_is_skipped():
    rows = make(ask("once", back_s=0, start_s=NOW, duration_s=900), ask("on")).export()
    for row in rows:
        row["sentUntil"] = 900
        row["ends"] = row["ends"] and 1800
    found = Reporting(list_offers("house-1"), Reporting.restore(rows))
    report = send(found, NOW)
    assert (report.request_id, found.pending) == ("on", ["on"])
    assert NOW - HISTORY_S - 3600 < report.start_s <= NOW - HISTORY_S


def test_who_is_behind_with_one_report_sends_the_others_between():
    found, sent = make(ask("a"), ask("b")), []
    for _ in range(4):
        report = send(found, NOW + 7200)
        sent.append(report.request_id)
        found.delivered(report.report_id)
    assert sent == ["a", "b", "a", "b"]


def test_what_is_asked_for_once_without_times_is_the_last_step():
    found = make(ask(granularity_s=1800, back_s=0))
    report = send(found, NOW + 100, samples(NOW - 1800, 2))
    assert (report.start_s, report.duration_s, report.values[0].value) == (NOW - 1800, 1800, 200)


def test_a_request_with_an_end_ends():
    found = make(ask(start_s=NOW + 900, duration_s=5400))
    first = send(found, NOW + 4500)
    assert (first.start_s, first.duration_s) == (NOW + 900, 3600)
    found.delivered(first.report_id)
    last = send(found, NOW + 6300)
    assert (last.start_s, last.duration_s) == (NOW + 4500, 1800)
    found.delivered(last.report_id)
    assert found.pending == []


def test_a_status_report_tells_the_present():
    found = make(ask(specifier="telemetry-status", back_s=900, r_ids=("status",)))
    report = send(found, NOW + 950, profile_until_s=0)
    (value,) = report.values
    assert (value.value, value.start_s) == (STATUS, NOW + 950)


@pytest.mark.parametrize(
    "changes",
    [
        {"specifier_id": "unknown"},
        {"r_ids": ("voltage",)},
        {"r_ids": ()},
        {"granularity_s": 60},
        {"back_s": 1000},
        {"duration_s": 1000},
        {"back_s": 900 * 3001},
        {"back_s": HISTORY_S + 900, "granularity_s": 86_400},
        {"back_s": 0, "granularity_s": HISTORY_S + 900},
        {"specifier_id": "telemetry-status"},
    ],
)
def test_what_cannot_be_reported_is_refused(changes):
    found = make(ask(**changes), ask("other"), code=REPORT_NOT_SUPPORTED)
    assert found.pending == ["other"]


def test_more_requests_than_can_be_kept_are_refused():
    requests = [ask(f"rr-{at}") for at in range(reporting.MOST_REQUESTS + 1)]
    assert len(make(*requests, code=REPORT_NOT_SUPPORTED).pending) == reporting.MOST_REQUESTS


def test_the_same_request_again_goes_on_where_it_is():
    found = make(ask())
    found.delivered(send(found, NOW + 3600).report_id)
    assert found.accept([ask()], NOW + 3700) == OK
    assert send(found, NOW + 7200).start_s == NOW + 3600


@pytest.mark.parametrize("is_last_wanted", [True, False])
def test_a_cancelled_report_has_a_last_one_if_that_is_wanted(is_last_wanted):
    found = make(ask())
    assert found.cancel(["rr"], is_last_wanted=is_last_wanted, now_s=NOW + 2000)
    report = send(found, NOW + 2000)
    assert (report is not None) == is_last_wanted
    if report:
        assert (report.start_s, report.duration_s) == (NOW, 1800)
        found.delivered(report.report_id)
    assert found.pending == []


def test_an_unknown_report_cannot_be_cancelled():
    assert not make(ask()).cancel(["other"], is_last_wanted=False, now_s=NOW)


def test_a_successor_goes_on_where_the_twin_before_was():
    first = make(ask(), ask("once", back_s=0, start_s=NOW, duration_s=900))
    first.delivered(send(first, NOW + 3600).report_id)
    rows = json.loads(json.dumps(first.export()))
    second = Reporting(list_offers("house-1"), Reporting.restore(rows))
    assert second.export() == first.export()
    assert {one.start_s for one in [send(second, NOW + 7200), send(second, NOW + 7200)]} == {NOW, NOW + 3600}  # fmt: skip


def test_a_report_is_a_valid_message(valid):
    found = make(ask(r_ids=("import", "export")), ask("s", "telemetry-status", r_ids=("status",)))
    for _ in range(2):
        report = send(found, NOW + 3600, samples(NOW, 4))
        valid(build_update_report("q", "ven-1", [report]))
