"""How long the archive keeps the readings of an installation, if that is told."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = """
ALTER TABLE installation ADD COLUMN keep_days integer CHECK (keep_days > 0);
COMMENT ON COLUMN installation.keep_days IS 'days; null: as long as the archive keeps anything';
CREATE INDEX installation_of_device ON installation (device, id)
"""


def upgrade() -> None:
    """Add the column, and the way to a device's installations."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)
