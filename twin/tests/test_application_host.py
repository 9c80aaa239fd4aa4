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
