"""The store of one epoch: entries of the meter, exactly once, and the marks that acks are made of.

A batch is one transaction: either all of it is on disk when `ingest` returns, or nothing is and
it raises. Equal bytes under a known identity are a duplicate, other bytes a conflict, which is
quarantined. The stored mark is the end of the contiguous prefix, holes included; the store works
it out from its own rows and refuses a batch whose mark would promise more. Neighbours:
`store_schema` (the file), `store_queries` (reading it), `store_records` (what applications
derive); `meter_wire.twin_link` says what to store.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from meter_wire.effects import Hole
from meter_wire.ports import Marks
from meter_wire.tables import HOLES, number_of

from .store_conflicts import KEPT, UNKEPT, keep_conflict
from .store_schema import StoreError, map_error, open_database

_TIME = slice(3, 7)
_RELEASED = number_of(HOLES, "released")


class Batch(NamedTuple):
    """What is to be stored in one transaction (from one or more `StoreEntries`)."""

    incarnation: bytes
    entries: Iterable[tuple[int, bytes]]
    holes: Iterable[Hole]
    stored: int
    chain: bytes


class Ingested(NamedTuple):
    """What became of a batch, and the stored mark after it."""

    new: int
    duplicates: int
    conflicts: int
    stored: int


NUMBER_STEP = 1024
"""Between two incarnations in the order of first sight: older ones of another store fit in."""


class Store:
    """SQLite store of entries; every method is short and is called from the one event loop."""

    def __init__(self, path: str) -> None:
        """Open or create the file.

        Raises:
            StoreError: see `store_schema.open_database`.
        """
        self.path = path
        self.connection = open_database(path)
        self.store_id: bytes = self.find_property("store_id")
        self.unkept_conflicts = 0
        """Entries since the start that the quarantine had no place for, each time one came."""

    def close(self) -> None:
        """Close the file; the log is folded into it."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction: committed at the end, rolled back on any exception.

        Raises:
            StoreFullError: no space; StoreError: any other failure of the file.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise map_error(error, self.path) from error
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def ingest(self, batches: Iterable[Batch], now_s: int) -> list[Ingested]:
        """Store batches in one transaction and move the stored marks.

        Args:
            batches: in the order they came; known entries in them are not stored again.
            now_s: UTC seconds, kept as the time an incarnation was first seen.

        Raises:
            StoreFullError, StoreError: nothing was stored; do not acknowledge.
        """
        with self.transaction():
            return [self.ingest_within(batch, now_s) for batch in batches]

    def ingest_within(self, batch: Batch, now_s: int) -> Ingested:
        """Store a batch inside of a transaction of the caller's; otherwise as `ingest`."""
        number = self._ensure_number(batch.incarnation, now_s)
        new = duplicates = conflicts = 0
        pruned = self._marks_of(number)[2]
        for seq, raw in batch.entries:
            if seq <= pruned:
                duplicates += 1
            elif self._insert(number, seq, raw):
                new += 1
            elif self._find_raw(number, seq) == raw:
                duplicates += 1
            else:
                conflicts += 1
                self._keep_conflict(number, seq, raw)
        for hole in batch.holes:
            self._add_hole(number, hole, pruned)
        before = self._marks_of(number)[0]
        stored = self._advance(number)
        if stored < batch.stored:
            raise StoreError(
                f"entries until {batch.stored} were promised, the store has them until {stored}",
                "report this: link and store disagree; nothing was acknowledged",
            )
        if stored == batch.stored or stored > before:  # beyond it lies what another twin brought
            head = batch.chain if stored == batch.stored else b""
            self.connection.execute(
                "UPDATE incarnation SET chain = ? WHERE number = ?", (head, number)
            )
        return Ingested(new, duplicates, conflicts, stored)

    def _ensure_number(self, incarnation: bytes, now_s: int) -> int:
        self.connection.execute(
            "INSERT INTO incarnation (number, id, first_seen_s)"
            " SELECT ifnull(max(number), 0) + ?, ?, ? FROM incarnation WHERE true"
            " ON CONFLICT (id) DO NOTHING",
            (NUMBER_STEP, incarnation, now_s),
        )
        number = self.find_number(incarnation)
        assert number is not None
        return number

    def find_number(self, incarnation: bytes) -> int | None:
        """Return the place of an incarnation in the order of their lives, None if unknown."""
        row = self.connection.execute(
            "SELECT number FROM incarnation WHERE id = ?", (incarnation,)
        ).fetchone()
        return None if row is None else int(row[0])

    def find_incarnation(self, number: int) -> bytes:
        """Return the identity of an incarnation, b"" if there is none of this number."""
        row = self.connection.execute(
            "SELECT id FROM incarnation WHERE number = ?", (number,)
        ).fetchone()
        return b"" if row is None else bytes(row[0])

    def _marks_of(self, number: int) -> tuple[int, int, int]:
        row: tuple[int, int, int] = self.connection.execute(
            "SELECT stored, archived, pruned FROM incarnation WHERE number = ?", (number,)
        ).fetchone()
        return row

    def _insert(self, number: int, seq: int, raw: bytes) -> bool:
        cursor = self.connection.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (number, seq, raw[0] if raw else 0, int.from_bytes(raw[_TIME], "big"), raw),
        )
        if not cursor.rowcount:
            return False
        self._fill(number, seq)
        return True

    def _find_raw(self, number: int, seq: int) -> bytes | None:
        row = self.connection.execute(
            "SELECT raw FROM entry WHERE incarnation = ? AND seq = ?", (number, seq)
        ).fetchone()
        return None if row is None else row[0]

    def quarantine(self, incarnation: bytes, seq: int, raw: bytes, now_s: int) -> bool:
        """Keep and count an entry whose identity belongs to other bytes.

        False if it is kept already, or if there is no place: see `unkept_conflicts`.
        """
        with self.transaction():
            return self._keep_conflict(self._ensure_number(incarnation, now_s), seq, raw)

    def _keep_conflict(self, number: int, seq: int, raw: bytes) -> bool:
        what = keep_conflict(self.connection, number, seq, raw)
        self.unkept_conflicts += what == UNKEPT
        return what == KEPT

    def _fill(self, number: int, seq: int) -> None:
        """An entry arrived inside a hole: what is left of the hole are its two sides."""
        row = self.connection.execute(
            "SELECT first, last, reason FROM hole WHERE incarnation = ? AND first <= ?"
            " ORDER BY first DESC LIMIT 1",
            (number, seq),
        ).fetchone()
        if row is None or row[1] < seq:
            return
        first, last, reason = row
        self.connection.execute(
            "DELETE FROM hole WHERE incarnation = ? AND first = ?", (number, first)
        )
        self.connection.executemany(
            "INSERT INTO hole VALUES (?, ?, ?, ?)",
            [
                (number, low, high, reason)
                for low, high in ((first, seq - 1), (seq + 1, last))
                if low <= high
            ],
        )

    def _add_hole(self, number: int, hole: Hole, pruned: int) -> None:
        """Keep the parts of a hole that are neither stored nor known as a hole.

        What the meter declares is known better than what only a store has missed.
        """
        if hole.reason != _RELEASED:
            self._forget_released(number, hole)
        known = self.connection.execute(
            "SELECT seq, seq FROM entry WHERE incarnation = :n AND seq BETWEEN :a AND :b"
            " UNION ALL SELECT first, last FROM hole"
            " WHERE incarnation = :n AND first <= :b AND last >= :a ORDER BY 1",
            {"n": number, "a": hole.first, "b": hole.last},
        ).fetchall()
        position = max(hole.first, pruned + 1)
        for first, last in [*known, (hole.last + 1, hole.last + 1)]:
            if position < first:
                self.connection.execute(
                    "INSERT INTO hole VALUES (?, ?, ?, ?)",
                    (number, position, first - 1, hole.reason),
                )
            position = max(position, last + 1)

    def _forget_released(self, number: int, hole: Hole) -> None:
        """Let another hole have its place among released ones; their sides stay."""
        rows = self.connection.execute(
            "DELETE FROM hole WHERE incarnation = ? AND reason = ? AND first <= ? AND last >= ?"
            " RETURNING first, last",
            (number, _RELEASED, hole.last, hole.first),
        ).fetchall()
        for first, last in rows:
            for low, high in ((first, hole.first - 1), (hole.last + 1, last)):
                if low <= high:
                    self.connection.execute(
                        "INSERT INTO hole VALUES (?, ?, ?, ?)", (number, low, high, _RELEASED)
                    )

    def _advance(self, number: int) -> int:
        """Move the stored mark over entries and holes that follow it without a gap."""
        stored = before = self._marks_of(number)[0]
        while True:
            start = stored
            rows = self.connection.execute(
                "SELECT seq FROM entry WHERE incarnation = ? AND seq > ? ORDER BY seq LIMIT 256",
                (number, stored),
            ).fetchall()
            for (seq,) in rows:
                if seq != stored + 1:
                    break
                stored = seq
            hole = self.connection.execute(
                "SELECT last FROM hole WHERE incarnation = ? AND first <= ? AND last > ?",
                (number, stored + 1, stored),
            ).fetchone()
            stored = hole[0] if hole else stored
            if stored == start:
                break
        if stored != before:
            self.connection.execute(
                "UPDATE incarnation SET stored = ? WHERE number = ?", (stored, number)
            )
        return stored

    def marks(self) -> dict[bytes, Marks]:
        """Return the marks of every incarnation, in the order they were first seen (Journal)."""
        rows = self.connection.execute(
            "SELECT id, stored, archived, chain, hello_boot, hello_count"
            " FROM incarnation ORDER BY number"
        ).fetchall()
        return {row[0]: Marks(row[1], row[2], row[3], (row[4], row[5])) for row in rows}

    def find_entry(self, incarnation: bytes, seq: int) -> bytes | None:
        """Return the bytes of a stored entry, None if there are none (Journal)."""
        number = self.find_number(incarnation)
        return None if number is None else self._find_raw(number, seq)

    def save_hello(self, incarnation: bytes, number: tuple[int, int], now_s: int) -> None:
        """Remember the (boot, count) of the last hello, so that an older one is a replay."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE incarnation SET hello_boot = ?, hello_count = ? WHERE number = ?",
                (*number, self._ensure_number(incarnation, now_s)),
            )

    def save_archived(self, incarnation: bytes, seq: int) -> None:
        """Note that the archive holds everything up to `seq`; the mark never moves back."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE incarnation SET archived = max(archived, min(?, stored)) WHERE id = ?",
                (seq, incarnation),
            )

    def find_property(self, name: str) -> Any:
        """Return a bookkeeping value (conflicts, highest term, description) or None."""
        row = self.connection.execute(
            "SELECT value FROM property WHERE name = ?", (name,)
        ).fetchone()
        return None if row is None else row[0]

    def save_properties(self, values: dict[str, int | bytes | str]) -> None:
        """Write bookkeeping values durably, all or none."""
        with self.transaction() as connection:
            connection.executemany(
                "INSERT INTO property VALUES (?, ?) ON CONFLICT DO UPDATE SET value=excluded.value",
                list(values.items()),
            )
