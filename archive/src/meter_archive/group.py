"""One transaction: the batches of several devices, each of them whole or not at all.

The rows of the devices are locked in rising order, so two groups of any replicas never wait for
each other in a circle; whoever holds a device's row is alone with all its incarnations.
Neighbours: `writer` (collects the group), `intake` (decides), `sheets` (rows).
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
from meter_wire.archive_batch import ArchiveAnswer, ArchiveBatch, Numbered

from meter_archive.copy_rows import COLUMNS, Shared, build_copy
from meter_archive.database import Connected, Pool
from meter_archive.intake import Plan, State, list_holes, plan_batch
from meter_archive.months import find_month
from meter_archive.numbers import Numbers
from meter_archive.partitions import Partitions
from meter_archive.rows import instant_of, time_octets, time_of
from meter_archive.sheets import Sheet, sort_entries

MOST_CONFLICTS = 1000
"""Of an incarnation that are kept; more are counted only."""


class RetiredEpochError(Exception):
    """A higher epoch has given entries of this device."""

    def __init__(self, highest: int) -> None:
        """Keep the highest epoch."""
        super().__init__(f"epoch {highest} has given entries of this device")
        self.highest = highest


class Given(NamedTuple):
    """A batch, and whose certificate came with it."""

    device: str
    epoch: int
    identity: bytes
    batch: ArchiveBatch


class _Held(NamedTuple):
    """An incarnation as the locked rows have it."""

    number: int
    highest_epoch: int
    state: State


async def write_group(
    pool: Pool,
    partitions: Partitions,
    layouts: dict[bytes, int],
    group: Sequence[Given],
    retention_days: int,
) -> list[ArchiveAnswer | RetiredEpochError]:
    """Commit batches of different devices; return an answer for each, in their order.

    Raises:
        asyncpg.PostgresError, OSError: nothing is known to be stored.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    sheets = [sort_entries(given.batch.entries) for given in group]
    times = {time_octets(raw) for given in group for _, raw in given.batch.entries}
    wanted = {find_month(time_of(one), now, retention_days) for one in times}
    await partitions.offer(month for month in wanted if month is not None)
    async with pool.acquire() as connection:
        codes = {sheet.codes for one in sheets for sheet in one if sheet.codes}
        numbers = await _ensure_layouts(connection, layouts, codes)
        await _ensure_incarnations(connection, group)
        async with connection.transaction():
            transaction = _Transaction(connection, numbers, now)
            return await transaction.write(group, sheets)


async def _ensure_layouts(
    connection: Connected, layouts: dict[bytes, int], wanted: set[bytes]
) -> dict[bytes, int]:
    """Return the numbers of layouts; those in `layouts` were seen in this database."""
    numbers = {codes: layouts[codes] for codes in wanted if codes in layouts}
    missing = sorted(wanted - numbers.keys())
    if missing:
        await connection.execute(
            "INSERT INTO layout (codes) SELECT unnest($1::bytea[]) ON CONFLICT DO NOTHING", missing
        )
        found = await connection.fetch(
            "SELECT codes, id FROM layout WHERE codes = ANY($1::bytea[])", missing
        )
        new = {row["codes"]: row["id"] for row in found}
        layouts.update(new)
        numbers |= new
    return numbers


async def _ensure_incarnations(connection: Connected, group: Sequence[Given]) -> None:
    """Make rows for devices and incarnations that are new, in an order that all replicas keep."""
    names, identities = [one.device for one in group], [one.identity for one in group]
    missing = await connection.fetch(
        "SELECT w.name, w.identity FROM unnest($1::text[], $2::bytea[]) AS w (name, identity)"
        " WHERE NOT EXISTS (SELECT FROM device d JOIN incarnation i ON i.device = d.id"
        "  WHERE d.name = w.name AND i.identity = w.identity) ORDER BY 1, 2",
        names, identities,
    )  # fmt: skip
    if not missing:
        return
    new = [row["name"] for row in missing], [row["identity"] for row in missing]
    await connection.execute(
        "INSERT INTO device (name) SELECT DISTINCT unnest($1::text[]) ORDER BY 1"
        " ON CONFLICT DO NOTHING",
        new[0],
    )
    await connection.execute(
        "INSERT INTO incarnation (device, identity)"
        " SELECT d.id, w.identity FROM unnest($1::text[], $2::bytea[]) AS w (name, identity)"
        " JOIN device d USING (name) ORDER BY 1, 2 ON CONFLICT DO NOTHING",
        *new,
    )


class _Transaction:
    """What is done while the devices' rows are locked."""

    def __init__(self, connection: Connected, layouts: dict[bytes, int], now: datetime) -> None:
        self._connection = connection
        self._layouts = layouts
        self._now = now

    async def write(
        self, group: Sequence[Given], sheets: Sequence[Sequence[Sheet]]
    ) -> list[ArchiveAnswer | RetiredEpochError]:
        held, received = await self._lock(group)
        answers: list[ArchiveAnswer | RetiredEpochError] = []
        records: list[bytes] = []
        changed: list[tuple[_Held, Plan, int]] = []
        for given, own in zip(group, sheets, strict=True):
            one = held[given.device]
            if given.epoch < one.highest_epoch:
                answers.append(RetiredEpochError(one.highest_epoch))
                continue
            plan = plan_batch(one.state, given.batch)
            conflicts = await self._compare(one.number, plan.known, given)
            new = sort_entries(plan.new) if plan.known else own
            records.extend(self._build(sheet, received, one.number, given.epoch) for sheet in new)
            changed.append((one, plan, given.epoch))
            known = len(plan.known) - conflicts
            answer = ArchiveAnswer(plan.after.archived, len(plan.new), known, conflicts)
            is_asking = not given.batch.entries and not given.batch.holes
            answers.append(answer._replace(holes=list_holes(plan.after)) if is_asking else answer)
        if records:
            await self._connection.copy_to_table(
                "entry", schema_name="metertwin", columns=COLUMNS, format="binary",
                source=_once(build_copy(records)),
            )  # fmt: skip
        await self._save(changed)
        return answers

    async def _lock(self, group: Sequence[Given]) -> tuple[dict[str, _Held], int]:
        """Lock the devices; return what they hold, and when this is, in microseconds since 2000.

        Of two clocks the later one: what has no time of its own is deleted by when it came.
        """
        names, identities = [one.device for one in group], [one.identity for one in group]
        locked = await self._connection.fetch(
            "SELECT id, now() FROM device WHERE name = ANY($1::text[]) ORDER BY id FOR UPDATE",
            names,
        )
        latest = max([self._now, *(row["now"] for row in locked)])
        received = instant_of(latest.replace(microsecond=0))
        found = await self._connection.fetch(
            "SELECT d.name, d.epoch, i.id, i.held"
            " FROM unnest($1::text[], $2::bytea[]) AS w (name, identity)"
            " JOIN device d USING (name)"
            " JOIN incarnation i ON i.device = d.id AND i.identity = w.identity",
            names, identities,
        )  # fmt: skip
        lost: dict[int, list[tuple[int, Numbers]]] = {row["id"]: [] for row in found}
        for row in await self._connection.fetch(
            "SELECT incarnation, reason, numbers FROM hole"
            " WHERE incarnation = ANY($1::integer[]) ORDER BY reason",
            list(lost),
        ):
            lost[row["incarnation"]].append((row["reason"], _numbers(row["numbers"])))
        held = {
            row["name"]: _Held(
                row["id"], row["epoch"], State(_numbers(row["held"]), tuple(lost[row["id"]]))
            )
            for row in found
        }
        return held, received

    def _build(self, sheet: Sheet, received: int, number: int, epoch: int) -> bytes:
        """Return rows as COPY has them."""
        layout = None if sheet.codes is None else self._layouts[sheet.codes]
        return sheet.build(Shared(received, number, layout, epoch))

    async def _compare(self, number: int, known: Sequence[Numbered], given: Given) -> int:
        """Compare known entries with what is stored; quarantine others, return how many."""
        if not known:
            return 0
        seqs = [seq for seq, _ in known]
        stored = await self._connection.fetch(
            "SELECT e.seq, e.raw FROM unnest($2::timestamptz[], $3::bigint[]) AS w (time, seq)"
            " JOIN entry e ON e.incarnation = $1 AND e.time = w.time AND e.seq = w.seq",
            number, [time_of(time_octets(raw)) for _, raw in known], seqs,
        )  # fmt: skip
        held = {row["seq"]: row["raw"] for row in stored}
        if elsewhere := [seq for seq in seqs if seq not in held]:
            stored = await self._connection.fetch(
                "SELECT seq, raw FROM entry WHERE incarnation = $1 AND seq = ANY($2::bigint[])",
                number, elsewhere,
            )  # fmt: skip
            held |= {row["seq"]: row["raw"] for row in stored}
        # One that is not found was dropped when its time was over: nothing says that it differs.
        others = [(seq, raw) for seq, raw in known if held.get(seq, raw) != raw]
        if others:
            await self._quarantine(number, others, given.epoch)
        return len(others)

    async def _quarantine(self, number: int, others: Sequence[Numbered], epoch: int) -> None:
        await self._connection.execute(
            "INSERT INTO conflict (incarnation, seq, digest, epoch, raw)"
            " SELECT $1, w.seq, w.digest, $2, w.raw"
            " FROM unnest($3::bigint[], $4::bytea[], $5::bytea[]) AS w (seq, digest, raw)"
            " WHERE (SELECT count(*) FROM conflict WHERE incarnation = $1) < $6"
            " ON CONFLICT DO NOTHING",
            number, epoch, [seq for seq, _ in others],
            [hashlib.sha256(raw).digest() for _, raw in others], [raw for _, raw in others],
            MOST_CONFLICTS,
        )  # fmt: skip

    async def _save(self, changed: Sequence[tuple[_Held, Plan, int]]) -> None:
        """Write the numbers and epochs that have changed."""
        rising = [(one, epoch) for one, _, epoch in changed if epoch > one.highest_epoch]
        if rising:
            await self._connection.execute(
                "UPDATE device d SET epoch = w.epoch FROM unnest($1::integer[], $2::bigint[])"
                " AS w (id, epoch) JOIN incarnation i ON i.id = w.id WHERE d.id = i.device",
                [one.number for one, _ in rising], [epoch for _, epoch in rising],
            )  # fmt: skip
        held = [(one.number, plan.after) for one, plan, _ in changed if plan.after != one.state]
        if held:
            await self._connection.executemany(
                "UPDATE incarnation SET held = $2 WHERE id = $1",
                [(number, _ranges(after.held)) for number, after in held],
            )
        for one, plan, _ in changed:
            if plan.after.lost != one.state.lost:
                await self._save_holes(one.number, plan.after)

    async def _save_holes(self, number: int, after: State) -> None:
        await self._connection.execute("DELETE FROM hole WHERE incarnation = $1", number)
        await self._connection.executemany(
            "INSERT INTO hole (incarnation, reason, numbers) VALUES ($1, $2, $3)",
            [(number, reason, _ranges(spans)) for reason, spans in after.lost],
        )


async def _once(octets: bytes) -> AsyncIterator[bytes]:
    """Yield octets as they are: of a file asyncpg would have a thread read each piece."""
    yield octets


def _numbers(ranges: Sequence[Any]) -> Numbers:
    return tuple((one.lower, one.upper - 1) for one in ranges)


def _ranges(spans: Numbers) -> list[Any]:
    return [asyncpg.Range(first, last + 1) for first, last in spans]
