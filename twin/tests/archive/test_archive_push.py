"""What is stored comes to the archive: every entry, once, whatever happens on the way."""

import pytest
from dict_archive import DictArchive
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin.archive_pace import MOST_MS, MOST_WAIT_S, ArchivePace
from meter_twin.archive_push import BAD_AGAIN_MS, MOST_BAD, ArchivePush, Give, Keep, Refusal
from meter_twin.archive_shelf import MOST_BYTES, ArchiveShelf
from meter_twin.archive_told import MOST_TOLD, load_told, note_told
from meter_twin.store import Batch, Store
from meter_twin.store_budget import prune_oldest
from meter_twin.store_coverage import import_entries
from meter_twin.store_retention import prune
from meter_twin.taking import Import
from meter_wire.archive_batch import MOST_ENTRIES, ArchiveAnswer, encode_batch, parse_batch
from meter_wire.coverage import Stretch
from meter_wire.effects import Hole

A, B = b"A" * 8, b"B" * 8
OVERFLOW, RESERVED, RELEASED = 1, 2, 3


def entry(seq, size=20):
    return bytes([1, 0, 0]) + (1000 + seq).to_bytes(4, "big") + b"%d" % seq + bytes(size)


class Street:
    """A store, an archive and the push between them; time stands unless it is moved."""

    def __init__(self, spread_ms=0):
        self.store = Store(":memory:")
        self.archive = DictArchive()
        self.now_ms = 1000
        self.chance = 0.5
        self.spread_ms = spread_ms
        self.told = []
        self.refusals = []
        self.last = None
        self.start()

    def start(self):
        """Begin as a process does: with the store alone."""
        self.shelf = ArchiveShelf(self.store)
        self.push = ArchivePush(self.shelf, ArchivePace(self.spread_ms))
        self.look()

    def look(self):
        self.push.look(self.now_ms, self.chance)

    def put(self, seqs, incarnation=A, holes=(), size=20):
        rows = [(seq, entry(seq, size)) for seq in seqs]
        self.store.ingest([Batch(incarnation, rows, holes, -1, b"")], 0)
        self.look()

    def step(self):
        return self.push.next_step(self.now_ms, self.chance)

    def keep(self, step):
        self.store.save_archived(*step)
        self.told.append(step)

    def send(self, give):
        self.shelf.tell(give.incarnation, give.tells)
        body = encode_batch(give.stored, give.piece.holes, give.piece.entries)
        assert len(body) <= MOST_BYTES
        return self.archive.give(give.incarnation, body)

    def answer(self, give, status, what, wait_s=None):
        if status == 200:
            if give.filled is not None:
                self.shelf.settle(give.filled, give.piece)
            self.shelf.note_lacking(give.incarnation, what.holes)
            self.push.answered(give, what, self.now_ms, self.chance)
            return
        found = self.push.refused(give, status, wait_s, self.now_ms, self.chance)
        if found is not None:
            self.refusals.append(found)

    def once(self):
        """Do one step; False if there is none."""
        step = self.step()
        if isinstance(step, Keep):
            self.keep(step)
        elif step is not None:
            self.answer(step, *self.send(step))
        return step is not None

    def settle(self, until_ms=600_000):
        """Go on until nothing is due within a time; return how many steps that took."""
        count, end_ms = 0, self.now_ms + until_ms
        while True:
            if self.once():
                count += 1
                assert count < 2000, "it never comes to rest"
            elif self.push.next_ms is not None and self.push.next_ms <= end_ms:
                self.now_ms = max(self.now_ms + 1, self.push.next_ms)
            else:
                return count

    def check(self):
        """Every stored entry is in the archive, and nothing that the store never had."""
        for held in self.shelf.held():
            entries, holes = self.archive.rows(held.incarnation)
            rows = self.store.connection.execute(
                "SELECT seq, raw FROM entry e JOIN incarnation i ON i.number = e.incarnation"
                " WHERE i.id = ? AND seq <= i.stored", (held.incarnation,),
            ).fetchall()  # fmt: skip
            assert {seq: entries.get(seq) for seq, _ in rows} == dict(rows)
            assert all(
                raw == entry(seq, len(raw) - 7 - len(str(seq))) for seq, raw in entries.items()
            )
            assert not set(entries) & set(holes)
            assert held.archived == held.stored <= self.archive.archived(held.incarnation)
        assert self.push.count_behind() == 0
        assert not self.archive.conflicts


@pytest.fixture
def street():
    made = Street()
    yield made
    made.store.close()


def test_it_begins_with_an_empty_batch_that_asks_for_the_mark(street):
    street.put(range(1, 4))
    first = street.step()
    assert (first.is_asking, first.piece.entries, first.piece.holes) == (True, (), ())
    assert street.step() is None, "one batch at a time"


def test_all_that_is_stored_comes_to_the_archive_and_the_meter_is_told(street):
    street.put(range(1, 1500))
    street.settle()
    street.check()
    assert street.told[-1] == Keep(A, 1499)
    sizes = [len(parse_batch(body).entries) for _, body in street.archive.bodies]
    assert max(sizes) <= MOST_ENTRIES


def test_a_body_is_bounded_however_long_the_entries_are(street):
    street.put(range(1, 300), size=600)
    street.settle()
    street.check()


def test_what_the_archive_has_already_is_not_sent_again(street):
    street.put(range(1, 101))
    street.archive.give(A, encode_batch(60, (), [(seq, entry(seq)) for seq in range(1, 61)]))
    street.settle()
    street.check()
    sent = [seq for _, body in street.archive.bodies[1:] for seq, _ in parse_batch(body).entries]
    assert sent == list(range(61, 101))


def test_nothing_beyond_a_gap_is_sent_until_it_is_closed(street):
    street.put([1, 2, 5, 6])
    street.settle()
    assert sorted(street.archive.rows(A)[0]) == [1, 2]
    street.put([3, 4])
    street.settle()
    street.check()


def test_incarnations_go_oldest_first(street):
    street.put(range(1, 3))
    street.put(range(1, 3), B)
    street.settle()
    street.check()
    order = [one for one, body in street.archive.bodies if parse_batch(body).entries]
    assert order == [A, B]


def test_holes_of_every_reason_go_with_the_entries_around_them(street):
    holes = (Hole(1, 3, RELEASED), Hole(6, 9, OVERFLOW), Hole(12, 20, RESERVED))
    street.put([4, 5, 10, 11, 21], holes=holes)
    street.settle()
    street.check()
    reasons = street.archive.rows(A)[1]
    assert [reasons[seq] for seq in (1, 6, 12)] == [RELEASED, OVERFLOW, RESERVED]
    assert street.archive.archived(A) == 21


def test_a_hole_at_the_end_is_told_without_entries(street):
    street.put([1], holes=(Hole(2, 9, RESERVED),))
    street.settle()
    street.check()
    assert street.archive.archived(A) == 9


def test_more_holes_than_one_body_has_are_told_one_after_the_other(street):
    street.put(range(1, 1400, 2), holes=[Hole(n, n, RESERVED) for n in range(2, 1400, 2)])
    street.settle()
    street.check()


def test_a_deleted_prefix_that_the_archive_lacks_is_a_released_hole(street):
    street.put(range(1, 51))
    street.settle()
    assert prune(street.store, 1031, keep_unarchived=True) == 30
    street.archive.entries.clear()
    street.put(range(51, 53))
    street.settle()
    street.check()
    assert set(street.archive.rows(A)[1].values()) == {RELEASED}
    assert sorted(street.archive.rows(A)[0]) == list(range(31, 53))


def test_an_archive_from_a_backup_is_filled_again(street):
    street.put(range(1, 11))
    street.settle()
    restore = street.archive.backup()
    street.put(range(11, 31))
    street.settle()
    restore()
    street.put([31])
    street.settle()
    street.check()


HOURS_MS = 8 * 3_600_000


def test_a_backup_from_before_a_told_hole_was_filled_is_filled_again(street):
    street.put(range(1, 6), holes=[Hole(6, 9, RELEASED)])
    street.put(range(10, 20))
    street.settle()
    restore = street.archive.backup()
    street.put(range(6, 10))  # of a donor that was named late
    street.settle()
    street.check()
    restore()
    street.settle(HOURS_MS)
    street.check()


def test_a_hole_that_another_twin_has_told_is_filled_by_one_that_has_the_entries(street):
    rows = [(seq, entry(seq)) for seq in (*range(1, 6), *range(10, 20))]
    street.archive.give(A, encode_batch(19, (Hole(6, 9, RELEASED),), rows))
    street.put(range(1, 30))
    street.settle()
    street.check()


def test_a_hole_that_is_one_here_too_is_not_told_again_and_again(street):
    street.put(range(1, 6), holes=[Hole(6, 9, OVERFLOW)])
    street.put(range(10, 20))
    street.settle()
    told = len(street.archive.bodies)
    street.settle(HOURS_MS)
    bodies = [parse_batch(body) for _, body in street.archive.bodies[told:]]
    assert bodies
    assert not any(one.entries or one.holes for one in bodies)


def test_a_backup_that_lacks_an_older_incarnation_is_filled_too(street):
    restore = street.archive.backup()
    street.put(range(1, 11))
    street.put(range(1, 11), B)
    street.settle()
    restore()
    street.put([11], B)
    street.settle()
    street.check()


def test_a_twin_with_nothing_to_give_asks_again_after_a_while(street):
    street.put(range(1, 11))
    street.settle()
    street.archive.entries.clear()
    assert street.settle(4_000_000) > 0
    street.check()


def test_the_mark_of_the_store_never_moves_back(street):
    street.put(range(1, 11))
    street.settle()
    street.archive.entries.clear()
    street.put([11])
    while street.once():
        assert street.store.marks()[A].archived >= 10
    assert [one.mark for one in street.told] == sorted(one.mark for one in street.told)


def test_an_archive_that_is_further_than_the_store_is_followed_as_it_grows(street):
    street.archive.give(A, encode_batch(9, (), [(seq, entry(seq)) for seq in range(1, 10)]))
    street.put(range(1, 4))
    street.settle()
    assert street.told == [Keep(A, 3)]
    street.put(range(4, 8))
    street.settle()
    assert street.told[-1] == Keep(A, 7)
    assert len(street.archive.bodies) == 2


def test_what_comes_into_a_hole_that_was_told_is_given(street):
    street.put([1, 7], holes=(Hole(2, 6, RELEASED),))
    street.settle()
    assert street.archive.archived(A) == 7
    street.start()
    street.put([3, 4])
    street.settle()
    street.check()
    street.start()
    street.put([2, 5, 6])
    street.settle()
    street.check()
    assert load_told(street.store.connection) == []


def test_what_comes_into_a_hole_while_that_is_told_is_given(street):
    street.put([1, 7], holes=(Hole(2, 6, OVERFLOW),))
    street.once()
    give = street.step()
    sent = street.send(give)
    street.put([4])
    street.answer(give, *sent)
    street.settle()
    street.check()


def test_what_a_donor_told_as_a_hole_is_given_by_the_twin_that_has_it(street):
    street.archive.give(A, encode_batch(7, (Hole(1, 6, RELEASED),), [(7, entry(7))]))
    street.put([4, 5, 6, 7], holes=(Hole(1, 3, RELEASED),))
    stretch = Stretch(A, 7, 0, (), (Hole(1, 6, RELEASED),))
    import_entries(street.store, Import(A, stretch=stretch), 0)
    street.settle()
    street.check()


@pytest.mark.parametrize("early", [False, True])
def test_what_came_into_a_hole_is_not_deleted_before_the_archive_has_it(street, early):
    def delete():
        if early:
            return prune_oldest(street.store, 0, keep_unarchived=True)
        return prune(street.store, 1_000_000, keep_unarchived=True)

    street.put([1, 2, 7, 8], holes=(Hole(3, 6, RELEASED),))
    street.settle()
    street.put([4, 5])  # and the archive is away
    assert delete() == 2
    assert delete() == 0
    street.settle()
    assert sorted(street.archive.rows(A)[0]) == [1, 2, 4, 5, 7, 8]
    assert delete() >= 3


def test_what_came_into_a_hole_of_one_incarnation_lets_the_next_spare_entries(street):
    street.put([1, 4], holes=(Hole(2, 3, RELEASED),))
    street.put([1, 2, 3], incarnation=B)
    street.settle()
    street.put([2])
    assert [prune_oldest(street.store, 0, keep_unarchived=True) for _ in range(3)] == [1, 3, 0]


def test_reserved_numbers_are_never_filled_and_not_remembered(street):
    street.put([1, 9], holes=(Hole(2, 8, RESERVED),))
    street.settle()
    assert load_told(street.store.connection) == []


def test_what_is_remembered_of_holes_is_bounded(street):
    street.put([2000])
    with street.store.transaction() as connection:
        for seq in range(1, 2 * MOST_TOLD):
            note_told(connection, 1024, [Hole(seq, seq, RELEASED)])
    rows = load_told(street.store.connection)
    assert (len(rows), rows[-1][1]) == (MOST_TOLD, 2 * MOST_TOLD - 1)


def test_one_refused_entry_stops_none_of_the_others_and_is_reported_once(street):
    street.archive.takes = lambda seq, _raw: seq != 333
    street.put(range(1, 1001))
    street.settle(300_000)
    assert street.refusals == [Refusal(A, 333)]
    assert sorted(street.archive.rows(A)[0]) == [*range(1, 333), *range(334, 1001)]
    assert street.store.marks()[A].archived == 332, "retention keeps it"
    assert (street.push.bad, street.push.count_behind()) == (1, 668)


def test_a_refused_entry_is_tried_again_and_the_rest_is_not_sent_twice(street):
    street.archive.takes = lambda seq, _raw: seq != 333
    street.put(range(1, 1001))
    street.settle(300_000)
    before = len(street.archive.bodies)
    street.settle(BAD_AGAIN_MS)
    again = [parse_batch(body).entries for _, body in street.archive.bodies[before:]]
    assert [[seq for seq, _ in one] for one in again] == [[333]]
    street.archive.takes = lambda _seq, _raw: True
    street.settle(BAD_AGAIN_MS)
    street.check()
    assert street.push.bad == 0


def test_an_archive_that_refuses_everything_is_not_worn_down(street):
    street.archive.takes = lambda _seq, _raw: False
    street.put(range(1, 1001))
    street.settle(21_600_000)
    assert street.push.bad == MOST_BAD
    street.archive.takes = lambda _seq, _raw: True
    street.settle(2 * BAD_AGAIN_MS)
    street.check()


def test_a_batch_that_is_too_large_is_halved(street):
    street.put(range(1, 101))
    street.once()
    give = street.step()
    street.answer(give, 413, "")
    street.now_ms = street.push.next_ms
    assert len(street.step().piece.entries) == 50


@pytest.mark.parametrize("times", range(1, 12))
def test_the_pause_grows_with_each_failure_up_to_a_minute(times):
    pace = ArchivePace()
    for _ in range(times):
        pace.back_off(0, 0.999_999)
    assert pace.next_ms <= min(MOST_MS, 1000 << (times - 1)) <= pace.next_ms + 1


def test_the_pause_is_anywhere_below_its_ceiling():
    pauses = []
    for chance in (0.0, 0.25, 0.5):
        pace = ArchivePace()
        pace.back_off(0, chance)
        pauses.append(pace.next_ms)
    assert pauses == [0, 250, 500]


@pytest.mark.parametrize(("wait_s", "least_ms"), [(0, 0), (20, 20_000), (9999, MOST_WAIT_S * 1000)])
def test_a_busy_archive_is_left_alone_as_long_as_it_asks(street, wait_s, least_ms):
    street.put([1])
    give = street.step()
    street.answer(give, 503, "", wait_s)
    pause_ms = street.push.next_ms - street.now_ms
    assert least_ms <= pause_ms <= max(least_ms, min(least_ms + 1000, MOST_WAIT_S * 1000))
    street.look()
    assert street.step() is None, "new entries change nothing"
    street.settle()
    street.check()


def test_a_twin_whose_successor_has_pushed_waits_long(street):
    street.put([1])
    street.archive.epoch = 2
    street.once()
    assert street.push.next_ms - street.now_ms >= 60_000


def test_after_a_pause_the_mark_is_asked_again(street):
    street.put(range(1, 4))
    street.settle()
    street.push.pause()
    street.archive.entries.clear()
    street.look()
    street.settle()
    street.check()


def test_entries_wait_a_moment_for_others_and_no_longer():
    street = Street(spread_ms=1000)
    street.put([1])
    due_ms = street.push.next_ms
    assert due_ms == street.now_ms + 500
    street.chance = 0.0
    street.put([2])
    assert street.push.next_ms == due_ms
    assert street.step() is None
    street.store.close()


def test_an_answer_that_nobody_waits_for_changes_nothing(street):
    street.put(range(1, 11))
    give = street.step()
    _, answer = street.send(give)
    street.push.failed(give, street.now_ms, 0.0)
    assert not street.push.answered(give, answer._replace(archived=9), street.now_ms, 0.0)
    street.settle()
    street.check()


def test_an_archive_that_takes_and_gets_no_further_is_asked_in_no_hurry(street):
    street.put(range(1, 4))
    street.once()
    for _ in range(6):
        give = street.step()
        street.push.answered(give, ArchiveAnswer(0, 0, 3, 0), street.now_ms, 0.99)
        assert street.push.next_ms > street.now_ms
        street.now_ms = street.push.next_ms
    assert street.push.pace.failures == 6


FAULTS = ("lost", "unheard", "busy", "fenced", "crash", "late", "unsaved", "garbled")
ACTIONS = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 60), st.sampled_from([A, B])),
    st.tuples(st.just("gap"), st.integers(1, 5), st.sampled_from([A, B])),
    st.tuples(st.just("hole"), st.integers(1, 9), st.sampled_from([OVERFLOW, RESERVED, RELEASED])),
    st.tuples(st.just("fill"), st.integers(1, 200), st.sampled_from([A, B])),
    st.tuples(st.just("prune"), st.integers(1, 300), st.just(A)),
    st.tuples(st.just("backup"), st.just(0), st.just(A)),
    st.tuples(st.just("restore"), st.just(0), st.just(A)),
    st.tuples(st.just("steps"), st.integers(1, 6), st.just(A)),
    *(st.tuples(st.just(one), st.integers(0, 3), st.just(A)) for one in FAULTS),
)


class Life(Street):
    """A street to which things happen; numbers that are due go on from the last one."""

    def __init__(self):
        super().__init__()
        self.next = {A: 1, B: 1}
        self.restore = self.archive.backup()
        self.reserved = set()
        self.old = []

    def bring(self, seqs, which):
        """Bring what another twin has: nothing under numbers that were never used."""
        self.put([seq for seq in seqs if which != A or seq not in self.reserved], which)

    def act(self, what, number, which):
        if what in ("put", "gap"):
            first = self.next[which] + (number if what == "gap" else 0)
            self.next[which] = first + number
            self.put(range(first, first + number), which)
        elif what == "hole":
            first = self.next[A]
            self.next[A] = first + number
            self.put([], A, (Hole(first, first + number - 1, which),))
            if which == RESERVED:
                self.reserved.update(range(first, first + number))
        elif what == "fill":
            self.bring(range(number, min(number + 8, self.next[which])), which)
        elif what == "prune":
            prune(self.store, 1000 + number, keep_unarchived=True)
        elif what == "backup":
            self.restore = self.archive.backup()
        elif what == "restore":
            self.restore()
        elif what == "steps":
            for _ in range(number):
                self.once()
                self.now_ms = max(self.now_ms, self.push.next_ms or 0)
        else:
            self.fault(what)
        self.now_ms += 1

    def fault(self, what):
        self.look()
        self.now_ms = max(self.now_ms, self.push.next_ms or 0)
        step = self.step()
        if what == "crash" or step is None:
            self.start()
        elif isinstance(step, Keep):
            if what == "unsaved":
                self.push.unsaved(self.now_ms, self.chance)
            else:
                self.keep(step)
        elif what == "lost":
            self.push.failed(step, self.now_ms, self.chance)
        elif what == "unheard":  # killed between the answer and the mark
            self.send(step)
            self.start()
        elif what == "garbled":
            self.send(step)
            self.push.failed(step, self.now_ms, self.chance)
        elif what == "late":
            old, self.old = self.old, [(step, self.send(step)[1])]
            for give, answer in old:  # of a session before: heard now
                assert not self.push.answered(give, answer, self.now_ms, self.chance)
            self.push.failed(step, self.now_ms, self.chance)
            self.archive.give(step.incarnation, encode_batch(0, (), step.piece.entries))
        elif what == "unsaved":
            self.push.unsaved(self.now_ms, self.chance)
        else:
            self.answer(step, 503 if what == "busy" else 409, "", 2)


@settings(max_examples=300, deadline=None)
@given(st.lists(ACTIONS, max_size=30))
def test_whatever_happens_on_the_way_all_that_is_stored_is_in_the_archive_at_the_end(actions):
    life = Life()
    for action in actions:
        life.act(*action)
    for which in (A, B):  # what is missing comes in the end
        life.bring(range(1, life.next[which]), which)
    life.settle(4_000_000)
    life.look()
    life.settle()
    life.check()
    life.store.close()


def test_a_step_is_given_only_when_it_is_due(street):
    street.put([1])
    assert isinstance(street.step(), Give)
