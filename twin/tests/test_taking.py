"""What a taker says it covers, it holds: against donors that go on, fail, change and lie."""

from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin.taking import HURRY_MS, TAIL_MS, AskCoverage, AskEntries, Donor, Taker, Told
from meter_wire.coverage import (
    BLOCK,
    Coverage,
    Stretch,
    encode_coverage,
    first_of,
    parse_coverage,
    sum_up,
)
from meter_wire.effects import Hole

ONE, TWO = b"1" * 8, b"2" * 8


class MemoryShelf:
    """Entries and declared holes of a store."""

    def __init__(self):
        self.entries = {}
        self.conflicts = []
        self.holes = {}

    def add(self, incarnation, seq, raw):
        known = self.entries.setdefault(incarnation, {}).setdefault(seq, raw)
        if known != raw:
            self.conflicts.append((incarnation, seq, raw))

    def find_block(self, incarnation, first):
        return next((b for b in self.blocks(incarnation) if b.first == first), None)

    def blocks(self, incarnation):
        return list(sum_up(incarnation, sorted(self.entries.get(incarnation, {}).items())))

    def coverage(self):
        order = dict.fromkeys([*self.entries, *self.holes])
        stretches = tuple(Stretch(i, 0, 0, tuple(self.holes.get(i, ()))) for i in order)
        return Coverage(stretches, tuple(b for i in order for b in self.blocks(i)))

    def of_block(self, block):
        held = sorted(self.entries[block.incarnation].items())
        return [one for one in held if block.first <= one[0] < block.first + BLOCK]

    def apply(self, imports):
        for seq, raw in imports.entries:
            self.add(imports.incarnation, seq, raw)
        for hole in imports.stretch.holes if imports.stretch else ():
            rows = self.holes.setdefault(imports.incarnation, [])
            rows.extend([hole] if hole not in rows else [])

    def holds(self, other):
        """Whether every entry of another store is here, as an entry or in quarantine."""
        return all(
            self.entries.get(i, {}).get(seq) == raw or (i, seq, raw) in self.conflicts
            for i, rows in other.entries.items()
            for seq, raw in rows.items()
        )


def told(shelf, frozen="", *, final=False):
    return Told(parse_coverage(encode_coverage(shelf.coverage())), frozen, final)


def serve(taker, donor_shelf, shelf, now_ms, *, most=10_000, final=False):
    """Answer until nothing is asked at this time; returns the number of requests."""
    for count in range(most):
        request = taker.next_request(now_ms)
        if request is None:
            return count
        if isinstance(request, AskCoverage):
            imports = taker.receive_coverage(request, told(donor_shelf, final=final), now_ms)
        else:
            entries = donor_shelf.of_block(request.block)
            imports = taker.receive_entries(request, entries, now_ms)
        while imports:
            (one,) = imports
            shelf.apply(one)
            imports = taker.imported(now_ms)
    return most


def filled(numbers, incarnation=ONE):
    shelf = MemoryShelf()
    for seq in numbers:
        shelf.add(incarnation, seq, b"entry %d" % seq)
    return shelf


DONOR = Donor(1, b"a" * 16, "10.0.0.1:8443")


def test_ten_days_of_minutes_are_taken_block_by_block():
    donor, mine = filled(range(1, 14_401)), MemoryShelf()
    taker = Taker(mine)
    taker.assign([DONOR])
    requests = serve(taker, donor, mine, 0)
    assert requests == 1 + -(-14_400 // BLOCK)
    assert mine.entries == donor.entries
    assert taker.covered[1].root == donor.coverage().root


def test_what_is_held_already_is_not_fetched_again():
    donor, mine = filled(range(1, 2000)), filled(range(1, 2000))
    taker = Taker(mine)
    taker.assign([DONOR])
    assert serve(taker, donor, mine, 0) == 1
    assert taker.covered[1].root == donor.coverage().root


def test_a_taker_that_holds_more_covers_a_donor_that_holds_less():
    donor, mine = filled([*range(1, 700), *range(900, 1000)]), filled(range(1, 1100))
    taker = Taker(mine)
    taker.assign([DONOR])
    serve(taker, donor, mine, 0)
    assert taker.covered[1].root == donor.coverage().root


def test_a_gap_of_the_taker_is_filled_and_no_mark_hides_it():
    donor, mine = filled(range(1, 1500)), filled([*range(1, 100), *range(101, 1500)])
    taker = Taker(mine)
    taker.assign([DONOR])
    serve(taker, donor, mine, 0)
    assert mine.entries == donor.entries


def test_a_donor_that_stores_on_is_not_covered_by_an_old_word():
    donor, mine = filled(range(1, 100)), MemoryShelf()
    taker = Taker(mine)
    taker.assign([DONOR])
    request = taker.next_request(0)
    assert taker.receive_coverage(request, told(donor), 0) == []
    donor.add(ONE, 100, b"entry 100")  # before the entries are asked for
    serve(taker, donor, mine, 0)
    assert taker.covered[1].root == donor.coverage().root
    assert mine.holds(donor)


def test_another_content_under_a_known_number_is_quarantined_and_covered():
    donor, mine = filled(range(1, 50)), filled(range(1, 50))
    donor.entries[ONE][7] = b"other"
    taker = Taker(mine)
    taker.assign([DONOR])
    serve(taker, donor, mine, 0)
    assert mine.conflicts == [(ONE, 7, b"other")]
    assert taker.covered[1].root == donor.coverage().root


def test_declared_holes_come_after_the_entries_of_all_incarnations():
    donor, mine = filled(range(1, 10)), MemoryShelf()
    donor.add(TWO, 1, b"x")
    donor.holes = {ONE: [Hole(10, 12, 1)]}
    taker = Taker(mine)
    taker.assign([DONOR])
    serve(taker, donor, mine, 0)
    assert mine.holes == donor.holes
    assert mine.coverage() == donor.coverage()


def test_what_a_donor_has_deleted_and_missed_is_told_after_the_entries_and_once():
    taker = Taker(MemoryShelf())
    taker.assign([DONOR])
    donor = filled(range(301, 310))
    whole = donor.coverage()
    stretch = Stretch(ONE, 309, 300, (), (Hole(1, 9, 3),), b"c" * 16)
    said = Told(whole._replace(stretches=(stretch,)), "", False)
    came = []
    for now_ms in (0, TAIL_MS):
        imports = taker.receive_coverage(taker.next_request(now_ms), said, now_ms)
        for request in iter(lambda now_ms=now_ms: taker.next_request(now_ms), None):
            imports = taker.receive_entries(request, donor.of_block(request.block), now_ms)
        while imports:
            came += imports
            imports = taker.imported(now_ms)
    assert [(len(one.entries), one.stretch) for one in came] == [(9, None), (0, stretch)]
    assert taker.covered[1].root == said.coverage.root


def test_a_donor_that_fails_is_asked_again_with_growing_pauses():
    taker = Taker(MemoryShelf())
    taker.assign([DONOR])
    now_ms, pauses = 0, []
    for _ in range(6):
        request = taker.next_request(now_ms)
        taker.failed(request, now_ms)
        pauses.append(taker.next_ms - now_ms)
        now_ms = taker.next_ms
    assert pauses == [1000, 2000, 4000, 8000, 15_000, 15_000]
    assert not taker.covered


def test_a_decision_is_followed_by_quick_questions_for_a_moment():
    donor, mine = filled(range(1, 10)), filled(range(1, 10))
    taker = Taker(mine)
    taker.assign([DONOR])
    serve(taker, donor, mine, 0)
    assert taker.next_ms == TAIL_MS
    taker.hurry(10)
    now_ms, pauses = 10, []
    for _ in range(14):
        assert taker.next_request(now_ms - 1) is None
        serve(taker, donor, mine, now_ms)
        pauses.append(taker.next_ms - now_ms)
        now_ms = taker.next_ms
    assert pauses == [HURRY_MS] * 10 + [TAIL_MS] * 4


def test_a_donor_that_fails_is_not_asked_more_often_because_of_a_decision():
    taker = Taker(MemoryShelf())
    taker.assign([DONOR])
    taker.failed(taker.next_request(0), 0)
    taker.hurry(10)
    assert taker.next_ms == TAIL_MS


def test_a_failed_commit_is_fetched_again():
    donor, mine = filled(range(1, 10)), MemoryShelf()
    taker = Taker(mine)
    taker.assign([DONOR])
    taker.receive_coverage(taker.next_request(0), told(donor), 0)
    request = taker.next_request(0)
    assert taker.receive_entries(request, donor.of_block(request.block), 0)
    taker.dropped(0)
    serve(taker, donor, mine, 1000)
    assert mine.entries == donor.entries


def test_entries_of_another_block_are_refused():
    donor = filled(range(1, 1000))
    taker = Taker(MemoryShelf())
    taker.assign([DONOR])
    taker.receive_coverage(taker.next_request(0), told(donor), 0)
    request = taker.next_request(0)
    for wrong in ([(513, b"x")], [(2, b"x"), (1, b"y")], [(1, b"x"), (1, b"x")]):
        try:
            taker.receive_entries(request, wrong, 0)
        except ValueError:
            continue
        raise AssertionError(wrong)


def test_after_a_final_word_that_is_covered_nothing_is_asked():
    donor, mine = filled(range(1, 10)), MemoryShelf()
    taker = Taker(mine)
    taker.assign([DONOR])
    serve(taker, donor, mine, 0, final=True)
    assert taker.covered[1].final
    assert taker.next_request(10**9) is None


numbers = st.integers(1, 1600)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_covered_means_held_whatever_the_donor_does_meanwhile(data):
    donor = filled(data.draw(st.sets(numbers, max_size=60)))
    mine = filled(data.draw(st.sets(numbers, max_size=60)))
    taker = Taker(mine)
    taker.assign([DONOR])
    now_ms, named = 0, {}
    for _ in range(60):
        step = data.draw(st.sampled_from(["serve", "serve", "fail", "grow", "drop", "wait"]))
        if step == "grow":
            donor.add(ONE, data.draw(numbers), b"grown")
        elif step == "wait":
            now_ms += 2000
        elif (request := taker.next_request(now_ms)) is not None:
            if step == "fail":
                taker.failed(request, now_ms)
                continue
            if isinstance(request, AskEntries):
                entries = donor.of_block(request.block)
                imports = taker.receive_entries(request, entries, now_ms)
            else:
                word = told(donor)
                named[word.coverage.root] = {i: dict(r) for i, r in donor.entries.items()}
                imports = taker.receive_coverage(request, word, now_ms)
            while imports:
                if step == "drop":
                    taker.dropped(now_ms)
                    break
                mine.apply(imports[0])
                imports = taker.imported(now_ms)
        if 1 in taker.covered:
            meant = MemoryShelf()
            meant.entries = named[taker.covered[1].root]
            assert mine.holds(meant)
    serve(taker, donor, mine, now_ms + 20_000)
    serve(taker, donor, mine, now_ms + 40_000)
    assert mine.holds(donor)
    assert taker.covered[1].root == donor.coverage().root


@given(st.sets(numbers, max_size=80), st.sets(numbers, max_size=80))
def test_a_root_stands_for_exactly_one_set(one, other):
    same = filled(one).coverage().root == filled(other).coverage().root
    assert same == (one == other)


def test_blocks_begin_at_fixed_numbers():
    assert [first_of(seq) for seq in (1, BLOCK, BLOCK + 1, 2 * BLOCK)] == [
        1,
        1,
        BLOCK + 1,
        BLOCK + 1,
    ]
