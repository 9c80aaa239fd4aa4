"""What this store lacks, and whether the archive was asked for it.

A store begins empty: after a takeover the archive may have what the meter has overwritten. Holes
come later too, of entries that nobody but the archive may have. Both are asked for once; what was
asked for is kept, so that a restart does not ask again, and loads nothing for it. Small, as every
twin with an archive has it; neighbours: `archive_line` (owner), `archive_refill` (asks).
"""

import json
from collections.abc import Iterable

from meter_wire.archive_page import MOST_SPANS, Span
from meter_wire.names import MAX_SEQ
from meter_wire.tables import HOLES, number_of

from .store import Store

_NAME = "archive_asked"
_RESERVED = number_of(HOLES, "reserved")


class ArchiveLack:
    """Of one store."""

    def __init__(self, store: Store) -> None:
        """Read what was asked for by the processes before."""
        self._store = store
        found = store.find_property(_NAME)
        self._asked: dict[str, list[list[int]]] | None = json.loads(found) if found else None

    @property
    def was_asked(self) -> bool:
        """Whether the archive has given back all that it could, once in the life of this store."""
        return self._asked is not None

    @property
    def is_open(self) -> bool:
        """Whether there is something that the archive was not asked for."""
        asked = self._asked
        return asked is None or any(
            not any(low <= first and last <= high for low, high in asked.get(str(number), ()))
            for number, spans in self._find_holes().items()
            for first, last in spans
        )

    def note(self) -> None:
        """Keep that the archive was asked for everything that is lacking now.

        Raises:
            StoreError: it is asked again after a restart.
        """
        asked = {
            str(number): [list(span) for span in _shorten(spans)]
            for number, spans in self._find_holes().items()
        }
        self._store.save_properties({_NAME: json.dumps(asked, separators=(",", ":"))})
        self._asked = asked

    def _find_holes(self) -> dict[int, list[Span]]:
        rows = self._store.connection.execute(
            "SELECT h.incarnation, h.first, h.last FROM hole h"
            " JOIN incarnation i ON i.number = h.incarnation"
            " WHERE h.reason <> ? AND h.last > i.pruned ORDER BY h.incarnation, h.first",
            (_RESERVED,),
        ).fetchall()
        found: dict[int, list[Span]] = {}
        for number, first, last in rows:
            found.setdefault(number, []).append((first, last))
        return found

    def find(self, incarnation: bytes) -> list[Span]:
        """Return the numbers that are lacking, in rising order, those that never came included."""
        number = self._store.find_number(incarnation)
        if number is None:
            return [(1, MAX_SEQ)]
        stored, pruned = self._store.connection.execute(
            "SELECT stored, pruned FROM incarnation WHERE number = ?", (number,)
        ).fetchone()
        spans = [
            (max(first, pruned + 1), last)
            for first, last in self._find_holes().get(number, ())
            if first <= stored
        ]
        return spans + list(self._find_gaps(number, stored))

    def _find_gaps(self, number: int, stored: int) -> Iterable[Span]:
        """Yield what lies between the entries after the stored mark, where another twin's are."""
        position = stored + 1
        for (seq,) in self._store.connection.execute(
            "SELECT seq FROM entry WHERE incarnation = ? AND seq > ? ORDER BY seq", (number, stored)
        ).fetchall():
            if position < seq:
                yield position, seq - 1
            position = seq + 1
        if position <= MAX_SEQ:
            yield position, MAX_SEQ


def _shorten(spans: list[Span]) -> list[Span]:
    """Return few ranges that hold at least these: of too many, the oldest become one."""
    if len(spans) <= MOST_SPANS:
        return spans
    return [(spans[0][0], spans[-MOST_SPANS][1]), *spans[1 - MOST_SPANS :]]
