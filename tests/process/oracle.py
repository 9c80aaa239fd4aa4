"""The oracle: what the firmware says it wrote, compared with what the twin says it has.

The firmware's log has one synchronised line per entry; `recovered` lines name the last entry found
at a start, which a kill between flash and log may have left out of the log.
"""

import contextlib
import hashlib
import pathlib
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from meter_wire.entries import Entry, parse_entry
from meter_wire.portable.entry import STATUS_CLOCK_ADJUSTED, chain, chain_hole


class Identity(NamedTuple):
    """Names one entry."""

    incarnation: str
    seq: int


Contents = dict[Identity, tuple[int, str]]
"""Kind and hash of each entry."""


def read_oracle(path: pathlib.Path) -> Contents:
    """Return {Identity: (kind, hash)} of the log, in its order.

    Raises:
        AssertionError: the firmware gave one number to two entries, or went back.
    """
    found: Contents = {}
    text = path.read_text() if path.exists() else ""
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        what, incarnation, seq, kind, digest = line.split()
        if what == "boot":
            continue
        identity = Identity(incarnation, int(seq))
        assert found.get(identity, (int(kind), digest)) == (int(kind), digest), f"reused {line}"
        if what == "append":
            assert identity not in found, f"appended twice: {line}"
        found[identity] = int(kind), digest
    return found


class Ledger:
    """What a twin's store holds."""

    def __init__(
        self,
        entries: Contents,
        raw: dict[str, list[tuple[int, bytes]]],
        holes: dict[str, list[tuple[int, int, int]]],
        conflicts: int,
        marks: dict[str, tuple[int, bytes | None]],
    ) -> None:
        """Args:
        entries: {Identity: (kind, hash)}.
        raw: {incarnation: [(seq, bytes)] ascending}.
        holes: {incarnation: [(first, last, reason)]}.
        conflicts: number of quarantined entries.
        marks: {incarnation: (stored, chain)}; an archive keeps no chain.
        """
        self.entries = entries
        self.raw = raw
        self.holes = holes
        self.conflicts = conflicts
        self.marks = marks

    def __contains__(self, identity: Identity) -> bool:
        """Whether the number lies in a declared hole."""
        return any(
            first <= identity.seq <= last
            for first, last, _ in self.holes.get(identity.incarnation, ())
        )

    def parsed(self) -> list[tuple[int, Entry]]:
        """Return (number, entry) of everything, in the order of the numbers."""
        return [(seq, parse_entry(raw)) for rows in self.raw.values() for seq, raw in rows]

    def event_codes(self) -> set[int]:
        """Return the codes of all events."""
        return {entry.event_code for _, entry in self.parsed() if entry.event_code is not None}

    def adjusted(self) -> list[int]:
        """Return the numbers of the readings in whose interval the clock was stepped."""
        return [
            seq
            for seq, entry in self.parsed()
            if not entry.is_event and entry.status & STATUS_CLOCK_ADJUSTED
        ]

    def reasons(self) -> set[int]:
        return {reason for rows in self.holes.values() for _, _, reason in rows}

    def verify(
        self, logged: Contents, logged_later: Contents, allowed_reasons: Iterable[int] = ()
    ) -> None:
        """Every logged entry is stored once, unchanged and in order, or in an allowed hole.

        `logged` was read before the store and must be in it, `logged_later` after it and must
        hold what is stored, but for an entry that a kill kept out of the log.
        """
        assert self.conflicts == 0
        assert self.reasons() <= set(allowed_reasons), self.holes
        for identity, content in logged.items():
            if identity not in self.entries:
                assert identity in self, f"lost: {identity}"
            else:
                assert self.entries[identity] == content, f"changed: {identity}"
        for identity in self.entries:
            assert identity in logged_later, f"invented: {identity}"
        for incarnation in self.raw:
            self._verify_order(incarnation)

    def _verify_order(self, incarnation: str) -> None:
        """Numbers and holes cover 1 to the mark without overlap, and the hashes chain."""
        rows: list[tuple[int, int, bytes | int]]
        rows = [(seq, seq, raw) for seq, raw in self.raw[incarnation]]
        rows += [(first, last, reason) for first, last, reason in self.holes[incarnation]]
        expected, link = 1, bytes(16)
        name = bytes.fromhex(incarnation)
        for first, last, content in sorted(rows, key=lambda row: row[0]):
            assert first == expected, f"{incarnation}: {expected} is missing before {first}"
            if isinstance(content, bytes):
                link = link and chain(link, name, first, content)
            elif content == 2:
                link = link and chain_hole(link, name, first, last)
            else:
                link = b""  # the hash of what was lost is not known; it begins anew
            expected = last + 1
        stored, known = self.marks[incarnation]
        assert stored == expected - 1, (incarnation, stored, expected - 1)
        assert not link or known in (None, link), f"{incarnation}: the chain is broken"


def read_store(path: pathlib.Path) -> Ledger:
    """Return the ledger of a store; it may be in use."""
    empty = Ledger({}, {}, {}, 0, {})
    if not path.exists():
        return empty
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
        try:
            db.execute("BEGIN")
            rows = db.execute("SELECT number, id, stored, chain FROM incarnation").fetchall()
            entries = db.execute(
                "SELECT incarnation, seq, kind, raw FROM entry ORDER BY incarnation, seq"
            ).fetchall()
            holes = db.execute("SELECT incarnation, first, last, reason FROM hole").fetchall()
            conflicts = db.execute("SELECT count(*) FROM conflict").fetchone()[0]
        except sqlite3.OperationalError:
            return empty
    names = {number: name.hex() for number, name, _, _ in rows}
    raw: dict[str, list[tuple[int, bytes]]] = {name: [] for name in names.values()}
    declared: dict[str, list[tuple[int, int, int]]] = {name: [] for name in names.values()}
    found: Contents = {}
    for number, seq, kind, content in entries:
        raw[names[number]].append((seq, bytes(content)))
        found[Identity(names[number], seq)] = kind, hashlib.sha256(content).digest()[:8].hex()
    for number, first, last, reason in holes:
        declared[names[number]].append((first, last, reason))
    marks: dict[str, tuple[int, bytes | None]]
    marks = {names[number]: (stored, bytes(link)) for number, _, stored, link in rows}
    return Ledger(found, raw, declared, conflicts, marks)
