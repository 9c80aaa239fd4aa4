"""Tokens in PostgreSQL: made, found, ended. Neighbours: `tokens`, `token_commands`."""

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from meter_archive.database import Connected
from meter_archive.scope import Grant, Scope
from meter_archive.tokens import Token, digest_of


class NewToken(NamedTuple):
    """A token to be stored."""

    scope: Scope
    expires: datetime
    created: datetime


async def insert_token(connection: Connected, token: str, new: NewToken) -> bool:
    """Store a token, not itself; return False if its name was taken before."""
    label_name, label_value = new.scope.label or (None, None)
    try:
        async with connection.transaction():
            number = await connection.fetchval(
                "INSERT INTO token (name, digest, everything, label_name, label_value, created,"
                " expires) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                new.scope.name, digest_of(token), new.scope.everything, label_name, label_value,
                new.created, new.expires,
            )  # fmt: skip
            await connection.executemany(
                'INSERT INTO token_grant (token, point, since, "until") VALUES ($1, $2, $3, $4)',
                [(number, *grant) for grant in new.scope.grants],
            )
    except asyncpg.UniqueViolationError:
        return False
    return True


async def find_token(connection: Connected, token: str, now: datetime) -> Token | None:
    """Return a token, None if there is none; that it was used is written once a minute."""
    digest = digest_of(token)
    row = await connection.fetchrow("SELECT * FROM token WHERE digest = $1", digest)
    if row is None or not hmac.compare_digest(row["digest"], digest):
        return None
    found = (await _build(connection, [row]))[0]
    if not found.find_end(now):
        await connection.execute(
            "UPDATE token SET last_used = $2::timestamptz WHERE id = $1 AND revoked IS NULL"
            " AND (last_used IS NULL OR last_used < $2::timestamptz - interval '1 minute')",
            row["id"], now,
        )  # fmt: skip
    return found


async def list_tokens(
    connection: Connected, most: int
) -> list[tuple[Token, datetime, datetime | None]]:
    """Return tokens by name, each with when it was created and last used."""
    rows = await connection.fetch("SELECT * FROM token ORDER BY name LIMIT $1", most)
    built = await _build(connection, rows)
    return [(one, row["created"], row["last_used"]) for one, row in zip(built, rows, strict=True)]


async def _build(connection: Connected, rows: Sequence[asyncpg.Record]) -> list[Token]:
    grants: dict[int, list[Grant]] = {row["id"]: [] for row in rows}
    for row in await connection.fetch(
        "SELECT * FROM token_grant WHERE token = ANY($1::integer[]) ORDER BY id", list(grants)
    ):
        grants[row["token"]].append(Grant(row["point"], row["since"], row["until"]))
    found = []
    for row in rows:
        label = None if row["label_name"] is None else (row["label_name"], row["label_value"])
        scope = Scope(row["name"], row["everything"], label, tuple(grants[row["id"]]))
        found.append(Token(scope, row["expires"], row["revoked"]))
    return found


async def revoke_token(connection: Connected, name: str, now: datetime) -> bool:
    """Revoke a token; False if there is none. One that was revoked stays as it is."""
    done = await connection.execute(
        "UPDATE token SET revoked = coalesce(revoked, $2) WHERE name = $1", name, now
    )
    return str(done) == "UPDATE 1"


async def end_grants(connection: Connected, name: str, point: str | None, until: datetime) -> int:
    """End the grants of a token that last longer; return how many. One not begun has no length."""
    done = await connection.execute(
        'UPDATE token_grant SET "until" = greatest($3, since) WHERE token ='
        " (SELECT id FROM token WHERE name = $1) AND ($2::text IS NULL OR point = $2)"
        ' AND ("until" IS NULL OR "until" > $3)',
        name, point, until,
    )  # fmt: skip
    return int(str(done).rpartition(" ")[2])


async def find_zones(connection: Connected, points: Sequence[str]) -> dict[str, str]:
    """Return the newest zone of each metering point where a meter ever was."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (point) point, zone FROM installation WHERE point = ANY($1::text[])"
        " ORDER BY point, since DESC",
        list(points),
    )
    return {row["point"]: row["zone"] for row in rows}


async def forget_tokens(connection: Connected, before: datetime) -> None:
    """Delete tokens that have been over since, as no access that is noted still names them."""
    await connection.execute(
        "DELETE FROM token WHERE least(coalesce(revoked, expires), expires) < $1", before
    )
