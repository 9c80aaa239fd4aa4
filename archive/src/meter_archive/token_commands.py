"""Makes, lists and ends tokens, for those who come by port-forward.

Neighbours: `token_request` (what a request says), `token_table`.
"""

import secrets
from datetime import UTC, datetime

from meter_archive.database import Pool
from meter_archive.queries import Asked, Json, Query
from meter_archive.query_error import QueryError
from meter_archive.refusal import Refusal
from meter_archive.schemas import choice, moment, record, several, text
from meter_archive.token_request import parse_creation, parse_end, parse_name
from meter_archive.token_table import (
    NewToken,
    end_grants,
    find_zones,
    insert_token,
    list_tokens,
    revoke_token,
)
from meter_archive.tokens import OCTETS, Token, build_token

_MOST = 10_000


async def create(pool: Pool, asked: Asked) -> Json:
    """Answer `POST /v1/tokens`: the only time that the token is shown.

    Raises:
        QueryError: a member of the body is wrong, or the name was taken before.
        LookupError: nobody ever was at a metering point.
    """
    now = datetime.fromtimestamp(asked.now_s, UTC)
    async with pool.acquire() as connection:
        points = asked.body.get("points")
        named = [one for one in points if isinstance(one, str)] if isinstance(points, list) else []
        zones = await find_zones(connection, named)
        creation = parse_creation(asked.body, zones)
        for grant in creation.scope.grants:
            if grant.point not in zones:
                raise LookupError(f"point {grant.point!r}")
        token = build_token(secrets.token_bytes(OCTETS))
        new = NewToken(creation.scope, now + creation.lasts, now)
        if not await insert_token(connection, token, new):
            remedy = "choose another: the audit knows askers by their names"
            raise QueryError("name", "is taken, or was before", remedy)
    stored = Token(new.scope, new.expires, None)
    return {"token": token, **_describe(stored, now, None, now)}


async def show(pool: Pool, asked: Asked) -> Json:
    """Answer `GET /v1/tokens`."""
    if asked.parameters:
        raise QueryError(asked.parameters[0][0][:64], "is no parameter", "leave it out")
    now = datetime.fromtimestamp(asked.now_s, UTC)
    async with pool.acquire() as connection:
        found = await list_tokens(connection, _MOST)
    return {"tokens": [_describe(one, created, used, now) for one, created, used in found]}


async def revoke(pool: Pool, asked: Asked) -> Json:
    """Answer `POST /v1/tokens/revoke`: the next question with it is refused.

    Raises:
        QueryError, Refusal: no name, or there is no such token.
    """
    name = parse_name(asked.body, "name")
    async with pool.acquire() as connection:
        if not await revoke_token(connection, name, datetime.fromtimestamp(asked.now_s, UTC)):
            raise Refusal(404, "name", "is no token's", "see `kubectl meter token list`")
    return {"name": name}


async def end(pool: Pool, asked: Asked) -> Json:
    """Answer `POST /v1/tokens/end`: the token sees nothing of its points from then on.

    Raises:
        QueryError: a member of the body is wrong.
        Refusal: the token has no grant that lasts longer.
    """
    async with pool.acquire() as connection:
        point = asked.body.get("point")
        zones = await find_zones(connection, [point]) if isinstance(point, str) else {}
        wanted = parse_end(asked.body, next(iter(zones.values()), "UTC"), asked.now_s)
        if not await end_grants(connection, wanted.name, wanted.point, wanted.until):
            remedy = "see `kubectl meter token list`"
            raise Refusal(404, "name", "is no token's with a tenure that lasts longer", remedy)
    return {"name": wanted.name}


def _describe(token: Token, created: datetime, used: datetime | None, now: datetime) -> Json:
    scope = token.scope
    kind = "all" if scope.everything else "label" if scope.label else "points"
    return {
        "name": scope.name,
        "scope": kind,
        "label": "=".join(scope.label or ()),
        "grants": [
            {
                "point": grant.point,
                "since": grant.since.isoformat(),
                "until": grant.until.isoformat() if grant.until else None,
            }
            for grant in scope.grants
        ],
        "state": token.find_end(now) or "is valid",
        "created": created.isoformat(),
        "expires": token.expires.isoformat(),
        "lastUsed": used.isoformat() if used else None,
    }


_GRANT = record(
    "A metering point, and since when until when the token sees it.",
    {
        "point": text("Metering point."),
        "since": moment("Begin."),
        "until": moment("End, not included.", missing=True),
    },
)
_MEMBERS: Json = {
    "name": text("By which the audit knows it."),
    "scope": choice("What it sees.", "all", "label", "points"),
    "label": text("With `label`: `name=value` of SmartMeters; else empty."),
    "grants": several("With `points`: which, and when.", _GRANT),
    "state": choice("If it can be used.", "is valid", "was revoked", "has expired"),
    "created": moment("When it was made."),
    "expires": moment("When it ends by itself."),
    "lastUsed": moment("Within a minute.", missing=True),
}
_NAME = text("Of the token.")
_DONE = record("It is done.", {"name": _NAME})
_CREATION = record(
    "One of `points`, `label` and `all` says what it sees.",
    {
        "name": text("Small letters, digits, - and . ; never again of another token."),
        "points": several("Metering points.", text("Metering point.")),
        "since": text("Begin of the tenure at these points; a day alone is one of their zone."),
        "until": text("End of the tenure, not included; none if left out."),
        "label": text("`name=value`: SmartMeters with this label."),
        "all": {"type": "boolean", "description": "Every meter."},
        "expires": text("How long the token can be used: `90d`, `12h`.", default="90d"),
    },
    optional=("points", "since", "until", "label", "all", "expires"),
)
_END = record(
    "",
    {"name": _NAME, "point": text("Only this one."), "until": text("Now if left out.")},
    optional=("point", "until"),
)
TOKENS = Query(show, "Tokens, without themselves.", (),
               record("All that were not forgotten.",
                      {"tokens": several("By name.", record("A token.", _MEMBERS))}),
               rows=("tokens",), operators=True)  # fmt: skip
CREATE = Query(create, "Make a token: it is shown this once.", (),
               record("The token.", {"token": text("Keep it secret."), **_MEMBERS}),
               body=_CREATION, operators=True, changes=True)  # fmt: skip
REVOKE = Query(revoke, "Revoke a token at once.", (), _DONE,
               body=record("", {"name": _NAME}), operators=True, changes=True)  # fmt: skip
END = Query(end, "End the tenure of a token's points, as when a tenant moves out.", (), _DONE,
            body=_END, operators=True, changes=True)  # fmt: skip
