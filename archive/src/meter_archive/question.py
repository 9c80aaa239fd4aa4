"""A question as its parameters say it: whose registers, which one, when, in which buckets. Pure.

Neighbours: `history` answers it, `query_port` takes it from a request, `installations` finds whose.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple

from meter_wire.obis import parse_code

from meter_archive.local_time import get_zone, parse_time
from meter_archive.periods import build_boundaries, parse_every, quarter_before
from meter_archive.query_error import QueryError

MOST_BUCKETS = 9000
"""A quarter of a year in quarter hours."""
_SHORT = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}")
_SUBJECTS = ("device", "meter", "point")
_PARAMETERS = frozenset((*_SUBJECTS, "namespace", "register", "from", "to", "every", "zone"))
_DEFAULT_SPAN_S = int(timedelta(days=1).total_seconds())

Kind = Literal["device", "meter", "point", "feeder", "label", "fleet"]


class Subject(NamedTuple):
    """Whose registers: a device id, the name of a SmartMeter, or a metering point."""

    kind: Kind
    value: str
    namespace: str = ""


class Question(NamedTuple):
    """A checked question; times as texts until the zone of the metering point is known."""

    subject: Subject
    register: bytes
    every: str
    start: str
    end: str
    zone: str


def parse_question(parameters: Sequence[tuple[str, str]]) -> Question:
    """Return the question of a request's parameters.

    Raises:
        QueryError: names the parameter that is unknown, given twice, missing or wrong.
    """
    given = dict(parameters)
    if len(given) != len(parameters):
        raise QueryError("query", "has a parameter twice", "give each once")
    for name in sorted(set(given) - _PARAMETERS):
        known = ", ".join(sorted(_PARAMETERS))
        raise QueryError(name[:64], "is no parameter", f"these are: {known}")
    return Question(
        _parse_subject(given),
        parse_register(given.get("register", "1.8.0")),
        parse_every(given.get("every", "1d")),
        given.get("from", ""),
        given.get("to", ""),
        given.get("zone", ""),
    )


def _parse_subject(given: Mapping[str, str]) -> Subject:
    named = [kind for kind in _SUBJECTS if given.get(kind)]
    if len(named) != 1:
        what = "is missing" if not named else "stands beside another"
        raise QueryError("meter", what, f"give one of {', '.join(_SUBJECTS)}")
    kind: Kind = named[0]  # type: ignore[assignment]
    return Subject(kind, given[kind], given.get("namespace", ""))


def parse_register(text: str) -> bytes:
    """Return the six bytes of a register: a full OBIS code, or `1.8.0` for `1-0:1.8.0*255`.

    Raises:
        QueryError: it is neither.
    """
    try:
        return parse_code(f"1-0:{text}*255" if _SHORT.fullmatch(text) else text)
    except ValueError:
        raise QueryError("register", "is no OBIS code", "write 1.8.0 or 1-0:1.8.0*255") from None


def find_boundaries(question: Question, zone_name: str, now_s: int) -> tuple[int, ...]:
    """Return the boundaries of the question's buckets in the zone of the metering point.

    Without an end it is the last quarter hour, without a start a day before the end.

    Raises:
        QueryError: a time is wrong, or there are too many buckets.
    """
    zone = get_zone(question.zone or zone_name, "zone")
    now_s = quarter_before(now_s)
    end_s = parse_time(question.end, zone, "to") if question.end else now_s
    start_s = (
        parse_time(question.start, zone, "from") if question.start else end_s - _DEFAULT_SPAN_S
    )
    return build_boundaries(start_s, end_s, question.every, zone, MOST_BUCKETS)
