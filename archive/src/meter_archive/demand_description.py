"""What `/v1/demand` asks and answers, in words. Neighbours: `demand_answer`, `schemas`."""

from meter_archive.demand_answer import answer_demand
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
_TEXT = {"type": "string"}
_BUCKET = record(
    "One bucket.",
    {
        "start": moment("Begin, in local time."),
        "end": moment("End, in local time."),
        "power": whole("Largest mean power of its quarter hours.", missing=True),
        "at": moment("Begin of that quarter hour, the first of equals.", missing=True),
        "known": whole("Quarter hours that have both readings."),
        "periods": whole("Quarter hours in the bucket."),
    },
)
_DEVICE = record(
    "A device, for the time that it was there and that the asker may see.",
    {
        "device": text("Device id."),
        "meter": text("Name of its SmartMeter; empty if none is known."),
        "meteringPoint": text("Metering point; empty if none is known."),
        "buckets": several("Oldest first.", _BUCKET),
    },
)
DEMAND = Query(
    answer_demand,
    "Demand maximum: the largest mean power of a quarter hour, in buckets of local time.",
    (
        *SUBJECT,
        Parameter("register", "OBIS code of energy, short or full.", {**_TEXT, "default": "1.8.0"}),
        *SPAN,
        Parameter("every", "Length of a bucket.", {**_TEXT, "enum": _EVERY, "default": "1d"}),
        ZONE,
    ),
    record(
        "Buckets by device.",
        {
            "register": text("Full OBIS code of the energy."),
            "unit": text("Unit of `power`, such as W."),
            "scaler": whole("Values are to be multiplied by ten to this."),
            "every": choice("Length of a bucket.", *_EVERY),
            "zone": text("Zone of local times."),
            "devices": several("Oldest first.", _DEVICE),
        },
    ),
    rows=("devices", "buckets"),
)
