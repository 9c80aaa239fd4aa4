"""What the archive gives back: round trips, and every answer that is none of the question's."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_wire.archive_batch import encode_batch
from meter_wire.archive_page import (
    MOST_BODY,
    MOST_HOLDINGS,
    MOST_SPANS,
    PAGE_BYTES,
    PAGE_ENTRIES,
    Holding,
    Page,
    encode_holdings,
    encode_page,
    parse_holdings,
    parse_page,
)
from meter_wire.effects import Hole
from meter_wire.names import MAX_SEQ

A = b"A" * 8
PAGE = Page(20, (Hole(12, 14, 1), Hole(18, 20, 3)), ((10, b"ten"), (11, b"eleven")))


@st.composite
def pages(draw):
    """Numbers in rising order, each an entry, a hole, or neither."""
    first = draw(st.integers(1, MAX_SEQ - 400))
    kinds = draw(st.lists(st.sampled_from("ehn"), min_size=1, max_size=60))
    rows = list(enumerate(kinds, first))
    entries = tuple((seq, draw(st.binary(min_size=1, max_size=9))) for seq, k in rows if k == "e")
    holes = tuple(Hole(seq, seq, draw(st.integers(1, 3))) for seq, kind in rows if kind == "h")
    return first, Page(rows[-1][0], holes, entries)


@given(pages())
def test_a_page_comes_back_as_it_was(drawn):
    first, page = drawn
    assert parse_page(encode_page(page), first, page.end) == page
    assert parse_page(encode_page(page), first, MAX_SEQ) == page


@given(st.binary(max_size=200), st.integers(0, MAX_SEQ), st.integers(0, MAX_SEQ))
def test_any_other_bytes_are_a_page_of_the_question_or_a_value_error(body, first, until):
    try:
        page = parse_page(body, first, until)
    except ValueError:
        return
    assert first <= page.end <= until
    assert all(first <= seq <= page.end for seq, _ in page.entries)
    assert all(first <= hole.first <= hole.last <= page.end for hole in page.holes)


@given(pages(), st.data())
def test_a_page_that_is_cut_off_is_none_or_says_less(drawn, data):
    first, page = drawn
    body = encode_page(page)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    try:
        found = parse_page(cut, first, MAX_SEQ)
    except ValueError:
        return
    assert page.entries[: len(found.entries)] == found.entries


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (PAGE._replace(end=9), "end: 9 is not among the numbers 10 to 30"),
        (PAGE._replace(end=31), "end: 31 is not among"),
        (PAGE._replace(entries=((9, b"nine"),)), "entries: one is not among the numbers 10 to 20"),
        (PAGE._replace(entries=((21, b"more"),)), "entries: one is not among"),
        (PAGE._replace(holes=(Hole(9, 9, 1),)), "holes: one is not among the numbers 10 to 20"),
        (PAGE._replace(holes=(Hole(20, 21, 1),)), "holes: one is not among"),
        (PAGE._replace(entries=((11, b"a"), (10, b"b"))), "entries: number 10 is none, or not in"),
        (PAGE._replace(holes=(Hole(14, 12, 1),)), "holes: 14 to 12 is none"),
        (PAGE._replace(entries=((10, b""),)), "entries: number 10 has 0 bytes"),
    ],
)
def test_a_page_of_other_numbers_is_refused(page, told):
    with pytest.raises(ValueError, match=told):
        parse_page(encode_page(page), 10, 30)


def test_the_longest_page_fits_into_the_longest_body():
    size = PAGE_BYTES // PAGE_ENTRIES - 6
    entries = tuple((seq, bytes(size)) for seq in range(1, PAGE_ENTRIES + 1))
    holes = [Hole(1000 + 2 * at, 1000 + 2 * at, 3) for at in range(256)]
    assert len(encode_batch(2000, holes, entries)) <= MOST_BODY


HOLDING = Holding(A, 90, 77, ((5, 90), (95, 100)))


@given(
    st.lists(
        st.builds(
            Holding,
            st.binary(min_size=8, max_size=8),
            st.integers(0, MAX_SEQ),
            st.integers(1, 640),
            st.lists(st.integers(1, MAX_SEQ), unique=True, max_size=2 * MOST_SPANS).map(
                lambda ends: tuple(
                    zip(*[iter(sorted(ends)[: len(ends) // 2 * 2])] * 2, strict=True)
                )
            ),
        ),
        max_size=MOST_HOLDINGS,
        unique_by=lambda one: one.incarnation,
    )
)
def test_holdings_come_back_as_they_were(holdings):
    document = json.loads(json.dumps(encode_holdings(holdings)))
    assert parse_holdings(document) == holdings
    assert len(json.dumps(document)) <= MOST_BODY


def change(**values):
    (row,) = encode_holdings([HOLDING])["incarnations"]
    return {"incarnations": [{**row, **values}]}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, "incarnations: is no list"),
        ([], "incarnations: is no list"),
        ({"incarnations": {}}, "incarnations: is no list"),
        ({"incarnations": [[]]}, "incarnation: None is not 8 bytes"),
        ({"incarnations": [{}] * (MOST_HOLDINGS + 1)}, "incarnations: is no list of at most 16"),
        (encode_holdings([HOLDING, HOLDING]), "incarnations: one is there twice"),
        (change(incarnation="41"), "incarnation: '41' is not 8 bytes"),
        (change(incarnation="zz" * 8), "incarnation: 'zzzz"),
        (change(incarnation=7), "incarnation: 7 is not"),
        (change(archived=-1), "archived: -1 is no number from 0"),
        (change(archived=True), "archived: True is no number"),
        (change(octets=0), "octets: 0 is no number from 1 to 640"),
        (change(held=None), "held: is no list of at most 32"),
        (change(held=[[1, 1]] * 33), "held: is no list"),
        (change(held=[[0, 1]]), r"held: \[0, 1\] is no range"),
        (change(held=[[2, 1]]), r"held: \[2, 1\] is no range"),
        (change(held=[[1, 2], [2, 3]]), r"held: \[2, 3\] is no range, or not in rising order"),
        (change(held=[[1, 1 << 32]]), "held: .* is no range"),
        (change(held=[[1]]), r"held: \[1\] is no range"),
        (change(held=["12"]), "held: '12' is no range"),
    ],
)
def test_holdings_that_are_none_are_refused_with_the_field(document, told):
    with pytest.raises(ValueError, match=told):
        parse_holdings(document)
