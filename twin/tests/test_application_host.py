"""Rules of the application host: exactly once, in order, with its progress, and no contagion."""

import json

import pytest
from meter_twin.application import (
    Answer,
    EventStored,
    HoleSeen,
    Query,
    ReadingStored,
    Record,
    RecordRange,
)
from meter_twin.application_host import ApplicationHost
from meter_twin.store import Batch, Store
from meter_twin.store_queries import START, Position
from meter_twin.store_records import SavedState
from meter_twin.store_schema import StoreError
from meter_wire.effects import Hole
from meter_wire.portable.entry import encode_event, encode_reading

A = b"A" * 8


class Journal:
    """An application that records what it was handed."""

    state_versions = (2, 1)
    queries = ("journal",)

    def __init__(self, fail_at=None):
        self.seen = []
        self.fail_at = fail_at

    def handle(self, event, _now_s):
        if isinstance(event, Query):
            return [Answer({"seen": self.seen}, {"records": RecordRange("all", 0, 10**6)})]
        if isinstance(event, HoleSeen):
            self.seen.append([event.first, event.last])
            return []
        assert isinstance(event, ReadingStored | EventStored)
        if event.seq == self.fail_at:
            raise RuntimeError("a bug of the utility")
        self.seen.append(event.seq)
        return [Record("all", event.seq, {"seq": event.seq})]

    def export_state(self, _version):
        return json.dumps(self.seen).encode()

    def import_state(self, version, state):
        if version not in self.state_versions:
            raise ValueError("version")
        self.seen = json.loads(state)


@pytest.fixture
def store(tmp_path):
    made = Store(str(tmp_path / "twin.db"))
    yield made
    made.close()


def ingest(store, seqs, stored, holes=()):
    raws = [
        (
            seq,
            encode_event(0, seq, 0, 1, 9, [1, 1])
            if seq % 5 == 0
            else encode_reading(0, seq, 0, 1, []),
        )
        for seq in seqs
    ]
    store.ingest([Batch(A, raws, holes, stored, bytes(16))], 0)


def drain(host):
    while host.step(0):
        pass


def test_every_entry_is_handed_over_once_in_order_across_restarts(store):
    first = Journal()
    host = ApplicationHost(store, {"journal": (Journal, first)})
    ingest(store, range(1, 250), 249)
    assert host.step(0)
    assert first.seen == list(range(1, 101))
    second = Journal()
    host = ApplicationHost(store, {"journal": (Journal, second)})
    ingest(store, range(250, 301), 300)
    drain(host)
    assert second.seen == list(range(1, 301))
    document = host.answer("journal", {}, 0)
    assert [one["seq"] for one in document["records"]] == list(range(1, 301))


def test_a_hole_is_told_before_the_entry_after_it(store):
    application = Journal()
    host = ApplicationHost(store, {"journal": (Journal, application)})
    ingest(store, [4, 5, 9], 9, [Hole(1, 3, 3), Hole(6, 8, 1)])
    drain(host)
    assert application.seen == [[1, 3], 4, 5, [6, 8], 9]


def test_an_application_that_fails_is_stopped_and_the_others_go_on(store, capsys):
    bad, good = Journal(fail_at=3), Journal()
    host = ApplicationHost(store, {"bad": (Journal, bad), "good": (Journal, good)})
    ingest(store, range(1, 6), 5)
    drain(host)
    assert host.failed == ["bad"]
    assert good.seen == [1, 2, 3, 4, 5]
    assert "a bug of the utility" not in capsys.readouterr().err


def test_the_place_of_the_slowest_that_runs_is_known_and_a_stopped_one_holds_nothing_up(store):
    bad, good = Journal(fail_at=150), Journal()
    host = ApplicationHost(store, {"bad": (Journal, bad), "good": (Journal, good)})
    assert host.handed == START
    ingest(store, range(1, 201), 200)
    host.step(0)
    number = store.find_number(A)
    assert host.handed == Position(number, 100)
    drain(host)
    assert host.failed == ["bad"]
    assert host.handed == Position(number, 200)
    assert ApplicationHost(store, {}).handed is None


def test_a_state_that_nobody_reads_is_derived_anew(store):
    host = ApplicationHost(store, {"journal": (Journal, Journal())})
    ingest(store, range(1, 6), 5)
    drain(host)
    store.connection.execute("UPDATE application SET version = 99")
    again = Journal()
    host = ApplicationHost(store, {"journal": (Journal, again)})
    drain(host)
    assert again.seen == [1, 2, 3, 4, 5]


def test_a_step_that_cannot_be_saved_is_repeated_without_doubling(store):
    application = Journal()
    host = ApplicationHost(store, {"journal": (Journal, application)})
    ingest(store, range(1, 6), 5)
    store.connection.execute(
        "CREATE TRIGGER no BEFORE INSERT ON record BEGIN SELECT raise(ABORT, 'no'); END"
    )
    with pytest.raises(Exception, match="no"):
        host.step(0)
    assert application.seen == []
    store.connection.execute("DROP TRIGGER no")
    drain(host)
    assert application.seen == [1, 2, 3, 4, 5]


def test_an_entry_that_does_not_parse_is_kept_and_passed_over(store):
    application = Journal()
    host = ApplicationHost(store, {"journal": (Journal, application)})
    store.ingest([Batch(A, [(1, b"\x01garbage")], (), 1, bytes(16))], 0)
    ingest(store, [2], 2)
    drain(host)
    assert application.seen == [2]


def test_a_query_that_nobody_answers_is_told(store):
    host = ApplicationHost(store, {})
    with pytest.raises(LookupError):
        host.answer("journal", {}, 0)
    assert host.answer_or_none("journal", {}, 0) is None


class Broken(Journal):
    """A journal with bugs: what each of its functions raises or returns, by name."""

    def __init__(self, **bugs):
        super().__init__()
        self.bugs = bugs

    def handle(self, event, now_s):
        return self.bugs.get("handle") or super().handle(event, now_s)

    def export_state(self, version):
        self.trip("export")
        return self.bugs.get("state") or super().export_state(version)

    def import_state(self, version, state):
        super().import_state(version, state)
        self.trip("import_state")

    def trip(self, name):
        error = self.bugs.get(name)
        if error:
            raise error


BUGS = [AttributeError("a"), IndexError("i"), KeyError("k"), TypeError("t"), RuntimeError("r")]


def run_pair(store, bad, good=None):
    """A host of a bad application and of a good one, in this order: nothing but the bad is stopped."""
    good = good or Journal()
    host = ApplicationHost(store, {"bad": (type(bad), bad), "good": (Journal, good)})
    return host, good


def refuse_writes(store, table):
    store.connection.execute(
        f"CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT raise(ABORT, 'no'); END"
    )


@pytest.mark.parametrize("error", BUGS, ids=lambda one: type(one).__name__)
def test_an_application_that_fails_to_read_its_state_is_stopped_and_keeps_it(store, error, capsys):
    host, _ = run_pair(store, Journal())
    ingest(store, range(1, 6), 5)
    drain(host)
    host, good = run_pair(store, Broken(import_state=error))
    ingest(store, [6], 6)
    drain(host)
    assert (host.failed, host.beginners, good.seen) == (["bad"], [], [1, 2, 3, 4, 5, 6])
    assert "application stopped" in capsys.readouterr().err
    repaired = Journal()
    drain(run_pair(store, repaired)[0])
    assert repaired.seen == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("versions", [(), None, ("first",)])
def test_an_application_without_state_versions_is_stopped(store, versions):
    kind = type("Kind", (Journal,), {"state_versions": versions})
    host, good = run_pair(store, kind())
    ingest(store, range(1, 6), 5)
    drain(host)
    assert (host.failed, good.seen) == (["bad"], [1, 2, 3, 4, 5])
    assert host.state_versions == {"good": [2, 1]}


@pytest.mark.parametrize(
    "bugs",
    [
        {"export": AttributeError("a")},
        {"export": ValueError("v")},
        {"state": "no bytes"},
        {"handle": [Record("all", 1, {"value": object()})]},
        {"handle": [Record("all", 2**70, {})]},
    ],
)
def test_an_application_whose_progress_cannot_be_written_is_stopped(store, bugs):
    host, good = run_pair(store, Broken(**bugs))
    ingest(store, range(1, 6), 5)
    drain(host)
    assert (host.failed, good.seen) == (["bad"], [1, 2, 3, 4, 5])


def test_an_application_that_cannot_go_back_after_a_failed_commit_is_stopped(store):
    host, good = run_pair(store, Broken(import_state=KeyError("k")))
    ingest(store, range(1, 6), 5)
    refuse_writes(store, "record")
    with pytest.raises(StoreError):
        host.step(0)
    store.connection.execute("DROP TRIGGER no")
    drain(host)
    assert (host.failed, good.seen) == (["bad"], [1, 2, 3, 4, 5])


SAVED = SavedState(1, b"[1, 2, 3]", Position(1024, 3))


@pytest.mark.parametrize(
    "bugs",
    [*({"import_state": one} for one in BUGS), {"export": ValueError("v")}, {"state": "no bytes"}],
    ids=str,
)
def test_an_application_that_fails_while_it_adopts_a_state_is_stopped(store, bugs):
    host, good = run_pair(store, Broken(**bugs))
    ingest(store, range(1, 6), 5)
    with pytest.raises(LookupError):
        host.adopt("bad", SAVED)
    host.adopt("good", SAVED)
    drain(host)
    assert (host.failed, good.seen) == (["bad"], [1, 2, 3, 4, 5])


def test_an_application_that_does_not_read_a_state_goes_on_as_it_was(store):
    application = Journal()
    host, _ = run_pair(store, application)
    ingest(store, range(1, 6), 5)
    with pytest.raises(ValueError, match="version"):
        host.adopt("bad", SAVED._replace(version=99))
    drain(host)
    assert (host.failed, application.seen) == ([], [1, 2, 3, 4, 5])


def test_a_state_that_the_store_does_not_take_is_not_adopted(store):
    application = Journal()
    host, _ = run_pair(store, application)
    ingest(store, range(1, 6), 5)
    refuse_writes(store, "application")
    with pytest.raises(StoreError):
        host.adopt("bad", SAVED)
    assert (application.seen, host.beginners) == ([], ["bad", "good"])
    store.connection.execute("DROP TRIGGER no")
    drain(host)
    assert (host.failed, application.seen) == ([], [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    "bugs", [*({"export": one} for one in BUGS), {"export": ValueError("v")}, {"state": "text"}],
    ids=str,
)  # fmt: skip
def test_an_application_that_cannot_write_its_state_for_a_successor_is_stopped(store, bugs):
    host, good = run_pair(store, Broken(**bugs))
    with pytest.raises(LookupError):
        host.export("bad", 1)
    assert (host.failed, list(host.state_versions)) == (["bad"], ["good"])
    ingest(store, range(1, 6), 5)
    drain(host)
    assert host.export("good", 1)[0].state == b"[1, 2, 3, 4, 5]"
    assert good.seen == [1, 2, 3, 4, 5]


def test_an_application_is_not_stopped_for_a_version_that_nobody_promised(store):
    host, _ = run_pair(store, Broken(export=KeyError("k")))
    with pytest.raises(ValueError, match="99"):
        host.export("bad", 99)
    assert host.failed == []
