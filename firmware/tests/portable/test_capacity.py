"""How many readings the ring holds: what is reckoned is what a full ring has. Both Pythons."""

from capacity import EVENT_BYTES, READING_BYTES, READINGS_PER_EVENT, describe, held_s, needed_bytes
from flash_with_cuts import CutFlash, Medium
from meter_wire.portable.entry import encode_reading, encode_register
from metering import Meter
from ring import Ring
from small_record import IMPORT_ENERGY
from state import State

DAY_S = 86400
QUARTER_S = 900
LARGEST = (1 << 31) - 1
SERIAL = b"house-1-of-31-octets-0123456789"


def least_held(ring_bytes, segments, body, per_event=None):
    """Return the fewest bodies that a full ring has at any time."""
    flash = CutFlash(Medium())
    ring = Ring(flash, State(flash), ring_bytes, segments, lambda length: b"r" * length)
    least, readings, turns = None, 0, 0
    before = [0]  # readings up to each number
    while turns < segments + 1:
        oldest = ring.oldest
        is_event = per_event and (ring.head + 1) % (per_event + 1) == 0
        ring.append(bytes(EVENT_BYTES if is_event else body))
        if ring.oldest != oldest:
            turns += 1
            held = readings - before[ring.oldest - 1]
            least = held if least is None else min(least, held)
        readings += not is_event
        before.append(readings)
    return least


def test_no_reading_of_the_whole_firmware_is_longer_than_reckoned():
    registers = []
    for code, value, _at_s in Meter(SERIAL, 3).snapshot(LARGEST):
        at_s = LARGEST if code[3] == 6 else None  # a maximum has its time
        whole = value if isinstance(value, bytes) else LARGEST
        registers.append(encode_register(code, whole, at_s))
    length = len(encode_reading(0xFFFF, LARGEST, LARGEST, 65535, registers))
    assert READING_BYTES - 16 < length <= READING_BYTES, length


def test_a_full_ring_has_what_is_reckoned_and_hardly_more():
    for ring_bytes, segments in ((65536, 4), (49152, 12)):
        reckoned = held_s(ring_bytes, segments, 1)
        held = least_held(ring_bytes, segments, READING_BYTES, READINGS_PER_EVENT)
        assert reckoned <= held <= reckoned + segments, (reckoned, held)


def test_the_default_ring_of_the_small_profile_holds_forty_days_of_quarter_hours():
    reading = encode_reading(0, LARGEST, LARGEST, 1, [encode_register(IMPORT_ENERGY, LARGEST)])
    full = least_held(32768, 8, len(reading))
    assert 8 * full >= 40 * DAY_S // QUARTER_S


def test_the_bytes_that_are_named_are_the_least_that_hold_what_is_asked():
    for days, segments, capture_s in ((10, 8, 900), (30, 8, 900), (1, 16, 60)):
        ring_bytes = needed_bytes(days * DAY_S, segments, capture_s)
        assert held_s(ring_bytes, segments, capture_s) >= days * DAY_S
        assert held_s(ring_bytes - 4096 * segments, segments, capture_s) < days * DAY_S


def test_a_duration_is_told_in_hours_below_two_days():
    assert describe(2 * DAY_S) == "2 days"
    assert describe(2 * DAY_S - 1) == "47 hours"
