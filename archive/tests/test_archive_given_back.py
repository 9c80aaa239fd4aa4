"""What a twin that lacks entries is given back: pages come to what is held, whatever that is."""

from hypothesis import given
from hypothesis import strategies as st
from meter_archive.given_back import build_holding, build_page, find_end
from meter_archive.numbers import contains, join, spans_of
from meter_wire.archive_batch import MOST_HOLES
from meter_wire.archive_page import (
    MOST_BODY,
    MOST_SPANS,
    PAGE_ENTRIES,
    encode_holdings,
    encode_page,
    parse_holdings,
    parse_page,
)

A = b"A" * 8
OVERFLOW, RELEASED = 1, 3
NUMBERS = st.sets(st.integers(1, 1500)).map(sorted)


def walk(rows, lost, first, until):
    """Ask for all pages as a twin does; return entries, {number: reason} of holes, and the count."""
    held = spans_of(rows)
    entries, holes, asked = {}, {}, 0
    while first <= until:
        end = find_end(held, first, until)
        page = build_page(
            [(seq, rows[seq]) for seq in rows if first <= seq <= end], lost, first, end
        )
        body = encode_page(page)
        assert len(body) <= MOST_BODY
        page = parse_page(body, first, until)
        entries |= dict(page.entries)
        for hole in page.holes:
            holes |= dict.fromkeys(range(hole.first, hole.last + 1), hole.reason)
        first = page.end + 1
        asked += 1
    return entries, holes, asked


@given(NUMBERS, NUMBERS, NUMBERS, st.integers(1, 200), st.integers(1, 1500))
def test_pages_give_every_entry_and_hole_once(held, overflow, released, size, first):
    rows = {seq: bytes([seq % 250 + 1]) * size for seq in held}
    lost = ((OVERFLOW, spans_of(overflow)), (RELEASED, spans_of(released)))
    entries, holes, _ = walk(rows, lost, first, 1500)
    assert entries == {seq: raw for seq, raw in rows.items() if seq >= first}
    expected = dict.fromkeys(released, RELEASED) | dict.fromkeys(overflow, OVERFLOW)
    assert holes == {
        seq: reason for seq, reason in expected.items() if seq >= first and seq not in rows
    }


def test_where_there_is_nothing_one_page_says_so():
    rows = {1: b"a", 2_000_000: b"b"}
    assert walk(rows, (), 1, 3_000_000)[2] == 4
    assert find_end((), 5, 70_000) == 70_000


def test_long_entries_make_short_pages_and_the_longest_one_goes_alone():
    rows = {seq: bytes(640) for seq in range(1, 300)}
    entries, _, asked = walk(rows, (), 1, 299)
    assert entries == rows
    assert 5 < asked < 8
    page = build_page([(1, bytes(40_000)), (2, b"x")], (), 1, 2)
    assert (page.end, len(page.entries)) == (1, 1)


def test_many_holes_are_several_pages():
    numbers = spans_of(range(1, 4 * MOST_HOLES, 2))
    _, holes, asked = walk({4 * MOST_HOLES: b"x"}, ((RELEASED, numbers),), 1, 4 * MOST_HOLES)
    assert sorted(holes) == list(range(1, 4 * MOST_HOLES, 2))
    assert asked > 2


def test_a_page_has_at_most_its_number_of_entries():
    rows = dict.fromkeys(range(1, 1000), b"x")
    assert find_end(spans_of(rows), 1, 999) == PAGE_ENTRIES
    assert walk(rows, (), 1, 999)[2] == 4


@given(NUMBERS.filter(bool), NUMBERS, st.integers(1, 1500))
def test_what_is_told_holds_every_number_and_can_be_read(held, released, first):
    spans = spans_of(held)
    told = build_holding(A, spans, ((RELEASED, spans_of(released)),), first, 70)
    assert parse_holdings(encode_holdings([told])) == [told]
    assert len(told.spans) <= MOST_SPANS
    assert all(contains(told.spans, seq) for seq in held if seq >= first)
    assert all(low >= first for low, _ in told.spans)
    mark = 0
    while mark + 1 in held or mark + 1 in released:
        mark += 1
    assert told.archived == mark
    known = {seq for seq in {*held, *released} if first <= seq <= max(held)}
    exact = join((seq, seq) for seq in known)
    assert all(contains(told.spans, seq) for seq in known)
    assert len(exact) > MOST_SPANS or told.spans == exact
