"""export: all that a twin has stored in one file, and the note that lets a deletion go on."""

import json
import stat

import pytest
from kubectl_meter import deletion as plugin
from kubectl_meter.errors import MeterError
from kubectl_meter.export import Contents, Numbers
from meter_operator import deletion as operator
from meter_operator import desired

NAME = "house-1"
A, B = "00112233445566aa", "00112233445566bb"
EPOCH_ID = "0a" * 16
DELETED = "2026-06-14T07:40:00Z"
LIVE = "/v1/registers?live=1&timeout=10"
SINCE = "/v1/{}?since=2026-06-14T07%3A{}Z&limit=1"


def reading(seq, minute, incarnation=A):
    return {
        "incarnation": incarnation, "seq": seq, "time": f"2026-06-14T07:{minute:02d}:00Z",
        "status": [], "registers": {"1-0:1.8.0*255": {"value": 1_234_567 + seq, "unit": "Wh"}},
    }  # fmt: skip


def event(seq, minute, incarnation=A):
    time = None if minute is None else f"2026-06-14T07:{minute:02d}:10Z"
    return {
        "incarnation": incarnation, "seq": seq, "time": time, "status": [], "code": "power_up",
        "arguments": {},
    }  # fmt: skip


READINGS = [reading(1, 15, B), reading(3, 0), reading(4, 15), reading(8, 30), reading(9, 45)]
EVENTS = [event(5, 16), event(10, None)]
HOLES = [{"incarnation": A, "first": 6, "last": 7, "reason": "overflow"}]
STATUS = {
    "epoch": 3, "entries": 6, "conflicts": 0,
    "marks": [{"incarnation": B, "stored": 1, "archived": 0},
              {"incarnation": A, "stored": 9, "archived": 0}],
}  # fmt: skip


def page(kind, rows, after=None):
    return [200, {kind: rows, "next": after}]


def answers(**changes):
    """Return a twin that has all but what the marks have not reached, as of a deletion at 07:40."""
    found = {
        "/v1/status": [200, STATUS],
        LIVE: [200, {"source": "metered", "time": "2026-06-14T07:41:30Z", "live": "ok"}],
        "/v1/readings?limit=1000": page("readings", READINGS[:3], "1-4"),
        "/v1/readings?limit=1000&after=1-4": page("readings", READINGS[3:]),
        "/v1/events?limit=1000": page("events", EVENTS),
        "/v1/gaps": [200, {"holes": HOLES}],
        SINCE.format("readings", "40%3A05"): page("readings", READINGS[4:]),
        SINCE.format("events", "40%3A05"): page("events", []),
        SINCE.format("readings", "30%3A00"): page("readings", READINGS[3:4]),
        SINCE.format("events", "30%3A00"): page("events", []),
    }
    return found | changes


def meter(reason="ReadingsNotTaken", *, deleted=True, held=True, epoch_id=EPOCH_ID, **spec):
    metadata = {"name": NAME, "namespace": "demo", "generation": 2}
    if deleted:
        metadata["deletionTimestamp"] = DELETED
    metadata["finalizers"] = [plugin.FINALIZER] if held else ["example.com/theirs"]
    condition = {"type": "Deletable", "status": "False", "reason": reason, "message": "because"}
    return {
        "metadata": metadata,
        "spec": {"profile": "household", "capturePeriodSeconds": 900, **spec},
        "status": {
            "epoch": 3, "epochId": epoch_id, "twin": {"pod": "house-1-e3"},
            "conditions": [condition] if deleted and reason else [],
        },
    }  # fmt: skip


class Shelf:
    """A SmartMeter that is being deleted, and its twin."""

    def __init__(self, world):
        self.world = world
        self.file = world.folder / "house-1.jsonl"
        world.put("smartmeters", NAME, meter())
        world.answer(answers())

    def export(self, *options):
        return self.world.run("export", NAME, "--out", str(self.file), *options)

    def note(self):
        """Return what was noted at the SmartMeter, nothing if that was left alone."""
        path = self.world.folder / "patched.json"
        return json.loads(path.read_text()) if path.exists() else None

    def rows(self):
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def verify_nothing_was_done(self, done):
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert self.note() is None
        assert [path.name for path in self.world.folder.glob("house-1.jsonl*")] == []


@pytest.fixture
def shelf(world):
    return Shelf(world)


def test_all_is_in_the_file_and_the_deletion_goes_on(shelf):
    done = shelf.export()
    assert (done.returncode, done.stderr) == (0, "")
    assert shelf.rows() == [*READINGS, *EVENTS]
    (text,) = shelf.note()["metadata"]["annotations"].values()
    taken = operator.parse_taken(text)
    assert taken.epoch_id.hex() == EPOCH_ID
    assert list(shelf.note()) == ["metadata"]
    assert "5 readings, 2 events, the last of 2026-06-14T07:45:00Z" in done.stdout
    assert f"the twin never had numbers 6 to 7 of {A}: overflow" in done.stdout
    assert "The deletion of house-1 goes on." in done.stdout


def test_a_meter_that_is_not_deleted_is_only_exported(shelf):
    shelf.world.put("smartmeters", NAME, meter(deleted=False))
    done = shelf.export()
    assert done.returncode == 0
    assert shelf.rows() == [*READINGS, *EVENTS]
    assert shelf.note() is None
    assert "is not being deleted; nothing was changed" in done.stdout


def test_a_deletion_that_does_not_wait_gets_no_note(shelf):
    shelf.world.put("smartmeters", NAME, meter(held=False))
    done = shelf.export()
    assert done.returncode == 0
    assert shelf.note() is None
    assert "does not wait" in done.stdout


def test_no_register_value_is_written_into_the_cluster_or_printed(shelf):
    done = shelf.export()
    assert "12345" in shelf.file.read_text()
    assert "12345" not in json.dumps(shelf.note()) + done.stdout + done.stderr


def test_the_file_is_for_its_owner_only(shelf):
    shelf.export()
    assert stat.S_IMODE(shelf.file.stat().st_mode) == 0o600


def test_a_meter_that_is_away_is_not_asked_when_its_next_reading_came_already(shelf):
    shelf.world.answer(answers(**{LIVE: [500, {}]}))
    assert shelf.export().returncode == 0
    assert LIVE not in shelf.world.lines("requests")


NOTHING_SINCE = {SINCE.format("readings", "40%3A05"): page("readings", [])}
OFFLINE = {LIVE: [200, {"source": "cached", "time": None, "live": "meter_offline"}]}


def test_the_meters_next_reading_is_waited_for(shelf):
    late = [page("readings", []), page("readings", []), page("readings", READINGS[4:])]
    shelf.world.answer(answers(**{SINCE.format("readings", "40%3A05"): late}))
    done = shelf.export()
    assert (done.returncode, done.stderr) == (0, "")
    assert shelf.rows() == [*READINGS, *EVENTS]
    requests = shelf.world.lines("requests")
    assert requests.count(SINCE.format("readings", "40%3A05")) == 3
    assert requests.index(LIVE) < requests.index("/v1/readings?limit=1000")


def test_a_reading_beyond_the_stored_mark_shows_nothing(shelf):
    """What came before it may still be missing."""
    ahead = page("readings", [reading(11, 45)])
    shelf.world.answer(answers(**{SINCE.format("readings", "40%3A05"): ahead} | OFFLINE))
    shelf.verify_nothing_was_done(shelf.export())


@pytest.mark.parametrize(
    ("live", "said"),
    [
        (OFFLINE[LIVE], "does not answer (meter_offline)"),
        ([200, {"source": "cached", "live": "timeout"}], "does not answer (timeout)"),
        ([404, {"error": {"field": "path", "message": "needs metering-data"}}], "does not answer"),
        ([200, {"source": "metered", "time": None, "live": "ok"}], "has no time"),
    ],
    ids=["offline", "slow", "without metering-data", "without a clock"],
)
def test_without_the_meter_only_what_is_asked_for_by_name(shelf, live, said):
    shelf.world.answer(answers(**NOTHING_SINCE | {LIVE: live}))
    done = shelf.export()
    shelf.verify_nothing_was_done(done)
    assert said in done.stderr
    assert "field:  --without-meter" in done.stderr
    done = shelf.export("--without-meter")
    assert done.returncode == 0
    assert shelf.rows() == [*READINGS, *EVENTS]
    assert shelf.note() is not None


def test_a_plain_export_of_an_absent_meter_has_to_be_asked_for_too(shelf):
    shelf.world.put("smartmeters", NAME, meter(deleted=False))
    shelf.world.answer(answers(**OFFLINE))
    shelf.verify_nothing_was_done(shelf.export())
    assert shelf.export("--without-meter").returncode == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"/v1/readings?limit=1000&after=1-4": page("readings", READINGS[4:])},
        {"/v1/events?limit=1000": page("events", EVENTS[1:])},
        {"/v1/gaps": [200, {"holes": []}]},
        {"/v1/status": [200, STATUS | {"entries": 7}]},
        {"/v1/readings?limit=1000&after=1-4": [500, {"error": {"message": "store failed"}}]},
    ],
    ids=["a reading", "an event", "a hole unnamed", "the count", "a page that fails"],
)
def test_a_file_with_something_missing_is_none(shelf, changes):
    shelf.world.answer(answers(**changes))
    shelf.verify_nothing_was_done(shelf.export())


def test_a_last_entry_that_is_older_than_the_deletion_shows_nothing(shelf):
    """An entry between the others was stamped by a clock that was wrong."""
    wrong = [reading(1, 15, B), reading(3, 59), reading(4, 15), reading(8, 30), reading(9, 35)]
    rows = {
        "/v1/readings?limit=1000": page("readings", wrong),
        SINCE.format("readings", "40%3A05"): page("readings", wrong[1:2]),
    }
    shelf.world.answer(answers(**rows))
    done = shelf.export()
    shelf.verify_nothing_was_done(done)
    assert "2026-06-14T07:35:00Z" in done.stderr


@pytest.mark.parametrize(
    ("found", "field", "said"),
    [
        (meter("HandoverOpen"), "status.conditions[Deletable]", "HandoverOpen: because"),
        (meter("StoresNotPassedOn"), "status.conditions[Deletable]", "StoresNotPassedOn"),
        (meter(reason=""), "status.conditions[Deletable]", "not looked"),
        ([meter(), meter(epoch_id="0b" * 16)], "status.epochId", "another twin"),
        ([meter(), meter("HandoverOpen")], "status.conditions[Deletable]", "HandoverOpen"),
        ([meter(), meter(held=False)], "status.epochId", "let go"),
    ],
)
def test_what_else_a_deletion_waits_for_comes_first(shelf, found, field, said):
    shelf.world.put("smartmeters", NAME, found)
    done = shelf.export()
    assert done.returncode == 1
    assert said in done.stderr
    assert f"field:  {field}" in done.stderr
    assert "remedy: " in done.stderr
    assert shelf.note() is None


def test_a_twin_of_another_epoch_is_not_exported(shelf):
    shelf.world.answer(answers(**{"/v1/status": [200, STATUS | {"epoch": 2}]}))
    shelf.verify_nothing_was_done(shelf.export())


def test_a_refused_annotation_is_written_again(shelf):
    shelf.world.put("smartmeters", NAME, meter("AnnotationRefused"))
    assert shelf.export().returncode == 0
    assert shelf.note() is not None


def test_a_file_that_exists_is_not_touched(shelf):
    shelf.file.write_text("mine")
    done = shelf.export()
    assert done.returncode == 1
    assert "field:  --out" in done.stderr
    assert shelf.file.read_text() == "mine"
    assert shelf.note() is None


def test_a_folder_that_does_not_exist_is_named(shelf):
    shelf.file = shelf.world.folder / "nowhere" / "house-1.jsonl"
    done = shelf.export()
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "field:  --out" in done.stderr


def test_without_the_right_to_annotate_the_file_stays_and_the_command_is_told(shelf):
    (shelf.world.folder / "patch is forbidden").touch()
    done = shelf.export()
    assert done.returncode == 1
    assert shelf.rows() == [*READINGS, *EVENTS]
    assert f"kubectl annotate meter house-1 --overwrite '{plugin.ANNOTATION_TAKEN}={EPOCH_ID} " in (
        done.stderr
    )


def test_help_teaches_with_examples(world):
    text = world.run("export", "--help").stdout
    assert "kubectl meter export house-1 --out house-1.jsonl" in text.split("Examples:")[1]
    assert "spec.deletionPolicy: Wait" in text


def test_what_limits_the_file_is_said(shelf):
    shelf.world.put("smartmeters", NAME, meter(registers=["1-0:1.8.0*255"]))
    shelf.world.answer(answers(**{"/v1/status": [200, STATUS | {"conflicts": 2}]}))
    done = shelf.export()
    assert "only the registers of spec.registers" in done.stdout
    assert "2 conflicting entries" in done.stdout


def test_an_export_before_which_the_clock_was_behind_counts_from_the_deletion():
    """It began when the deletion was known, whatever this machine's clock says."""
    found = plugin.find_deletion(meter())
    early = found.at.replace(year=2020)
    (note,) = plugin.build_patch(found, early)["metadata"]["annotations"].values()
    assert note == f"{EPOCH_ID} {DELETED}"
    assert operator.parse_taken(note).begun == found.at


def test_plugin_and_operator_mean_the_same():
    assert plugin.FINALIZER == desired.FINALIZER
    assert plugin.ANNOTATION_TAKEN == desired.ANNOTATION_TAKEN
    wanted = {operator.READINGS_NOT_TAKEN, operator.ANNOTATION_REFUSED}
    assert wanted == plugin.ENDED_BY_EXPORT
    assert operator.DELETABLE == "Deletable"


@pytest.mark.parametrize(
    ("ranges", "last", "gap"),
    [
        ([], 0, None),
        ([], 5, None),
        ([(3, 5)], 5, None),
        ([(3, 5)], 6, (6, 6)),
        ([(3, 3), (5, 5)], 5, (4, 4)),
        ([(5, 9), (3, 4)], 9, None),
        ([(3, 4), (6, 9), (5, 5)], 9, None),
        ([(3, 4), (7, 9), (5, 5)], 9, (6, 6)),
        ([(3, 4), (8, 9)], 6, (5, 6)),
    ],
)
def test_gaps(ranges, last, gap):
    numbers = Numbers()
    for first, end in ranges:
        numbers.add(first, end)
    assert numbers.find_gap(last) == gap


def test_numbers_that_follow_each_other_take_no_room():
    contents = Contents([{"incarnation": A, "stored": 10_000}])
    for seq in range(1, 10_001):
        contents.add("readings", reading(seq, 0))
    assert contents.found[A].ranges == [(1, 10_000)]
    contents.check(10_000, [])
    with pytest.raises(MeterError, match="10001 entries"):
        contents.check(10_001, [])
