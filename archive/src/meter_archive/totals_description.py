"""What `/v1/totals` asks and answers, in words. Neighbours: `totals` answers, `schemas`."""

from meter_archive.queries import Parameter, Query
from meter_archive.schemas import SPAN, ZONE, choice, moment, record, several, text, whole
from meter_archive.totals import answer_totals

_TEXT = {"type": "string"}
_EVERY = ["15m", "1h", "1d", "1mo"]
_BUCKET = record(
    "One bucket.",
    {
        "start": moment("Begin, in local time."),
        "end": moment("End, in local time."),
        "value": whole("Energy that is known.", missing=True),
        "quality": choice(
            "How `value` is known; `partial`: some of it is missing.",
            "metered", "estimated", "partial", "missing",
        ),
        "expected": whole("Meters that were there for any of it."),
        "known": whole("Meters all of whose energy is in `value`."),
        "estimated": whole("Of these, meters with an estimated reading."),
    },
)  # fmt: skip
TOTALS = Query(
    answer_totals,
    "The energy of a feeder, a label or a fleet in buckets of local time.",
    (
        Parameter("feeder", "All meters of a feeder; one of feeder, fleet, label.", _TEXT),
        Parameter("label", "All meters with a label, key=value.", _TEXT),
        Parameter("fleet", "1: all meters that may be seen.", _TEXT),
        Parameter("namespace", "Only meters of this namespace.", _TEXT),
        Parameter("register", "OBIS code of energy, short or full.", {**_TEXT, "default": "1.8.0"}),
        *SPAN,
        Parameter("every", "Length of a bucket.", {**_TEXT, "enum": _EVERY, "default": "1d"}),
        ZONE,
    ),
    record(
        "Buckets of all meters together.",
        {
            "register": text("Full OBIS code."),
            "unit": text("Unit, such as Wh."),
            "scaler": whole("Values are to be multiplied by ten to this."),
            "every": choice("Length of a bucket.", *_EVERY),
            "zone": text("Zone of local times."),
            "meters": whole("Meters that were there for any of the time."),
            "buckets": several("Oldest first.", _BUCKET),
        },
    ),
    rows=("buckets",),
)
