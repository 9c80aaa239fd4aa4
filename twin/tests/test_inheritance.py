"""Rules of taking over the states of applications: one that fails costs itself, never the twin."""

import asyncio
import json
import sqlite3
from types import SimpleNamespace

import pytest
from meter_twin.application import Record
from meter_twin.application_host import ApplicationHost
from meter_twin.giving import Giver
from meter_twin.http_codec import unquote
from meter_twin.http_server import ApiError, Request
from meter_twin.inheritance import Inheritance
from meter_twin.peer_client import PeerError
from meter_twin.store import Batch, Store
from meter_twin.taking import Donor
from meter_wire.names import build_twin_uri
from meter_wire.portable.entry import encode_reading

DONOR = Donor(1, bytes(16), "127.0.0.1:1")
BUGS = [
    *(AttributeError("a"), IndexError("i"), KeyError("k"), LookupError("l"), TypeError("t")),
    *(OverflowError("o"), RuntimeError("r")),
]


class Sum:
    """An application that counts; a seeded one shows where its state is from."""

    state_versions = (1,)
    queries = ()

    def __init__(self, seed=0, **bugs):
        self.count, self.bugs = seed, bugs

    def handle(self, event, _now_s):
        self.count += 1
        return [Record("counts", event.seq, {"count": self.count})]

    def export_state(self, _version):
        self.trip("export")
        return json.dumps(self.count).encode()

    def import_state(self, _version, state):
        self.trip("import_state")
        self.count = json.loads(state)

    def trip(self, name):
        if name in self.bugs:
            raise self.bugs[name]


class Stateless(Sum):
    """A broken build: it says no version of its state."""

    state_versions = ()


class Pair:
    """Two twins of one meter with the same ten entries; a client that needs no network."""

    def __init__(self, folder, device):
        self.stores = [Store(str(folder / f"{name}.db")) for name in ("donor", "taker")]
        self.answers, self.asked = {}, []
        self.peer = (build_twin_uri(device, 2),)
        self.device = device
        for store in self.stores:
            raws = [(seq, encode_reading(0, seq, 0, 1, [])) for seq in range(1, 11)]
            store.ingest([Batch(b"A" * 8, raws, (), 10, bytes(16))], 0)

    def begin(self, donor=None, taker=None):
        """Feed the donor (its states: 1000 and ten more); the taker has seen nothing."""
        donor = donor or Sum(1000), Sum(1000)
        self.applications = taker or Sum(), Sum()
        self.donor, self.host = (
            ApplicationHost(
                store,
                {name: (type(one), one) for name, one in zip(("bad", "good"), two, strict=True)},
            )
            for store, two in zip(self.stores, (donor, self.applications), strict=True)
        )
        while self.donor.step(0):
            pass
        succession = SimpleNamespace(takers=(2,))
        self.giver = Giver(self.device, self.stores[0], None, succession, self.donor, lambda: None)
        self.inheritance = Inheritance(self.host, self.stores[1], self)
        return self.inheritance

    async def get_json(self, _donor, path):
        """As `PeerClient`; `answers` are those of a donor that is not well."""
        self.asked.append(path)
        target, _, query = path.partition("?")
        if target.rpartition("/")[2] in self.answers:
            return self.answers[target.rpartition("/")[2]]
        pairs = dict(pair.split("=") for pair in query.split("&") if pair)
        query = {name: unquote(value) for name, value in pairs.items()}
        try:
            return json.loads(self.giver.answer(Request("GET", target, query, b"", self.peer)).body)
        except ApiError as error:
            raise PeerError(path, error.status) from error

    async def settle(self, most=20):
        """Take until all is taken, as the successor does."""
        for _ in range(most):
            await self.inheritance.take([DONOR], may_begin=True)
            if self.inheritance.is_done:
                break
        while self.host.step(0):
            pass
        return [one.count for one in self.applications]


@pytest.fixture
def pair(tmp_path, tools):
    made = Pair(tmp_path, tools.DEVICE)
    yield made
    for store in made.stores:
        store.close()


async def test_states_go_on_where_the_donor_was(pair):
    pair.begin()
    await pair.inheritance.check(DONOR)
    assert pair.inheritance.objection == ""
    assert await pair.settle() == [1010, 1010]
    assert pair.host.failed == []


@pytest.mark.parametrize("error", BUGS, ids=lambda one: type(one).__name__)
async def test_an_application_that_fails_while_it_inherits_is_stopped_and_the_others_inherit(
    pair, error, capsys
):
    pair.begin(taker=Sum(import_state=error))
    assert (await pair.settle(most=1))[1] == 1010
    assert pair.host.failed == ["bad"]
    rows = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [row["what"] for row in rows] == ["application stopped", "application state taken over"]


async def test_a_stopped_application_that_runs_in_the_twin_before_is_a_reason_to_object(pair):
    pair.begin(taker=Sum(import_state=RuntimeError("r")))
    await pair.inheritance.check(DONOR)
    assert pair.inheritance.objection == ""
    await pair.settle()
    assert "application bad" in pair.inheritance.objection


async def test_one_that_stops_after_it_has_inherited_is_one_too(pair):
    pair.begin()
    await pair.inheritance.check(DONOR)
    await pair.settle()
    pair.applications[0].handle = None
    pair.stores[1].ingest([Batch(b"A" * 8, [(11, encode_reading(0, 11, 0, 1, []))], (), 11, bytes(16))], 0)  # fmt: skip
    while pair.host.step(0):
        pass
    assert pair.host.failed == ["bad"]
    assert "application bad" in pair.inheritance.objection


async def test_one_that_is_stopped_where_it_begins_is_one_too(pair):
    pair.begin(taker=Stateless())
    assert pair.host.failed == ["bad"]
    await pair.inheritance.check(DONOR)
    assert "application bad" in pair.inheritance.objection


async def test_one_that_the_twin_before_does_not_run_either_is_none(pair):
    broken = Sum(export=RuntimeError("r"), import_state=RuntimeError("r"))
    pair.begin(taker=broken)
    pair.donor._running[0].failed = True
    await pair.inheritance.check(DONOR)
    pair.host._running[0].failed = True
    assert pair.inheritance.objection == ""


async def test_an_application_that_does_not_read_the_state_alone_begins_anew(pair):
    pair.begin(taker=Sum(import_state=ValueError("damaged")))
    assert await pair.settle() == [10, 1010]
    assert pair.host.failed == []


async def test_a_state_that_a_candidate_does_not_read_is_a_reason_to_object_until_it_has_to(pair):
    pair.begin(taker=Sum(import_state=ValueError("damaged")))
    await pair.inheritance.check(DONOR)
    await pair.inheritance.take([DONOR], may_begin=False)
    assert "application bad" in pair.inheritance.objection
    assert await pair.settle() == [10, 1010]
    assert pair.inheritance.objection == ""


@pytest.mark.parametrize("table", ["record", "application"])
async def test_a_store_that_fails_does_not_count_against_the_applications(pair, table):
    pair.begin()
    own = pair.stores[1].connection
    own.execute(f"CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT raise(ABORT, 'no'); END")
    for _ in range(20):
        await pair.inheritance.take([DONOR], may_begin=True)
    assert not pair.inheritance.is_done
    assert [one.count for one in pair.applications] == [0, 0]
    own.execute("DROP TRIGGER no")
    assert await pair.settle(most=1) == [1010, 1010]


async def test_a_store_that_cannot_be_read_does_not_count_either(pair, monkeypatch):
    pair.begin()

    def fail(_incarnation):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(pair.stores[1], "find_number", fail)
        for _ in range(20):
            await pair.inheritance.take([DONOR], may_begin=True)
    assert await pair.settle(most=1) == [1010, 1010]


async def test_an_application_that_was_stopped_meanwhile_inherits_nothing(pair):
    pair.begin(taker=Sum(export=RuntimeError("r")))
    with pytest.raises(LookupError):
        pair.host.export("bad", 1)
    await pair.inheritance.check(DONOR)
    assert "application bad" in pair.inheritance.objection
    assert (await pair.settle())[1] == 1010
    assert not [path for path in pair.asked if "application=bad" in path]


@pytest.mark.parametrize("error", [*BUGS, ValueError("v")], ids=lambda one: type(one).__name__)
async def test_what_a_donor_cannot_write_begins_anew_and_the_others_inherit(pair, error):
    bad = Sum(1000)
    pair.begin(donor=bad)
    bad.bugs["export"] = error
    assert await pair.settle() == [10, 1010]
    assert (pair.donor.failed, pair.host.failed) == (["bad"], [])


@pytest.mark.parametrize("query", ["", "?application=none", "?application=bad&version=9"])
async def test_a_donor_has_no_state_of_an_unknown_application_or_version(pair, query):
    pair.begin()
    with pytest.raises(PeerError) as caught:
        await pair.get_json(DONOR, f"/v1/handover/state{query}")
    assert caught.value.status == 404
    assert pair.donor.failed == []


STATE = {"version": 1, "state": "37", "incarnation": "41" * 8, "seq": 3}


@pytest.mark.parametrize("answers", [
    *({"versions": one} for one in (None, [], {"bad": 1}, {"bad": [None]}, {"bad": ["one"]})),
    *({"state": one} for one in (None, [], "state", {}, STATE | {"seq": 2**70},
      STATE | {"seq": -1}, STATE | {"seq": None}, STATE | {"state": 5}, STATE | {"version": []},
      STATE | {"incarnation": "42" * 8})),
    *({"records": one} for one in (None, {}, [1], [["a", 1]], [["a", 2**70, "{}"]],
      [["a", 1, "[]"]], [["a", 1, "[" * 100_000]], [["a", None, "{}"]], [["\ud800", 1, "{}"]])),
])  # fmt: skip
async def test_what_a_donor_should_not_send_is_asked_for_five_times(pair, answers):
    pair.begin()
    pair.answers = answers
    for _ in range(4):
        await pair.inheritance.take([DONOR], may_begin=True)
        assert not pair.inheritance.is_done
    assert await pair.settle(most=1) == [10, 10]
    assert pair.host.failed == []


@pytest.mark.parametrize("versions", [None, [], {"bad": 1}, {"bad": [None]}, {"bad": ["one"]}])
async def test_versions_that_are_none_are_the_donors_fault(pair, versions):
    pair.begin()
    pair.answers = {"versions": versions}
    with pytest.raises(PeerError):
        await pair.inheritance.check(DONOR)
    assert not pair.inheritance.is_checked


async def test_the_newest_donor_that_has_begun_gives_its_states(pair):
    """A candidate that was given up is newer than the twin that served, and has nothing."""
    pair.begin()
    given_up, served = DONOR._replace(epoch=3), DONOR
    answer = pair.get_json

    async def get_json(donor, path):
        if donor == given_up and "/state?" in path:
            return STATE | {"incarnation": "", "seq": 0}
        return await answer(donor, path)

    pair.get_json = get_json
    await pair.inheritance.take([served, given_up], may_begin=False)
    assert pair.inheritance.is_done
    assert await pair.settle() == [1010, 1010]


async def test_a_donor_that_does_not_answer_is_passed_over_after_five_times(pair):
    pair.begin()
    away, served = DONOR._replace(epoch=3), DONOR
    answer = pair.get_json

    async def get_json(donor, path):
        if donor == away:
            raise PeerError("away")
        return await answer(donor, path)

    pair.get_json = get_json
    for _ in range(4):
        await pair.inheritance.take([served, away], may_begin=True)
        assert not pair.inheritance.is_done
    await pair.inheritance.take([served, away], may_begin=True)
    assert await pair.settle() == [1010, 1010]


async def test_a_state_that_is_not_read_is_asked_of_the_donor_before(pair):
    bad = Sum()
    pair.begin(taker=bad)
    right = bad.import_state
    told = []

    def read(version, state):
        told.append(state)
        if len(told) == 1:
            raise ValueError("not this one")
        right(version, state)

    bad.import_state = read
    await pair.inheritance.take([DONOR, DONOR._replace(epoch=3)], may_begin=True)
    assert await pair.settle() == [1010, 1010]
    assert len(told) == 2


async def test_applications_begin_anew_where_no_donor_has_begun(pair):
    pair.begin()
    pair.answers = {"state": STATE | {"incarnation": "", "seq": 0}}
    await pair.inheritance.take([DONOR, DONOR._replace(epoch=3)], may_begin=True)
    assert pair.inheritance.is_done
    assert await pair.settle() == [10, 10]


async def test_a_candidate_waits_for_a_donor_that_waits_itself(pair):
    """Whom it follows may have older twins to ask, who are named to it once it is active."""
    pair.begin()
    pair.answers = {"state": STATE | {"incarnation": "", "seq": 0}}
    for _ in range(20):
        await pair.inheritance.take([DONOR], may_begin=False)
        assert not pair.inheritance.is_done
    pair.answers = {}
    await pair.inheritance.take([DONOR], may_begin=False)
    assert await pair.settle() == [1010, 1010]


async def test_an_application_whose_state_does_not_come_keeps_no_other_waiting(pair):
    pair.begin()
    answer = pair.get_json

    async def get_json(donor, path):
        if "application=bad" in path:
            raise PeerError("too large")
        return await answer(donor, path)

    pair.get_json = get_json
    assert await pair.settle() == [10, 1010]


async def test_taking_over_can_be_cancelled(pair, monkeypatch):
    pair.begin()

    async def hang(_donor, _path):
        await asyncio.Event().wait()

    monkeypatch.setattr(pair, "get_json", hang)
    task = asyncio.create_task(pair.inheritance.take([DONOR], may_begin=True))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not pair.inheritance.is_done
