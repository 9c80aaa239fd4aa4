# ruff: noqa: SIM105 - MicroPython has no others
"""What a power cut may not leave untold: overflow, new incarnation, change of owner. Both Pythons.

The hole, the incarnation and the owner record are on the flash before their event is: a cut between
the two leaves the event to the next start, or to the one after it. It is told once: only a lack of
memory may repeat it, with the same words.
"""

from event_codes import INCARNATION_NEW, OWNER_CHANGE, RING_OVERFLOW, TASK_RESTART
from flash_with_cuts import Medium, PowerCutError
from local_rig import LocalRig
from meter_rig import DEVICE, parse_event
from meter_wire.portable.keys import derive_key, mac16
from meter_wire.portable.owner import parse_owner
from meter_wire.portable.tlv import pack
from small_rig import SmallRig
from state import LINK

KEY = derive_key(bytes(32), "owner", DEVICE)
CODE = 16
"""Place of an event's code in its entry."""
SECOND_CUTS = 14
"""Operations of a start, about: each of them is where the power fails once more."""


def make_record(counter, active, candidate=0):
    """Return an authentic owner record; an epoch's id follows from its number."""
    fields = (1, DEVICE.encode(), 2, active, 3, bytes([active]) * 16)
    if candidate:
        fields += (4, candidate, 5, bytes([candidate]) * 16)
    fields += (6, 9, 8, counter)
    content = b"\x01" + pack(*fields)
    return content + mac16(KEY, content)


class ShortWhole(LocalRig):
    """A meter of the whole firmware whose ring is soon full."""

    ring_bytes = 8 * 720

    def hear(self, record):
        """Take an owner record as the link's task does."""
        self.link.owner = parse_owner(record, KEY)
        self.commands.handle(("owner", record))

    def note(self):
        """Record anything."""
        self.recorder.event_now(TASK_RESTART, 0, 0)

    def look(self):
        """Do what the tasks do again and again."""
        self.commands.poll(0)
        self.recorder.event_now(TASK_RESTART, 0, 0)


class ShortSmall:
    """The same of the small profile."""

    def __init__(self, medium):
        self.medium = medium
        self.rig = SmallRig({"ring_bytes": 4 * 720}, medium=medium)
        self.ring, self.state = self.rig.meter.ring, self.rig.meter.state
        self.look()

    def hear(self, record):
        self.rig.meter.link.owner = parse_owner(record, KEY)
        self.rig.meter.handle(("owner", record))

    def note(self):
        self.rig.meter.event(TASK_RESTART, 0, 0)

    def look(self):
        self.rig.meter.tick()


def read_told(meter):
    """Return {code: arguments of the ring's events, oldest first} of the three."""
    found = {INCARNATION_NEW: [], RING_OVERFLOW: [], OWNER_CHANGE: []}
    for seq in range(meter.ring.oldest, meter.ring.head + 1):
        row = meter.ring.read(seq)
        if row and row[0][0] == 2 and row[0][CODE] in found:
            event = parse_event(row[0])
            found[event[0]].append(event[2:])
    return found


def told(meter, code):
    """Return the arguments of the ring's events of a code, oldest first."""
    return read_told(meter)[code]


def begin(meter):
    """The life of a new meter."""
    meter.hear(make_record(1, 1))
    meter.note()


def go_on(meter):
    """The life of one whose ring is full: it overflows, and its owner changes."""
    for _ in range(18):
        meter.note()
        meter.look()
    meter.hear(make_record(2, 1, 2))
    meter.note()
    meter.hear(make_record(3, 2))
    meter.look()


def filled(kind):
    """Return the medium of a meter whose ring has overflown, and all of it was told."""
    meter = kind(Medium())
    begin(meter)
    while not meter.ring.lost:
        meter.note()
    meter.look()
    return meter.medium


def check(meter, known=b""):
    """Everything on the flash is told, and once; `known`: the record that was there before."""
    ring, found = meter.ring, read_told(meter)
    if ring.oldest == 1:
        assert found[INCARNATION_NEW] == [()]
        assert parse_event(ring.read(1)[0])[0] == INCARNATION_NEW
    overflows = found[RING_OVERFLOW]
    if ring.lost:
        assert overflows[-1] == (ring.lost,)
    assert len(set(overflows)) == len(overflows)
    record = meter.state.get(LINK)
    owners = found[OWNER_CHANGE]
    assert len(set(owners)) == len(owners)
    if record != known:
        owner = parse_owner(record, KEY)
        assert owners[-1] == (owner.active, owner.candidate)
    elif not known:
        assert owners == []


def cut_everywhere(kind, medium, live):
    """Cut the power at each operation of a life, then at one of the start after it as well.

    In one of three ways in turn, for a board's time; littlefs/power_cuts.py knows all of them.
    """
    whole = medium.survive()
    meter = kind(whole)
    live(meter)
    known = medium.survive()
    kept = kind(known).state.get(LINK) if medium.files else b""
    check(meter, kept)
    for cut_at in range(whole.operations):
        cut = medium.survive()
        cut.cut_at, cut.keep = cut_at, cut_at % 3 * 2
        try:
            live(kind(cut))
        except PowerCutError:
            pass
        check(kind(cut.survive()), kept)
        again = cut.survive()
        again.cut_at, again.keep = cut_at * 5 % SECOND_CUTS, cut_at % 2 * 4
        try:
            kind(again)
        except PowerCutError:
            pass
        check(kind(again.survive()), kept)
    return whole.operations


def test_a_new_whole_meter_tells_its_incarnation_and_owner_whenever_the_power_fails():
    assert cut_everywhere(ShortWhole, Medium(), begin) > 10


def test_a_new_small_meter_tells_its_incarnation_and_owner_whenever_the_power_fails():
    assert cut_everywhere(ShortSmall, Medium(), begin) > 10


def test_a_whole_meter_tells_what_it_overwrote_and_who_owns_it_whenever_the_power_fails():
    assert cut_everywhere(ShortWhole, filled(ShortWhole), go_on) > 30


def test_a_small_meter_tells_what_it_overwrote_and_who_owns_it_whenever_the_power_fails():
    assert cut_everywhere(ShortSmall, filled(ShortSmall), go_on) > 30


class ScarceMedium(Medium):
    """Has no memory for one of its operations."""

    scarce_at = None
    was_scarce = False

    def spend(self):
        if self.operations == self.scarce_at:
            self.operations += 1
            self.was_scarce = True
            raise MemoryError
        return super().spend()


def try_all(meter):
    """Live as `go_on`; a task goes on after a lack of memory."""
    steps = [meter.note, meter.look] * 18
    steps += [lambda: meter.hear(make_record(2, 1, 2)), meter.note, meter.look]
    for step in steps:
        try:
            step()
        except MemoryError:
            pass


def test_a_lack_of_memory_leaves_nothing_untold_and_tells_nothing_twice():
    for kind in (ShortWhole, ShortSmall):
        full = filled(kind)
        place = 0
        while True:
            medium = ScarceMedium(full.survive().files)
            meter = kind(medium)
            medium.scarce_at = medium.operations + place
            try_all(meter)
            check(meter, make_record(1, 1))
            assert told(meter, OWNER_CHANGE)[-1] == (1, 2)
            check(kind(meter.medium.survive()), make_record(1, 1))
            if not medium.was_scarce:
                break
            place += 1
        assert place > 25


def test_a_lost_ring_begins_without_what_the_old_one_has_told():
    for kind in (ShortWhole, ShortSmall):
        medium = kind(filled(kind).survive()).medium.survive()
        for name in list(medium.files):
            if name.startswith("ring"):
                medium.files.pop(name)
        meter = kind(medium)
        meter.look()
        assert told(meter, INCARNATION_NEW) == [()]
        assert told(meter, RING_OVERFLOW) == []


def test_a_record_that_says_the_same_as_the_last_one_is_told_as_well():
    """Its counter and its broker differ, which no event has."""
    for kind in (ShortWhole, ShortSmall):
        whole = kind(Medium())
        for cut_at in range(whole.medium.operations, whole.medium.operations + 8):
            medium = Medium()
            medium.cut_at = cut_at
            try:
                meter = kind(medium)
                meter.hear(make_record(1, 1, 2))
                meter.hear(make_record(2, 1, 2))
            except PowerCutError:
                pass
            again = kind(medium.survive())
            records = [make_record(1, 1, 2), make_record(2, 1, 2)]
            heard = records.index(again.state.get(LINK)) + 1 if again.state.get(LINK) else 0
            assert told(again, OWNER_CHANGE) == [(1, 2)] * heard, cut_at


def test_what_the_event_of_an_overflow_overwrites_itself_is_told_as_well():
    for before in range(8):
        meter = ShortWhole(Medium())
        for _ in range(before):
            meter.note()
        while meter.ring.oldest == 1:
            meter.ring.lost += 1  # as if another damaged entry had been found
            meter.note()
        assert told(meter, RING_OVERFLOW)[-1] == (meter.ring.lost,)
