"""Metrics of the service; no label names a meter. Neighbour: `plain_port` shows them."""

from meter_wire.archive_batch import ArchiveAnswer
from prometheus_client import Counter, Gauge, Histogram

STORED = Counter("metertwin_archive_entries_stored", "Entries that became durable.")
DUPLICATES = Counter("metertwin_archive_entries_duplicate", "Entries that were known already.")
CONFLICTS = Counter("metertwin_archive_entries_conflicting", "Other bytes under a known identity.")
RETURNED = Counter("metertwin_archive_entries_returned", "Entries given back to twins.")
REFUSED = Counter("metertwin_archive_requests_refused", "Refused requests by status.", ["status"])
POSTPONED = Counter("metertwin_archive_batches_postponed", "Batches to come again.", ["reason"])
for _reason in ("busy", "away"):
    POSTPONED.labels(_reason)  # from the start: the first one is to be seen as an increase
COMMIT = Histogram(
    "metertwin_archive_commit_seconds", "From taking batches together until they were durable.",
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)  # fmt: skip
CERTIFICATE = Gauge(
    "metertwin_archive_certificate_expiry_timestamp_seconds", "When the certificate in use ends."
)
WAITING = Gauge("metertwin_archive_waiting_bytes", "Batches that wait for their commit.")
DATABASE = Gauge("metertwin_archive_database_up", "1 if the last transaction was committed.")
LAST_COMMIT = Gauge("metertwin_archive_last_commit_timestamp_seconds", "When that was.")
QUESTIONS = Counter("metertwin_archive_questions", "Questions by status of the answer.", ["status"])
UNNOTED = Counter(
    "metertwin_archive_questions_unnoted",
    "Refusals of too many or unknown askers that came too often to be noted each.",
)
CONNECTIONS_REFUSED = Counter(
    "metertwin_archive_connections_refused",
    "Connections of readers that asked nothing.",
    ["reason"],
)
for _reason in ("too_many", "no_http"):
    CONNECTIONS_REFUSED.labels(_reason)
UPKEEP = Gauge("metertwin_archive_upkeep_timestamp_seconds", "When partitions were last tended.")
EXPIRED = Counter("metertwin_archive_entries_expired", "Entries deleted by a meter's dataPolicy.")


def count(answer: ArchiveAnswer) -> None:
    """Count what became of a batch."""
    STORED.inc(answer.new)
    DUPLICATES.inc(answer.duplicates)
    CONFLICTS.inc(answer.conflicts)
