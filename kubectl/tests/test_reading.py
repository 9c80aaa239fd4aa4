"""read, readings, events, status: what is printed, asked and refused."""

import csv
import io
import json

import pytest
from meter_wire.event_names import find_event, get_event_code

REGISTERS = {
    "device": "house-1",
    "source": "cached",
    "age_seconds": 754,
    "time": "2026-06-14T07:30:00Z",
    "incarnation": "00112233445566aa",
    "seq": 17,
    "status": ["clock_adjusted"],
    "registers": {
        "1-0:1.8.0*255": {"value": 1234567, "unit": "Wh", "time": None},
        "1-0:32.7.0*255": {"value": 229.871, "unit": "V", "time": None},
        "0-0:96.1.0*255": {"value": "house-1", "unit": "", "time": None},
        "1-0:1.6.0*255": {"value": 4120, "unit": "W", "time": "2026-06-14T06:45:00Z"},
        "9-9:9.9.9*9": {"value": -5, "unit": "VA", "time": None},  # only the meter knows it
    },
}
LIVE = {**REGISTERS, "source": "metered", "age_seconds": 0, "status": [], "live": "ok"}
EMPTY = {
    "device": "house-1", "live": None, "source": "cached", "age_seconds": None, "time": None,
    "incarnation": None, "seq": None, "status": [], "registers": {},
}  # fmt: skip


def reading(seq: int, minute: int) -> dict:
    return {
        "incarnation": "00112233445566aa",
        "seq": seq,
        "time": f"2026-06-14T07:{minute:02d}:00Z",
        "status": ["power_down"] if seq == 2 else [],
        "registers": {
            "1-0:1.8.0*255": {"value": 1000 + seq, "unit": "Wh"},
            **({"1-0:2.8.0*255": {"value": 7, "unit": "Wh"}} if seq > 1 else {}),
        },
    }


PAGES = {
    "/v1/readings?since=1h&limit=1000": [200, {"readings": [reading(1, 0), reading(2, 15)], "next": "1-2"}],
    "/v1/readings?since=1h&limit=1000&after=1-2": [200, {"readings": [reading(3, 30)], "next": None}],
}  # fmt: skip
EVENTS = {
    "/v1/events?since=24h&limit=1000": [
        200,
        {
            "events": [
                {"incarnation": "00112233445566aa", "seq": 4, "time": "2026-06-14T07:31:10Z",
                 "status": [], "code": "dip",
                 "arguments": {"phase": 1, "duration_ms": 120, "extreme_mv": 184300}},
                {"incarnation": "00112233445566aa", "seq": 5, "time": None,
                 "status": ["clock_invalid"], "code": "power_up", "arguments": {"outage_ms": -1}},
            ],
            "next": None,
        },
    ]
}  # fmt: skip
STATUS = {
    "/v1/status": [
        200,
        {
            "device": "house-1", "session": True, "encrypted": True, "entries": 42, "holes": 1, "conflicts": 0,
            "marks": [{"incarnation": "00112233445566aa", "stored": 42, "archived": 0}],
            "refused": {"mac": 3}, "framesDropped": 0, "chainBreaks": 0, "storeFault": None,
            "archive": {"host": "archive", "state": "unreachable", "behind": 42, "refused": 0,
                        "lastAnswer": "2026-06-14T07:30:00Z", "message": "no answer within 30 s",
                        "restore": {"state": "filling", "restored": 512, "missing": 2848, "message": ""}},
        },
    ]
}  # fmt: skip


def test_read_prints_value_unit_age_and_source(world, golden):
    world.answer({"/v1/registers": [200, REGISTERS]})
    done = world.run("read", "house-1")
    assert (done.returncode, done.stderr) == (0, "")
    golden("read.txt", done.stdout)


def test_read_live_asks_the_meter(world, golden):
    world.answer({"/v1/registers?live=1&timeout=5": [200, LIVE]})
    done = world.run("read", "house-1", "--live")
    assert done.returncode == 0
    golden("read-live.txt", done.stdout)


@pytest.mark.parametrize(
    ("live", "said", "remedy"),
    [
        ("timeout", "the meter did not answer within 2 s", "a longer --timeout"),
        ("meter_offline", "the meter has no session with its twin", "kubectl meter status house-1"),
        ("twin_busy", "too many commands wait for the meter", "try again"),
        ("refused", "the meter answered refused", "kubectl meter status house-1"),
        (None, "the meter did not answer", "kubectl meter status house-1"),
    ],
)
def test_read_live_fails_with_the_reason_when_the_answer_is_from_the_cache(
    world, live, said, remedy
):
    world.answer({"/v1/registers?live=1&timeout=2": [200, {**REGISTERS, "live": live}]})
    done = world.run("read", "house-1", "--live", "--timeout", "2")
    assert done.returncode == 1
    assert "cached, 12m old" in done.stdout
    assert f"{said}: these are its last registers" in done.stderr
    assert "field:  --live" in done.stderr
    assert remedy in done.stderr.split("remedy:")[1]


def test_a_twin_without_a_reading_says_so_and_prints_no_empty_table(world):
    world.answer({"/v1/registers": [200, EMPTY]})
    done = world.run("read", "house-1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no reading of house-1 is stored yet" in done.stderr
    assert "kubectl meter status house-1" in done.stderr.split("remedy:")[1]


def test_an_absent_meter_without_a_reading_has_both_said(world):
    world.answer({"/v1/registers?live=1&timeout=5": [200, {**EMPTY, "live": "meter_offline"}]})
    done = world.run("read", "house-1", "--live")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no session with its twin, and no reading of house-1 is stored yet" in done.stderr


def test_the_document_of_an_empty_twin_is_printed_as_json_all_the_same(world):
    world.answer({"/v1/registers": [200, EMPTY]})
    done = world.run("read", "house-1", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)) == (1, EMPTY)


def test_a_reading_without_a_time_has_an_unknown_age(world):
    timeless = {"age_seconds": None, "time": None, "status": ["clock_invalid"]}
    world.answer({"/v1/registers": [200, {**REGISTERS, **timeless}]})
    (line, *_) = world.run("read", "house-1").stdout.splitlines()
    assert line == "house-1   at an unknown time   cached   status: clock_invalid"


def test_read_json_is_the_twins_document(world):
    world.answer({"/v1/registers?code=1-0%3A1.8.0%2A255": [200, REGISTERS]})
    done = world.run("read", "house-1", "-o", "json", "--code", "1-0:1.8.0*255")
    assert json.loads(done.stdout) == REGISTERS


def test_readings_as_json_are_objects_with_identity_time_status_and_registers(world):
    world.answer(PAGES)
    done = world.run("readings", "house-1", "--since", "1h", "-o", "json")
    found = json.loads(done.stdout)
    assert [item["seq"] for item in found] == [1, 2, 3]
    assert set(found[0]) == {"incarnation", "seq", "time", "status", "registers"}
    assert found[0]["registers"]["1-0:1.8.0*255"] == {"value": 1001, "unit": "Wh"}


def test_readings_as_csv_have_a_column_for_each_register(world):
    world.answer(PAGES)
    done = world.run("readings", "house-1", "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["1-0:1.8.0*255 [Wh]"] for row in rows] == ["1001", "1002", "1003"]
    assert [row["1-0:2.8.0*255 [Wh]"] for row in rows] == ["", "7", "7"]
    assert rows[1]["status"] == "power_down"


DEMAND = "1-0:1.6.0*255"


def with_demand(seq: int, minute: int, at: str | None) -> dict:
    """Return a reading with a demand maximum, and the time at which it was reached if it was."""
    one = reading(seq, minute)
    own = {DEMAND: {"value": 4120, "unit": "W", **({"time": at} if at else {})}}
    return {**one, "registers": {**own, **one["registers"]}}


def answer_demand(world, *times: str | None) -> None:
    rows = [with_demand(seq, 15 * seq, at) for seq, at in enumerate(times, 1)]
    world.answer({"/v1/readings?since=1h&limit=1000": [200, {"readings": rows, "next": None}]})


def test_a_register_with_a_time_of_its_own_has_a_column_for_it_in_csv(world):
    answer_demand(world, None, "2026-06-14T06:45:00Z")
    done = world.run("readings", "house-1", "-o", "csv")
    head, *rows = csv.reader(io.StringIO(done.stdout))
    assert head[4:7] == [f"{DEMAND} [W]", f"{DEMAND} time", "1-0:1.8.0*255 [Wh]"]
    assert [row[4:6] for row in rows] == [["4120", ""], ["4120", "2026-06-14T06:45:00Z"]]


def test_a_register_with_a_time_of_its_own_has_a_column_for_it_in_the_table(world):
    answer_demand(world, "2026-06-14T06:45:00Z")
    head, row = world.run("readings", "house-1", "--code", DEMAND).stdout.splitlines()
    assert head.split()[2:5] == [DEMAND, DEMAND, "time"]
    assert row.split()[2:] == ["4", "120", "2026-06-14T06:45:00Z"]


@pytest.mark.parametrize("output", ["csv", "wide"])
def test_without_such_a_time_there_is_no_such_column(world, output):
    answer_demand(world, None)
    done = world.run("readings", "house-1", "-o", output)
    assert f"{DEMAND} time" not in done.stdout


def test_registers_without_times_of_their_own_have_no_column_of_times(world):
    timeless = {code: item for code, item in REGISTERS["registers"].items() if code != DEMAND}
    world.answer({"/v1/registers": [200, {**REGISTERS, "registers": timeless}]})
    assert "NAME\n" in world.run("read", "house-1").stdout


def test_the_clock_is_shown_as_a_time(world):
    clock = {"0-0:1.0.0*255": {"value": 1_781_422_200, "unit": "s", "time": None}}
    world.answer({"/v1/registers": [200, {**REGISTERS, "registers": clock}]})
    assert (
        "0-0:1.0.0*255   2026-06-14T07:30:00Z          Clock" in world.run("read", "house-1").stdout
    )


def full(seq: int) -> dict:
    """Return a reading with registers that a table leaves out."""
    extra = {
        "1-0:1.8.1*255": {"value": 5, "unit": "Wh"},
        "1-0:52.7.0*255": {"value": 9, "unit": "V"},
    }
    one = reading(seq, 0)
    return {**one, "registers": {**one["registers"], **extra}}


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        pytest.param([], ["1-0:1.8.0*255"], id="a table shows the main registers"),
        pytest.param(
            ["-o", "wide"],
            ["1-0:1.8.0*255", "1-0:1.8.1*255", "1-0:52.7.0*255"],
            id="wide shows all",
        ),
        pytest.param(["--code", "1-0:1.8.1*255"], ["1-0:1.8.1*255"], id="or those that are named"),
    ],
)
def test_columns_of_the_table(world, options, columns):
    world.answer({"/v1/readings?since=1h&limit=1000": [200, {"readings": [full(1)], "next": None}]})
    head = world.run("readings", "house-1", *options).stdout.splitlines()[0]
    assert [word for word in head.split() if ":" in word] == columns


def test_since_all_asks_for_what_has_no_time_too(world):
    world.answer({"/v1/readings?limit=1000": [200, {"readings": [reading(1, 0)], "next": None}]})
    done = world.run("readings", "house-1", "--since", "all", "-o", "json")
    assert [item["seq"] for item in json.loads(done.stdout)] == [1]


def test_a_code_that_is_none_is_refused_before_the_twin_is_asked(world):
    done = world.run("readings", "house-1", "--code", "1.8.0")
    assert done.returncode == 2
    assert "--code" in done.stderr
    assert "1-0:1.8.0*255" in done.stderr


def test_readings_as_table(world, golden):
    world.answer(PAGES)
    golden("readings.txt", world.run("readings", "house-1").stdout)


def test_no_readings_are_an_empty_list_and_no_error(world):
    world.answer({"/v1/readings?since=1h&limit=1000": [200, {"readings": [], "next": None}]})
    done = world.run("readings", "house-1", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert world.run("readings", "house-1").returncode == 0


def test_events_as_table(world, golden):
    world.answer(EVENTS)
    golden("events.txt", world.run("events", "house-1").stdout)


def test_the_events_of_these_tests_are_a_meters():
    (_, answer) = EVENTS["/v1/events?since=24h&limit=1000"]
    for event in answer["events"]:
        kind = find_event(get_event_code(event["code"]))
        assert tuple(event["arguments"]) == kind.arguments


def test_status_lists_all_meters(world, golden):
    golden("status.txt", world.run("status").stdout)
    golden("status-all.txt", world.run("status", "-A").stdout)
    assert "get smartmeters.metertwin.io -A -o json" in world.lines("calls")


def test_status_of_one_meter_tells_of_its_link(world, golden):
    world.answer(STATUS)
    golden("status-one.txt", world.run("status", "house-1").stdout)
    view = json.loads(world.run("status", "house-1", "-o", "json").stdout)
    assert view["link"]["marks"][0]["stored"] == 42


def test_status_says_why_a_deletion_waits(world):
    waits = {
        "type": "Deletable", "status": "False", "reason": "ReadingsNotTaken",
        "message": "nobody has taken the readings", "observedGeneration": 2,
    }  # fmt: skip
    ready = {**waits, "type": "Ready", "status": "True", "reason": "Serving", "message": ""}
    metadata = {"name": "going", "generation": 2, "deletionTimestamp": "2026-06-14T07:30:00Z"}
    body = {"metadata": metadata, "spec": {}, "status": {"conditions": [ready, waits]}}
    world.put("smartmeters", "going", body)
    unseen = {**body, "metadata": {**metadata, "name": "unseen"}, "status": {"conditions": [ready]}}
    world.put("smartmeters", "unseen", unseen)
    lines = world.run("status").stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("going ")]
    assert "True    Deleted: ReadingsNotTaken " in line
    assert sum("Deleted: Waiting" in line for line in lines) == 1
    one = world.run("status", "going").stdout
    assert "nobody has taken the readings" in one
    view = json.loads(world.run("status", "going", "-o", "json").stdout)
    assert (view["reason"], view["deletion"]) == ("Serving", "ReadingsNotTaken")
    assert json.loads(world.run("status", "house-2", "-o", "json").stdout)["deletion"] is None


def test_status_of_a_meter_without_a_twin_says_why(world):
    done = world.run("status", "house-2")
    assert done.returncode == 0
    assert "ProfileMissing" in done.stdout


def test_a_condition_of_an_older_generation_counts_for_nothing(world):
    old = {"type": "Ready", "status": "True", "reason": "Serving", "message": "", "observedGeneration": 1}  # fmt: skip
    world.put("smartmeters", "old", {"metadata": {"name": "old", "generation": 2}, "spec": {}, "status": {"conditions": [old]}})  # fmt: skip
    (line,) = [line for line in world.run("status").stdout.splitlines() if line.startswith("old ")]
    assert line.split()[1:3] == ["Unknown", "Outdated"]
    one = world.run("status", "old").stdout
    (row,) = [line for line in one.splitlines() if line.startswith("Ready ")]
    assert row.split(maxsplit=3)[1:] == [
        "Unknown", "Outdated", "of generation 1; the operator has not looked at 2 yet",
    ]  # fmt: skip


def test_namespace_and_context_go_to_every_call(world):
    world.answer({"/v1/registers": [200, REGISTERS]})
    world.run("read", "house-1", "-n", "street", "--context", "lab")
    calls = world.lines("calls")
    assert len(calls) == 2
    assert all("--context=lab --namespace=street" in call for call in calls)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["read", "nobody"], ["NotFound", "nobody", "NAME", "kubectl get meters"]),
        (
            ["read", "house-2"],
            ["house-2 has no twin", "Ready is False", "status.epoch", "describe"],
        ),
        (["readings", "house-1", "--since", "soon"], ["is unknown", "remedy"]),
    ],
)
def test_an_error_names_field_and_remedy_and_exits_with_1(world, arguments, expected):
    done = world.run(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    for part in expected:
        assert part in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["readings", "events"])
@pytest.mark.parametrize(
    "window",
    [
        ["--since", "0h"],
        ["--since", "1h", "--until", "2h"],
        ["--since", "1h", "--until", "60m"],
        ["--since", "2026-02-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"],
        ["--since", "2026-02-01T00:00:00Z", "--until", "2026-02-01T02:00:00+02:00"],
        ["--since", "1m", "--until", "2020-01-01T00:00:00Z"],
    ],
)
def test_an_empty_window_is_refused_and_not_an_empty_table(world, command, window):
    done = world.run(command, "house-1", *window)
    assert (done.returncode, done.stdout) == (2, "")
    assert "field:  --since" in done.stderr
    assert "before --until" in done.stderr
    assert "remedy:" in done.stderr
    assert world.lines("requests") == []


@pytest.mark.parametrize(
    "window",
    [
        ["--since", "2h", "--until", "1h"],
        ["--since", "all", "--until", "1h"],
        ["--since", "2026-01-01T00:00:00Z", "--until", "2026-01-01T00:00:01Z"],
        ["--since", "2020-01-01T00:00:00Z", "--until", "1m"],
    ],
)
def test_a_window_with_a_second_in_it_is_asked_for(world, window):
    world.run("readings", "house-1", *window)
    assert len(world.lines("requests")) == 1


@pytest.mark.parametrize("option", ["since", "until", "code", "timeout"])
def test_a_parameter_of_the_twin_is_called_as_the_option_is(world, option):
    fault = {"field": option, "message": "is wrong", "remedy": "give another"}
    world.answer({"/v1/registers": [400, {"error": fault}]})
    done = world.run("read", "house-1")
    assert f"--{option} is wrong" in done.stderr
    assert f"field:  --{option}" in done.stderr


REFUSED = "The connection to the server localhost:8080 was refused - did you specify the right host or port?"


@pytest.mark.parametrize(
    ("said", "field", "remedy"),
    [
        ('error: context "nope" does not exist', "--context", "config get-contexts"),
        (
            "Error in configuration: context was not found for specified context: nope",
            "--context",
            "config get-contexts",
        ),
        (REFUSED, "KUBECONFIG", "config view"),
        (
            'error: error loading config file "/x": yaml: line 1: did not find it',
            "KUBECONFIG",
            "config view",
        ),
        (
            "Unable to connect to the server: dial tcp: lookup nowhere: no such host",
            "KUBECONFIG",
            "config view",
        ),
        (
            'Error from server (NotFound): namespaces "nowhere" not found',
            "--namespace",
            "kubectl get smartmeters -A",
        ),
    ],
)
def test_a_cluster_that_cannot_be_used_is_named_with_field_and_remedy(world, said, field, remedy):
    (world.folder / "kubectl says").write_text(said)
    done = world.run("read", "house-1", "--context", "nope")
    assert done.returncode == 1
    assert f"field:  {field}" in done.stderr
    assert remedy in done.stderr.split("remedy:")[1]


@pytest.mark.parametrize(
    "said",
    [
        "Unable to connect to the server: net/http: TLS handshake timeout",
        'Get "https://x/api": net/http: request canceled (Client.Timeout exceeded while awaiting headers)',
        "Error from server (Timeout): the server was unable to return a response in the time allotted",
    ],
)
def test_a_slow_api_server_is_not_blamed_on_the_kubeconfig(world, said):
    (world.folder / "kubectl says").write_text(said)
    done = world.run("read", "house-1")
    assert done.returncode == 1
    assert "KUBECONFIG" not in done.stderr
    assert "try again" in done.stderr.split("remedy:")[1]


def test_the_twins_own_error_is_passed_on(world):
    fault = {"field": "since", "message": "is not a time", "remedy": "give RFC 3339"}
    world.answer({"/v1/readings?since=x&limit=1000": [400, {"error": fault}]})
    done = world.run("readings", "house-1", "--since", "x")
    assert done.returncode == 1
    assert "since is not a time" in done.stderr
    assert "remedy: give RFC 3339" in done.stderr


def test_a_missing_right_is_named(world):
    (world.folder / "forbidden").touch()
    done = world.run("read", "house-1")
    assert done.returncode == 1
    assert "pods is forbidden" in done.stderr
    assert "metertwin-meter-operator" in done.stderr


def test_a_missing_kubectl_is_named(world):
    done = world.run("read", "house-1", KUBECTL="/nowhere/kubectl")
    assert done.returncode == 1
    assert "field:  KUBECTL" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "field", "help_of"),
    [
        (["read"], "NAME", "kubectl meter read"),
        (["read", "house-1", "-o", "yaml"], "--output", "kubectl meter read"),
        (["read", "house-1", "--timeout", "0"], "--timeout", "kubectl meter read"),
        (["read", "house-1", "--nonsense"], "", "kubectl meter read"),
        (["nonsense"], "", "kubectl meter"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_field_and_remedy(world, arguments, field, help_of):
    done = world.run(*arguments)
    assert done.returncode == 2
    assert f"remedy: {help_of} --help\n" in done.stderr
    assert ("field:" in done.stderr) == bool(field)
    assert field in done.stderr


def test_a_name_beside_all_namespaces_is_misuse(world):
    done = world.run("status", "house-1", "-A")
    assert (done.returncode, done.stdout) == (2, "")
    assert "field:  NAME" in done.stderr
    assert "-A" in done.stderr


HANDOVERS = {
    "handover": {
        "phase": "Preparing", "epoch": 4, "source": 3, "reason": "SpecChanged", "version": "0.2.0",
        "begunAt": "2026-01-31T13:00:00Z",
    },
    "handovers": [
        {
            "from": 2, "to": 3, "version": "0.1.1", "reason": "SpecChanged", "result": "Done",
            "begunAt": "2026-01-31T12:00:00Z", "endedAt": "2026-01-31T12:00:38Z",
            "committedAt": "2026-01-31T12:00:07Z",
        },
        {
            "from": 1, "to": 2, "reason": "NodeCordoned", "result": "Aborted",
            "begunAt": "2026-01-31T11:00:00Z", "endedAt": "2026-01-31T11:10:00Z",
            "message": "DeadlineExceeded: the candidate has not connected yet",
        },
    ],
}  # fmt: skip


def test_handovers_lists_the_last_and_the_one_under_way(world, golden):
    world.put("smartmeters", "moved", {"metadata": {"name": "moved"}, "spec": {}, "status": HANDOVERS})  # fmt: skip
    golden("handovers.txt", world.run("handovers", "moved").stdout)
    rows = json.loads(world.run("handovers", "moved", "-o", "json").stdout)
    assert [row["seconds"] for row in rows] == [None, 38, 600]
    assert [row["commitSeconds"] for row in rows] == [None, 7, None]
    assert world.run("handovers", "house-2").stdout == "No handover yet.\n"


@pytest.mark.parametrize(
    "command", ["read", "readings", "events", "status", "handovers", "provision"]
)
def test_help_teaches_with_examples(world, command):
    text = world.run(command, "--help").stdout
    assert f"kubectl meter {command}" in text.split("Examples:")[1]


def test_no_colour_codes_reach_a_pipe(world):
    assert "\x1b" not in world.run("--no-color", "read", "nobody").stderr
    assert "\x1b" not in world.run("read", "nobody").stderr
