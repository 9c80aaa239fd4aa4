"""Parts of a successor: what it says in its log, when it hurries."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from meter_twin import handover as handover_module
from meter_twin.handover import Handover
from meter_twin.succession import Succession
from meter_twin.successor import Successor
from meter_twin.taking import Covered, Donor
from meter_wire.control import ControlRecord, Peer


class Properties(dict):
    """A store's bookkeeping values."""

    find_property = dict.get
    save_properties = dict.update
    store_id = bytes(8)


HOST = SimpleNamespace(beginners=[])


def build_handover(properties=None):
    store = Properties() if properties is None else properties
    return Handover(SimpleNamespace(store=store), None, None, None)


ROOT = bytes(16)


def test_each_step_of_a_taking_over_is_logged_once(capsys):
    taker = SimpleNamespace(covered={})
    succession = SimpleNamespace(taker=taker)
    successor = Successor(succession, Properties(), None, None, HOST, None, None, None)
    successor._say()
    for covered in (
        Covered(ROOT, "", final=False),
        Covered(b"another tail", "", final=False),
        Covered(ROOT, "attempt", final=False),
        Covered(ROOT, "", final=True),
    ):
        taker.covered = {7: covered}
        successor._say()
        successor._say()
    rows = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(row["what"], row["epoch"], row["state"]) for row in rows] == [
        ("older twin covered", 7, "active"),
        ("older twin covered", 7, "frozen"),
        ("older twin covered", 7, "retired"),
    ]


def build_record(term, counter, donors=()):
    return ControlRecord(2, bytes(16), "candidate", term, counter, "attempt", (), donors, 0)


def test_a_record_that_is_read_again_is_no_decision():
    succession = Succession(bytes(16), None)
    records = [build_record(1, 5), build_record(1, 5), build_record(1, 6), build_record(2, 6)]
    assert [succession.control(one) for one in records] == [True, False, True, True]


@pytest.mark.parametrize(("counters", "hurries"), [([5, 6], 2), ([5, 5, 5], 1)])
def test_each_decision_makes_a_successor_hurry(counters, hurries):
    asked = []
    taker = SimpleNamespace(covered={}, hurry=asked.append)
    succession = Succession(bytes(16), None)
    succession.taker = SimpleNamespace(assign=lambda _: None, hurry=asked.append)
    told = SimpleNamespace(taker=taker, is_active=False, donors=[])
    successor = Successor(told, Properties(), None, None, HOST, None, None, lambda: 77)
    handover = build_handover()
    handover._roles = SimpleNamespace(succession=succession, successor=successor)
    for counter in counters:
        handover.control(build_record(1, counter, (Peer(1, bytes(16), "10.0.0.1:8443"),)))
    assert asked == [77] * hurries


async def rests(handover):
    """Whether a look at what changes with time is still to come."""
    task = asyncio.create_task(handover.rest())
    await asyncio.sleep(0.1)
    if task.done():
        return False
    task.cancel()
    return True


async def test_a_twin_that_is_alone_rests_until_a_handover_is_named_and_again_after_it(monkeypatch):
    monkeypatch.setattr(handover_module, "ALONE_S", 3600)
    monkeypatch.setattr(handover_module, "IN_HANDOVER_S", 0)
    handover = build_handover()
    roles = SimpleNamespace(control=lambda *_, **__: False)
    handover._build = lambda: SimpleNamespace(succession=roles, successor=roles)
    donors = (Peer(1, bytes(16), "10.0.0.1:8443"),)
    alone = build_record(1, 7)._replace(state="active")
    assert await rests(handover)
    waiting = asyncio.create_task(handover.rest())
    await asyncio.sleep(0)
    handover.control(build_record(1, 5, donors))
    await asyncio.wait_for(waiting, 60)
    assert not await rests(handover)
    handover.control(alone)
    assert await rests(handover)
    handover.control(alone._replace(takers=donors))
    assert not await rests(handover)


class Roles:
    """Those of a twin; `settled` says whether all donors were covered once."""

    def __init__(self):
        self.settled = True
        self.succession = SimpleNamespace(control=lambda _: True)
        self.successor = self

    def control(self, *, decided):
        assert decided

    @property
    def may_begin(self):
        return self.settled


def test_applications_that_have_begun_go_on_after_a_restart_whoever_is_named():
    """The record may name a donor that is gone, or does not answer."""
    kept, donors = Properties(), (Peer(2, bytes(16), "10.0.0.1:8443"),)
    active = build_record(1, 7)._replace(state="active", donors=donors)
    for has_begun in (False, True, True):
        handover, roles = build_handover(kept), Roles()
        handover._build = lambda roles=roles: roles
        roles.settled = False
        handover.control(active)
        assert handover.may_feed == has_begun
        roles.settled = True
        assert handover.may_feed


@pytest.mark.parametrize(
    ("state", "named", "covered", "givers", "has_all"),
    [
        ("active", 0, "", 0, True),
        ("active", 1, "", 0, False),
        ("active", 1, "once", 1, False),
        ("active", 1, "final", 1, True),
        ("active", 2, "final", 1, False),
        ("candidate", 0, "", 0, False),
        ("candidate", 1, "", 0, False),
        ("candidate", 1, "once", 1, False),
        ("candidate", 1, "final", 1, False),
        ("frozen", 0, "", 0, False),
        ("retired", 0, "", 0, False),
        ("retired", 1, "final", 0, False),
    ],
)
def test_applications_do_not_begin_without_what_older_twins_have(
    state, named, covered, givers, has_all
):
    """A candidate has somebody to follow, named or not; one that was given up never begins."""
    succession = Succession(bytes(8), None)
    assert not succession.has_all
    peers = [Peer(2, bytes(16), "10.0.0.1:1"), Peer(3, bytes(16), "10.0.0.2:1")][:named]
    succession._record = build_record(1, 7)._replace(state=state, donors=tuple(peers))
    succession.taker.assign(Donor(*one) for one in peers)
    if covered:
        work = next(iter(succession.taker._work.values()))
        work.covered = Covered(b"r", "", covered == "final")
    assert (len(succession.givers), succession.has_all) == (givers, has_all)


class Inherited:
    """What `Inheritance` says."""

    is_done, objection, tried = True, "", frozenset()


@pytest.mark.parametrize("has_followed", [True, False])
def test_after_a_handover_the_end_of_the_old_twin_is_waited_for_a_minute(has_followed):
    """It may answer, and never hear that it is retired; after a takeover it may have readings."""
    donor, now = Peer(2, bytes(16), "10.0.0.1:8443"), [0]
    succession = Succession(bytes(8), None)
    store = Properties(took_states=int(has_followed))
    successor = Successor(succession, store, None, None, HOST, None, None, lambda: now[0])
    successor._inheritance = Inherited()
    successor.control(decided=succession.control(build_record(1, 7, (donor,))))
    now[0] = 100_000
    assert not successor.may_begin, "a candidate hands them nothing"
    active = build_record(1, 8, (donor,))._replace(state="active")
    successor.control(decided=succession.control(active))
    assert not successor.may_begin
    now[0] = 159_999
    successor.control(decided=succession.control(active))
    assert not successor.may_begin
    now[0] = 160_000
    assert successor.may_begin == has_followed
    Inherited.is_done = False
    try:
        assert not successor.may_begin
    finally:
        Inherited.is_done = True


def test_an_older_twin_that_may_still_give_states_is_not_called_done_with():
    """The operator deletes one that is."""
    donor = Peer(2, bytes(16), "10.0.0.1:8443")
    succession = Succession(bytes(8), None)
    successor = Successor(succession, Properties(), None, None, HOST, None, None, lambda: 0)
    inherited = successor._inheritance = SimpleNamespace(
        is_done=False, tried=frozenset(), objection=""
    )
    active = build_record(1, 8, (donor,))._replace(state="active")
    succession.control(active)
    (work,) = succession.taker._work.values()
    work.covered = Covered(b"r", "", True)

    def is_final():
        successor.control(decided=False)
        return succession.word(joined=True, waits=False).covers[2].final

    assert not is_final()
    inherited.tried = frozenset({2})
    assert is_final()
    inherited.tried, inherited.is_done = frozenset(), True
    assert is_final()


@pytest.mark.parametrize("was_taker", [True, False])
def test_applications_that_have_begun_go_on_whoever_is_named_as_a_donor_later(was_taker):
    """As after an upgrade that was given up: the new twin may hold entries, and may never answer."""
    handover, roles = build_handover(), Roles()
    handover._build = lambda: roles
    donors = (Peer(2, bytes(16), "10.0.0.1:8443"),)
    active = build_record(1, 7)._replace(state="active")
    assert not handover.may_feed
    if was_taker:
        roles.settled = False
        handover.control(build_record(1, 5, donors))
        assert not handover.may_feed
        roles.settled = True
    else:
        handover.control(active)
    assert handover.may_feed
    roles.settled = False
    handover.control(active._replace(counter=9, donors=donors))
    assert handover.may_feed


def test_applications_without_a_state_wait_for_the_archive_and_others_do_not():
    for beginners, waits, begins in (
        (["a"], True, False),
        (["a"], False, True),
        ([], True, True),
    ):
        host = SimpleNamespace(beginners=beginners)
        handover = Handover(SimpleNamespace(store=Properties(), host=host), None, None, None)
        handover.waits_for_archive = lambda waits=waits: waits
        handover.control(SimpleNamespace(state="active", takers=(), donors=()))
        assert handover.may_feed == begins
        if begins:
            handover.waits_for_archive = lambda: True
            assert handover.may_feed, "one that has begun goes on"
