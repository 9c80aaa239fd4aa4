"""The life of state and ring, each entry of which can be foretold: see `story`."""

from os import urandom

import state as items
from flash import Flash
from meter_wire.portable.entry import chain
from ring import OVERFLOW, RELEASED, Ring
from state import State
from story import FOLDER

SEGMENTS = 4
SEGMENT_BYTES = 5000
"""More than a block: a segment's file is a chain of them."""
WATT_HOURS = 17


def body(number):
    """Return an entry that holds its number, and as its register `number * WATT_HOURS`."""
    filling = bytes([number & 255]) * (430 + number % 7 * 30)
    return b"\x01%06d%08d" % (number, number * WATT_HOURS) + filling


class Parts:
    """State and ring as the whole firmware uses them: registers, then the reading that shows them."""

    def __init__(self):
        self.state = State(Flash(FOLDER))
        self.ring = Ring(Flash(FOLDER), self.state, SEGMENT_BYTES * SEGMENTS, SEGMENTS, urandom)
        self.boot = self.state.next_boot()
        self.state.save()

    def tell_start(self, story):
        story.tell("incarnation", self.ring.incarnation)
        story.tell("boot", self.boot)

    def read(self, story):
        """Record a reading: saved, written, told."""
        number = self.ring.head + 1
        self.state.set(items.REGISTERS, b"%08d" % (number * WATT_HOURS))
        self.ring.save()
        story.tell("saved", self.ring.stored)
        assert self.ring.append(body(number)) == number
        story.tell("head", number)
        story.tell("oldest", self.ring.oldest)

    def own(self, story, number):
        """Take an owner record."""
        record = b"owner %04d " % number + bytes(150)
        self.state.set(items.LINK, record)
        self.state.save()
        story.tell("owner", record)


def live_parts(story, readings):
    """The life of `Parts`: acknowledged, overwritten, started again in the middle."""
    parts = Parts()
    parts.tell_start(story)
    for number in range(1, readings + 1):
        parts.read(story)
        if number % 11 == 3:
            parts.own(story, number)
        if number in {6, 12}:
            parts.ring.release(number - 2, number - 3)
        if number == readings // 2:
            parts = Parts()
            parts.tell_start(story)


def check_parts(story, operations):
    """Start on what a cut has left and hold it against the story; return the parts."""
    parts = Parts()
    ring, state = parts.ring, parts.state
    incarnation = story.at("incarnation", operations, None)[0]
    if incarnation is not None:
        assert ring.incarnation == incarnation, "incarnation"
        assert not ring.is_new, "incarnation"
    told, coming = story.at("head", operations, 0)
    assert told <= ring.head <= coming, f"head {ring.head}, told {told}, coming {coming}"
    assert state.get(items.LINK) in story.at("owner", operations, b""), "owner record"
    assert story.at("boot", operations, 0)[0] < parts.boot, "boot number"
    assert ring.stored >= story.at("saved", operations, 0)[0], "marks"
    told, coming = story.at("oldest", operations, 1)
    assert told <= ring.oldest <= coming, f"oldest {ring.oldest}, told {told}"
    _check_entries(ring, int(state.get(items.REGISTERS) or b"0"))
    return parts


def _check_entries(ring, register):
    """Every entry is its own, its chain is whole, no register is ahead of the kept one."""
    link = bytes(16)
    for number in range(1, ring.head + 1):
        got = ring.read(number)
        if number < ring.oldest:
            assert got is None, f"entry {number} is given up and there"
        else:
            assert got is not None, f"entry {number} is gone"
            assert got[0] == body(number), f"entry {number} is another"
            assert got[1] == link, f"chain before {number}"
            assert number * WATT_HOURS <= register, f"register {register} behind entry {number}"
        link = chain(link, ring.incarnation, number, body(number))
    _check_hole(ring)


def _check_hole(ring):
    """What is not held is declared without a gap, and what was never acknowledged is counted."""
    lost, number = 0, 1
    while number < ring.oldest:
        last, reason = ring.hole(number)
        assert number <= last < ring.oldest, f"hole from {number} to {last}"
        assert reason == (RELEASED if number <= ring.stored else OVERFLOW), "reason"
        lost += last - number + 1 if reason == OVERFLOW else 0
        number = last + 1
    assert lost == ring.lost, f"lost {ring.lost}, declared {lost}"


def follow_parts(parts):
    """Go on where the power came back: numbers and boots never repeat, nor goes an entry."""
    head = parts.ring.head
    for number in range(head + 1, head + 3):
        parts.state.set(items.REGISTERS, b"%08d" % (number * WATT_HOURS))
        parts.ring.save()
        assert parts.ring.append(body(number)) == number, "number after the cut"
    again = Parts()
    assert again.boot == parts.boot + 1, "boot number after the cut"
    assert again.ring.incarnation == parts.ring.incarnation, "incarnation after the cut"
    assert again.ring.head == head + 2, "head after the cut"
    for number in range(head, head + 3):
        assert number < again.ring.oldest or again.ring.read(number)[0] == body(number), "entries"
    _check_hole(again.ring)
