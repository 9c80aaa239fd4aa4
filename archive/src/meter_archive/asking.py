"""A question about quality as its parameters say it: whose, when, and what else it may say. Pure.

`question` is its counterpart for a register's history. Neighbours: `windows` finds the devices,
the modules of answers say which parameters they know.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from meter_archive.local_time import QUARTER_S, local_date, parse_time, start_of_day
from meter_archive.query_error import QueryError
from meter_archive.question import Kind, Subject

ONE: tuple[Kind, ...] = ("device", "meter", "point")
MANY: tuple[Kind, ...] = ("feeder", "label", "fleet")
ALL: tuple[Kind, ...] = (*ONE, *MANY)
"""Kinds of subjects: a label is `key=value`, and `fleet=1` is all that may be seen."""
_ALWAYS = ("from", "to", "namespace")
_NUMBER_DIGITS = 9


class Asking(NamedTuple):
    """Whose data, and all parameters as they came, by name."""

    subject: Subject
    given: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return a parameter, empty if it was not given."""
        return self.given.get(name, "")

    def number(self, name: str, default: int, most: int) -> int:
        """Return a number from 1 to `most`.

        Raises:
            QueryError: another text.
        """
        text = self.given.get(name, str(default))
        digits = text.isascii() and text.isdigit() and len(text) <= _NUMBER_DIGITS
        if not digits or not 1 <= int(text) <= most:
            raise QueryError(name, f"is no number from 1 to {most}", f"leave it out for {default}")
        return int(text)

    def choice(self, name: str, *known: str) -> str:
        """Return one of the known texts, the first of them if none was given.

        Raises:
            QueryError: another text.
        """
        text = self.given.get(name, known[0])
        if text not in known:
            raise QueryError(name, "is not known", f"write one of {', '.join(known)}")
        return text


def parse_asking(
    parameters: Sequence[tuple[str, str]], others: Collection[str], kinds: Sequence[Kind] = ONE
) -> Asking:
    """Return the question of a request's parameters.

    Args:
        parameters: as they came.
        others: parameters that this question knows beside subject and time.
        kinds: of subjects that it can be asked of.

    Raises:
        QueryError: names the parameter that is unknown, given twice or missing.
    """
    given = dict(parameters)
    if len(given) != len(parameters):
        raise QueryError("query", "has a parameter twice", "give each once")
    known = sorted({*_ALWAYS, *others, *kinds})
    for name in sorted(set(given) - set(known)):
        raise QueryError(name[:64], "is no parameter", f"these are: {', '.join(known)}")
    named = [kind for kind in kinds if given.get(kind)]
    if len(named) != 1:
        what = "is missing" if not named else "stands beside another"
        raise QueryError("meter", what, f"give one of {', '.join(kinds)}")
    if named[0] == "label" and "=" not in given["label"]:
        raise QueryError("label", "has no value", "write key=value")
    return Asking(Subject(named[0], given[named[0]], given.get("namespace", "")), given)


def find_span(asking: Asking, zone: ZoneInfo, now_s: int, most: timedelta) -> tuple[int, int]:
    """Return the UTC seconds of `from` and `to`; now and a day before it without them.

    Raises:
        QueryError: a time is wrong, they are not in order, or too far apart.
    """
    end_s = parse_time(asking.text("to"), zone, "to") if asking.text("to") else now_s
    day_s = int(timedelta(days=1).total_seconds())
    start_s = (
        parse_time(asking.text("from"), zone, "from")
        if asking.text("from")
        else max(0, end_s - day_s)
    )
    if end_s <= start_s:
        raise QueryError("to", "is not after `from`", "write a later time, or an earlier `from`")
    if end_s - start_s > most.total_seconds() + day_s / 24:
        what = f"is more than {most.days} days after `from`"
        raise QueryError("to", what, "ask for parts, one after the other")
    return start_s, end_s


def find_quarters(asking: Asking, zone: ZoneInfo, now_s: int, most: timedelta) -> tuple[int, int]:
    """Return the same as whole quarter hours; without an end the last quarter hour is it.

    Raises:
        QueryError: as above, or one of them is no quarter hour.
    """
    start_s, end_s = find_span(asking, zone, now_s // QUARTER_S * QUARTER_S, most)
    for field, time_s in (("from", start_s), ("to", end_s)):
        if time_s % QUARTER_S:
            remedy = "write a time whose minutes are 00, 15, 30 or 45 in UTC, without seconds"
            raise QueryError(field, "is no quarter hour, and no meter is read between them", remedy)
    return start_s, end_s


def find_days(asking: Asking, zone: ZoneInfo, now_s: int, most: int) -> list[date]:
    """Return the local days from `from` to before `to`; yesterday without them.

    Raises:
        QueryError: a time is wrong or no beginning of a day, or they are not in order, or too far
            apart.
    """
    today = local_date(now_s, zone)
    last = _day(asking, "to", zone) or today
    first = _day(asking, "from", zone) or last - timedelta(days=1)
    if last <= first:
        raise QueryError("to", "is not after `from`", "write a later day: it is not included")
    if (last - first).days > most:
        what = f"is more than {most} days after `from`"
        raise QueryError("to", what, "ask for parts, one after the other")
    return [first + timedelta(days=place) for place in range((last - first).days)]


def _day(asking: Asking, field: str, zone: ZoneInfo) -> date | None:
    text = asking.text(field)
    if not text:
        return None
    time_s = parse_time(text, zone, field)
    day = local_date(time_s, zone)
    if start_of_day(day, zone) != time_s:
        raise QueryError(field, "is no beginning of a day", f"write {day.isoformat()}")
    return day
