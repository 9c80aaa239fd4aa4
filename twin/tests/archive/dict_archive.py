"""An archive in a dict, exactly by ADR 31: what a twin's batches must come to."""

from meter_wire.archive_batch import ArchiveAnswer, parse_batch


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
        return 200, ArchiveAnswer(self.archived(incarnation), new, duplicates, conflicts)

    def archived(self, incarnation):
        entries, holes = self.rows(incarnation)
        mark = 0
        while mark + 1 in entries or mark + 1 in holes:
            mark += 1
        return mark

    def backup(self):
        """Return a function that brings this moment back."""
        entries = {one: dict(rows) for one, rows in self.entries.items()}
        holes = {one: dict(rows) for one, rows in self.holes.items()}

        def restore():
            self.entries = {one: dict(rows) for one, rows in entries.items()}
            self.holes = {one: dict(rows) for one, rows in holes.items()}

        return restore
