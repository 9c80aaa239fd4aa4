"""Metrics of the service; no label names a meter. Neighbour: `plain_port` shows them."""

from meter_wire.archive_batch import ArchiveAnswer
from prometheus_client import Counter, Gauge

STORED = Counter("metertwin_archive_entries_stored", "Entries that became durable.")
DUPLICATES = Counter("metertwin_archive_entries_duplicate", "Entries that were known already.")
CONFLICTS = Counter("metertwin_archive_entries_conflicting", "Other bytes under a known identity.")
RETURNED = Counter("metertwin_archive_entries_returned", "Entries given back to twins.")
REFUSED = Counter("metertwin_archive_requests_refused", "Refused requests by status.", ["status"])
POSTPONED = Counter("metertwin_archive_batches_postponed", "Batches to come again.", ["reason"])
WAITING = Gauge("metertwin_archive_waiting_bytes", "Batches that wait for their commit.")
DATABASE = Gauge("metertwin_archive_database_up", "1 if the last transaction was committed.")
LAST_COMMIT = Gauge("metertwin_archive_last_commit_timestamp_seconds", "When that was.")
UPKEEP = Gauge("metertwin_archive_upkeep_timestamp_seconds", "When partitions were last tended.")


def count(answer: ArchiveAnswer) -> None:
    """Count what became of a batch."""
    STORED.inc(answer.new)
    DUPLICATES.inc(answer.duplicates)
    CONFLICTS.inc(answer.conflicts)
