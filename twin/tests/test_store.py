"""Rules of the store: exactly once, in order, marks, holes, conflicts, retention, damage."""

import pathlib
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin.store import Batch, Store
from meter_twin.store_conflicts import CONFLICT_ROWS
from meter_twin.store_queries import (
    START,
    Filter,
    Position,
    count_entries,
    find_start,
    load_feed,
    load_page,
)
from meter_twin.store_retention import prune
from meter_twin.store_schema import StoreError, StoreFullError
from meter_wire.effects import Hole

A, B = b"A" * 8, b"B" * 8
CHAIN = b"c" * 16


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "twin.db")


@pytest.fixture
def store(path):
    made = Store(path)
    yield made
    made.close()


def entry(seq, time_s=None, kind=1):
    time_s = 1000 + seq if time_s is None else time_s
    return bytes([kind, 0, 0]) + time_s.to_bytes(4, "big") + bytes(6) + b"%d" % seq


def batch(seqs, stored=0, incarnation=A, holes=(), chain=CHAIN):
    return Batch(incarnation, [(seq, entry(seq)) for seq in seqs], holes, stored, chain)


def seqs(store, incarnation=A):
    rows = load_page(store, Filter(), START, 100_000)
    return [row.position.seq for row in rows if row.incarnation == incarnation]


def test_a_batch_is_stored_and_the_mark_is_the_end_of_the_prefix(store):
    (result,) = store.ingest([batch([1, 2, 3], 3)], 0)
    assert result == (3, 0, 0, 3)
    assert store.marks()[A].stored == 3
    assert store.marks()[A].chain == CHAIN


def test_the_same_entry_twice_is_stored_once(store):
    store.ingest([batch([1, 2], 2)], 0)
    (result,) = store.ingest([batch([1, 2, 3], 3)], 0)
    assert result == (1, 2, 0, 3)
    assert seqs(store) == [1, 2, 3]


def test_the_same_identity_with_other_bytes_is_quarantined_and_counted(store):
    store.ingest([batch([1], 1)], 0)
    (result,) = store.ingest([Batch(A, [(1, b"\x01other")], (), 1, CHAIN)], 0)
    assert result.conflicts == 1
    assert store.find_entry(A, 1) == entry(1)
    assert store.find_property("conflicts") == 1
    rows = store.connection.execute("SELECT raw FROM conflict").fetchall()
    assert rows == [(b"\x01other",)]


def test_the_first_conflicts_of_each_incarnation_are_kept_and_those_are_counted(store):
    for number in range(CONFLICT_ROWS + 20):
        assert store.quarantine(A, 1, b"%d" % number, 0) == (number < CONFLICT_ROWS)
    for number in range(3):
        store.quarantine(B, 1, b"%d" % number, 0)
    rows = store.connection.execute("SELECT incarnation, raw FROM conflict").fetchall()
    first, second = store.find_number(A), store.find_number(B)
    expected = [(first, b"%d" % number) for number in range(CONFLICT_ROWS)]
    assert set(rows) == {*expected, *((second, b"%d" % number) for number in range(3))}
    assert store.find_property("conflicts") == CONFLICT_ROWS + 3
    assert store.unkept_conflicts == 20


def test_however_often_a_conflict_beyond_the_quarantine_comes_it_is_not_one_more_conflict(path):
    store = Store(path)
    store.ingest([batch([1], 1)], 0)
    for number in range(CONFLICT_ROWS):
        store.quarantine(A, 1, b"%d" % number, 0)
    other = Batch(A, [(1, b"\x01other")], (), 1, CHAIN)
    for _ in range(3):
        assert store.ingest([other], 0)[0].conflicts == 1
        assert not store.quarantine(A, 1, b"\x01other", 0)
        assert not store.quarantine(A, 1, b"0", 0)
    assert store.find_property("conflicts") == CONFLICT_ROWS
    assert store.unkept_conflicts == 6
    store.close()
    again = Store(path)
    assert not again.quarantine(A, 1, b"\x01other", 0)
    assert (again.find_property("conflicts"), again.unkept_conflicts) == (CONFLICT_ROWS, 1)
    again.close()


def test_a_conflict_beyond_the_quarantine_costs_no_write(store):
    for number in range(CONFLICT_ROWS):
        store.quarantine(A, 1, b"%d" % number, 0)
    before = store.connection.total_changes
    assert not store.quarantine(A, 1, b"\x01other", 0)
    assert store.connection.total_changes == before


def test_a_conflict_that_comes_again_is_not_counted_again(store):
    store.ingest([batch([1], 1)], 0)
    other = Batch(A, [(1, b"\x01other")], (), 1, CHAIN)
    assert [store.ingest([other], 0)[0].conflicts for _ in range(3)] == [1, 1, 1]
    assert not store.quarantine(A, 1, b"\x01other", 0)
    assert store.quarantine(A, 2, b"\x01other", 0)
    assert store.find_property("conflicts") == 2


def test_the_mark_stops_before_a_missing_number(store):
    store.ingest([batch([1, 2, 4, 5], 2)], 0)
    assert store.marks()[A].stored == 2
    store.ingest([batch([3], 5)], 0)
    assert store.marks()[A].stored == 5


def test_a_declared_hole_does_not_stall_the_mark(store):
    store.ingest([batch([1, 2], 2)], 0)
    store.ingest([batch([11], 11, holes=[Hole(3, 10, 1)])], 0)
    assert store.marks()[A].stored == 11
    assert count_entries(store) == 3


def test_an_entry_that_arrives_in_a_hole_makes_it_smaller(store):
    store.ingest([batch([11], 11, holes=[Hole(1, 10, 3)])], 0)
    store.ingest([batch([4, 5], 11)], 0)
    rows = store.connection.execute("SELECT first, last FROM hole ORDER BY first").fetchall()
    assert rows == [(1, 3), (6, 10)]
    assert store.marks()[A].stored == 11


def test_a_hole_never_covers_what_is_stored(store):
    store.ingest([batch([1, 2, 5], 2)], 0)
    store.ingest([batch([8], 8, holes=[Hole(1, 7, 1)])], 0)
    rows = store.connection.execute("SELECT first, last FROM hole ORDER BY first").fetchall()
    assert rows == [(3, 4), (6, 7)]


def test_a_promise_beyond_the_contiguous_prefix_is_refused_and_nothing_is_kept(store):
    with pytest.raises(StoreError, match="promised"):
        store.ingest([batch([1, 3], 3)], 0)
    assert seqs(store) == []


def test_batches_of_one_call_are_one_transaction(store):
    with pytest.raises(StoreError):
        store.ingest([batch([1, 2], 2), batch([4], 4)], 0)
    assert seqs(store) == []


def test_incarnations_are_kept_apart_and_in_the_order_of_first_sight(store):
    store.ingest([batch([1, 2], 2, B)], 0)
    store.ingest([batch([1], 1, A)], 0)
    rows = load_page(store, Filter(), START)
    assert [(row.incarnation, row.position.seq) for row in rows] == [(B, 1), (B, 2), (A, 1)]
    assert list(store.marks()) == [B, A]


def test_store_id_hellos_and_properties_survive_a_restart(path):
    first = Store(path)
    first.save_hello(A, (3, 7), 0)
    first.save_properties({"gate_term": 9})
    store_id = first.store_id
    first.close()
    second = Store(path)
    assert second.store_id == store_id
    assert len(store_id) == 8
    assert second.marks()[A].hello == (3, 7)
    assert second.find_property("gate_term") == 9
    second.close()


def test_the_archived_mark_never_moves_back_nor_beyond_what_is_stored(store):
    store.ingest([batch([1, 2, 3], 3)], 0)
    store.save_archived(A, 2)
    store.save_archived(A, 1)
    assert store.marks()[A].archived == 2
    store.save_archived(A, 99)
    assert store.marks()[A].archived == 3


def test_retention_deletes_a_prefix_and_marks_stay(store):
    store.ingest([batch(range(1, 11), 10)], 0)
    assert prune(store, 1006, keep_unarchived=False) == 5
    assert seqs(store) == [6, 7, 8, 9, 10]
    assert store.marks()[A].stored == 10
    assert count_entries(store) == 5


def test_retention_keeps_what_the_archive_does_not_hold(store):
    store.ingest([batch(range(1, 11), 10)], 0)
    store.save_archived(A, 3)
    assert prune(store, 10_000, keep_unarchived=True) == 3
    assert seqs(store)[0] == 4


@pytest.mark.parametrize(
    ("place", "left"), [((0, 0), range(1, 11)), ((0, 3), range(4, 11)), ((1, 2), [10])]
)
def test_retention_keeps_what_an_application_is_still_to_be_handed(store, place, left):
    store.ingest([batch(range(1, 11), 10), batch(range(1, 6), 5, B)], 0)
    numbers = [store.find_number(A), store.find_number(B)]
    handed = Position(numbers[place[0]], place[1])
    prune(store, 10_000, keep_unarchived=False, handed=handed)
    rows = load_page(store, Filter(), START, 100)
    kept = {one: [row.position.seq for row in rows if row.incarnation == one] for one in (A, B)}
    assert kept[A] == list(left)
    assert kept[B] == list(range(3 if place[0] else 1, 6))


def test_entries_without_a_time_go_only_with_later_ones(store):
    numbered = [(1, entry(1, 0)), (2, entry(2, 0)), (3, entry(3)), (4, entry(4, 0))]
    store.ingest([Batch(A, [*numbered, (5, entry(5))], (), 5, CHAIN)], 0)
    assert prune(store, 1004, keep_unarchived=False) == 3
    assert seqs(store) == [4, 5]


def test_a_deleted_entry_that_comes_again_is_a_duplicate(store):
    store.ingest([batch(range(1, 6), 5)], 0)
    prune(store, 1004, keep_unarchived=False)
    (result,) = store.ingest([batch([1, 2], 5)], 0)
    assert result == (0, 2, 0, 5)


def test_a_time_window_starts_by_the_index(store):
    store.ingest([batch(range(1, 101), 100)], 0)
    start = find_start(store, Filter(1, 1050))
    assert start.seq == 49
    assert [row.position.seq for row in load_page(store, Filter(1, 1050, 1052), start)] == [50, 51]


def test_the_feed_ends_at_the_stored_mark(store):
    store.ingest([batch([1, 2, 4], 2)], 0)
    assert [row.position.seq for row in load_feed(store, START, 10)] == [1, 2]


def test_a_full_store_keeps_what_it_has_and_says_so(store):
    store.ingest([batch(range(1, 11), 10)], 0)
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(StoreFullError) as caught:
        store.ingest([batch(range(11, 2000), 1999)], 0)
    assert "space" in caught.value.remedy
    assert seqs(store) == list(range(1, 11))
    assert store.marks()[A].stored == 10
    store.connection.execute("PRAGMA max_page_count=100000")
    store.ingest([batch(range(11, 2000), 1999)], 0)
    assert store.marks()[A].stored == 1999


@pytest.mark.parametrize("damage", ["foreign", "middle"])
def test_a_damaged_file_is_refused_and_left_as_it_is(path, damage):
    store = Store(path)
    store.ingest([batch(range(1, 3000), 2999)], 0)
    store.close()
    file = pathlib.Path(path)
    content = bytearray(file.read_bytes())
    if damage == "foreign":
        content[:16] = b"not a database!!"
    else:
        for page in range(2, len(content) // 4096 - 1):
            content[page * 4096 : page * 4096 + 200] = b"\xa5" * 200
    file.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        Store(path)
    assert "takeover" in caught.value.remedy or "take over" in caught.value.remedy
    assert file.read_bytes() == content


def test_a_store_of_a_newer_schema_is_refused(path):
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="schema 99"):
        Store(path)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("entries"), st.lists(st.integers(1, 30), max_size=6)),
            st.tuples(st.just("hole"), st.tuples(st.integers(1, 30), st.integers(0, 5))),
        ),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_the_mark_is_always_the_end_of_what_is_known_without_a_gap(tmp_path_factory, steps):
    store = Store(str(tmp_path_factory.mktemp("store") / "twin.db"))
    entries, holes = set(), set()
    try:
        for kind, value in steps:
            if kind == "entries":
                store.ingest([batch(value)], 0)
                entries |= set(value)
            else:
                first, length = value
                store.ingest([batch([], holes=[Hole(first, first + length, 1)])], 0)
                holes |= set(range(first, first + length + 1))
            expected = 0
            while expected + 1 in entries | holes:
                expected += 1
            assert store.marks()[A].stored == expected
            assert seqs(store) == sorted(entries)
            ranges = store.connection.execute("SELECT first, last FROM hole").fetchall()
            kept = [seq for first, last in ranges for seq in range(first, last + 1)]
            assert sorted(kept) == sorted(holes - entries)
    finally:
        store.close()
