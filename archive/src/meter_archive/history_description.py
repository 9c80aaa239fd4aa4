"""What `/v1/history` asks and answers, in words. Neighbours: `history` answers, `schemas`."""

from meter_archive.history import answer_history
from meter_archive.queries import Parameter, Query
from meter_archive.schemas import (
    SPAN,
    SUBJECT,
    ZONE,
    choice,
    moment,
    record,
    several,
    text,
    whole,
)

_EVERY = ["15m", "1h", "1d", "1mo"]
_BUCKET = record(
    "One bucket. A cumulative register has `value`, `quality` and `reason`, others `least`, `mean`"
    " and `largest`.",
    {
        "start": moment("Begin, in local time."),
        "end": moment("End, in local time."),
        "value": whole("Energy: the difference of two readings of the meter.", missing=True),
        "quality": choice("How `value` is known.", "metered", "estimated", "missing"),
        "reason": text("Why it is missing; empty if it is not."),
        "least": whole("Smallest value.", missing=True),
        "mean": whole("Mean of the values.", missing=True),
        "largest": whole("Largest value.", missing=True),
        "readings": whole("Capture boundaries that have a reading."),
        "expected": whole("Capture boundaries in the bucket."),
        "flags": several("States that the meter gave its readings.", {"type": "string"}),
    },
    optional=("value", "quality", "reason", "least", "mean", "largest"),
)
_DEVICE = record(
    "A device, for the time that it was there and that the asker may see.",
    {
        "device": text("Device id."),
        "meter": text("Name of its SmartMeter; empty if none is known."),
        "meteringPoint": text("Metering point; empty if none is known."),
        "undatedReadings": whole("Readings without a valid time, left out."),
        "repeatedReadings": whole("Readings of the same boundary, left out."),
        "buckets": several("Oldest first.", _BUCKET),
    },
)
HISTORY = Query(
    answer_history,
    "What a register did: energy or values in buckets of local time.",
    (
        *SUBJECT,
        Parameter(
            "register",
            "OBIS code, short or full: 1.8.0 is energy from the grid, 2.8.0 to it.",
            {"type": "string", "default": "1.8.0"},
        ),
        *SPAN,
        Parameter(
            "every",
            "Length of a bucket; at most 9,000 of them.",
            {"type": "string", "enum": _EVERY, "default": "1d"},
        ),
        ZONE,
    ),
    record(
        "Buckets by device.",
        {
            "register": text("Full OBIS code."),
            "unit": text("Unit, such as Wh."),
            "scaler": whole("Values are to be multiplied by ten to this."),
            "every": choice("Length of a bucket.", *_EVERY),
            "zone": text("Zone of local times."),
            "devices": several("Oldest first.", _DEVICE),
        },
    ),
    rows=("devices", "buckets"),
)
