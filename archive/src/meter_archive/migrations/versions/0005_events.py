"""An index of events, so that a fleet's are found without its readings.

Means of the voltage, which a meter gives 144 times a day, are left out: they would make the index
as large as that of all entries (`entries_table.FREQUENT_EVENT`).
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the index; partitions that come later have it too."""
    op.execute("CREATE INDEX entry_events ON entry (time, incarnation, seq) WHERE event <> 13")
