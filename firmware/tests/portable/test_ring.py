"""The flash ring under power cuts, overflow and lost flash. Runs on CPython and MicroPython."""

import state as items
from flash_with_cuts import CutFlash, Medium, PowerCutError
from meter_wire.portable.entry import chain, chain_hole
from ring import OVERFLOW, RELEASED, RESERVED, Ring
from state import State

SEGMENT = 720
COUNT = 4


class Random:
    def __init__(self):
        self.calls = 0

    def __call__(self, length):
        self.calls += 1
        return bytes([self.calls]) * length


def start(medium, random=None):
    flash = CutFlash(medium)
    state = State(flash)
    return Ring(flash, state, SEGMENT * COUNT, COUNT, random or Random()), state


def entry(number):
    return b"\x01%04d" % number + bytes(number % 60)


def verify_chain(ring):
    """Every readable entry's chain value follows from the one before it."""
    known = None
    for seq in range(ring.oldest, ring.head + 1):
        record = ring.read(seq)
        if record is None:
            last, reason = ring.hole(seq)
            if known is not None and reason == RESERVED and last >= seq:
                known = chain_hole(known, ring.incarnation, seq, last)
            continue
        if known is not None and ring.read(seq - 1) is not None:
            assert record[1] == known
        known = chain(record[1], ring.incarnation, seq, record[0])


def test_an_empty_ring_has_no_entries():
    ring, _state = start(Medium())
    assert (ring.oldest, ring.head, ring.read(1)) == (1, 0, None)
    assert ring.is_new
    assert len(ring.incarnation) == 8


def test_entries_and_their_chain_are_read_back_in_any_order():
    medium = Medium()
    ring, _state = start(medium)
    for number in range(1, 31):
        assert ring.append(entry(number)) == number
    ring, _state = start(medium.survive())
    assert not ring.is_new
    assert (ring.oldest, ring.head) == (1, 30)
    for seq in (30, 1, 7, 8, 9, 2, 30, 15, 14):
        assert ring.read(seq)[0] == entry(seq)
    assert ring.read(1)[1] == bytes(16)
    verify_chain(ring)


def test_a_cut_at_any_operation_leaves_the_old_or_the_new_state():
    appends = 70
    medium = Medium()
    ring, state = start(medium)
    for number in range(1, appends + 1):
        ring.append(entry(number))
    operations = medium.operations
    for cut_at in range(operations):
        for keep in range(5):
            medium = Medium()
            medium.cut_at = cut_at
            medium.keep = keep
            logged = 0
            incarnation = None
            try:
                ring, state = start(medium)
                incarnation = ring.incarnation
                for number in range(1, appends + 1):
                    if number % 5 == 0:
                        ring.release(number - 3, 0)
                    assert ring.append(entry(number)) == number
                    logged = number
            except PowerCutError:
                pass
            ring, state = start(medium.survive(), Random())  # noqa: RUF059
            if logged:
                assert ring.incarnation == incarnation, (cut_at, keep)
                assert ring.head in (logged, logged + 1), (cut_at, keep, logged, ring.head)
                assert ring.lost == 0 or ring.stored < ring.oldest - 1
                for seq in range(ring.oldest, ring.head + 1):
                    assert ring.read(seq)[0] == entry(seq), (cut_at, keep, seq)
                verify_chain(ring)
            following = ring.head + 1
            assert ring.append(entry(following)) == following
            assert ring.read(following)[0] == entry(following)
            assert not ring.lost or ring.hole(ring.oldest - 1)[1] == OVERFLOW


def test_two_cuts_in_a_row_lose_nothing_that_was_appended():
    for first_cut in range(8, 40, 3):
        for second_cut in range(12):
            medium = Medium()
            medium.cut_at = first_cut
            medium.keep = 2
            logged = 0
            for _start in (0, 1):
                try:
                    ring, _state = start(medium)
                    assert ring.head >= logged
                    for _number in range(25):
                        logged = ring.append(entry(ring.head + 1))
                except PowerCutError:
                    pass
                medium = medium.survive()
                medium.cut_at = second_cut
                medium.keep = 3
            medium.cut_at = None
            ring, _state = start(medium)
            assert ring.head >= logged
            for seq in range(ring.oldest, logged + 1):
                assert ring.read(seq)[0] == entry(seq)


def test_overflow_is_counted_and_declared():
    ring, _state = start(Medium())
    ring.append(entry(1))
    ring.append(entry(2))
    ring.release(2, 0)
    for number in range(3, 101):
        ring.append(entry(number))
    assert ring.oldest > 3
    assert ring.lost == ring.oldest - 3
    assert ring.hole(1) == (2, RELEASED)
    assert ring.hole(3) == (ring.oldest - 1, OVERFLOW)
    assert ring.read(ring.oldest - 1) is None
    assert ring.read(ring.oldest)[0] == entry(ring.oldest)
    verify_chain(ring)


def test_a_cut_at_any_operation_declares_all_that_was_overwritten():
    for cut_at in range(180, 260):
        for keep in (0, 2, 4):
            medium = Medium()
            medium.cut_at = cut_at
            medium.keep = keep
            try:
                ring, _state = start(medium)
                for number in range(1, 200):
                    ring.append(entry(number))
                raise AssertionError("no cut")
            except PowerCutError:
                pass
            ring, _state = start(medium.survive())
            assert ring.oldest > 1
            assert ring.hole(1) == (ring.oldest - 1, OVERFLOW), (cut_at, keep)
            assert ring.lost == ring.oldest - 1, (cut_at, keep)


def test_a_vanished_oldest_segment_is_a_declared_loss():
    medium = Medium()
    ring, _state = start(medium)
    for number in range(1, 31):
        ring.append(entry(number))
    ring.release(2, 0)
    ring.save()
    medium = medium.survive()
    del medium.files["ring0"]
    ring, _state = start(medium)
    assert ring.oldest > 3
    assert ring.hole(1) == (2, RELEASED)
    assert ring.hole(3) == (ring.oldest - 1, OVERFLOW)
    assert ring.lost == ring.oldest - 3


def test_acknowledged_entries_stay_until_space_is_needed():
    ring, _state = start(Medium())
    for number in range(1, 11):
        ring.append(entry(number))
    ring.release(10, 10)
    assert ring.read(1)[0] == entry(1)
    for number in range(11, 201):
        ring.append(entry(number))
        ring.release(number, 0)
    assert ring.lost == 0
    assert ring.oldest > 100
    assert ring.hole(5) == (ring.oldest - 1, RELEASED)


def test_marks_never_go_back_nor_beyond_the_head():
    ring, _state = start(Medium())
    ring.append(entry(1))
    ring.release(9, 9)
    ring.release(0, 0)
    assert (ring.stored, ring.archived) == (1, 1)


def test_lost_state_begins_a_new_incarnation():
    medium = Medium()
    ring, _state = start(medium, Random())
    ring.append(entry(1))
    medium = medium.survive()
    del medium.files["state0"]
    medium.files["state1"] = bytearray(b"rubbish")
    random = Random()
    random.calls = 7
    ring, _state = start(medium, random)
    assert ring.is_new
    assert ring.incarnation == bytes([8]) * 8
    assert (ring.oldest, ring.head) == (1, 0)


def test_one_damaged_slot_goes_back_to_the_other_and_repeats_no_number():
    for slot in ("state0", "state1"):
        medium = Medium()
        ring, _state = start(medium)
        for number in range(1, 20):
            ring.append(entry(number))
        ring.save()
        medium = medium.survive()
        medium.files[slot][8] ^= 1
        ring, _state = start(medium)
        if not ring.is_new:
            assert ring.head == 19


def test_a_lost_ring_with_a_good_state_begins_a_new_incarnation():
    medium = Medium()
    ring, state = start(medium)
    state.set(items.LINK, b"owner")
    for number in range(1, 5):
        ring.append(entry(number))
    ring.save()
    medium = medium.survive()
    for name in list(medium.files):
        if name.startswith("ring"):
            del medium.files[name]
    random = Random()
    random.calls = 3
    ring, state = start(medium, random)
    assert ring.is_new
    assert ring.incarnation == bytes([4]) * 8
    assert state.get(items.LINK) == b"owner"


def test_lost_newest_entries_leave_a_reserved_hole():
    medium = Medium()
    ring, _state = start(medium)
    for number in range(1, 31):
        ring.append(entry(number))
    ring.release(30, 0)
    ring.save()
    newest = max(name for name in medium.files if name.startswith("ring"))
    for _start in (0, 1, 2):
        medium = medium.survive()
        medium.files.pop(newest, None)
        ring, _state = start(medium)
        assert ring.head > 30
    held = ring.head
    hole = ring.hole(30)
    assert hole == (held, RESERVED)
    seq = ring.append(entry(9))
    assert seq == held + 1
    ring, _state = start(medium.survive())
    assert (ring.head, ring.read(seq)[0], ring.hole(30)) == (seq, entry(9), hole)


def test_a_damaged_entry_in_the_middle_is_a_hole_and_no_stall():
    medium = Medium()
    ring, _state = start(medium)
    for number in range(1, 31):
        ring.append(entry(number))
    medium.files["ring0"][80] ^= 0x55
    assert ring.read(1) is not None
    damaged = [seq for seq in range(1, 31) if ring.read(seq) is None]
    assert len(damaged) == 1
    assert ring.hole(damaged[0]) == (damaged[0], OVERFLOW)
    assert ring.lost == 1
    ring, _state = start(medium.survive())
    last, reason = ring.hole(damaged[0])
    assert reason == OVERFLOW
    assert ring.read(last + 1)[0] == entry(last + 1)
    assert ring.head == 30


def test_a_ring_of_another_size_takes_over_every_entry():
    for larger, smaller in ((900, 720), (720, 900)):
        flash = CutFlash(Medium())
        ring = Ring(flash, State(flash), larger * COUNT, COUNT, Random())
        while ring.oldest == 1:
            ring.append(entry(ring.head + 1))
        oldest, head = ring.oldest, ring.head
        ring = Ring(flash, State(flash), smaller * COUNT, COUNT, Random())
        assert (ring.oldest, ring.head, ring.is_new) == (oldest, head, False)
        for seq in range(oldest, head + 1):
            assert ring.read(seq)[0] == entry(seq)
        while ring.oldest == oldest:
            assert ring.append(entry(ring.head + 1)) == ring.head
        verify_chain(ring)


def test_the_state_is_written_only_when_it_changed():
    medium = Medium()
    _ring, state = start(medium)
    before = medium.operations
    state.save()
    state.set(items.BOOT, b"\x01")
    state.save()
    state.set(items.BOOT, b"\x01")
    state.save()
    assert medium.operations == before + 2
