"""A store that lacks what the archive has becomes whole, whatever fails on the way.

The oracle is what the meter has ever written; the archive and the store each have a part of it.
"""

import json
import time

import pytest
from dict_archive import DictArchive
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin.archive_lack import ArchiveLack
from meter_twin.archive_refill import MOST_PERCENT, ArchiveRefill, Window
from meter_twin.archive_return import find_wants
from meter_twin.http_answer import HttpAnswer
from meter_twin.http_client import HttpClientError
from meter_twin.store import Batch, Store
from meter_twin.store_budget import used_bytes
from meter_twin.store_queries import START, Position, load_feed
from meter_twin.store_retention import prune
from meter_wire.archive_batch import encode_batch
from meter_wire.archive_page import PATH, Holding, encode_holdings, encode_page
from meter_wire.effects import Hole
from meter_wire.portable.entry import chain
from meter_wire.ports import Marks

A, B = b"A" * 8, b"B" * 8
OVERFLOW, RESERVED, RELEASED = 1, 2, 3
DAY_S = 86_400


def entry(seq, size=20, age_s=None):
    time_s = 1000 + seq if age_s is None else int(time.time()) - age_s
    return bytes([1, 0, 0]) + time_s.to_bytes(4, "big") + b"%d" % seq + bytes(size)


class Street:
    """A store, an archive, and the refill between them; time stands unless it is moved."""

    def __init__(self, path=":memory:", *, limit_bytes=1 << 28, retention_days=40_000):
        self.path = path
        self.archive = DictArchive()
        self.window = Window(retention_days, limit_bytes)
        self.now_ms = 1000
        self.may_ask = True
        self.asked = []
        self.faults = []
        self.imported_times = 0
        self.store = Store(path)
        self.start()

    def start(self):
        """Begin as a process does: with the store alone."""
        self.lack = ArchiveLack(self.store)
        self.refill = ArchiveRefill(
            *(self.store, self, self.lack, self.window, self.ask),
            *(lambda: self.may_ask, lambda: 0.5),
        )

    def imported(self):
        """What the link's loop is told."""
        self.imported_times += 1

    async def ask(self, path):
        self.asked.append(path)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            return fault(self, path)
        return self.serve(path)

    def serve(self, path):
        name, _, query = path.removeprefix(PATH).partition("?")
        numbers = dict(one.split("=") for one in query.split("&"))
        if not name:
            body = json.dumps(encode_holdings(self.archive.tell(int(numbers["since"])))).encode()
        else:
            first, until = int(numbers["from"]), int(numbers["until"])
            body = encode_page(self.archive.page(bytes.fromhex(name[1:]), first, until))
        return HttpAnswer(200, {}, body, True)

    def give(self, numbers, incarnation=A, holes=(), **options):
        """What another twin has pushed before."""
        rows = [(seq, entry(seq, **options)) for seq in numbers]
        for start in range(0, len(rows), 400):
            body = encode_batch(9, holes, rows[start : start + 400])
            assert self.archive.give(incarnation, body)[0] == 200

    def put(self, numbers, incarnation=A, holes=(), **options):
        """What the meter sends."""
        rows = [(seq, entry(seq, **options)) for seq in numbers]
        self.store.ingest([Batch(incarnation, rows, holes, -1, b"")], 0)

    async def run(self, steps=400):
        """Go on until nothing is lacking, or for some steps."""
        if self.lack.is_open:
            self.refill.begin(self.now_ms)
        for _ in range(steps):
            due_ms = self.refill.next_ms
            if due_ms is None:
                return
            self.now_ms = max(self.now_ms, due_ms)
            await self.refill.step(lambda: self.now_ms)

    def held(self, incarnation=A):
        return dict(
            self.store.connection.execute(
                "SELECT seq, raw FROM entry e JOIN incarnation i ON i.number = e.incarnation"
                " WHERE i.id = ?", (incarnation,),
            ).fetchall()
        )  # fmt: skip

    def holes(self, incarnation=A):
        return [
            Hole(*row)
            for row in self.store.connection.execute(
                "SELECT first, last, reason FROM hole h JOIN incarnation i"
                " ON i.number = h.incarnation WHERE i.id = ? ORDER BY first", (incarnation,),
            ).fetchall()
        ]  # fmt: skip

    def fed(self, after=START):
        return [row.position.seq for row in load_feed(self.store, after, 10_000)]


@pytest.fixture
def street():
    made = Street()
    yield made
    made.store.close()


def whole(numbers, **options):
    return {seq: entry(seq, **options) for seq in numbers}


async def test_what_the_ring_has_no_more_comes_from_the_archive(street):
    street.give(range(1, 1201))
    street.put(range(1101, 1211), holes=[Hole(1, 1100, RELEASED)])
    await street.run()
    assert street.held() == whole(range(1, 1211))
    assert street.holes() == []
    assert street.store.marks()[A].stored == 1210
    said = street.refill.describe()
    assert said == {"state": "whole", "restored": 1100, "missing": 0, "message": ""}
    assert street.fed() == list(range(1, 1211))


async def test_before_the_meter_speaks_all_comes_and_the_chain_is_known(street):
    street.give(range(1, 601))
    await street.run()
    head = bytes(16)
    for seq in range(1, 601):
        head = chain(head, A, seq, entry(seq))
    marks = street.store.marks()[A]
    assert (marks.stored, marks.archived, marks.chain) == (600, 0, head)
    assert street.held() == whole(range(1, 601))


async def test_incarnations_come_in_their_order_and_before_the_one_that_runs(street):
    C = b"C" * 8  # noqa: N806 - an incarnation like A and B
    for incarnation, last in ((A, 5), (B, 300), (C, 10)):
        street.give(range(1, last + 1), incarnation)
    street.put(range(8, 13), C, holes=[Hole(1, 7, RELEASED)])
    await street.run()
    assert list(street.store.marks()) == [A, B, C]
    assert street.fed() == [*range(1, 6), *range(1, 301), *range(1, 13)]


async def test_holes_come_with_their_reasons_and_stall_nothing(street):
    street.give([*range(1, 11), *range(21, 31)], holes=[Hole(11, 15, OVERFLOW), Hole(16, 20, 2)])
    await street.run()
    assert street.holes() == [Hole(11, 15, OVERFLOW), Hole(16, 20, RESERVED)]
    assert street.store.marks()[A].stored == 30


async def test_what_nobody_has_stays_open_and_is_not_asked_for_again(street):
    street.give([*range(1, 11), *range(21, 31)])
    street.put(range(26, 41), holes=[Hole(1, 25, RELEASED)])
    await street.run()
    assert street.holes() == [Hole(11, 20, RELEASED)]
    assert street.store.marks()[A].stored == 40
    count = len(street.asked)
    street.start()
    await street.run()
    assert len(street.asked) == count
    assert street.lack.was_asked


async def test_a_hole_that_comes_later_is_asked_for(street):
    await street.run()
    assert street.asked == [f"{PATH}?since=0"]
    street.give(range(1, 21))
    street.put(range(16, 31), holes=[Hole(1, 15, RELEASED)])
    await street.run()
    assert street.held() == whole(range(1, 31))


async def test_a_reserved_block_is_no_reason_to_ask(street):
    await street.run()
    street.put(range(1, 5), holes=[Hole(5, 9, RESERVED)])
    await street.run()
    assert len(street.asked) == 1


async def test_what_is_held_is_not_fetched_and_what_was_deleted_does_not_come_back(street):
    street.give(range(1, 101))
    street.put(range(1, 101))
    street.store.save_archived(A, 100)
    assert prune(street.store, 1000 + 31, keep_unarchived=True) == 30
    await street.run()
    assert len(street.asked) == 1
    assert sorted(street.held()) == list(range(31, 101))


async def test_what_differs_is_quarantined_and_the_stored_bytes_stay(street, capfd):
    street.give(range(1, 11))
    street.archive.rows(A)[0][7] = entry(7, 3)

    def meter_was_first(street, path):
        street.put(range(5, 9))
        return street.serve(path)

    street.faults = [None, meter_was_first]
    await street.run()
    assert street.held() == whole(range(1, 11))
    assert street.store.find_property("conflicts") == 1
    assert "differ" in capfd.readouterr().err


async def test_what_is_too_old_stays_in_the_archive_and_is_a_hole_for_the_meter():
    street = Street(retention_days=10)
    street.give(range(1, 51), age_s=20 * DAY_S)
    street.give(range(51, 81), age_s=5 * DAY_S)
    await street.run()
    assert sorted(street.held()) == list(range(51, 81))
    assert street.holes() == [Hole(1, 50, RELEASED)]
    assert street.store.marks()[A].stored == 80
    street.store.close()


async def test_what_is_old_and_not_archived_is_still_asked_of_the_meter():
    """The archive lacks 41 to 45: no mark may promise them."""
    street = Street(retention_days=10)
    street.give(range(1, 41), age_s=20 * DAY_S)
    street.give(range(46, 81), age_s=5 * DAY_S)
    await street.run()
    assert sorted(street.held()) == list(range(46, 81))
    assert street.store.marks()[A].stored == 40
    street.put(range(41, 46))
    assert street.store.marks()[A].stored == 80
    street.store.close()


async def test_only_the_newest_come_where_there_is_no_room_for_all(tmp_path):
    limit = 2_000_000
    street = Street(str(tmp_path / "twin.db"), limit_bytes=limit)
    street.give(range(1, 8001), size=200)
    await street.run()
    numbers = sorted(street.held())
    assert numbers == list(range(8001 - len(numbers), 8001))
    assert 3000 < len(numbers) < 8000
    assert used_bytes(street.store) < limit * MOST_PERCENT // 100
    assert street.store.marks()[A].stored == 8000
    street.store.close()


async def test_a_twin_that_loses_its_meter_meanwhile_takes_nothing(street):
    street.give(range(1, 601))

    def end(street, path):
        street.may_ask = False
        return street.serve(path)

    street.faults = [None, None, end]
    await street.run()
    assert len(street.held()) == 256
    street.may_ask = True
    await street.run()
    assert street.held() == whole(range(1, 601))


async def test_applications_that_are_past_it_are_not_handed_what_is_filled_in(street):
    street.give(range(1, 21), B)
    street.give(range(1, 101))
    street.put(range(91, 121), holes=[Hole(1, 90, RELEASED)])
    handed = street.fed()
    number = street.store.find_number(A)
    await street.run()
    assert street.held() == whole(range(1, 121))
    assert street.held(B) == whole(range(1, 21))
    street.put([121])
    handed += street.fed(Position(number, handed[-1]))
    assert handed == list(range(91, 122)), "each once"


def away(_street, _path):
    raise HttpClientError("Unreachable", "connection refused")


def status(number, **headers):
    return lambda *_: HttpAnswer(number, headers, b"{}", True)


def body(octets):
    return lambda *_: HttpAnswer(200, {}, octets, True)


FAULTS = {
    "away": away,
    "busy": status(503, **{"retry-after": "3"}),
    "busy until a date": status(503, **{"retry-after": "tomorrow"}),
    "fenced": status(409),
    "unknown here": status(404),
    "broken": status(500),
    "empty": body(b""),
    "no JSON": body(b"\xff{"),
    "deep JSON": body(b"[" * 100_000),
    "another document": body(b'{"incarnations": [{"incarnation": 1}]}'),
    "another version": body(b"\x02" + bytes(6)),
    "a page of other numbers": body(encode_batch(2**31, (), [(2**31, b"x")])),
    "a page that is cut": body(encode_batch(3, (), [(1, entry(1)), (2, entry(2))])[:-3]),
    "a page that goes back": body(encode_batch(0, (), ())),
    "a hole to the end of the world": body(encode_batch(5, [Hole(1, 2**32 - 1, 1)], ())),
}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", FAULTS)
async def test_whatever_the_archive_answers_the_store_becomes_whole(street, name, place):
    street.give(range(1, 601), holes=[Hole(601, 610, OVERFLOW)])
    street.faults = [None] * place + [FAULTS[name]]
    await street.run(place + 1)
    said = street.refill.describe()
    assert said["state"] == "failing"
    assert said["message"]
    await street.run()
    assert street.held() == whole(range(1, 601))
    assert street.refill.describe()["state"] == "whole"
    assert not street.store.find_property("conflicts")


async def test_an_archive_that_is_away_is_asked_seldom(street):
    street.faults = [away] * 50
    street.give(range(1, 4))
    await street.run(50)
    assert street.now_ms > 10 * 60_000, "with a chance of one half a try, a minute at most"
    assert street.refill.describe()["state"] == "failing"
    await street.run()
    assert street.held() == whole(range(1, 4))


KINDS = st.sampled_from(["meter", "both", "archive", "old", "overflow", "reserved"])


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(KINDS, min_size=1, max_size=40),
    size=st.integers(1, 30),
    faults=st.lists(st.sampled_from([None, away, status(503), body(b"\x01")]), max_size=12),
    kills=st.sets(st.integers(0, 20), max_size=4),
    hello=st.integers(0, 20),
)
async def test_archive_and_ring_together_are_the_oracle(kinds, size, faults, kills, hello):
    """Whatever part each has, and whenever the meter speaks or the twin is killed."""
    street = Street()
    try:
        parts = [(at // size, seq) for seq, at in enumerate(range(len(kinds) * size), 1)]
        numbers = {kind: [] for kind in ("meter", "both", "archive", "old", "overflow", "reserved")}
        for place, seq in parts:
            numbers[kinds[place]].append(seq)
        archived = [seq for kind in ("both", "archive", "old") for seq in numbers[kind]]
        holes = [Hole(seq, seq, OVERFLOW) for seq in numbers["overflow"]]
        holes += [Hole(seq, seq, RESERVED) for seq in numbers["reserved"]]
        street.give(sorted(archived))
        street.faults = list(faults)
        spoken = False
        for step in range(60):
            if step in kills:
                street.start()
            if step >= hello and not spoken:
                spoken = True
                lost = [Hole(seq, seq, RELEASED) for seq in numbers["archive"] + numbers["old"]]
                known = sorted(numbers["meter"] + numbers["both"])
                street.put(known, holes=[*lost, *holes])
            await street.run(1)
        await street.run()
        expected = {seq for kind in ("meter", "both", "archive", "old") for seq in numbers[kind]}
        assert street.held() == whole(expected)
        assert street.store.marks().get(A, Marks()).stored == len(parts)
        assert not street.store.find_property("conflicts")
        assert [row for row in street.fed()] == sorted(expected)  # noqa: C416 - in this order
    finally:
        street.store.close()


@given(
    st.lists(st.tuples(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60))), max_size=3),
    st.integers(-5, 12_000),
)
def test_wants_are_what_both_say_and_the_newest_of_too_much(rows, room_bytes):
    holdings = [
        Holding(bytes([at]) * 8, 0, 20, tuple(ranges(held))) for at, (held, _) in enumerate(rows)
    ]
    lacks = {bytes([at]) * 8: list(ranges(lacking)) for at, (_, lacking) in enumerate(rows)}
    wants = find_wants(holdings, lacks.__getitem__, room_bytes)
    all_wanted = [
        (bytes([at]) * 8, seq)
        for at, (held, lack) in enumerate(rows)
        for seq in sorted(held & lack)
    ]
    found = [(one.incarnation, seq) for one in wants for seq in range(one.first, one.last + 1)]
    assert found == all_wanted[len(all_wanted) - len(found) :]
    assert len(found) == min(len(all_wanted), max(room_bytes // 90, 0))


def ranges(numbers):
    rows = sorted(numbers)
    for seq in rows:
        if seq - 1 not in numbers:
            last = seq
            while last + 1 in numbers:
                last += 1
            yield seq, last
