"""The store as the archive's batches are made from it.

Neighbours: `archive_push` (decides), `archive_told` (holes that were told), `archive_line` (owns
this).
"""

from collections.abc import Collection

from meter_wire.archive_batch import MOST_HOLES
from meter_wire.effects import Hole
from meter_wire.tables import HOLES, number_of

from .archive_push import Held, Piece, Told
from .archive_told import has_entries, is_filled, load_told, note_told, replace_told
from .store import Store

MOST_BYTES = 32_768
_HEAD, _HOLE, _ENTRY = 7, 9, 6
_RELEASED = number_of(HOLES, "released")


class ArchiveShelf:
    """Of one store."""

    def __init__(self, store: Store) -> None:
        """Read nothing yet."""
        self._store = store

    def held(self) -> list[Held]:
        """Return the incarnations, the oldest first."""
        rows = self._store.connection.execute(
            "SELECT id, stored, archived, pruned FROM incarnation ORDER BY number"
        ).fetchall()
        return [Held(*row) for row in rows]

    def read(
        self, held: Held, after: int, until: int, most: int, without: Collection[int] = ()
    ) -> Piece:
        """Return what follows `after`: what was deleted, and is lacking, is a released hole."""
        number = self._store.find_number(held.incarnation)
        holes = [Hole(after + 1, held.pruned, _RELEASED)] if after < held.pruned else []
        end = max(after, held.pruned)
        known = self._holes(number, end + 1, until, MOST_HOLES - len(holes))
        size = _HEAD + _HOLE * (len(known) + len(holes))
        entries: list[tuple[int, bytes]] = []
        cursor = self._store.connection.execute(
            "SELECT seq, raw FROM entry WHERE incarnation = ? AND seq > ? AND seq <= ?"
            " ORDER BY seq", (number, end, until),
        )  # fmt: skip
        try:
            for seq, raw in cursor:
                end = _pass_holes(end, seq, known, holes)
                if seq != end + 1:
                    break
                if seq not in without:
                    size += _ENTRY + len(raw)
                    if len(entries) == most or size > MOST_BYTES:
                        break
                    entries.append((seq, raw))
                end = seq
            else:
                end = _pass_holes(end, until + 1, known, holes)
        finally:
            cursor.close()  # an open one keeps the log of the store from being folded
        return Piece(tuple(holes), tuple(entries), end)

    def _holes(self, number: int | None, first: int, last: int, most: int) -> list[Hole]:
        """Return the holes between two numbers, the last first, cut to what lies between."""
        rows = self._store.connection.execute(
            "SELECT max(first, :a), min(last, :b), reason FROM hole"
            " WHERE incarnation = :n AND last >= :a AND first <= :b ORDER BY first LIMIT :most",
            {"n": number, "a": first, "b": last, "most": most},
        ).fetchall()
        return [Hole(*row) for row in reversed(rows)]

    def count(self, incarnation: bytes, after: int) -> int:
        """Return how many entries of the stored prefix lie after a number."""
        (count,) = self._store.connection.execute(
            "SELECT count(*) FROM entry e JOIN incarnation i ON i.number = e.incarnation"
            " WHERE i.id = ? AND e.seq > ? AND e.seq <= i.stored", (incarnation, after),
        ).fetchone()  # fmt: skip
        return int(count)

    def find_filled(self) -> list[Told]:
        """Return the holes that were told and are none any more, or others."""
        connection = self._store.connection
        return [
            Told(self._store.find_incarnation(number), Hole(first, last, reason))
            for number, first, last, reason in load_told(connection)
            if is_filled(connection, number, first, last, reason)
        ]

    def tell(self, incarnation: bytes, holes: Collection[Hole]) -> None:
        """Note holes that an archive is to be told of.

        Raises:
            StoreError: nothing was noted; do not tell.
        """
        number = self._store.find_number(incarnation)
        if holes and number is not None:
            with self._store.transaction() as connection:
                note_told(connection, number, holes)

    def note_lacking(self, incarnation: bytes, holes: Collection[Hole]) -> None:
        """Note holes that an archive says it has, where entries are here: they are given then.

        It may have been told of them by a twin before, or be a backup from before they came.

        Raises:
            StoreError: nothing was noted.
        """
        number = self._store.find_number(incarnation)
        if number is not None:
            connection = self._store.connection
            lacking = [one for one in holes if has_entries(connection, number, one.first, one.last)]
            self.tell(incarnation, lacking)

    def settle(self, told: Told, piece: Piece) -> None:
        """Note that the archive has what came into a hole, until the end of a piece.

        What is still a hole may be filled later.

        Raises:
            StoreError: it is given again.
        """
        number = self._store.find_number(told.incarnation)
        assert number is not None
        first, last, reason = told.hole
        left = list(piece.holes)
        if piece.end < last:
            left.append(Hole(max(first, piece.end + 1), last, reason))
        with self._store.transaction() as connection:
            replace_told(connection, number, told.hole, left)


def _pass_holes(end: int, before: int, known: list[Hole], holes: list[Hole]) -> int:
    """Move holes that follow `end`, and begin before a number, from `known`; return their end."""
    while known and known[-1].first == end + 1 and known[-1].first < before:
        holes.append(known.pop())
        end = holes[-1].last
    return end
