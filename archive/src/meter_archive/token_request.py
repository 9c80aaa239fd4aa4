"""What a request about tokens says: names, points, times. Pure. Neighbour: `token_commands`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from meter_archive.local_time import get_zone, parse_time
from meter_archive.query_error import QueryError
from meter_archive.scope import Grant, Scope
from meter_archive.tokens import check_name, parse_span

MOST_POINTS = 1000
_MOST_TEXT = 253
_CREATION = frozenset(("name", "points", "since", "until", "label", "all", "expires"))
_END = frozenset(("name", "point", "until"))


class Creation(NamedTuple):
    """A token that is wanted: what it sees, and for how long it can be used."""

    scope: Scope
    lasts: timedelta


class End(NamedTuple):
    """Grants of a token that are to end, of one point or of all."""

    name: str
    point: str | None
    until: datetime


def parse_creation(body: Mapping[str, Any], zones: Mapping[str, str]) -> Creation:
    """Return the token of a request.

    Args:
        body: as it came.
        zones: of the metering points that are known.

    Raises:
        QueryError: names the member that is unknown, missing or wrong.
    """
    _check_members(body, _CREATION)
    name = check_name(_text(body, "name"))
    named = [one for one in ("points", "label", "all") if body.get(one)]
    if len(named) != 1:
        what = "are missing" if not named else "stand beside another scope"
        raise QueryError("points", what, "give one of points, label and all")
    for one in ("since", "until"):
        if named != ["points"] and one in body:
            raise QueryError(one, "is of metering points", "leave it out, or name points")
    lasts = parse_span(_text(body, "expires", "90d"))
    if named == ["all"]:
        if body["all"] is not True:
            raise QueryError("all", "is not true", "leave it out, or write true")
        return Creation(Scope(name, everything=True), lasts)
    if named == ["label"]:
        return Creation(Scope(name, label=_label(_text(body, "label"))), lasts)
    return Creation(Scope(name, grants=_grants(body, zones)), lasts)


def _grants(body: Mapping[str, Any], zones: Mapping[str, str]) -> tuple[Grant, ...]:
    points = body["points"]
    if not isinstance(points, list) or not all(_is_text(one) for one in points):
        raise QueryError("points", "is no list of metering points", 'write ["…"]')
    if len(points) > MOST_POINTS or len(set(points)) != len(points):
        what = f"has one twice, or more than {MOST_POINTS}"
        raise QueryError("points", what, "give each once")
    grants = []
    for point in points:
        since = _moment(_text(body, "since"), "since", zones.get(point, "UTC"))
        until = None
        if "until" in body:
            until = _moment(_text(body, "until"), "until", zones.get(point, "UTC"))
        if until is not None and until <= since:
            raise QueryError("until", "is not after `since`", "write a later time")
        grants.append(Grant(point, since, until))
    return tuple(grants)


def _label(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise QueryError("label", "is not name=value", "write feeder=F1")
    return name, value


def parse_end(body: Mapping[str, Any], zone: str, now_s: int) -> End:
    """Return which grants are to end, and when.

    Raises:
        QueryError: names the member that is unknown, missing or wrong.
    """
    _check_members(body, _END)
    point = _text(body, "point") if "point" in body else None
    until = datetime.fromtimestamp(now_s, UTC)
    if "until" in body:
        until = _moment(_text(body, "until"), "until", zone)
    return End(parse_name(body, "name", *_END), point, until)


def parse_name(body: Mapping[str, Any], *known: str) -> str:
    """Return the name of a token that is to be changed.

    Raises:
        QueryError: it is missing or none, or another member is unknown.
    """
    _check_members(body, frozenset(known))
    return check_name(_text(body, "name"))


def _check_members(body: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in sorted(set(body) - known):
        remedy = f"these are: {', '.join(sorted(known))}"
        raise QueryError(name[:64], "is no member of this request", remedy)


def _text(body: Mapping[str, Any], name: str, default: str = "") -> str:
    value = body.get(name, default)
    if not _is_text(value):
        raise QueryError(name, "is missing or no text", "write a text, not empty")
    return str(value)


def _is_text(value: Any) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MOST_TEXT
        and "\0" not in value
        and value.encode(errors="replace").decode() == value
    )


def _moment(text: str, field: str, zone: str) -> datetime:
    return datetime.fromtimestamp(parse_time(text, get_zone(zone, "zone"), field), UTC)
