"""Which device measured which metering point, and when."""

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = """
CREATE TABLE installation (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device text NOT NULL,
    namespace text NOT NULL,
    meter text NOT NULL,
    point text NOT NULL,
    zone text NOT NULL,
    feeder text NOT NULL DEFAULT '',
    labels jsonb NOT NULL DEFAULT '{}',
    capture_s integer NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz,
    CHECK (until IS NULL OR until >= since));
COMMENT ON TABLE installation IS 'a device at a metering point, from since (included) to until';
CREATE INDEX installation_of_point ON installation (point);
CREATE INDEX installation_of_meter ON installation (meter, namespace);
CREATE INDEX installation_of_feeder ON installation (feeder);
CREATE UNIQUE INDEX installation_now ON installation (device) WHERE until IS NULL
"""


def upgrade() -> None:
    """Make the table."""
    for statement in _TABLES.split(";\n"):
        op.execute(statement)
