"""Reads what twins have given, for one of them that lacks it: a range of numbers at a time.

Each call sees one moment of the database: what it says of holes fits the entries it returns.
Neighbours: `entries_port` (who asks), `given_back` (decides what a page has).
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from meter_wire.archive_page import MOST_HOLDINGS, Holding, Page

from meter_archive.database import Connected, Pool
from meter_archive.given_back import build_holding, build_page, find_end
from meter_archive.group import RetiredEpochError
from meter_archive.numbers import Numbers
from meter_archive.twin_identity import Twin

_SAMPLE = 200
"""Newest entries of which the mean length is taken."""
_AHEAD = timedelta(days=2)
"""What is stamped later than this was stamped by a clock that is wrong."""


class NoIncarnationError(LookupError):
    """Nobody has given entries of this incarnation of this device."""


async def load_holdings(pool: Pool, twin: Twin, since: datetime) -> list[Holding]:
    """Return what there is since an instant, the oldest incarnation first.

    An incarnation begins with the lowest number that any entry since then has.

    Raises:
        RetiredEpochError: a higher epoch has given entries of this device.
        asyncpg.PostgresError, OSError: the database is away.
    """
    found: list[Holding] = []
    async with pool.acquire() as connection, _one_moment(connection):
        await _check_epoch(connection, twin)
        rows = await connection.fetch(
            "SELECT i.id, i.identity, i.held FROM incarnation i JOIN device d ON d.id = i.device"
            " WHERE d.name = $1 ORDER BY i.id DESC LIMIT $2",
            twin.device, MOST_HOLDINGS,
        )  # fmt: skip
        until = datetime.now(UTC) + _AHEAD
        for row in rows:
            first, octets = await connection.fetchrow(
                "SELECT (SELECT min(seq) FROM entry"
                "   WHERE incarnation = $1 AND time >= $2 AND time < $3),"
                " (SELECT avg(length(raw))::integer FROM (SELECT raw FROM entry"
                "   WHERE incarnation = $1 AND time >= $2 AND time < $3"
                "   ORDER BY time DESC, seq DESC LIMIT $4) AS newest)",
                row["id"], since, until, _SAMPLE,
            ) or (None, None)  # fmt: skip
            if first is not None:
                lost = await _load_lost(connection, row["id"])
                held = _numbers(row["held"])
                found.append(build_holding(row["identity"], held, lost, first, octets))
    return found[::-1]


async def load_page(pool: Pool, twin: Twin, incarnation: bytes, first: int, until: int) -> Page:
    """Return the entries and holes from `first` on, until `until` at most.

    Raises:
        NoIncarnationError, RetiredEpochError: see there.
        asyncpg.PostgresError, OSError: the database is away.
    """
    async with pool.acquire() as connection, _one_moment(connection):
        await _check_epoch(connection, twin)
        row = await connection.fetchrow(
            "SELECT i.id, i.held FROM incarnation i JOIN device d ON d.id = i.device"
            " WHERE d.name = $1 AND i.identity = $2",
            twin.device, incarnation,
        )  # fmt: skip
        if row is None:
            raise NoIncarnationError(incarnation.hex())
        end = find_end(_numbers(row["held"]), first, until)
        rows = await connection.fetch(
            "SELECT seq, raw FROM entry WHERE incarnation = $1 AND seq BETWEEN $2 AND $3"
            " ORDER BY seq",
            row["id"], first, end,
        )  # fmt: skip
        lost = await _load_lost(connection, row["id"])
    return build_page([(one["seq"], one["raw"]) for one in rows], lost, first, end)


def _one_moment(connection: Connected) -> asyncpg.transaction.Transaction:
    return connection.transaction(isolation="repeatable_read", readonly=True)


async def _check_epoch(connection: Connected, twin: Twin) -> None:
    highest = await connection.fetchval("SELECT epoch FROM device WHERE name = $1", twin.device)
    if highest is not None and twin.epoch < highest:
        raise RetiredEpochError(highest)


async def _load_lost(connection: Connected, number: int) -> tuple[tuple[int, Numbers], ...]:
    rows = await connection.fetch(
        "SELECT reason, numbers FROM hole WHERE incarnation = $1 ORDER BY reason", number
    )
    return tuple((row["reason"], _numbers(row["numbers"])) for row in rows)


def _numbers(ranges: list[Any]) -> Numbers:
    return tuple((one.lower, one.upper - 1) for one in ranges)
