"""What a successor's store looks like after a donor that no longer has, or never had, the beginning."""

import pytest
from meter_twin.store import Batch, Store
from meter_twin.store_coverage import StoreShelf, import_entries
from meter_twin.store_retention import delete_until
from meter_twin.taking import Import
from meter_wire.coverage import Coverage, encode_coverage, parse_coverage
from meter_wire.effects import Hole
from meter_wire.portable.entry import chain
from meter_wire.tables import HOLES, number_of
from meter_wire.twin_intake import Intake

ONE = b"12345678"
RELEASED, OVERFLOW = number_of(HOLES, "released"), number_of(HOLES, "overflow")
LAST, PRUNED = 40, 25


def reading(seq):
    return bytes([1, 0, 0]) + (1_800_000_000 + 60 * seq).to_bytes(4, "big") + b"reading"


def heads(first, start):
    """Return the chain hash at each number from `first` - 1 on, which has `start`."""
    found = {first - 1: start}
    for seq in range(first, LAST + 2):
        found[seq] = chain(found[seq - 1], ONE, seq, reading(seq))
    return found


@pytest.fixture
def stores(tmp_path):
    made = [Store(str(tmp_path / name)) for name in ("donor.db", "taker.db")]
    yield made
    for store in made:
        store.close()


def fill(store, first, last, head, holes=()):
    entries = [(seq, reading(seq)) for seq in range(first, last + 1)]
    store.ingest([Batch(ONE, entries, holes, last, head)], 0)


def prune(store, last):
    with store.transaction() as connection:
        delete_until(connection, store.find_number(ONE), last)


def take(donor, taker):
    """Import as a taker does, through the bytes that a donor says."""
    said = parse_coverage(encode_coverage(StoreShelf(donor).coverage()))
    for block in said.blocks:
        entries = StoreShelf(donor).entries_of(ONE, block.first)
        import_entries(taker, Import(ONE, tuple(entries)), 0)
    for stretch in said.stretches:
        import_entries(taker, Import(ONE, stretch=stretch), 0)


def state_of(store):
    """Return marks, what was deleted, holes and entries."""
    marks = store.marks()[ONE]
    (pruned,) = store.connection.execute("SELECT pruned FROM incarnation").fetchone()
    holes = store.connection.execute("SELECT first, last, reason FROM hole").fetchall()
    seqs = [seq for seq, _ in StoreShelf(store).entries_of(ONE, 1)]
    return marks.stored, marks.chain, pruned, holes, seqs


def offer(store, seq, anchor):
    """Return what the link says of the meter's next entry, named after this anchor."""
    marks = store.marks()[ONE]
    raw = reading(seq)
    fields = {4: bytes([seq]), 5: anchor, 6: bytes([len(raw)]) + raw}
    return [type(one).__name__ for one in Intake(store, ONE, marks).records(fields, 1)]


@pytest.mark.parametrize("times", [1, 2])
def test_after_a_donor_that_has_pruned_nothing_is_asked_of_the_meter_again(stores, times):
    donor, taker = stores
    chains = heads(1, bytes(16))
    fill(donor, 1, LAST, chains[LAST])
    prune(donor, PRUNED)
    for _ in range(times):
        take(donor, taker)
    held = list(range(PRUNED + 1, LAST + 1))
    assert state_of(taker) == (LAST, chains[LAST], 0, [(1, PRUNED, RELEASED)], held)
    assert offer(taker, LAST + 1, chains[LAST]) == ["StoreEntries"]
    assert offer(taker, LAST + 1, b"another history!") == ["ChainBroken", "StoreEntries"]


@pytest.mark.parametrize("first", ["whole", "pruned"])
def test_what_one_donor_has_pruned_another_one_still_gives(stores, tmp_path, first):
    pruned, taker = stores
    whole = Store(str(tmp_path / "whole.db"))
    chains = heads(1, bytes(16))
    for store in (pruned, whole):
        fill(store, 1, LAST, chains[LAST])
    prune(pruned, PRUNED)
    for donor in (whole, pruned) if first == "whole" else (pruned, whole):
        take(donor, taker)
    whole.close()
    assert state_of(taker) == (LAST, chains[LAST], 0, [], list(range(1, LAST + 1)))


def test_what_only_the_donor_has_missed_is_not_asked_of_the_meter_again(stores):
    donor, taker = stores
    chains = heads(11, b"from the anchor!")
    fill(donor, 11, LAST, chains[LAST], [Hole(1, 10, RELEASED)])
    take(donor, taker)
    assert state_of(taker) == state_of(donor)
    assert state_of(taker)[3] == [(1, 10, RELEASED)]
    assert offer(taker, LAST + 1, chains[LAST]) == ["StoreEntries"]
    assert offer(taker, LAST + 1, b"another history!") == ["ChainBroken", "StoreEntries"]
    import_entries(taker, Import(ONE, ((7, reading(7)),)), 0)
    assert state_of(taker)[3] == [(1, 6, RELEASED), (8, 10, RELEASED)], "an older twin has it"


def test_a_taker_keeps_what_it_holds_beyond_what_the_donor_has_pruned(stores):
    donor, taker = stores
    chains = heads(1, bytes(16))
    fill(donor, 1, LAST, chains[LAST])
    fill(taker, 1, PRUNED + 5, chains[PRUNED + 5])
    prune(donor, PRUNED)
    take(donor, taker)
    assert state_of(taker) == (LAST, chains[LAST], 0, [], list(range(1, LAST + 1)))


def test_a_taker_keeps_what_it_holds_of_what_the_donor_has_pruned(stores):
    donor, taker = stores
    chains = heads(1, bytes(16))
    fill(donor, 1, LAST, chains[LAST])
    fill(taker, 1, 5, chains[5])
    prune(donor, PRUNED)
    take(donor, taker)
    held = [*range(1, 6), *range(PRUNED + 1, LAST + 1)]
    assert state_of(taker) == (LAST, chains[LAST], 0, [(6, PRUNED, RELEASED)], held)


def test_the_chain_of_a_taker_that_is_ahead_is_walked_from_the_donors_mark(stores):
    donor, taker = stores
    chains = heads(1, bytes(16))
    fill(donor, 1, LAST, chains[LAST])
    prune(donor, PRUNED)
    import_entries(taker, Import(ONE, ((LAST + 1, reading(LAST + 1)),)), 0)
    take(donor, taker)
    assert state_of(taker)[:2] == (LAST + 1, chains[LAST + 1])


def test_a_mark_that_jumps_over_what_another_twin_brought_has_no_chain_of_its_own(stores):
    """The meter's frame ends before entries that lie there already."""
    _, taker = stores
    chains = heads(1, bytes(16))
    import_entries(taker, Import(ONE, tuple((s, reading(s)) for s in range(11, LAST + 1))), 0)
    fill(taker, 1, 10, chains[10])
    assert state_of(taker)[:2] == (LAST, b"")
    assert offer(taker, LAST + 1, chains[LAST]) == ["StoreEntries"]


@pytest.mark.parametrize("order", [(RELEASED, OVERFLOW), (OVERFLOW, RELEASED)])
def test_a_loss_that_the_meter_declares_is_not_hidden_by_what_only_a_store_has_missed(
    stores, order
):
    _, taker = stores
    spans = {RELEASED: (1, 10), OVERFLOW: (4, 6)}
    for reason in order:
        taker.ingest([Batch(ONE, (), [Hole(*spans[reason], reason)], 0, b"")], 0)
    assert state_of(taker)[3] == [(1, 3, RELEASED), (4, 6, OVERFLOW), (7, 10, RELEASED)]


def test_a_mark_that_a_donor_cannot_have_is_refused():
    document = {"stretches": [{"incarnation": ONE.hex(), "stored": 3, "pruned": 4, "holes": []}]}
    with pytest.raises(ValueError, match="4 is pruned and not stored"):
        parse_coverage(document | {"blocks": [], "root": ""})


def test_what_an_older_version_says_has_no_chain():
    stretch = {"incarnation": ONE.hex(), "stored": 3, "pruned": 1, "holes": []}
    root = encode_coverage(Coverage((), ()))["root"]
    found = parse_coverage({"stretches": [stretch], "blocks": [], "root": root})
    assert found.stretches[0].chain == b""
    assert found.stretches[0].missed == ()
