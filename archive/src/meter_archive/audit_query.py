"""Answers `/v1/audit`: who has asked what. Neighbours: `audit_table`, `queries`."""

from datetime import UTC, datetime, timedelta

from meter_archive.audit_table import Filter, fetch_notes
from meter_archive.database import Pool
from meter_archive.local_time import get_zone, parse_time
from meter_archive.queries import Asked, Json, Parameter, Query
from meter_archive.query_error import QueryError
from meter_archive.schemas import SPAN, moment, record, several, text, whole

_MOST = 1000
_NAMES = frozenset(("from", "to", "who", "point", "before", "limit"))


async def answer_audit(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/audit`.

    Raises:
        QueryError: a parameter is wrong.
    """
    given = dict(asked.parameters)
    if len(given) != len(asked.parameters):
        raise QueryError("query", "has a parameter twice", "give each once")
    for name in sorted(set(given) - _NAMES):
        raise QueryError(name[:64], "is no parameter", f"these are: {', '.join(sorted(_NAMES))}")
    wanted = _parse(given, asked.now_s)
    async with pool.acquire() as connection:
        rows = await fetch_notes(connection, wanted)
    document: Json = {
        "accesses": [
            {
                "number": row["id"],
                "time": row["time"].isoformat(),
                "who": row["who"],
                "address": row["address"],
                "route": row["route"],
                "parameters": row["parameters"],
                "status": row["status"],
                "devices": row["devices"],
                "rows": row["rows"],
                "points": row["points"],
            }
            for row in rows
        ]
    }
    if len(rows) == wanted.most:
        document["next"] = rows[-1]["id"]
    return document


def _parse(given: dict[str, str], now_s: int) -> Filter:
    utc = get_zone("UTC", "zone")
    until_s = parse_time(given["to"], utc, "to") if given.get("to") else now_s + 1
    default_s = max(0, until_s - int(timedelta(days=1).total_seconds()))
    since_s = parse_time(given["from"], utc, "from") if given.get("from") else default_s
    if until_s <= since_s:
        raise QueryError("to", "is not after `from`", "write a later time, or an earlier `from`")
    before = _number(given, "before", 2**63 - 1)
    return Filter(
        datetime.fromtimestamp(since_s, UTC),
        datetime.fromtimestamp(until_s, UTC),
        given.get("who"),
        given.get("point"),
        before,
        _number(given, "limit", _MOST) or _MOST,
    )


def _number(given: dict[str, str], name: str, most: int) -> int | None:
    digits = given.get(name)
    if digits is None:
        return None
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= len(str(most))
    if not is_number or not 1 <= int(digits) <= most:
        raise QueryError(name, f"is no number from 1 to {most}", "leave it out")
    return int(digits)


_ACCESS = record(
    "A question, answered or refused.",
    {
        "number": whole("Grows with each."),
        "time": moment("When it was asked."),
        "who": text("Name of the token, `port-forward`, or empty if nobody that is known."),
        "address": text("Where it came from."),
        "route": text("Method and path."),
        "parameters": text("As they were given, bounded."),
        "status": whole("HTTP status of the answer."),
        "devices": whole("Devices that the answer showed."),
        "rows": whole("Objects in its lists."),
        "points": several("Metering points that it showed, at most 1,000.", {"type": "string"}),
    },
)
AUDIT = Query(
    answer_audit,
    "Who has asked what, newest first.",
    (
        *SPAN,
        Parameter("who", "Only this asker.", {"type": "string"}),
        Parameter("point", "Only answers that showed this metering point.", {"type": "string"}),
        Parameter("before", "Only below this number: `next` of the page before.",
                  {"type": "integer", "minimum": 1}),
        Parameter("limit", "At most so many.",
                  {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _MOST}),
    ),
    record(
        "A page of the audit.",
        {"accesses": several("Newest first.", _ACCESS), "next": whole("If there may be more.")},
        optional=("next",),
    ),
    rows=("accesses",),
    operators=True,
)  # fmt: skip
