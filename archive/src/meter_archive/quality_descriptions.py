"""What the questions about quality ask and answer, in words. Neighbours: the answers, `schemas`."""

from collections.abc import Mapping

from meter_archive.drift_answer import answer_drift
from meter_archive.entry_pages import answer_events, answer_readings
from meter_archive.findings_answer import answer_findings
from meter_archive.gaps_answer import answer_gaps
from meter_archive.intervals_answer import answer_intervals
from meter_archive.performance_answer import answer_performance
from meter_archive.queries import Json, Parameter, Query
from meter_archive.schemas import SPAN, SUBJECT, choice, moment, record, several, text, whole

_TEXT: Json = {"type": "string"}
_MANY = (
    Parameter("feeder", "All meters of a feeder.", _TEXT),
    Parameter("label", "All meters with a label, key=value.", _TEXT),
    Parameter("fleet", "1: all meters that may be seen.", _TEXT),
)
_REGISTER = Parameter(
    "register", "OBIS code, short or full, of energy.", _TEXT | {"default": "1.8.0"}
)
_PAGE = (
    Parameter("after", "The `next` of the page before.", _TEXT),
    Parameter("limit", "Most entries of a page, 1 to 1000.", {"type": "integer", "default": 1000}),
)
_LIMIT = Parameter("limit", "Most meters to list, 1 to 10000.", {"type": "integer", "default": 100})
_NAMED: Json = {
    "device": text("Device id."),
    "meter": text("Name of its SmartMeter; empty if none is known."),
    "meteringPoint": text("Metering point; empty if none is known."),
}
_NEXT: Json = {
    "type": ["string", "null"],
    "description": "`after` of the next page; null: the last.",
}
_ENTRY: Json = _NAMED | {
    "incarnation": text("Of the meter's state: 16 hexadecimal digits."),
    "seq": whole("Number within the incarnation."),
    "time": moment("The meter's own time, in local time."),
    "received": moment("When the archive got it, UTC."),
    "epoch": whole("Of the twin that gave it."),
    "provenance": choice("Whose word it is.", "source-signed", "twin-attested"),
    "status": several("States that the meter gave it.", _TEXT),
}
_SUCCESS: Json = {
    "expected": whole("Intervals that had to come."),
    "inTime": whole("Came by the deadline."),
    "late": whole("Came later."),
    "missing": whole("Have not come."),
    "success": {"type": "number", "description": "Share in time, 0 to 1."},
    "met": {"type": "boolean", "description": "Whether it reaches the target."},
}
_FINAL: Json = {"type": "boolean", "description": "Whether the deadline is over."}
_LEFT_OUT = whole("How many more there are.")

_READINGS = Query(
    answer_readings,
    "Readings as the meter gave them, page by page.",
    (
        *SUBJECT, *SPAN, *_PAGE,
        Parameter("register", "OBIS codes with commas between; all if left out.", _TEXT),
        Parameter("raw", "1: the bytes too.", {"type": "string", "enum": ["0", "1"]}),
    ),
    record("A page.", {
        "readings": several("By time.", record("A reading.", _ENTRY | {
            "registers": {"type": "object", "description": "By OBIS code: integer `value` (octets:"
                          " hexadecimal), `unit`, `scaler`, `time` if it has its own."},
            "raw": text("The meter's bytes, base64."),
        }, optional=("raw",))),
        "next": _NEXT,
    }),
)  # fmt: skip
_EVENTS = Query(
    answer_events,
    "Events as the meter gave them, page by page.",
    (*SUBJECT, *_MANY, *SPAN, *_PAGE,
     Parameter("code", "Names or numbers of events with commas between.", _TEXT)),
    record("A page.", {
        "events": several("By time.", record("An event.", _ENTRY | {
            "code": whole("Number of its kind."),
            "event": text("Name of its kind."),
            "arguments": {"type": "object", "description": "By name."},
        })),
        "next": _NEXT,
    }),
)  # fmt: skip
_GAPS = Query(
    answer_gaps,
    "Readings and numbers that are not there, and why.",
    (*SUBJECT, *SPAN, _REGISTER),
    record("Gaps by device.", {
        "register": text("Full OBIS code."),
        "devices": several("Oldest first.", record("A device.", _NAMED | {
            "expected": whole("Capture boundaries."),
            "readings": whole("Those with a reading."),
            "gaps": several("Oldest first.", record("Boundaries without a reading.", {
                "first": moment("First of them."),
                "last": moment("Last of them."),
                "missing": whole("How many."),
                "advance": whole("What the register moved over it.", missing=True),
                "reason": text("Why, as far as is known."),
            })),
            "numbers": several("Numbers without an entry.", record("Some in a row.", {
                "incarnation": text("16 hexadecimal digits."),
                "first": whole("First of them."),
                "last": whole("Last of them."),
                "reason": text("Why, as far as is known."),
            })),
        })),
    }),
)  # fmt: skip
_INTERVALS = Query(
    answer_intervals,
    "Energy of each interval; gaps estimated by named methods, and marked.",
    (*SUBJECT, *SPAN, _REGISTER,
     Parameter("estimate", "none: gaps stay.", {"type": "string", "enum": ["best", "none"]})),
    record("Intervals by device.", {
        "register": text("Full OBIS code."),
        "unit": text("Unit, such as Wh."),
        "scaler": whole("Values are to be multiplied by ten to this."),
        "estimate": choice("What fills gaps.", "best", "none"),
        "devices": several("Oldest first.", record("A device.", _NAMED | {
            "sum": whole("Of all values."),
            "counts": {"type": "object", "description": "Intervals by their quality."},
            "intervals": several("Oldest first.", record("An interval.", {
                "start": moment("Begin."),
                "end": moment("End."),
                "value": whole("Energy.", missing=True),
                "quality": choice("How it is known.", "metered", "estimated", "missing"),
                "method": text("Of the estimate; empty if there is none."),
                "version": whole("Of the method; 0 without one."),
                "reason": text("Why it was not metered."),
                "flags": several("States that the meter gave its readings.", _TEXT),
            })),
        })),
    }),
)  # fmt: skip
_FINDINGS = Query(
    answer_findings,
    "What the checks of validation find.",
    (*SUBJECT, *SPAN, Parameter("register", "OBIS codes of energy with commas between.",
                                _TEXT | {"default": "1.8.0,2.8.0"})),
    record("Findings by device.", {
        "checks": several("Rules that were asked.", _TEXT),
        "devices": several("Oldest first.", record("A device.", _NAMED | {
            "generation": {"type": ["boolean", "null"], "description": "What its label says."},
            "connectionWatts": whole("What its label says.", missing=True),
            "readings": {"type": "object", "description": "How many, by register."},
            "findings": several("By time.", record("A finding.", {
                "rule": text("Name of the check."),
                "version": whole("Of the check."),
                "register": text("Full OBIS code."),
                "start": moment("Begin."),
                "end": moment("End."),
                "text": text("Counts, no consumption."),
            })),
        })),
    }),
)  # fmt: skip
_PERFORMANCE = Query(
    answer_performance,
    "Which intervals of local days were there by 08:00 of the next day.",
    (*SUBJECT, *_MANY, *SPAN, _LIMIT),
    record("Read success.", {
        "target": {"type": "number", "description": "Share that is expected."},
        "deadline": text("Local time of the next day."),
        "days": several("In order.", record("A local day of all meters.", {
            "day": text("Local date."), "final": _FINAL, "meters": whole("How many."),
            "complete": whole("Meters with all in time."),
            "silent": whole("Meters that gave nothing."), **_SUCCESS,
        })),
        "meters": several("Worst first.", record("A day of a meter.", _NAMED | {
            "day": text("Local date."), "final": _FINAL, **_SUCCESS,
        })),
        "leftOut": _LEFT_OUT,
    }),
)  # fmt: skip
_DRIFT = Query(
    answer_drift,
    "Clocks by what their meters say of them, the worst first.",
    (*SUBJECT, *_MANY, *SPAN, _LIMIT),
    record("Clocks.", {
        "meters": several("Worst first.", record("A clock.", _NAMED | {
            "ppm": {"type": ["number", "null"], "description": "Positive: slow; null: not known."},
            "steps": whole("Times that it was stepped."),
            "sets": whole("Times that it was set without a time before."),
            "refused": whole("Times that the meter refused."),
            "largestOffsetMs": whole("Farthest from 0 of these; positive: slow."),
            "aheadSeconds": whole("A reading came so long before its time."),
            "days": several("With steps.", record("A local day.", {
                "day": text("Local date."), "steps": whole("How many."),
                "offsetMs": whole("Their sum."), "largestOffsetMs": whole("Farthest from 0."),
            })),
        })),
        "leftOut": _LEFT_OUT,
        "withoutFault": whole("Clocks of which nothing is told."),
    }),
)  # fmt: skip
QUALITY: Mapping[str, Query] = {
    "/v1/readings": _READINGS,
    "/v1/events": _EVENTS,
    "/v1/gaps": _GAPS,
    "/v1/intervals": _INTERVALS,
    "/v1/findings": _FINDINGS,
    "/v1/performance": _PERFORMANCE,
    "/v1/drift": _DRIFT,
}
