"""An archive in a dict, exactly by ADR 31: what a twin's batches must come to."""

from meter_wire.archive_batch import MOST_HOLES, ArchiveAnswer, parse_batch
from meter_wire.archive_page import PAGE_ENTRIES, Holding, Page
from meter_wire.effects import Hole

RESERVED = 2


class DictArchive:
    """Rows by incarnation: entries, holes, the prefix; conflicts are set aside."""

    def __init__(self):
        self.entries = {}
        self.holes = {}
        self.conflicts = []
        self.epoch = 0
        self.bodies = []
        self.takes = lambda _seq, _raw: True

    def rows(self, incarnation):
        return self.entries.setdefault(incarnation, {}), self.holes.setdefault(incarnation, {})

    def give(self, incarnation, body, epoch=1):
        """Return (status, ArchiveAnswer or reason) of a request."""
        if epoch < self.epoch:
            return 409, f"epoch {self.epoch} has pushed"
        try:
            batch = parse_batch(body)
        except ValueError as error:
            return 400, str(error)
        self.bodies.append((incarnation, body))
        if not all(self.takes(*one) for one in batch.entries):
            return 400, "entries: one of them is not taken"
        self.epoch = epoch
        entries, holes = self.rows(incarnation)
        new = duplicates = conflicts = 0
        for seq, raw in batch.entries:
            if seq not in entries:
                entries[seq] = raw
                holes.pop(seq, None)
                new += 1
            elif entries[seq] == raw:
                duplicates += 1
            else:
                self.conflicts.append((incarnation, seq, raw))
                conflicts += 1
        for first, last, reason in batch.holes:
            holes.update({seq: reason for seq in range(first, last + 1) if seq not in entries})
        answer = ArchiveAnswer(self.archived(incarnation), new, duplicates, conflicts)
        if batch.entries or batch.holes:
            return 200, answer
        lacking = [
            Hole(*span, reason)
            for reason in {*holes.values()} - {RESERVED}
            for span in spans_of(sorted(seq for seq in holes if holes[seq] == reason))
        ]
        return 200, answer._replace(holes=tuple(sorted(lacking)[-MOST_HOLES:]))

    def archived(self, incarnation):
        entries, holes = self.rows(incarnation)
        mark = 0
        while mark + 1 in entries or mark + 1 in holes:
            mark += 1
        return mark

    def tell(self, since_s=0):
        """Return what it has, the oldest incarnation first."""
        found = []
        for incarnation in self.entries:
            entries, holes = self.rows(incarnation)
            late = [seq for seq, raw in entries.items() if stamp(raw) >= since_s]
            if late:
                known = {*entries, *holes}
                numbers = sorted(seq for seq in known if min(late) <= seq <= max(entries))
                octets = sum(len(entries[seq]) for seq in late) // len(late)
                archived = self.archived(incarnation)
                found.append(Holding(incarnation, archived, octets, tuple(spans_of(numbers))))
        return found

    def page(self, incarnation, first, until):
        """Return the page that was asked for."""
        entries, holes = self.rows(incarnation)
        end = min(until, first + PAGE_ENTRIES - 1)
        numbers = range(first, end + 1)
        return Page(
            end,
            tuple(
                sorted(
                    Hole(*span, reason)
                    for reason in set(holes.values())
                    for span in spans_of([seq for seq in numbers if holes.get(seq) == reason])
                )
            ),
            tuple((seq, entries[seq]) for seq in numbers if seq in entries),
        )

    def backup(self):
        """Return a function that brings this moment back."""
        entries = {one: dict(rows) for one, rows in self.entries.items()}
        holes = {one: dict(rows) for one, rows in self.holes.items()}

        def restore():
            self.entries = {one: dict(rows) for one, rows in entries.items()}
            self.holes = {one: dict(rows) for one, rows in holes.items()}

        return restore


def stamp(raw):
    return int.from_bytes(raw[3:7], "big")


def spans_of(numbers):
    """Yield the ranges of numbers that rise."""
    rows = list(numbers)
    starts = [at for at, seq in enumerate(rows) if not at or rows[at - 1] != seq - 1]
    for start, end in zip(starts, [*starts[1:], len(rows)] if rows else [], strict=True):
        yield rows[start], rows[end - 1]
