"""How long the flash ring holds readings, reckoned for the worst moment: a segment just given up.

Neighbours: `segments` (what a record takes), `config` (refuses a ring that holds less than asked),
`main` (says it at the start).
"""

from segments import HEADER_BYTES, RECORD_OVERHEAD

READING_BYTES = 284
"""The largest reading of the whole firmware: three phases, each value up to 2^31."""
EVENT_BYTES = 32
READINGS_PER_EVENT = 5
_STEP_BYTES = 4096


def readings_of(segment_bytes: int) -> int:
    """Return how many readings a segment holds, with an event after each five of them."""
    fifths = READINGS_PER_EVENT * (READING_BYTES + RECORD_OVERHEAD) + EVENT_BYTES + RECORD_OVERHEAD
    return (segment_bytes - HEADER_BYTES) * READINGS_PER_EVENT // fifths


def held_s(ring_bytes: int, segments: int, capture_s: int) -> int:
    """Return the seconds of readings that are there whenever a twin asks, at a capture period."""
    return (segments - 1) * readings_of(ring_bytes // segments) * capture_s


def needed_bytes(seconds: int, segments: int, capture_s: int) -> int:
    """Return the `ring_bytes` that hold so many seconds, in whole blocks a segment."""
    segment_bytes = _STEP_BYTES
    while held_s(segment_bytes * segments, segments, capture_s) < seconds:
        segment_bytes += _STEP_BYTES
    return segment_bytes * segments


def describe(seconds: int) -> str:
    """Return a duration in whole days, below two of them in hours."""
    if seconds < 172800:
        return "%d hours" % (seconds // 3600)
    return "%d days" % (seconds // 86400)
